"""Entries as NDJSON and CSV, out of COPY's text: the bytes of `json_lines` and `csv_rows`.

Theory of operation. COPY writes the values of a row between tabs, and escapes what could be taken
for a tab or the end of a line (PostgreSQL 18, "COPY", "Text Format"). Nearly all values are JSON
strings and cells as they are: a line is put together of them. In a piece with characters that JSON
or CSV escapes, too, each value is decoded and encoded instead. That takes a fifth of the time of
records, of which each value is an object.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from audit_api.formats.entries import DetailedEntry, milliseconds
from audit_api.formats.table import cell
from audit_log.objects import object_of

ENTRY_COLUMNS: Final = """id, token_name, method, path, status_code, created_at, token_id,
    coalesce(nullif(outcome, ''), 'completed'), duration_ms::float8, host(client_ip), user_agent,
    tool, invocation_id, attribution, request_id, instance, arrived_at"""
_NAMES: Final = DetailedEntry.__struct_fields__
_PATH, _STATUS, _DURATION = map(_NAMES.index, ("path", "status_code", "duration_ms"))
_MOMENTS: Final = (_NAMES.index("created_at"), _NAMES.index("arrived_at"))
_LINE: Final = b"{" + b",".join(b'"%b":%%b' % name.encode() for name in _NAMES) + b"}\n"
_NULL: Final = b"\\N"
_ESCAPED: Final = re.compile(rb"\\(.)")
_MEANT: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_CONTROLS: Final = bytes(set(range(0x20)) - set(b"\t\n"))
"""RFC 8259, section 7: what no string contains as it is. A tab and a line feed COPY escapes."""
_HARMLESS: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/"
"""With what a cell may begin that no spreadsheet evaluates; see `table`."""
_SECONDS: Final = len("2026-02-28 03:42:00")
_WHOLE: Final = (_SECONDS + len("+00"), _SECONDS + len(".123456+00"))
_INFINITE: Final = {b"infinity": b"9999-12-31T23:59:59.999999+00:00"}
"""As the driver reads it."""


def entry_lines(rows: bytes) -> bytes:
    """Return *rows*, whole lines with the `ENTRY_COLUMNS`, as one JSON object on each line."""
    has_controls = len(rows.translate(None, _CONTROLS)) != len(rows)
    line = _encoded if _has_escapes(rows) or has_controls else _quoted
    return b"".join([line(row.split(b"\t")) for row in rows.splitlines()])


def entry_rows(rows: bytes) -> bytes:
    """Return *rows*, whole lines with the `ENTRY_COLUMNS`, as rows of CSV."""
    cell_of = _encoded_cell if _has_escapes(rows) else _cell
    return b"".join([_row(row.split(b"\t"), cell_of) for row in rows.splitlines()])


def _has_escapes(rows: bytes) -> bool:
    return b'"' in rows or rows.count(b"\\") != rows.count(_NULL)


def _quoted(values: list[bytes]) -> bytes:
    quoted = [b"null" if value == _NULL else b'"%b"' % value for value in values]
    if values[_STATUS] != _NULL:
        quoted[_STATUS] = values[_STATUS]
    quoted[_DURATION] = msgspec.json.encode(_number(values[_DURATION]))
    for at in _MOMENTS:
        if values[at] != _NULL:
            quoted[at] = b'"%b"' % _iso(values[at])
    quoted.append(msgspec.json.encode(object_of(values[_PATH].decode())))
    return _LINE % tuple(quoted)


def _encoded(values: list[bytes]) -> bytes:
    texts = [_text(value) for value in values]
    said: list[object] = [*texts, object_of(texts[_PATH] or "")]
    said[_STATUS] = None if values[_STATUS] == _NULL else int(values[_STATUS])
    said[_DURATION] = _number(values[_DURATION])
    for at in _MOMENTS:
        said[at] = _text(_iso(values[at]))
    return msgspec.json.encode(dict(zip(_NAMES, said, strict=True))) + b"\n"


def _row(values: list[bytes], cell_of: Callable[[bytes], bytes]) -> bytes:
    for at in _MOMENTS:
        values[at] = _iso(values[at])
    cells = [cell_of(value) for value in values]
    cells[_DURATION] = cell(_number(values[_DURATION])).encode()
    cells.append(cell(object_of(_text(values[_PATH]) or "")).encode())
    return b",".join(cells) + b"\r\n"


def _cell(value: bytes) -> bytes:
    return b'"%b"' % value if value[:1] in _HARMLESS else _encoded_cell(value)


def _encoded_cell(value: bytes) -> bytes:
    return cell(_text(value)).encode()


def _text(value: bytes) -> str | None:
    if value == _NULL:
        return None
    if b"\\" in value:
        value = _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), value)
    return value.decode()


def _number(text: bytes) -> float | None:
    return None if text == _NULL else milliseconds(float(text))


def _iso(moment: bytes) -> bytes:
    """Return *moment*, which PostgreSQL wrote in UTC, as `timestamp` does; or null."""
    if moment[4:5] != b"-" or moment[-3:] != b"+00":
        # Null, infinity, or a year that Python does not know and the lists cannot tell.
        return _INFINITE.get(moment, moment)
    date, time = moment[:10], moment[11:]
    if len(moment) in _WHOLE:
        return date + b"T" + time + b":00"
    # PostgreSQL leaves zeros at the end out.
    return date + b"T" + time.removesuffix(b"+00").ljust(len("03:42:00.123456"), b"0") + b"+00:00"
