"""Responses of the corpus: each is given to a plain request and must arrive as it stands."""

import gzip
from typing import Final

from tests.neighbours.corpus import Case, chunked, request, response
from tests.neighbours.messages import END_OF_HEAD

_GET: Final = request(b"GET /a")
_CHUNKED: Final = b"Transfer-Encoding: chunked"
_HINTS: Final = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
_MEBIBYTE: Final = bytes(range(256)) * 4096

_STATUSES: Final = {
    "created": response(b"201 Created", b"Location: /a/1"),
    "accepted": response(b"202 Accepted", body=b""),
    "no content": response(b"204 No Content", body=None),
    "reset content": response(b"205 Reset Content", body=b""),
    "partial content": response(b"206 Partial Content", b"Content-Range: bytes 0-1/9"),
    "multi-status": response(b"207 Multi-Status", b"Content-Type: application/xml"),
    "moved": response(b"301 Moved Permanently", b"Location: http://elsewhere.test/a"),
    "found": response(b"302 Found", b"Location: /mcp/", body=b""),
    "not modified": response(b"304 Not Modified", b'ETag: "a"', body=None),
    "not modified with a length": response(b"304 Not Modified", b"Content-Length: 99", body=None),
    "temporary redirect": response(b"307 Temporary Redirect", b"Location: /mcp/", body=b""),
    "bad request": response(b"400 Bad Request", body=b'{"jsonrpc":"2.0","error":{"code":-32600}}'),
    "unauthorized": response(
        b"401 Unauthorized",
        b'WWW-Authenticate: Bearer resource_metadata="https://a/.well-known/x"',
    ),
    "not found": response(b"404 Not Found", body=b'{"detail":"Not Found"}'),
    "method not allowed": response(b"405 Method Not Allowed", b"Allow: GET, POST", body=b""),
    "proxy authentication": response(
        b"407 Proxy Authentication Required", b"Proxy-Authenticate: x"
    ),
    "misdirected": response(b"421 Misdirected Request", body=b"Invalid Host header"),
    "unprocessable": response(b"422 Unprocessable Entity", body=b'{"detail":[]}'),
    "too many": response(b"429 Too Many Requests", b"Retry-After: 5", body=b""),
    "client closed": response(b"499 Client Closed Request", body=b""),
    "server error": response(b"500 Internal Server Error", body=b"Internal Server Error"),
    "bad gateway": response(b"502 Bad Gateway", body=b"<html>not ours</html>"),
    "unavailable": response(b"503 Service Unavailable", b"Retry-After: 120"),
    "unregistered": response(b"299 Whatever", body=b""),
    "beyond 599": response(b"799 Beyond", body=b""),
    "without a reason": response(b"200 "),
    "with an odd reason": response(b"200 It's (all) \xe9 right;\tyes"),
    "with another reason": response(b"404 OK"),
}

_FIELDS: Final = {
    "several cookies": (b"Set-Cookie: a=1; Path=/", b"Set-Cookie: b=2", b"set-cookie: c=3"),
    "in odd case": (b"x-lower: 1", b"X-UPPER: 2", b"eTaG: 3"),
    "repeated": (b"X-A: 1", b"X-B: 2", b"X-A: 3", b"Vary: a", b"Vary: b"),
    "empty": (b"X-Empty: ", b"X-After: 1"),
    "with spaces around": (b"X-A:1", b"X-B:   2\t "),
    "in Latin-1": (b"X-Name: caf\xe9",),
    "in UTF-8": (b"X-Name: caf\xc3\xa9 \xe2\x82\xac",),
    "of any high byte": (b"X-Bytes: " + bytes(range(0x80, 0x100)),),
    "with Date and Server": (b"Date: Thu, 01 Jan 1970 00:00:00 GMT", b"Server: upstream/1"),
    "two dates": (b"Date: a", b"Date: b"),
    "a session": (b"Mcp-Session-Id: s", b"Content-Type: application/json; charset=utf-8"),
    "of CORS": (
        b"Access-Control-Allow-Origin: *",
        b"Access-Control-Expose-Headers: Mcp-Session-Id",
    ),
    "of security": (b"Content-Security-Policy: default-src 'self'", b"X-Frame-Options: DENY"),
    "many": tuple(b"X-%d: %d" % (n, n) for n in range(90)),
    "with a long value": (b"X-Long: " + b"v" * 8000,),
    "named by Connection": (b"Connection: X-Hop", b"X-Hop: 1", b"X-End: 2"),
    "that keep the connection": (b"Connection: keep-alive", b"Keep-Alive: timeout=5, max=100"),
    "of an upgrade offered": (b"Upgrade: h2c", b"Connection: Upgrade"),
    "that name a proxy": (b"Via: 1.1 inner", b"X-Forwarded-For: 192.0.2.1", b"Age: 3"),
    "gzip": (b"Content-Encoding: gzip", b"Vary: Accept-Encoding"),
    "an encoding that is not so": (b"Content-Encoding: br",),
}


