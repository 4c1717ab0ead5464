"""The content codings of a response, and what is read of it."""

import gzip
import json
import zlib

import pytest

from proxy.http.fields import Fields
from proxy.http.response import ResponseHead
from proxy.mcp.reading import ResponseReading

ANSWER = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"text": "x" * 300}}).encode()


def raw_deflate(content):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def stored_raw_deflate(content):
    """Return *content* as one stored block: it begins with other bits than a packed one."""
    packer = zlib.compressobj(level=0, wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def members(content):
    half = len(content) // 2
    return b"".join(gzip.compress(part, mtime=0) for part in (content[:half], b"", content[half:]))


def read(*pieces, codings=()):
    found = []
    fields = Fields([(b"Content-Encoding", coding) for coding in codings])
    reading = ResponseReading(
        ResponseHead(200, b"OK", fields), lambda values: found.append(dict(values))
    )
    if reading.feed is None:
        return None
    for piece in pieces:
        reading.feed(piece)
    return len(found)


WIRES = {
    "gzip": ([b"gzip"], gzip.compress(ANSWER, mtime=0)),
    "several members": ([b"gzip"], members(ANSWER)),
    "padded with zeros": ([b"gzip"], gzip.compress(ANSWER, mtime=0) + b"\0" * 100),
    "zlib": ([b"deflate"], zlib.compress(ANSWER)),
    "raw deflate": ([b"deflate"], raw_deflate(ANSWER)),
    "raw deflate, stored": ([b"deflate"], stored_raw_deflate(ANSWER)),
    "with identity": ([b"identity, gzip"], gzip.compress(ANSWER, mtime=0)),
    "in two fields": ([b"identity", b"GZIP , "], gzip.compress(ANSWER, mtime=0)),
    "two codings": ([b"deflate, gzip"], gzip.compress(raw_deflate(ANSWER), mtime=0)),
    "plain": ([b"identity, identity"], ANSWER),
    "empty": ([b""], ANSWER),
}


@pytest.mark.parametrize("kind", WIRES)
def test_the_content_is_read_in_whatever_pieces_it_comes(kind):
    codings, wire = WIRES[kind]

    assert read(wire, codings=codings) == 1
    assert read(*(wire[at : at + 1] for at in range(len(wire))), codings=codings) == 1


@pytest.mark.parametrize("codings", [[b"br"], [b"gzip, br"], [b"gzip"] * 3])
def test_what_cannot_be_undone_is_not_read(codings):
    assert read(b"", codings=codings) is None


@pytest.mark.parametrize("junk", [b"no gzip", b"\x00" * 100, b"\x1f\x8b\x08"])
def test_invalid_data_ends_the_reading(junk):
    assert read(junk, gzip.compress(ANSWER, mtime=0), codings=[b"gzip"]) == 0
    assert read(gzip.compress(ANSWER, mtime=0) + junk + junk, codings=[b"gzip"]) == 1
