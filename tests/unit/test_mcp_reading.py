"""The content codings of a response, and what is read of it."""

import gzip
import json
import random
import sys
import zlib

import brotli
import pytest

from proxy.http.fields import Fields
from proxy.http.response import ResponseHead
from proxy.mcp.reading import ResponseReading

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

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


def frames(content):
    half = len(content) // 2
    skipped = b"\x50\x2a\x4d\x18\x04\0\0\0meta"  # RFC 8878 section 3.1.2
    return skipped + b"".join(map(zstd.compress, (content[:half], b"", content[half:]))) + skipped


def flushed(content):
    """Return *content* as a server does that streams: each part can be read when it has come."""
    packer = brotli.Compressor()
    starts = range(0, len(content), 50)
    parts = (packer.process(content[at : at + 50]) + packer.flush() for at in starts)
    return b"".join(parts)


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
    "br": ([b"br"], brotli.compress(ANSWER)),
    "br, flushed and not ended": ([b"br"], flushed(ANSWER)),
    "zstd": ([b"zstd"], zstd.compress(ANSWER)),
    "several frames": ([b"zstd"], frames(ANSWER)),
    "br in zstd": ([b"br, zstd"], zstd.compress(brotli.compress(ANSWER))),
    "zstd in br": ([b"ZSTD", b"br"], brotli.compress(zstd.compress(ANSWER))),
    "gzip in br": ([b"gzip, br"], brotli.compress(gzip.compress(ANSWER, mtime=0))),
    "plain": ([b"identity, identity"], ANSWER),
    "empty": ([b""], ANSWER),
}


@pytest.mark.parametrize("kind", WIRES)
def test_the_content_is_read_in_whatever_pieces_it_comes(kind):
    codings, wire = WIRES[kind]

    assert read(wire, codings=codings) == 1
    assert read(*(wire[at : at + 1] for at in range(len(wire))), codings=codings) == 1


@pytest.mark.parametrize("codings", [[b"dcz"], [b"gzip, compress"], [b"gzip, br, zstd"]])
def test_what_cannot_be_undone_is_not_read(codings):
    assert read(b"", codings=codings) is None


WHOLE = {b"gzip": gzip.compress, b"br": brotli.compress, b"zstd": zstd.compress}


@pytest.mark.parametrize("coding", WHOLE)
@pytest.mark.parametrize("junk", [b"plain text", b"\x00" * 100, b"\xff" * 9])
def test_data_that_is_not_in_its_coding_is_not_read(coding, junk):
    assert read(junk, WHOLE[coding](ANSWER), codings=[coding]) == 0


@pytest.mark.parametrize("coding", WHOLE)
def test_content_that_is_cut_off_is_read_as_far_as_it_came(coding):
    ended = json.dumps({"id": 1, "result": {}}).encode()
    noise = json.dumps({"id": 2, "result": random.Random(0).randbytes(300_000).hex()}).encode()
    wire = WHOLE[coding](b"[" + ended + b"," + noise + b"]")

    assert read(wire[: len(wire) // 2], codings=[coding]) == 1


def test_a_window_that_is_larger_than_http_allows_is_not_read():
    # RFC 9659 section 3.
    def streamed(window_log):
        options: dict[int, int] = {zstd.CompressionParameter.window_log: window_log}
        packer = zstd.ZstdCompressor(options=options)
        return packer.compress(ANSWER) + packer.flush()

    assert [read(streamed(log), codings=[b"zstd"]) for log in (23, 24)] == [1, 0]


@pytest.mark.parametrize("junk", [b"no gzip", b"\x00" * 100, b"\x1f\x8b\x08"])
def test_invalid_data_ends_the_reading(junk):
    assert read(junk, gzip.compress(ANSWER, mtime=0), codings=[b"gzip"]) == 0
    assert read(gzip.compress(ANSWER, mtime=0) + junk + junk, codings=[b"gzip"]) == 1
