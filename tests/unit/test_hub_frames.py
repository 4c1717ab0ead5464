import os
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.hub.frames import MAX_INFLATED_BYTES, FrameReader

TEXT, BINARY, CONTINUATION, PING = 1, 2, 0, 9
texts = st.lists(st.binary(max_size=400), max_size=5)
cuts = st.lists(st.integers(min_value=0, max_value=5_000), max_size=10)


class Messages:
    """Puts together what the reader hands on."""

    def __init__(self):
        self.all: list[bytes] = []
        self.lost_context = 0
        self.not_read = 0
        self.was_closed = 0
        self._parts: list[bytes] = []

    def feed(self, data):
        self._parts.append(data)

    def reset(self):
        self.all.append(b"".join(self._parts))
        self._parts = []

    def unread(self):
        self._parts = []
        self.not_read += 1

    def context_lost(self):
        self.lost_context += 1

    def closed(self):
        self.was_closed += 1


def frame(opcode, payload, *, final=True, masked=False, compressed=False):
    first = opcode | (0x80 if final else 0) | (0x40 if compressed else 0)
    flag = 0x80 if masked else 0
    if len(payload) < 126:
        head = bytes([first, flag | len(payload)])
    elif len(payload) < 65_536:
        head = bytes([first, flag | 126]) + len(payload).to_bytes(2, "big")
    else:
        head = bytes([first, flag | 127]) + len(payload).to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def read(wire, cuts=(), *, keeps_context=True):
    messages = Messages()
    reader = FrameReader(messages, keeps_context=keeps_context)
    at = sorted({cut % (len(wire) + 1) for cut in cuts} | {0, len(wire)})
    for start, end in pairwise(at):
        reader.feed(wire[start:end])
    return messages


@given(texts, cuts, st.booleans())
def test_text_is_read_however_it_is_split(texts, cuts, masked):
    wire = b"".join(frame(TEXT, text, masked=masked) for text in texts)

    assert read(wire, cuts).all == texts


@given(st.binary(max_size=300), st.integers(min_value=0, max_value=300), cuts)
def test_a_message_in_several_frames_is_one_even_with_a_ping_between(text, at, cuts):
    wire = (
        frame(TEXT, text[:at], final=False, masked=True)
        + frame(PING, b"are you there", masked=True)
        + frame(CONTINUATION, text[at:], masked=True)
    )

    assert read(wire, cuts).all == [text]


def test_binary_messages_are_read_like_text():
    assert read(frame(BINARY, b"abc") + frame(TEXT, b"def")).all == [b"abc", b"def"]


def test_long_messages_are_read():
    assert read(frame(TEXT, b"a" * 70_000, masked=True)).all == [b"a" * 70_000]


@pytest.mark.parametrize("keeps_context", [True, False])
def test_compressed_messages_are_inflated_one_building_on_another_or_not(keeps_context):
    wire, deflater = b"", zlib.compressobj(wbits=-15)
    for opcode, text in ((TEXT, b"hello hello"), (BINARY, b"hello"), (TEXT, b"hello again")):
        if not keeps_context:
            deflater = zlib.compressobj(wbits=-15)
        deflated = deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH)
        wire += frame(opcode, deflated.removesuffix(b"\x00\x00\xff\xff"), compressed=True)

    assert read(wire, [3, 9], keeps_context=keeps_context).all == [
        b"hello hello",
        b"hello",
        b"hello again",
    ]


NOT_DEFLATED = frame(TEXT, b"not deflated", compressed=True)
BOMB = frame(TEXT, zlib.compress(b"a" * (MAX_INFLATED_BYTES + 1), 1, wbits=-15), compressed=True)


@pytest.mark.parametrize("wire", [NOT_DEFLATED, BOMB], ids=["not deflated", "a bomb"])
def test_without_the_context_uncompressed_messages_alone_are_read_and_others_counted(wire):
    unknown = frame(TEXT, zlib.compress(b"refers to the first", wbits=-15), compressed=True)

    messages = read(wire + frame(TEXT, b"later") + unknown)

    assert (messages.lost_context, messages.not_read, messages.all) == (1, 2, [b"later"])


@pytest.mark.parametrize(
    "wire",
    [NOT_DEFLATED, BOMB, frame(3, b"an opcode without a meaning")],
    ids=["not deflated", "a bomb", "opcode"],
)
def test_a_message_that_others_do_not_refer_to_is_the_only_one_that_is_not_read(wire):
    later = frame(TEXT, zlib.compress(b"later", wbits=-15), compressed=True)

    messages = read(wire + later, keeps_context=False)

    assert (messages.lost_context, messages.not_read, messages.all) == (0, 1, [b"later"])


def test_a_message_that_inflates_to_20_megabytes_is_read_and_so_is_the_next():
    deflater = zlib.compressobj(wbits=-15)
    wire = b"".join(
        frame(
            TEXT,
            (deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4],
            compressed=True,
        )
        for text in (b"a" * 20_000_000, b"later")
    )

    assert read(wire).all == [b"a" * 20_000_000, b"later"]


def test_the_close_frame_is_told():
    assert read(frame(TEXT, b"a") + frame(8, b"")).was_closed == 1


@given(st.binary(max_size=300), cuts)
def test_any_bytes_are_taken(wire, cuts):
    read(wire, cuts)
