"""Entries as NDJSON, out of COPY's text: the bytes of `json_lines`, in a third of the time.

Theory of operation. COPY writes the values of a row between tabs, and escapes what could be taken
for a tab or the end of a line (PostgreSQL 18, "COPY", "Text Format"). Nearly all values are JSON
strings as they are, so a line is a template that is filled in. In a piece with characters that
JSON escapes, too, each row is decoded and encoded instead.
"""

import re
from typing import Final

import msgspec

from audit_api.formats.entries import DetailedEntry, milliseconds
from audit_log.objects import object_of

ENTRY_COLUMNS: Final = """id, token_name, method, path, status_code, created_at, token_id, outcome,
    duration_ms::float8, host(client_ip), user_agent, tool, invocation_id, attribution, request_id,
    instance, arrived_at"""
_NAMES: Final = DetailedEntry.__struct_fields__
_PATH, _STATUS, _DURATION = map(_NAMES.index, ("path", "status_code", "duration_ms"))
_MOMENTS: Final = (_NAMES.index("created_at"), _NAMES.index("arrived_at"))
_LINE: Final = b"{" + b",".join(b'"%b":%%b' % name.encode() for name in _NAMES) + b"}\n"
_NULL: Final = b"\\N"
_ESCAPED: Final = re.compile(rb"\\(.)")
_MEANT: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_CONTROLS: Final = bytes(set(range(0x20)) - set(b"\t\n"))
"""RFC 8259, section 7: what no string contains as it is. A tab and a line feed COPY escapes."""
_SECONDS: Final = len("2026-02-28 03:42:00")
_WHOLE: Final = (_SECONDS + len("+00"), _SECONDS + len(".123456+00"))


def entry_lines(rows: bytes) -> bytes:
    """Return *rows*, whole lines with the `ENTRY_COLUMNS`, as one JSON object on each line."""
    values = [row.split(b"\t") for row in rows.splitlines()]
    line = _encoded if _has_escapes(rows) else _filled_in
    return b"".join([line(each) for each in values])


def _has_escapes(rows: bytes) -> bool:
    return (
        b'"' in rows
        or rows.count(b"\\") != rows.count(_NULL)
        or len(rows.translate(None, _CONTROLS)) != len(rows)
    )


def _filled_in(values: list[bytes]) -> bytes:
    quoted = [b"null" if value == _NULL else b'"%b"' % value for value in values]
    quoted[_STATUS] = values[_STATUS]
    quoted[_DURATION] = _number(values[_DURATION])
    for number in _MOMENTS:
        if values[number] != _NULL:
            quoted[number] = b'"%b"' % _iso(values[number])
    quoted.append(msgspec.json.encode(object_of(values[_PATH].decode())))
    return _LINE % tuple(quoted)


def _encoded(values: list[bytes]) -> bytes:
    texts = [None if value == _NULL else _unescaped(value) for value in values]
    said: list[object] = [*texts, object_of(texts[_PATH] or "")]
    said[_STATUS] = int(values[_STATUS])
    said[_DURATION] = msgspec.Raw(_number(values[_DURATION]))
    for number in _MOMENTS:
        if texts[number] is not None:
            said[number] = _iso(values[number]).decode()
    return msgspec.json.encode(dict(zip(_NAMES, said, strict=True))) + b"\n"


def _unescaped(value: bytes) -> str:
    if b"\\" in value:
        value = _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), value)
    return value.decode()


def _number(text: bytes) -> bytes:
    return msgspec.json.encode(None if text == _NULL else milliseconds(float(text)))


def _iso(moment: bytes) -> bytes:
    """Return *moment*, which PostgreSQL wrote in UTC, as `timestamp` does."""
    date, time = moment[:10], moment[11:]
    if len(moment) in _WHOLE:
        return date + b"T" + time + b":00"
    if moment[_SECONDS : _SECONDS + 1] != b".":
        return moment  # infinity, or a year that Python does not know
    # PostgreSQL leaves zeros at the end out.
    return date + b"T" + time.removesuffix(b"+00").ljust(len("03:42:00.123456"), b"0") + b"+00:00"
