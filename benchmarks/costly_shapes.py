"""Bodies of 1 MB made to be costly to read."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_MEGABYTE: Final = 1_000_000
_CALL: Final = b'{"id":1,"method":"tools/call","params":{"name":"x","arguments":['
_CANCEL: Final = b'{"method":"notifications/cancelled","params":{"requestId":1}},'
_PING: Final = b'{"jsonrpc":"2.0","id":1,"method":"ping"},'
_POD: Final = b'{"kind":"Pod","metadata":{"name":"web","labels":{"a":"b"}},"ports":[{"port":80}]},'
_NOTE: Final = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}\n\n'


@dataclass(frozen=True, slots=True)
class Response:
    """What the upstream responds with."""

    content: bytes
    fields: Mapping[str, str]


def _repeated(unit: bytes, before: bytes = b"") -> bytes:
    return before + unit * (_MEGABYTE // len(unit))


REQUESTS: Final[Mapping[str, bytes]] = {
    "commas": _repeated(b","),
    "brackets": _repeated(b"["),
    "empty objects": _repeated(b"{},"),
    "keys": _repeated(b'"a":1,', b"{"),
    "cancellations": _repeated(_CANCEL, b"["),
    "nested arguments": _repeated(b"[", _CALL),
    "pairs of brackets": _repeated(b"[],", _CALL),
    "short strings": _repeated(b'"",', _CALL),
    "long string": _repeated(b"x", _CALL + b'"'),
    "escapes": _repeated(b'\\"', _CALL + b'"'),
    "unicode escapes": _repeated(b"\\u0416", _CALL + b'"'),
    "numbers": _repeated(b"0.125,", _CALL),
    "literals": _repeated(b'"a":true,', b"{"),
    "white space": _repeated(b" "),
    "nested empty arrays": _repeated(b"[[[]]],", _CALL),
    "strings with brackets": _repeated(b'"}",', _CALL),
    "points": _repeated(b'{"x":1,"y":2},', _CALL),
    "pings": _repeated(_PING, b"["),
    "objects, real": _repeated(_POD, _CALL),
    "JSON in a string, real": _CALL + json.dumps(_repeated(_POD).decode()).encode(),
    "lines of text, real": _repeated(b"    a line of a file, with its end\\n", _CALL + b'"'),
}
_JSON: Final = {"Content-Type": "application/json"}
_EVENTS: Final = {"Content-Type": "text/event-stream"}
_RESULT: Final = b'{"jsonrpc":"2.0","id":1,"result":{"x":['
RESPONSES: Final[Mapping[str, Response]] = {
    "keys": Response(_repeated(b'"a":1,', b'{"result":{'), _JSON),
    "pairs of brackets": Response(_repeated(b"[],", _RESULT), _JSON),
    "objects, real": Response(_repeated(_POD, _RESULT), _JSON),
    "tiny events": Response(_repeated(b"data:1\n\n"), _EVENTS),
    "events that look like results": Response(_repeated(b'data:"result"\n\n'), _EVENTS),
    "comments": Response(_repeated(b":\n"), _EVENTS),
    "notifications, real": Response(_repeated(_NOTE), _EVENTS),
    "objects, real, compressed": Response(
        gzip.compress(_repeated(_POD, _RESULT)), _JSON | {"Content-Encoding": "gzip"}
    ),
}
