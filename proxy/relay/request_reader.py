"""Reads requests for aiohttp's server, in place of its own parser (see `proxy.http.request`)."""

import asyncio
import re
from typing import Final

from aiohttp import EMPTY_PAYLOAD, StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.web import RequestPayloadError

from proxy.http.errors import RefusedError
from proxy.http.fields import FieldParser
from proxy.http.forwarding import upgrade_of
from proxy.http.framing import Body, FramingError
from proxy.http.request import RequestHead, end_of_head, parsed_head

MAX_PIPELINED: Final = 32
"""Requests read ahead on one connection. As many as aiohttp queues before it pauses the client."""


_EMPTY_LINES: Final = re.compile(rb"\A(?:\r\n)+")

ReadRequest = RequestHead | RefusedError
"""What was read: a head, or bytes that are no request, with the reason."""


class RequestReader:
    """Turns the bytes of one connection into requests. aiohttp's server calls its methods."""

    def __init__(
        self, protocol: BaseProtocol, loop: asyncio.AbstractEventLoop, buffer_bytes: int
    ) -> None:
        """Give each body a reader that pauses *protocol* when it holds *buffer_bytes* twice."""
        self._protocol = protocol
        self._loop = loop
        self._buffer_bytes = buffer_bytes
        self._received = b""
        self._parser = FieldParser()
        self._searched = 0
        self._waiting = 0
        self._body: Body | None = None
        self._content: StreamReader = EMPTY_PAYLOAD
        self._asks_to_switch = False
        self._is_switched = False
        self._is_broken = False
        self._is_discarding = False

    def feed_data(self, data: bytes) -> tuple[list[tuple[ReadRequest, StreamReader]], bool, bytes]:
        """Return the requests that begin in *data*, whether protocols may change, and the rest.

        Behind a request to change protocols nothing is read until it was declined. Behind bytes
        that are no request nothing is read at all: where the next one begins, nobody knows.
        """
        read: list[tuple[ReadRequest, StreamReader]] = []
        self._received = self._received + data if self._received else data
        while self._received and not self._is_broken and not self._is_switched:
            if self._body is not None:
                self._take_body(self._body)
            elif self._waiting == MAX_PIPELINED or (request := self._take_head()) is None:
                break
            else:
                self._waiting += 1
                read.append((request, self._content))
        if self._is_broken:
            self._stop()
        if not self._is_switched:
            return read, False, b""
        rest, self._received = self._received, b""
        return read, True, rest

    def message_consumed(self) -> None:
        """Learn that the server has taken up a request; there is room for another."""
        self._waiting -= 1

    def set_upgraded(self, value: bool) -> None:  # noqa: FBT001  the server's signature
        """Learn whether the change of protocols took place."""
        self._is_switched = value

    def pause_reading(self) -> None:
        """Do nothing: what has been received is handed on, the transport brings no more."""

    def discard_the_rest(self) -> None:
        """Read on and forget it: nothing will be answered any more."""
        self._is_broken = self._is_discarding = True

    def _stop(self) -> None:
        """Take in nothing more; the connection ends with the answers that are still owed."""
        self._received = b""
        if self._protocol.transport is not None and not self._is_discarding:
            self._protocol.transport.pause_reading()

    def _take_head(self) -> ReadRequest | None:
        if not self._searched:
            # RFC 9112 section 2.2: some clients send an empty line behind a request.
            self._received = _EMPTY_LINES.sub(b"", self._received, 1)
        try:
            end = end_of_head(self._received, self._searched)
            if end is None:
                self._searched = len(self._received)
                return None
            head = parsed_head(self._received[:end], self._parser)
        except RefusedError as refusal:
            self._is_broken = True
            self._content = EMPTY_PAYLOAD
            return refusal
        self._received, self._searched = self._received[end:], 0
        self._begin_body(head)
        return head

    def _begin_body(self, head: RequestHead) -> None:
        body = head.body()
        self._asks_to_switch = head.fields.derived(upgrade_of) is not None
        if body.is_complete:
            self._content = EMPTY_PAYLOAD
            self._is_switched = self._asks_to_switch
        else:
            self._content = StreamReader(self._protocol, self._buffer_bytes, loop=self._loop)
            self._body = body

    def _take_body(self, body: Body) -> None:
        try:
            taken = body.take(self._received, self._content.feed_data)
        except FramingError as error:
            self._is_broken = True
            self._content.set_exception(RequestPayloadError(str(error)))
            return
        self._received = self._received[taken:]
        if body.is_complete:
            self._body = None
            self._content.feed_eof()
            self._is_switched = self._asks_to_switch
