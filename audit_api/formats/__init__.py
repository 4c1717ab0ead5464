"""The formats of an export."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from audit_api.formats.lines import json_lines
from audit_api.formats.ocsf import ocsf_lines
from audit_api.formats.table import HEADER, csv_rows
from audit_api.query.params import ExportFormat
from audit_log.record import AuditRecord


@dataclass(frozen=True, slots=True)
class Format:
    """How records are written."""

    content_type: str
    suffix: str
    encode: Callable[[Sequence[AuditRecord]], bytes]
    head: bytes = b""
    """What stands before the first record."""


FORMATS: Final[Mapping[ExportFormat, Format]] = MappingProxyType(
    {
        ExportFormat.CSV: Format("text/csv", "csv", csv_rows, HEADER),
        ExportFormat.NDJSON: Format("application/x-ndjson", "ndjson", json_lines),
        ExportFormat.OCSF: Format("application/x-ndjson", "ocsf.ndjson", ocsf_lines),
    }
)
