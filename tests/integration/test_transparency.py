"""Each exchange of the corpus, once directly and once through the sidecar, byte for byte."""

from typing import Final

import pytest

from tests.neighbours.client import connected
from tests.neighbours.corpus import Case
from tests.neighbours.corpus_requests import REQUESTS
from tests.neighbours.corpus_responses import RESPONSES
from tests.neighbours.messages import Message, field_name
from tests.neighbours.sidecar import Sidecar
from tests.neighbours.upstream import Behaviour, Call, Upstream, responding

pytestmark = pytest.mark.asyncio(loop_scope="module")

CORPUS: Final = (*REQUESTS, *RESPONSES)

REQUEST_FIELDS_THAT_DIFFER: Final = {
    b"connection": "hop-by-hop (RFC 9110, 7.6.1): each of the two connections has its own",
    b"keep-alive": "hop-by-hop",
    b"proxy-connection": "hop-by-hop, though it was never standard",
    b"upgrade": "hop-by-hop, passed on only when Connection asks for it",
    b"te": "hop-by-hop; only `trailers` is meant for us too",
    b"x-hop": "the corpus names it in Connection, so it is hop-by-hop",
    b"trailer": "announces trailers, which are dropped from requests",
    b"x-forwarded-for": "set by the sidecar; untrusted clients may claim nothing",
    b"x-forwarded-proto": "set by the sidecar",
    b"x-forwarded-host": "set by the sidecar",
    b"forwarded": "dropped: untrusted clients may claim nothing",
    b"baggage": "a tool call gets a member more, to tie its API calls to it",
    b"x-request-id": "given to a tool call whose client sent none, for the same reason",
}
ANSWER_FIELDS_THAT_DIFFER: Final = {
    b"connection": "hop-by-hop",
    b"keep-alive": "hop-by-hop",
    b"upgrade": "hop-by-hop",
    b"x-hop": "the corpus names it in Connection",
}
# Besides these fields, three things belong to a connection and not to the message: the version in
# the start line (RFC 9110, 2.5), spaces around a field's value (RFC 9110, 5.5), and where the
# chunks of a body begin and end, with their extensions (RFC 9112, 7.1.1).


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
async def test_an_exchange_passes_as_it_is(
    case: Case, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    sent, received = await _exchange(case, shared_upstream.port, shared_upstream)
    sent_through, received_through = await _exchange(case, shared_sidecar.port, shared_upstream)
    assert _comparable(sent_through, REQUEST_FIELDS_THAT_DIFFER) == _comparable(
        sent, REQUEST_FIELDS_THAT_DIFFER
    )
    assert [_with_trailers(message) for message in received_through] == [
        _with_trailers(message) for message in received
    ]


async def _exchange(case: Case, port: int, upstream: Upstream) -> tuple[Message, list[Message]]:
    """Return what the upstream received and what the client received."""
    upstream.plan(_behaviour(case))
    async with connected(port) as client:
        interim = []
        if case.interim:
            await client.send(case.head)
            interim = [await client.response()]
            await client.send(case.body)
        else:
            await client.send(case.request)
        responses = [*interim, *await client.responses(case.method)]
    assert len(upstream.calls) == 1, f"not forwarded; the client got {responses}"
    [call] = upstream.calls
    return call.request, responses


def _behaviour(case: Case) -> Behaviour:
    response = responding(case.response, then_close=case.closes)

    async def behave(call: Call) -> None:
        await call.send(case.interim)
        await response(call)

    return behave


def _comparable(message: Message, differing: dict[bytes, str]) -> tuple[object, ...]:
    """Return all of *message* that two connections have in common."""
    lines = []
    for line in message.field_lines:
        name, _, value = line.partition(b":")
        if field_name(line) not in differing:
            lines.append((name, value.strip(b" \t")))
    return _without_version(message.start_line), lines, message.content, message.complete


def _with_trailers(message: Message) -> tuple[object, ...]:
    return *_comparable(message, ANSWER_FIELDS_THAT_DIFFER), message.trailers


def _without_version(start_line: bytes) -> bytes:
    return start_line.replace(b"HTTP/1.0", b"HTTP/1.1")
