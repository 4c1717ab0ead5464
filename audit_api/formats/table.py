"""CSV (RFC 4180), safe for spreadsheets, which evaluate cells that begin like a formula."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

# Excel, LibreOffice and Google Sheets evaluate cells that begin with one of these, also in the
# full-width forms. The apostrophe is included so that the escape can be undone.
_FORMULA_STARTS: Final = "=+-@\uff1d\uff0b\uff0d\uff20'"


def harmless(text: str) -> str:
    """Return *text*, with an apostrophe before it if a spreadsheet might evaluate it.

    Reversible: the first apostrophe of a cell is always ours.
    """
    first = text.lstrip()[:1]
    starts_oddly = text[:1].isspace() or (first != "" and first in _FORMULA_STARTS)
    return f"'{text}" if starts_oddly else text


def cell(value: Any) -> str:
    """Return *value* quoted; None is an empty cell without quotes, which COPY reads as null."""
    if value is None:
        return ""
    plain = msgspec.json.encode(value).decode() if isinstance(value, dict) else str(value)
    text = harmless(plain).replace('"', '""')
    return f'"{text}"'


def csv_head(shape: type[msgspec.Struct]) -> bytes:
    """Return the first line: the names of the members of *shape*, as in JSON."""
    return _rows([[cell(name) for name in shape.__struct_encode_fields__]])


def csv_rows(shapes: Sequence[msgspec.Struct]) -> bytes:
    """Return one row of CSV for each of *shapes*, with its members in their order."""
    return _rows([[cell(value) for value in msgspec.structs.astuple(each)] for each in shapes])


def _rows(rows: Sequence[Sequence[str]]) -> bytes:
    return "".join([",".join(cells) + "\r\n" for cells in rows]).encode()
