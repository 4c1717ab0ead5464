"""Settings that were renamed are found under their old names for one version."""

from pathlib import Path

import pytest

from audit_log.process.environment import outdated_in_environment
from audit_log.process.reading import read_settings
from proxy.settings import ProxySettings

RENAMED = {
    "PROXY_ANSWER_TIMEOUT_SECONDS": ("PROXY_RESPONSE_TIMEOUT_SECONDS", "7", "9"),
    "PROXY_JOURNAL_HEAD_DIR": ("PROXY_JOURNAL_RING_DIR", "/old", "/new"),
    "PROXY_JOURNAL_HEAD_BYTES": ("PROXY_JOURNAL_RING_BYTES", "2097152", "4194304"),
}
VALUES = [(old, new, first, second) for old, (new, first, second) in RENAMED.items()]


@pytest.fixture(autouse=True)
def upstream(monkeypatch):
    monkeypatch.setenv("PROXY_UPSTREAM_URL", "http://127.0.0.1:8000")


def value_of(name: str) -> str:
    value = getattr(read_settings(ProxySettings), name.removeprefix("PROXY_").lower())
    return f"{value:.0f}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize(("old", "new", "first", "second"), VALUES)
def test_the_old_name_is_read(monkeypatch, old, new, first, second):
    monkeypatch.setenv(old, first)

    assert value_of(new) == first


@pytest.mark.parametrize(("old", "new", "first", "second"), VALUES)
def test_the_new_name_is_read_and_wins(monkeypatch, old, new, first, second):
    monkeypatch.setenv(new, second)
    assert value_of(new) == second

    monkeypatch.setenv(old, first)
    assert value_of(new) == second


def test_names_are_read_in_either_case(monkeypatch):
    monkeypatch.setenv("proxy_answer_timeout_seconds", "7")

    assert value_of("PROXY_RESPONSE_TIMEOUT_SECONDS") == "7"


def test_a_value_given_in_code_wins(monkeypatch):
    monkeypatch.setenv("PROXY_JOURNAL_HEAD_DIR", "/old")

    assert ProxySettings(journal_ring_dir=Path("/given")).journal_ring_dir == Path("/given")


@pytest.mark.parametrize(
    "name", ["PROXY_ANSWER_TIMEOUT_SECONDS", "PROXY_RESPONSE_TIMEOUT_SECONDS"]
)
def test_a_wrong_value_is_complained_of_under_the_name_that_was_set(monkeypatch, capsys, name):
    monkeypatch.setenv(name, "s3cret")

    with pytest.raises(SystemExit) as stopped:
        read_settings(ProxySettings)

    said = capsys.readouterr().err
    assert stopped.value.code == 78
    assert said.startswith(f"{name}: ")
    assert said.count("\n") == 1
    assert "s3cret" not in said


def test_an_environment_of_today_has_nothing_outdated(monkeypatch):
    for new, _, value in RENAMED.values():
        monkeypatch.setenv(new, value)

    assert outdated_in_environment(ProxySettings) == []


@pytest.mark.parametrize(("old", "new", "first", "second"), VALUES)
def test_an_old_name_is_told_with_the_new_one(monkeypatch, old, new, first, second):
    monkeypatch.setenv(old, first)

    [outdated] = outdated_in_environment(ProxySettings)

    assert outdated.name == old
    assert outdated.advice == f"renamed: set {new} in its place"


def test_an_old_name_beside_the_new_one_is_told_to_have_no_effect(monkeypatch):
    monkeypatch.setenv("PROXY_JOURNAL_HEAD_DIR", "/old")
    monkeypatch.setenv("PROXY_JOURNAL_RING_DIR", "/new")

    [outdated] = outdated_in_environment(ProxySettings)

    assert outdated.name == "PROXY_JOURNAL_HEAD_DIR"
    assert outdated.advice == "has no effect beside PROXY_JOURNAL_RING_DIR: remove it"


@pytest.mark.parametrize("value", ["on", "off", "nonsense", ""])
def test_the_removed_express_lane_is_told_and_stops_nothing(monkeypatch, value):
    monkeypatch.setenv("PROXY_EXPRESS_LANE", value)

    read_settings(ProxySettings)
    [outdated] = outdated_in_environment(ProxySettings)

    assert outdated.name == "PROXY_EXPRESS_LANE"
    assert outdated.advice == "has no effect: remove it; there is one lane now"
