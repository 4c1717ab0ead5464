"""The formats of an export, by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from audit_api.formats.lines import json_lines
from audit_api.formats.ocsf_calls import ocsf_lines
from audit_api.formats.table import HEADER, csv_rows
from audit_log.record import AuditRecord

NDJSON: Final = "application/x-ndjson"


class ExportFormat(StrEnum):
    """The name of an export format, as callers give it."""

    CSV = "csv"
    NDJSON = "ndjson"
    OCSF = "ocsf"


class ListFormat(StrEnum):
    """The name of a format of a list of tool calls or gaps, as callers give it."""

    JSON = "json"
    OCSF = "ocsf"


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its media type, its file suffix and its encoder."""

    content_type: str
    suffix: str
    encode: Callable[[Sequence[AuditRecord]], bytes]
    head: bytes = b""
    """The bytes before the first record."""


FORMATS: Final[Mapping[ExportFormat, Format]] = MappingProxyType(
    {
        ExportFormat.CSV: Format("text/csv", "csv", csv_rows, HEADER),
        ExportFormat.NDJSON: Format(NDJSON, "ndjson", json_lines),
        ExportFormat.OCSF: Format(NDJSON, "ocsf.ndjson", ocsf_lines),
    }
)
