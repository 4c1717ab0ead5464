"""CSV (RFC 4180), safe for spreadsheets, which evaluate cells that begin like a formula."""

from collections.abc import Sequence
from typing import Final

from audit_api.formats.entries import DetailedEntry
from audit_log.record import AuditRecord

_COLUMNS: Final = DetailedEntry.__struct_fields__
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


def csv_rows(records: Sequence[AuditRecord]) -> bytes:
    """Return *records* as rows of CSV, with the columns of a detailed entry."""
    entries = map(DetailedEntry.of, records)
    return _rows([[_cell(getattr(entry, name)) for name in _COLUMNS] for entry in entries])


def _cell(value: object) -> str:
    """Return *value* quoted; None is an empty cell without quotes, which COPY reads as null."""
    if value is None:
        return ""
    text = harmless(str(value)).replace('"', '""')
    return f'"{text}"'


def _rows(rows: Sequence[Sequence[str]]) -> bytes:
    return "".join([",".join(cells) + "\r\n" for cells in rows]).encode()


HEADER: Final = _rows([[_cell(name) for name in _COLUMNS]])
