"""Requests of the corpus: each is sent as it stands and answered with a plain 200."""

import gzip
from typing import Final

from tests.neighbours.corpus import AUTHORITY, Case, chunked, request, response, sized

_OK: Final = response(b"200 OK", b"Content-Type: text/plain")
_OK_TO_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"
_JSON: Final = b"Content-Type: application/json"
_CHUNKED: Final = b"Transfer-Encoding: chunked"
_MEBIBYTE: Final = bytes(range(256)) * 4096
# Frames of the two formats that Python 3.11 cannot write: a sidecar that looks into them fails.
_BROTLI: Final = bytes.fromhex("0b028068656c6c6f03")
_ZSTD: Final = bytes.fromhex("28b52ffd0405290000") + b"hello" + bytes.fromhex("a36cd7a0")

_METHODS: Final = (
    *(b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"),
    *(b"PROPFIND", b"REPORT", b"QUERY", b"M-SEARCH", b"PURGE", b"FROB-1.a_b~"),
)

_TARGETS: Final = {
    "root": b"/",
    "encoded slash": b"/a%2Fb",
    "encoded slash in lower case": b"/a%2fb",
    "encoded NUL": b"/%00",
    "encoded letter": b"/%61pi/v1/hosts",
    "broken percent encoding": b"/%zz%",
    "double encoding": b"/%252e%252e/",
    "leading double slash": b"//x",
    "inner double slash": b"/a//b",
    "trailing slashes": b"/a///",
    "dot segments": b"/a/../b/./c",
    "encoded dot segments": b"/a/%2e%2e/b",
    "path parameter": b"/;p=1",
    "matrix parameters": b"/a;b=c/d;e",
    "empty query": b"/x?",
    "two question marks": b"/x??a",
    "query of odd characters": b"/x?a=b&&c&=d&a=%2B+;|'\"[]{}^`\\",
    "encoded query": b"/x?next=http%3A%2F%2Fa%2F%3Fb",
    "query with slashes": b"/x?/../y",
    "UTF-8 bytes": b"/caf\xc3\xa9?q=\xe2\x82\xac",
    "bytes that are no UTF-8": b"/\xff\xfe?\x80",
    "colon and at sign": b"/a:b@c",
    "reserved characters": b"/!$&'()*+,=~-._",
    "unwise characters": b'/{id}|^`<>"',
    "backslash": b"/a\\..\\b",
    "absolute form": b"http://" + AUTHORITY + b"/x?y",
    "long": b"/" + b"p" * 4000 + b"?" + b"q" * 3900,
    "well known": b"/.well-known/oauth-protected-resource/mcp",
    "authorization server": b"/.well-known/oauth-authorization-server",
}

_FIELDS: Final = {
    "repeated": (b"X-A: 1", b"X-B: 2", b"X-A: 3"),
    "equal twice": (b"X-A: 1", b"X-A: 1"),
    "in odd case": (b"x-lower: 1", b"X-UPPER: 2", b"x-MiXeD: 3"),
    "empty": (b"X-Empty: ", b"X-After: 1"),
    "with spaces around": (b"X-A:1", b"X-B:  \t 2 \t "),
    "with inner spaces": (b"X-A: a  b\tc",),
    "of punctuation": (b"!#$%&'*+-.^_`|~: odd", b"_under_score: 1"),
    "in Latin-1": (b"X-Name: caf\xe9",),
    "in UTF-8": (b"X-Name: caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x92\xbe",),
    "of any high byte": (b"X-Bytes: " + bytes(range(0x80, 0x100)),),
    "unknown": (b"X-Frob: 1", b"Sec-Frob: ?1", b"Frob: a=b; c"),
    "with several cookies": (b"Cookie: a=1; b=2", b"Cookie: c=3"),
    "conditional": (b'If-None-Match: "a", W/"b"', b"If-Modified-Since: Thu, 01 Jan 1970"),
    "of ranges": (b"Range: bytes=0-1,3-", b'If-Range: "a"'),
    "of negotiation": (b"Accept: */*;q=0.1, a/b", b"Accept-Encoding: br;q=1, zstd, identity;q=0"),
    "without an agent": (),
    "with an agent": (b"User-Agent: curl/8.0 (\xe9)",),
    "of tracing": (b"traceparent: 00-" + b"a" * 32 + b"-bbbbbbbbbbbbbbbb-01", b"X-Request-Id: r1"),
    "that name a proxy": (b"Via: 1.1 edge", b"X-Real-IP: 192.0.2.1", b"Max-Forwards: 1"),
    "of caching": (b"Cache-Control: no-store", b"Pragma: no-cache"),
    "many": tuple(b"X-%d: %d" % (n, n) for n in range(90)),
    "with a long value": (b"X-Long: " + b"v" * 8000,),
    "of MCP 2025": (b"Mcp-Session-Id: 1868a90c", b"MCP-Protocol-Version: 2025-11-25"),
    "of a resumed stream": (b"Accept: text/event-stream", b"Last-Event-ID: 42"),
    "with another scheme": (b"Authorization: Basic dXNlcjpwYXNz",),
    "with a token of the Hub": (b"Authorization: Bearer pwc_abc",),
    "with an MCP token": (b"Authorization: Bearer pwm_0123456789abcdef",),
    "of a proxy's credentials": (b"Proxy-Authorization: Basic eDp5",),
    "that keep the connection": (b"Connection: keep-alive", b"Keep-Alive: timeout=5"),
    "that ask for an end": (b"Connection: close",),
    "named by Connection": (b"Connection: X-Hop, close", b"X-Hop: 1", b"X-End: 2"),
    "of an upgrade not offered": (b"Upgrade: h2c, websocket",),
    "that accept trailers": (b"TE: trailers, deflate;q=0.5", b"Connection: TE"),
    "of a bypassed proxy": (b"Proxy-Connection: keep-alive",),
    "that claim an address": (
        *(b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-Proto: https"),
        *(b"X-Forwarded-Host: evil.test", b"Forwarded: for=192.0.2.7"),
    ),
    "that look like ours": (b"X-Forwarded-Port: 1", b"X-Forwarded-Prefix: /p", b"Server: x"),
}

_BODIES: Final = {
    "with a length": sized(b"POST /b", b'{"a": 1}', _JSON),
    "of no bytes": request(b"POST /b", b"Content-Length: 0"),
    "without length": request(b"POST /b"),
    "without length by PUT": request(b"PUT /b"),
    "on GET": sized(b"GET /b", b"body"),
    "on DELETE": sized(b"DELETE /b", b"body"),
    "on OPTIONS": sized(b"OPTIONS /b", b"body"),
    "length zero on GET": request(b"GET /b", b"Content-Length: 0"),
    "chunked": request(b"POST /b", _CHUNKED, body=chunked(b"hello, ", b"world")),
    "chunked and empty": request(b"POST /b", _CHUNKED, body=chunked()),
    "chunked on GET": request(b"GET /b", _CHUNKED, body=chunked(b"body")),
    "in one-byte chunks": request(b"POST /b", _CHUNKED, body=chunked(*[b"x"] * 50)),
    "chunked with extensions": request(
        b"POST /b", _CHUNKED, body=chunked(b"hello", extension=b';a=b;c="d e"')
    ),
    "chunked with trailers": request(
        *(b"POST /b", _CHUNKED, b"Trailer: X-Sum"),
        body=chunked(b"hello", trailers=b"X-Sum: 1\r\nX-More: 2\r\n"),
    ),
    "coding in odd case": request(b"POST /b", b"transfer-encoding: Chunked", body=chunked(b"a")),
    "gzip": sized(b"POST /b", gzip.compress(b"hello", mtime=0), b"Content-Encoding: gzip"),
    "gzip in chunks": request(
        *(b"POST /b", b"Content-Encoding: gzip", _CHUNKED),
        body=chunked(gzip.compress(b"hello", mtime=0)),
    ),
    "brotli": sized(b"POST /b", _BROTLI, b"Content-Encoding: br"),
    "zstd": sized(b"POST /b", _ZSTD, b"Content-Encoding: zstd"),
    "said to be gzip and not": sized(b"POST /b", b"plain", b"Content-Encoding: gzip"),
    "deflate in name only": sized(b"POST /b", b"\x00\xff", b"Content-Encoding: deflate"),
    "of a mebibyte": sized(b"PUT /b", _MEBIBYTE, b"Content-Type: application/octet-stream"),
    "of a mebibyte in chunks": request(
        b"PUT /b",
        _CHUNKED,
        body=chunked(*(_MEBIBYTE[n : n + 9973] for n in range(0, 2**20, 9973))),
    ),
    "of binary bytes": sized(b"POST /b", b"\x00\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
    "of a form": sized(
        *(b"POST /b", b"a=%00&b=+", b"Content-Type: application/x-www-form-urlencoded")
    ),
    "of a multipart form": sized(
        b"POST /b",
        b"--x\r\n\r\npart\r\n--x--\r\n",
        b"Content-Type: multipart/form-data; boundary=x",
    ),
    "without a type": sized(b"POST /b", b"untyped"),
    "of a tool call": sized(
        *(b"POST /mcp", b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}'),
        *(_JSON, b"Accept: application/json, text/event-stream", b"Mcp-Session-Id: s"),
        *(b"MCP-Protocol-Version: 2026-07-28", b"Mcp-Method: tools/call", b"Mcp-Name: t"),
        b"Authorization: Bearer pwm_0123456789abcdef",
    ),
    "of a session's end": request(b"DELETE /mcp", b"Mcp-Session-Id: s"),
}


def _http_1_0(*fields: bytes, body: bytes = b"") -> bytes:
    lines = [b"GET /old HTTP/1.0", b"Host: " + AUTHORITY, *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


REQUESTS: Final = (
    *(Case(f"method {method.decode()}", request(method + b" /m"), _OK) for method in _METHODS),
    Case("method HEAD", request(b"HEAD /m"), _OK_TO_HEAD),
    *(Case(f"target: {name}", request(b"GET " + raw), _OK) for name, raw in _TARGETS.items()),
    Case("target: asterisk", request(b"OPTIONS *"), _OK),
    *(Case(f"fields {name}", request(b"GET /f", *raw), _OK) for name, raw in _FIELDS.items()),
    *(Case(f"body {name}", raw, _OK) for name, raw in _BODIES.items()),
    Case("HTTP/1.0", _http_1_0(), _OK),
    Case("HTTP/1.0 that keeps the connection", _http_1_0(b"Connection: keep-alive"), _OK),
    Case("HTTP/1.0 with a body", _http_1_0(b"Content-Length: 4", body=b"body"), _OK),
    Case(
        "expecting 100",
        sized(b"POST /e", b"body", b"Expect: 100-continue"),
        _OK,
        interim=b"HTTP/1.1 100 Continue\r\n\r\n",
    ),
)
