"""Syslog over TLS: RFC 5424 messages, counted (RFC 5425), one connection for each part.

Syslog has no acknowledgements, and a message that is written to a connection whose receiver has
restarted vanishes without an error. So the end of the connection is the acknowledgement: a
receiver that has read all that came, and then our end of the connection, closes its side in order.
If its process ends before, or bytes are left unread, the kernel resets the connection instead.
"""

import re
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC
from typing import Any, Final

import msgspec

from audit_api.push.items import Item, ReceiverAwayError
from audit_log.process.disk_thread import DiskThread

MAX_BYTES: Final = 8_000
"""rsyslog cuts a message at 8,096 bytes by default."""
_FACILITY: Final = 13
"""log audit (RFC 5424, section 6.2.1)."""
_WARNING: Final = 4
_INFORMATION: Final = 6
_SECONDS: Final = 20.0
"""For each step with the receiver."""
_NOT_PRINTED: Final = re.compile(r"[^!-~]")
_MAX_HOST: Final = 255
_ENDED_WITHOUT_NOTICE: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


class Syslog:
    """A syslog receiver."""

    name: Final = "syslog"

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Send to *host*; without *tls* in the clear."""
        self._address = host, port
        self._tls = tls
        self._thread = DiskThread("push-syslog")

    async def send(self, items: Sequence[Item]) -> None:
        """Return when the receiver has read *items*; raise ReceiverAwayError."""
        frames = b"".join(map(frame_of, items))
        await self._thread.submit(self._send, frames)

    def close(self) -> None:
        """Let the thread end."""
        self._thread.end()

    def _send(self, frames: bytes) -> None:
        try:
            with socket.create_connection(self._address, timeout=_SECONDS) as plain:
                if self._tls is None:
                    _deliver(plain, frames)
                    return
                with self._tls.wrap_socket(plain, server_hostname=self._address[0]) as wrapped:
                    _deliver(wrapped, frames)
        except ssl.SSLCertVerificationError as error:
            raise ReceiverAwayError(f"its certificate: {error.verify_message}") from None
        except OSError as error:
            raise ReceiverAwayError(error.strerror or str(error) or "it is silent") from None


def _deliver(connection: socket.socket, frames: bytes) -> None:
    """Send *frames*, and return when the receiver has closed its side after reading them."""
    connection.sendall(frames)
    if isinstance(connection, ssl.SSLSocket):
        # With our notice of the end the receiver knows that nothing is cut off.
        with suppress(*_ENDED_WITHOUT_NOTICE):
            connection = connection.unwrap()
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass


def frame_of(item: Item) -> bytes:
    """Return the message of *item* with its length before it (RFC 5425, section 4.3)."""
    severity = _WARNING if item.has_failed else _INFORMATION
    moment = item.moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    host = _NOT_PRINTED.sub("-", str(item.told.get("instance") or ""))[:_MAX_HOST] or "-"
    head = f"<{_FACILITY * 8 + severity}>1 {moment} {host} podwarden-audit - {item.kind} - "
    # JSON without a byte order mark: rsyslog would take that for a part of the text.
    message = head.encode() + _shortened(item.told, MAX_BYTES - len(head))
    return b"%d %b" % (len(message), message)


def _shortened(told: dict[str, Any], most: int) -> bytes:
    """Return *told* as JSON of *most* bytes: the longest texts are cut, and named in `shortened`.

    The audit log has them whole, under the same id.
    """
    encoded = msgspec.json.encode(told)
    shortened: list[str] = []
    while len(encoded) > most:
        texts = {name: value for name, value in told.items() if isinstance(value, str)}
        longest = max(texts, key=lambda name: len(texts[name]))
        if longest not in shortened:
            shortened.append(longest)
        told = {**told, longest: texts[longest][: len(texts[longest]) // 2]}
        encoded = msgspec.json.encode({**told, "shortened": shortened})
    return encoded
