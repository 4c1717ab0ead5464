"""The header policy: what is forwarded, what is dropped, what is added. Pure.

Most messages have no field that is dropped or changed, or only some that end here whatever they
say. Their block goes on as the bytes that came, without those lines. All others are put together
anew from the list of their fields, by the same policy.
"""

import re
from typing import Final

from proxy.http.fields import FieldList, Fields, field_lines
from proxy.http.peers import Peer

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",  # never standard, still sent
        b"te",
        b"upgrade",
        b"http2-settings",  # goes with an h2c upgrade, RFC 7540 section 3.2.1
    }
)
"""RFC 9110 section 7.6.1. Transfer-Encoding stays: the body is passed on in the same framing."""

NEVER_DROPPED: Final = frozenset({b"host", b"content-length", b"transfer-encoding"})
"""A client that names these in Connection could make two readers disagree on the framing."""

FORWARDED: Final = frozenset(
    {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"}
)

_NOTHING: Final = Fields(())
_TRAILER: Final = frozenset({b"trailer"})
_ENDS_HERE: Final = HOP_BY_HOP | FORWARDED | _TRAILER
"""What is dropped of a request, or passed on in part."""
_MEANT_FOR_UPSTREAM: Final = frozenset({b"upgrade", b"te"})
"""What may be passed on in part."""
_ABOUT_THE_CONNECTION: Final = frozenset({b"", b"close", b"keep-alive"})
"""Options of Connection that name no field, or one that is dropped anyway."""


def _lines(names: frozenset[bytes]) -> re.Pattern[bytes]:
    return re.compile(rb"\r\n(?i:%b):[^\r]*" % b"|".join(map(re.escape, sorted(names))))


_LINES_ENDING_HERE: Final = _lines(_ENDS_HERE)
_HOP_BY_HOP_LINES: Final = _lines(HOP_BY_HOP)

OPAQUE_UPGRADES: Final = frozenset({b"h2c"})
"""Inside an h2c connection any number of calls could pass unseen, so it is never offered on."""


def request_lines(fields: Fields, peer: Peer) -> bytes:
    """Return the lines of `request_fields`."""
    host = fields.by_name.get(b"host")
    if host is None or not _loses_whole_lines(fields):
        return field_lines(request_fields(fields, peer))
    block = fields.block
    if not _ENDS_HERE.isdisjoint(fields.by_name):
        if fields.has_any(_MEANT_FOR_UPSTREAM):
            return field_lines(request_fields(fields, peer))
        block = _LINES_ENDING_HERE.sub(b"", block)
        if peer.is_trusted and fields.has_any(FORWARDED):
            who = _who_the_client_is(fields, peer, host)
            return b"%b\r\n%b" % (block[2:], field_lines(who))
    return b"%b\r\n%b%b\r\n" % (block[2:], peer.seen, host)


def request_fields(fields: Fields, peer: Peer) -> FieldList:
    """Return what the API is sent: the end-to-end fields in order, and the client's address.

    A client of HTTP/1.0 may have sent no Host; then it is empty (RFC 9112 section 3.2).
    """
    host = fields.first(b"host")
    sent = [] if host is not None else [(b"Host", b"")]
    sent.extend(_end_to_end(fields, without=FORWARDED))
    sent.extend(_who_the_client_is(fields if peer.is_trusted else _NOTHING, peer, host or b""))
    return sent


def hub_request_fields(fields: Fields, authority: bytes) -> FieldList:
    """Return what the Hub at *authority* is sent: the end-to-end fields in order.

    Host is the Hub's own: PodWarden was told our address in its place. Nothing is added: the Hub
    does not learn PodWarden's address.
    """
    return [
        (name, authority if name.lower() == b"host" else value)
        for name, value in _end_to_end(fields)
    ]


def hub_request_lines(fields: Fields, authority: bytes) -> bytes:
    """Return the lines of `hub_request_fields`."""
    return field_lines(hub_request_fields(fields, authority))


def response_lines(fields: Fields) -> bytes:
    """Return the lines of `response_fields`."""
    if not _loses_whole_lines(fields):
        return field_lines(response_fields(fields))
    block = fields.block
    if not HOP_BY_HOP.isdisjoint(fields.by_name):
        block = _HOP_BY_HOP_LINES.sub(b"", block)
    return b"%b\r\n" % block[2:] if block else b""


def response_fields(fields: Fields) -> FieldList:
    """Return what the client is sent: the end-to-end fields in order."""
    dropped = HOP_BY_HOP | _named_by_connection(fields)
    return [field for lowered, field in fields.with_lowered if lowered not in dropped]


def unchunked_response_fields(fields: Fields) -> FieldList:
    """Return what a client is sent that speaks HTTP/1.0 and so knows no chunks."""
    unchunked = {b"transfer-encoding", b"trailer"}
    return [field for field in response_fields(fields) if field[0].lower() not in unchunked]


def switched_fields(fields: Fields) -> FieldList:
    """Return the fields of a 101 response, with Connection and Upgrade (RFC 9110 section 7.8)."""
    return [
        (name, b"Upgrade" if lowered == b"connection" else value)
        for name, value in fields
        if (lowered := name.lower()) in {b"connection", b"upgrade"} or lowered not in HOP_BY_HOP
    ]


def upgrade_of(fields: Fields) -> bytes | None:
    """Return the protocol that a request asks to change to, or None if it may not."""
    wanted = fields.all(b"upgrade")
    if len(wanted) != 1 or b"upgrade" not in fields.connection_options:
        return None
    protocols = {part.strip().lower() for part in wanted[0].split(b",")}
    return None if protocols & OPAQUE_UPGRADES else wanted[0]


def keeps_alive(fields: Fields, *, is_http_10: bool) -> bool:
    """Say whether the sender keeps its connection open (RFC 9112 section 9.3)."""
    options = fields.connection_options
    return b"close" not in options and (not is_http_10 or b"keep-alive" in options)


def _loses_whole_lines(fields: Fields) -> bool:
    """Say whether the block of *fields* can be forwarded, but for whole lines of known names."""
    return fields.is_canonical and fields.connection_options <= _ABOUT_THE_CONNECTION


def _end_to_end(fields: Fields, without: frozenset[bytes] = frozenset()) -> FieldList:
    """Return what of a request's *fields* goes upstream, *without* those.

    `Trailer` does not, because trailers of a request do not (RFC 9110 section 6.5.1).
    """
    dropped = without | _named_by_connection(fields) | {b"trailer"}
    upgrade = upgrade_of(fields)
    kept: FieldList = []
    for lowered, field in fields.with_lowered:
        if lowered in HOP_BY_HOP:
            kept.extend(_still_meant(*field, lowered, upgrade))
        elif lowered not in dropped:
            kept.append(field)
    return kept


def _named_by_connection(fields: Fields) -> frozenset[bytes]:
    return fields.connection_options - NEVER_DROPPED


def _still_meant(name: bytes, value: bytes, lowered: bytes, upgrade: bytes | None) -> FieldList:
    """Return what is left of a hop-by-hop field that we ourselves mean towards the upstream."""
    if lowered == b"upgrade" and upgrade:
        return [(name, value)]
    if lowered == b"connection" and upgrade and b"upgrade" in value.lower():
        return [(name, b"Upgrade")]
    if lowered == b"te" and b"trailers" in value.lower():
        # Trailers of the response are passed on; gRPC servers require this field.
        return [(name, b"trailers")]
    return []


def _who_the_client_is(said: Fields, peer: Peer, host: bytes) -> FieldList:
    """Return the X-Forwarded fields: what trusted proxies *said*, completed by what we saw."""
    before = said.all(b"x-forwarded-for")
    return [
        (b"X-Forwarded-For", b", ".join([*before, peer.address.encode()])),
        (
            b"X-Forwarded-Proto",
            b", ".join(said.all(b"x-forwarded-proto") or [peer.scheme.encode()]),
        ),
        (b"X-Forwarded-Host", b", ".join(said.all(b"x-forwarded-host") or [host])),
        *((b"Forwarded", value) for value in said.all(b"forwarded")),
    ]
