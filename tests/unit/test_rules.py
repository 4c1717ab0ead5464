"""What a file of rules means, and which moments are meant by hours."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit_api.client.audit_client import TOOL_CALLS
from audit_api.rules.complaint import RulesFileError
from audit_api.rules.hours import Hours
from audit_api.rules.past import Past
from audit_api.rules.rule import New
from audit_api.rules.rules_file import read_rules

CHECKOUT = Path(__file__).parents[2]
BEGAN = datetime(2026, 2, 28, 3, 42, tzinfo=UTC)
RULES = """\
# What the night shift is told.
[[rule]]
name = "cluster-deleted"
filter = "https://audit.example/settings/mcp/activity?span=7d&zone=utc&method=DELETE&object=clusters"

[[rule]]
name = "new-tool"
new = "tool"
filter = "show=tools&token_name!=ci&duration_ms>500"
every = "15m"
hours = { outside = "08:00-18:00", days = "mon-fri", zone = "Europe/Berlin" }
"""


@pytest.fixture
def rules_in(tmp_path):
    def read(text):
        path = tmp_path / "rules.toml"
        path.write_text(text)
        return read_rules(path)

    return read


def test_a_pasted_address_of_the_page_is_a_filter_and_says_what_it_is_about(rules_in):
    deleted, tool = rules_in(RULES)

    assert (deleted.name, deleted.of) == ("cluster-deleted", "")
    assert deleted.filters == {"method": "DELETE", "object": "clusters"}
    assert (deleted.new, deleted.hours, deleted.every) == (None, None, None)
    assert tool.of == TOOL_CALLS
    assert tool.filters == {"token_name!": "ci", "duration_ms>500": ""}
    assert (tool.new, tool.every) == (New.TOOL, timedelta(minutes=15))


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("object=", "objcet=", ":4: rule 1 `cluster-deleted`: filter: `objcet`: There is no such"),
        ("DELETE", "DELETE&status=4x", ":4: rule 1 `cluster-deleted`: filter: `status`: This sh"),
        ("DELETE&", "DELETE&since=2026-01-01&", ":4: rule 1 `cluster-deleted`: filter: `since` h"),
        ("DELETE", "DELETE&client_name=x", ":4: rule 1 `cluster-deleted`: filter: `session`, "),
        ("ci&", "ci&outcome=asked&", ":9: rule 2 `new-tool`: filter: `outcome=asked`: a tool"),
        ('"tool"', '"tools"', ':8: rule 2 `new-tool`: new: `tools` should be one of "address", "'),
        ("every", "evry", ":10: rule 2 `new-tool`: a rule has no `evry`: is `every` meant?"),
        ('"15m"', '"soon"', ":10: rule 2 `new-tool`: every: `soon` should be a time such as 15m"),
        ('"15m"', "15", ":10: rule 2 `new-tool`: `every` should be text in quotes"),
        ("08:00", "8", ":11: rule 2 `new-tool`: hours: `8-18:00` should be two times, such as 0"),
        ("18:00", "08:00", ":11: rule 2 `new-tool`: hours: `08:00-08:00` is no span of a day"),
        ("mon-fri", "mon-day", ":11: rule 2 `new-tool`: hours: `mon-day` should be days such as"),
        ("Berlin", "Bonn", ":11: rule 2 `new-tool`: hours: `Europe/Bonn` should be a time zone"),
        (
            "zone =",
            "inside =",
            ":11: rule 2 `new-tool`: hours: should say either `inside` or `outsi",
        ),
        (
            "{ outside",
            "{ outsid",
            ":11: rule 2 `new-tool`: hours: it has no `outsid`: is `outside` ",
        ),
        ('"new-tool"', '"New tool"', ":7: rule 2 `New tool`: name: `New tool` should be up to 6"),
        ('"new-tool"', '"cluster-deleted"', ":7: rule 2 `cluster-deleted`: name: there are two "),
        ('name = "new-tool"', "", ":6: rule 2: `name` is missing"),
        (
            "span=7d&zone=utc&method=DELETE&object=clusters",
            "",
            ":2: rule 1 `cluster-deleted`: eac",
        ),
        ("[[rule]]", "[[rules]]", ": `rules` is no part of it: write [[rule]]"),
        (
            "[[rule]]",
            "[rule",
            ": this is no TOML: Expected ']' at the end of a table declaration ",
        ),
        (RULES, "", " has no rule: begin one with [[rule]]"),
        (RULES, "rule = [1]", ": rule 1: should be a table: begin it with [[rule]]"),
    ],
)
def test_what_is_wrong_with_a_rule_is_told_in_one_line_with_its_place(
    rules_in, tmp_path, right, wrong, complaint
):
    with pytest.raises(RulesFileError) as refusal:
        rules_in(RULES.replace(right, wrong))

    told = str(refusal.value)
    assert told.startswith(f"{tmp_path}/rules.toml{complaint}")
    assert "\n" not in told


@pytest.mark.parametrize("content", [b"\xff", None])
def test_a_file_that_cannot_be_read_is_told(tmp_path, content):
    path = tmp_path / "rules.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(RulesFileError, match=r"rules\.toml (is not written in UTF-8|cannot be r)"):
        read_rules(path)


def hours(**given):
    return Hours.read(given)


# 2 March 2026 is a Monday.
@pytest.mark.parametrize(
    ("moment", "meant", "is_inside"),
    [
        ("2026-03-02T07:59:59+00:00", {"inside": "08:00-18:00"}, False),
        ("2026-03-02T08:00:00+00:00", {"inside": "08:00-18:00"}, True),
        ("2026-03-02T18:00:00+00:00", {"inside": "08:00-18:00"}, False),
        ("2026-03-02T18:00:00+00:00", {"outside": "08:00-18:00"}, True),
        ("2026-03-01T12:00:00+00:00", {"outside": "08:00-18:00", "days": "mon-fri"}, True),
        ("2026-03-02T07:30:00+00:00", {"inside": "08:00-18:00", "zone": "Europe/Berlin"}, True),
        ("2026-03-30T06:30:00+00:00", {"inside": "08:00-18:00", "zone": "Europe/Berlin"}, True),
        ("2026-03-02T23:00:00+00:00", {"inside": "22:00-06:00", "days": "mon"}, True),
        ("2026-03-03T05:59:00+00:00", {"inside": "22:00-06:00", "days": "mon"}, True),
        ("2026-03-03T22:00:00+00:00", {"inside": "22:00-06:00", "days": "mon"}, False),
        ("2026-03-01T23:59:00+00:00", {"inside": "00:00-24:00", "days": "sat-sun"}, True),
        ("2026-03-02T00:00:00+00:00", {"inside": "00:00-24:00", "days": "fri-sun, wed"}, False),
    ],
)
def test_hours_are_those_of_their_zone_and_of_the_day_on_which_they_begin(
    moment, meant, is_inside
):
    assert hours(**meant).hold(datetime.fromisoformat(moment)) is is_inside


def told_after(minutes):
    return {"created_at": (BEGAN + timedelta(minutes=minutes)).isoformat()}


@pytest.mark.parametrize(
    ("minutes", "fired"),
    [
        ([], 0),
        ([0], 1),
        ([0, 1, 2], 2),
        ([0, 15, 30], 3),
        ([0, 1, 16, 31], 4),
        ([0, 1, 60], 3),
    ],
)
def test_a_storm_has_one_delivery_at_once_and_one_each_period(minutes, fired):
    past = Past(timedelta(minutes=15))
    for minute in minutes:
        past.add(told_after(minute))
    past.end()

    assert (past.fired, past.calls) == (fired, len(minutes))


def test_the_example_is_a_file_of_rules():
    deleted, address, tool, hours = read_rules(CHECKOUT / "deploy" / "rules.example.toml")

    assert deleted.filters == {"method": "DELETE", "object": "clusters"}
    assert (address.new, tool.new, tool.of) == (New.ADDRESS, New.TOOL, TOOL_CALLS)
    assert hours.hours is not None
    assert not hours.hours.is_inside
