"""Heads of requests: the same one again and again, or each with what real callers change.

Those are path, query, token, request id and trace. `wrk.lua` makes the same heads.
"""

import time
from collections.abc import Iterator, Mapping
from itertools import count, repeat
from typing import Final
from urllib.parse import urlsplit

from benchmarks.load import Target

_PATHS: Final = 5_000
_STRIDE: Final = 2_741
"""Shares no divisor with the number of paths: no path comes again before each has come."""


def heads(target: Target) -> Iterator[bytes]:
    """Yield for ever what to send to *target*, a request at a time."""
    if not target.varies:
        yield from repeat(head(target, target.path, {}))
    tokens = target.tokens.read_text().split() if target.tokens else [target.token]
    # Another run does not begin with the heads of this one.
    for number in count(int(time.time()) % 10_000 * 100_000):
        yield head(
            target,
            f"/api/v1/clusters/{number * _STRIDE % _PATHS}/nodes?limit=20&page={number}",
            {
                "Authorization": f"Bearer {tokens[(number + number // _PATHS) % len(tokens)]}",
                "X-Request-Id": f"{number:08x}-{number * _STRIDE % 65_536:04x}",
                "traceparent": f"00-{number:032x}-{number * _STRIDE:016x}-01",
            },
        )


def head(target: Target, path: str, fields: Mapping[str, str]) -> bytes:
    """Return a request of *target* for *path*, with *fields* beside its own."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {urlsplit(target.origin).netloc}"]
    lines += [f"{name}: {value}" for name, value in {**target.fields, **fields}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
