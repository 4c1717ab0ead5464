"""A block of fields that is only looked into, beside the same block taken apart as a whole."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.http.fields import FieldBlock, Fields, MalformedFieldsError, field_lines
from proxy.http.forwarding import (
    FORWARDED,
    HOP_BY_HOP,
    request_fields,
    request_lines,
    response_fields,
    response_lines,
)
from proxy.http.framing import FRAMING
from proxy.http.peers import Peer

PEERS = [Peer("192.0.2.1", "http", is_trusted=False), Peer("10.0.0.1", "https", is_trusted=True)]

ACTED_ON = (
    HOP_BY_HOP | FORWARDED | FRAMING | {b"host", b"trailer", b"authorization", b"content-type"}
)

names = st.sampled_from(
    sorted(ACTED_ON | {b"accept", b"x-a", b"x-forwarded-port", b"cookie", b"t", b"hosts"})
).flatmap(lambda name: st.sampled_from([name, name.title(), name.upper(), name[:1] + b"-"]))
values = st.sampled_from(
    [
        *(b"", b"a", b"a  b\tc", b"caf\xe9", b"close", b"keep-alive", b"keep-alive, X-A", b",,"),
        *(b"X-A, close", b"Upgrade", b"upgrade, te", b"websocket", b"h2c", b"trailers, gzip"),
        *(b"host", b"192.0.2.7", b"for=192.0.2.7;proto=https", b"chunked", b"x-forwarded-for"),
    ]
)
lines = st.lists(
    st.tuples(
        names, st.sampled_from([b" ", b"", b"  ", b"\t"]), values, st.sampled_from([b"", b" "])
    )
    | st.tuples(names, st.just(b" "), values.filter(bool), st.just(b"")),
    max_size=8,
)


def whole(parts):
    return Fields([(name, value.strip(b" \t")) for name, _, value, _ in parts])


def looked_into(parts):
    return FieldBlock(b"".join(b"\r\n%b:%b%b%b" % (name, *rest) for name, *rest in parts))


@given(lines)
@example([(b"Host", b" ", b"a", b""), (b"Accept", b" ", b"b", b""), (b"accept", b" ", b"c", b"")])
def test_fields_are_the_same_whichever_way_they_are_found(parts):
    one, other = whole(parts), looked_into(parts)
    for name in sorted({name.lower() for name, *_ in parts} | ACTED_ON | {b"absent"}):
        assert other.first(name) == one.first(name)
        assert list(other.all(name)) == list(one.all(name))
        assert looked_into(parts).has_any(ACTED_ON) == one.has_any(ACTED_ON)
    assert len(looked_into(parts)) == len(other) == len(one)
    assert list(looked_into(parts)) == list(one)
    assert list(other.with_lowered) == list(one.with_lowered)


@pytest.mark.parametrize("peer", PEERS, ids=["stranger", "trusted"])
@given(lines)
def test_a_request_goes_upstream_as_if_it_had_been_put_together_anew(peer, parts):
    assert request_lines(looked_into(parts), peer) == field_lines(
        request_fields(whole(parts), peer)
    )


@given(lines)
def test_a_response_goes_to_the_client_as_if_it_had_been_put_together_anew(parts):
    assert response_lines(looked_into(parts)) == field_lines(response_fields(whole(parts)))


@given(st.binary(max_size=60) | st.text("\r\n:ab \t", max_size=12).map(str.encode))
def test_a_block_is_what_its_lines_are_or_refused(block):
    try:
        fields = FieldBlock(block)
    except MalformedFieldsError:
        return
    lines = block.split(b"\r\n")
    assert lines[0] == b""
    assert [name for name, _ in fields] == [line.partition(b":")[0] for line in lines[1:]]
    assert not fields.is_canonical or b"\r\n" + field_lines(fields) == block + b"\r\n"
