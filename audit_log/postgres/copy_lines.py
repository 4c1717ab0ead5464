"""Records as CSV lines for COPY: a few calls into C encode many records."""

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

import msgspec

from audit_log.errors import RecordRefusedError
from audit_log.record import AuditRecord

COLUMNS: Final = tuple(
    name for name in AuditRecord.__struct_fields__ if name not in {"token_hash", "arrived_at"}
)
"""All that the writer knows of a record: PostgreSQL itself adds when it arrived."""
# In CSV with ESCAPE '\' an escaped quote or backslash stands for itself. JSON's other escapes,
# such as \n or \u0000, have no meaning there.
_OTHER_ESCAPE: Final = re.compile(rb'\\[^"]')
_values = attrgetter(*COLUMNS)
_encode_lines = msgspec.json.Encoder().encode_lines


def copy_lines(records: Sequence[AuditRecord]) -> bytes:
    """Return *records* as lines; raise RecordRefusedError for a character that CSV cannot encode.

    That does not quarantine the record: INSERT may still accept it.
    """
    try:
        arrays = _encode_lines(list(map(_values, records)))
    except UnicodeEncodeError as error:
        raise RecordRefusedError("a text holds half a surrogate pair") from error
    if b"\\" in arrays and _OTHER_ESCAPE.search(arrays.replace(b"\\\\", b"")):
        raise RecordRefusedError("a text holds a control character")
    # JSON escapes line feeds in texts, so this sequence only occurs between arrays.
    return arrays[1:-2].replace(b"]\n[", b"\n") + b"\n"