def _in_chunks(*chunks: bytes, fields: tuple[bytes, ...] = (), **more: bytes) -> bytes:
    return response(b"200 OK", *fields, _CHUNKED, body=None) + chunked(*chunks, **more)


_BODIES: Final = {
    "nothing": response(b"200 OK", body=b""),
    "a mebibyte": response(b"200 OK", body=_MEBIBYTE),
    "binary": response(b"200 OK", body=b"\x00\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\xff"),
    "gzip": response(b"200 OK", b"Content-Encoding: gzip", body=gzip.compress(b"hello", mtime=0)),
    "chunked": _in_chunks(b"hello, ", b"world"),
    "chunked and empty": _in_chunks(),
    "chunked with extensions": _in_chunks(b"hello", extension=b";a=1"),
    "chunked with trailers": _in_chunks(
        b"hello", fields=(b"Trailer: X-Sum",), trailers=b"X-Sum: 1\r\nx-odd: \xe9\r\n"
    ),
    "a mebibyte in chunks": _in_chunks(*(_MEBIBYTE[n : n + 9973] for n in range(0, 2**20, 9973))),
    "gzip in chunks": _in_chunks(
        gzip.compress(b"hello", mtime=0), fields=(b"Content-Encoding: gzip",)
    ),
    "events": _in_chunks(b"id: 1\n", b"data: x\n\n", fields=(b"Content-Type: text/event-stream",)),
}

_UNTIL_CLOSE: Final = {
    "until the end": response(b"200 OK", body=None) + b"hello",
    "until the end, announced": response(b"200 OK", b"Connection: close", body=None) + b"hello",
    "until the end, nothing": response(b"200 OK", body=None),
    "until the end, a mebibyte": response(b"200 OK", body=None) + _MEBIBYTE,
    "until the end of an error": response(b"500 Oops", body=None) + b"oops",
    "until the end from HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Type: a/b\r\n\r\nhello",
    "sized, then the end": response(b"200 OK"),
    "sized from HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "chunked, then the end": _in_chunks(b"hello"),
}

_TO_HEAD: Final = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000",
    "chunked": b"HTTP/1.1 200 OK\r\n" + _CHUNKED,
    "neither": b"HTTP/1.1 200 OK",
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 22",
}

RESPONSES: Final = (
    *(Case(f"status {name}", _GET, raw) for name, raw in _STATUSES.items()),
    *(
        Case(f"response's fields {name}", _GET, response(b"200 OK", *raw))
        for name, raw in _FIELDS.items()
    ),
    *(Case(f"response with {name}", _GET, raw) for name, raw in _BODIES.items()),
    *(Case(f"response {name}", _GET, raw, closes=True) for name, raw in _UNTIL_CLOSE.items()),
    *(
        Case(f"response to HEAD: {name}", request(b"HEAD /a"), raw + END_OF_HEAD)
        for name, raw in _TO_HEAD.items()
    ),
    Case("early hints", _GET, _HINTS + response(b"200 OK")),
    Case("early hints twice", _GET, _HINTS + _HINTS + response(b"200 OK")),
    Case("processing", _GET, b"HTTP/1.1 102 Processing\r\n\r\n" + response(b"200 OK")),
)
