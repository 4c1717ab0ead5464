"""An anchor that sends checkpoints to a syslog receiver over TLS (RFC 5424, RFC 5425).

Syslog has no acknowledgement: the first message after a receiver's restart is lost without an
error. So there is no receipt, and nothing counts as anchored. Each connection begins with the
newest checkpoint.
"""

import asyncio
import socket
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from proxy.seal.anchors.anchor import AnchorAwayError, AnchorRefusedError, Offer
from proxy.seal.anchors.anchor_http import tls_of
from proxy.seal.anchors.anchor_url import AnchorUrl

PORT: Final = 6514
_PRIORITY: Final = 13 * 8 + 5
"""Facility 13, log audit; severity 5, notice."""
MOST_BYTES: Final = 8000
"""Of a message: rsyslog cuts at 8,096."""


class SyslogAnchor:
    """Sends each checkpoint as one line of base64, over a connection that is kept."""

    def __init__(self, url: AnchorUrl) -> None:
        self._url = url
        self._host = url.place.host or ""
        self._port = url.place.explicit_port or PORT
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def anchor(self, offer: Offer) -> None:
        """Send the checkpoint; see `Anchor.anchor`."""
        frame = framed(message(str(offer.note), socket.gethostname(), datetime.now(UTC)))
        try:
            writer = await self._connected()
            writer.write(frame)
            await writer.drain()
        except OSError as error:
            await self.close()
            raise AnchorAwayError(error.strerror or type(error).__name__) from None
        except BaseException:
            # Half of a frame may be out: the next one would be read from its middle.
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _connected(self) -> asyncio.StreamWriter:
        if self._streams is not None:
            reader, writer = self._streams
            # A receiver never sends: the end is all that there is to read.
            if not reader.at_eof() and not writer.is_closing():
                return writer
            await self.close()
        tls = await tls_of(self._url)
        self._streams = await asyncio.open_connection(self._host, self._port, ssl=tls)
        return self._streams[1]


def message(note: str, host: str, at: datetime) -> bytes:
    """Return a syslog message with *note* in base64; raise AnchorRefusedError if it is too long.

    One line, without a byte order mark: receivers change line breaks.
    """
    name = "".join(char for char in host if "!" <= char <= "~")[:255] or "-"
    head = f"<{_PRIORITY}>1 {at:%Y-%m-%dT%H:%M:%S.%f}Z {name} podwarden-audit - checkpoint - "
    whole = head.encode() + b64encode(note.encode())
    if len(whole) > MOST_BYTES:
        raise AnchorRefusedError(f"the checkpoint takes more than {MOST_BYTES} bytes in syslog")
    return whole


def framed(whole: bytes) -> bytes:
    """Return the frame of a message with its length (RFC 5425, section 4.3)."""
    return b"%d %b" % (len(whole), whole)
