"""Heads of requests, for unit tests."""

from proxy.http.request import RequestHead, parsed_head
from proxy.http.response import HeadReader, ResponseHead


def head_with(method: str = "POST", target: str = "/mcp", **fields: str) -> RequestHead:
    """Return the head of a request with *fields*."""
    lines = [f"{method} {target} HTTP/1.1", "Host: podwarden"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return parsed_head("\r\n".join([*lines, "", ""]).encode("latin-1"))


def answer_with(status: int, **fields: str) -> ResponseHead:
    """Return the head of an answer with *fields*."""
    lines = [f"HTTP/1.1 {status} So", *(f"{name}: {value}" for name, value in fields.items())]
    read = HeadReader().feed("\r\n".join([*lines, "", ""]).encode())
    assert read is not None
    return read[0]
