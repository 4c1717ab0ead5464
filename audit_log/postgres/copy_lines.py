"""Records as CSV lines for COPY: a few calls into C encode many records."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import astuple

from audit_log.errors import RecordRefusedError
from audit_log.record import AnyRecord, RecordRow

COLUMNS: Final = RecordRow.__struct_fields__[:-1]
"""All that the writer knows of a record, in the order of the members of each `AnyRecord`.

PostgreSQL itself adds when it arrived; the hash of a token, the last, is never stored.
"""
_COUNT: Final = len(COLUMNS)
# In CSV with ESCAPE '\' an escaped quote or backslash stands for itself. JSON's other escapes,
# such as \n or \u0000, have no meaning there.
_OTHER_ESCAPE: Final = re.compile(rb'\\[^"]')
_encode_lines = msgspec.json.Encoder().encode_lines


def copy_lines(records: Sequence[AnyRecord]) -> bytes:
    """Return *records* as lines; raise RecordRefusedError for a character that CSV cannot encode.

    That does not quarantine the record: INSERT may still accept it.
    """
    try:
        arrays = _encode_lines([astuple(record)[:_COUNT] for record in records])
    except UnicodeEncodeError as error:
        raise RecordRefusedError("a text holds half a surrogate pair") from error
    if b"\\" in arrays and _OTHER_ESCAPE.search(arrays.replace(b"\\\\", b"")):
        raise RecordRefusedError("a text holds a control character")
    # JSON escapes line feeds in texts, so this sequence only occurs between arrays.
    return arrays[1:-2].replace(b"]\n[", b"\n") + b"\n"
