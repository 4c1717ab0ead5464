"""Responses of our own, in FastAPI's shape, as bytes. Pure."""

import json
from collections.abc import Iterable
from http import HTTPStatus

from proxy.http.errors import ExchangeError
from proxy.http.fields import field_lines


def own_response(
    status: int,
    detail: str,
    *,
    keeps_alive: bool,
    fields: Iterable[tuple[bytes, bytes]] = (),
    has_content: bool = True,
) -> bytes:
    """Return a complete response with the body `{"detail": …}`; for HEAD only its head."""
    content = json.dumps({"detail": detail}).encode()
    lines = field_lines(
        [
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(content)),
            *fields,
            *(() if keeps_alive else ((b"Connection", b"close"),)),
        ]
    )
    head = f"HTTP/1.1 {status:d} {HTTPStatus(status).phrase}\r\n".encode() + lines + b"\r\n"
    return head + content if has_content else head


def response_to(error: ExchangeError, *, keeps_alive: bool, method: bytes = b"") -> bytes:
    """Return the complete response that *error* carries, to a request made with *method*."""
    return own_response(
        error.status,
        str(error),
        keeps_alive=keeps_alive,
        fields=error.fields,
        has_content=method != b"HEAD",
    )
