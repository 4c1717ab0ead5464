"""What a row may differ in from its note."""

import pytest

from audit_log.record import Origin, ToolOutcome
from audit_log.verify.proving.leaf_members import differing, gives_way

ENTRY = ["entry", "id", "at", "GET", "/", 200, "completed", "s", None, None, *[None] * 7]


def row(**changes):
    names = ["kind", "id", "created_at", "method", "path", "status_code", "outcome", "instance"]
    names += ["token_id", "token_name"]
    members = ENTRY[:]
    for name, value in changes.items():
        members[names.index(name)] = value
    return members


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        ({"token_name": "laptop", "token_id": "t"}, []),
        ({"token_name": "Unknown token (0123abcd)"}, []),
        ({"token_name": "Unknown token (11111111)"}, ["token_name"]),
        ({"token_name": "laptop", "status_code": 500}, ["status_code"]),
    ],
)
def test_an_unnamed_note_allows_any_name_but_of_another_unknown_token(changes, columns):
    found = differing([*ENTRY, "0123abcd"], row(**changes))

    assert [name for name, _, _ in found] == columns


def test_a_named_note_allows_nothing():
    assert [name for name, _, _ in differing(row(token_name="a"), row(token_name="b"))] == [
        "token_name"
    ]


def version(outcome, rounds):
    head = ["tool_call", "id", "at", "tool", outcome, 200, Origin.MCP, "s", None, "ci", None]
    return [*head, 0, None, rounds, *[None] * 9]


@pytest.mark.parametrize(
    ("stored", "other", "gives"),
    [
        (version("asked", 1), version("ok", 1), True),
        (version("asked", 1), version("asked", 2), True),
        (version("working", 1), version("asked", 1), True),
        (version("asked", 1), version("working", 1), False),
        (version("asked", 2), version("working", 1), False),
        (version("ok", 2), version("interrupted", 3), False),
        (version("ok", 2), version(ToolOutcome.ASKED, 3), False),
    ],
)
def test_a_tool_call_gives_way_as_the_database_lets_it(stored, other, gives):
    assert gives_way(stored, other) is gives
