"""The client's values and what the audit API responds are two descriptions of one thing."""

import msgspec
import pytest

from audit_api.client.refusals import (
    AuditApiError,
    NotAllowedError,
    NothingFoundError,
    OutOfReachError,
    WrongQuestionError,
    refusal,
)
from audit_api.client.server_events import ServerEvent, events_of
from audit_api.client.shapes import Count, Entry, Gap, Session, ToolCall
from audit_api.formats.agent_sessions import SessionWithToolCalls
from audit_api.formats.entries import DetailedEntry, MissingEntries
from audit_api.formats.tool_calls import ToolCallWithCalls
from audit_api.query.facets import ValueCount


def names(shape):
    return {field.encode_name for field in msgspec.structs.fields(shape)}


@pytest.mark.parametrize(
    ("of_client", "of_service"),
    [
        (Entry, DetailedEntry),
        (ToolCall, ToolCallWithCalls),
        (Session, SessionWithToolCalls),
        (Gap, MissingEntries),
        (Count, ValueCount),
    ],
)
def test_the_client_knows_each_field_that_the_service_sends(of_client, of_service):
    assert names(of_client) == names(of_service)


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (401, b'{"detail": "Not authenticated"}', NotAllowedError, "Not authenticated"),
        (
            422,
            (
                b'{"detail": [{"loc": ["query", "status"], "msg": "no status", "type": "status"},'
                b' {"loc": ["query", "nane"], "msg": "Extra", "type": "extra_forbidden"}]}'
            ),
            WrongQuestionError,
            "status: no status; nane: there is no such filter or option",
        ),
        (503, b'{"detail": "out of reach"}', OutOfReachError, "out of reach"),
        (502, b"<html>Bad Gateway", OutOfReachError, "it responds 502"),
        (302, b"", AuditApiError, "it responds 302: is this the address of the audit API?"),
        (404, b'["detail"]', AuditApiError, "it responds 404"),
        (404, b'{"detail": "No such entry"}', NothingFoundError, "No such entry"),
        (404, b'{"detail": "Not Found"}', NothingFoundError, "it responds 404: is this the ad"),
        (422, b'{"detail": [7]}', WrongQuestionError, "it responds 422"),
        (200, b"\xff", AuditApiError, "it responds 200"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_whether_to_try_again(status, body, kind, message):
    error = refusal(status, body)

    assert isinstance(error, kind)
    assert str(error).startswith(message)


async def test_events_are_read_as_the_stream_sends_them():
    async def lines():
        for line in (
            *(b": heartbeat\n", b"id: m1\n", b"\n"),
            *(b"event: entry\n", b"id: m2\n", b'data: {"path": "/a: b"}\n', b"\n"),
            *(b"event: notice\n", b'data: {"reason": "too_slow"}\n', b"\n"),
            *(b"event: entry\n", b"id: m3\n"),
        ):
            yield line

    assert [event async for event in events_of(lines())] == [
        ServerEvent("", b"", "m1"),
        ServerEvent("entry", b'{"path": "/a: b"}', "m2"),
        ServerEvent("notice", b'{"reason": "too_slow"}', None),
    ]
