"""Heads of requests, for unit tests."""

from proxy.http.fields import FieldParser
from proxy.http.request import RequestHead, parsed_head
from proxy.http.response import ResponseHead, parsed_response_head


def head_with(method: str = "POST", target: str = "/mcp", **fields: str) -> RequestHead:
    """Return the head of a request with *fields*."""
    lines = [f"{method} {target} HTTP/1.1", "Host: podwarden"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return parsed_head("\r\n".join([*lines, "", ""]).encode("latin-1"))


def response_with(status: int, **fields: str) -> ResponseHead:
    """Return the head of a response with *fields*."""
    lines = [f"HTTP/1.1 {status} So", *(f"{name}: {value}" for name, value in fields.items())]
    return parsed_response_head("\r\n".join([*lines, "", ""]).encode(), FieldParser())
