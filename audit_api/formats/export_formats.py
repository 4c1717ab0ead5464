"""The formats of exports, by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from audit_api.formats.copied_entries import entry_lines, entry_rows
from audit_api.formats.entries import DetailedEntry, MissingEntries
from audit_api.formats.lines import gap_lines, json_lines
from audit_api.formats.ocsf import Event, lines_of
from audit_api.formats.ocsf_calls import api_call_event, tool_call_event
from audit_api.formats.ocsf_gaps import gap_event
from audit_api.formats.table import csv_head, csv_rows
from audit_api.formats.tool_calls import ToolCall
from audit_log.record import Gap

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
    """One format: its media type, its file suffix and its encoders."""

    content_type: str
    suffix: str
    encode: Callable[[Sequence[Any]], bytes]
    gaps: Callable[[Sequence[Gap]], bytes]
    """Returns gaps as the beginning of the file; b"" where they are a file of their own."""
    head: bytes = b""
    """The bytes before all else."""
    copied: Callable[[bytes], bytes] | None = None
    """Encodes rows in COPY's text format, whole lines of `ENTRY_COLUMNS`; None if it cannot."""


Formats = Mapping[ExportFormat, Format]


def _formats(
    shape: type[DetailedEntry | ToolCall | MissingEntries],
    event: Callable[[Any], Event],
    copied: Mapping[ExportFormat, Callable[[bytes], bytes]] = MappingProxyType({}),
) -> Formats:
    """Return the formats of *shape*; *copied* encodes rows that are copied."""

    def shapes(told: Sequence[Any]) -> list[Any]:
        return [shape.of(each) for each in told]

    return MappingProxyType(
        {
            ExportFormat.CSV: Format(
                "text/csv",
                "csv",
                lambda told: csv_rows(shapes(told)),
                lambda _: b"",
                csv_head(shape),
                copied.get(ExportFormat.CSV),
            ),
            ExportFormat.NDJSON: Format(
                NDJSON,
                "ndjson",
                lambda told: json_lines(shapes(told)),
                gap_lines,
                copied=copied.get(ExportFormat.NDJSON),
            ),
            ExportFormat.OCSF: Format(
                NDJSON,
                "ocsf.ndjson",
                lambda told: lines_of(map(event, told)),
                lambda gaps: lines_of(map(gap_event, gaps)),
            ),
        }
    )


OF_ENTRIES: Final = _formats(
    DetailedEntry,
    api_call_event,
    {ExportFormat.CSV: entry_rows, ExportFormat.NDJSON: entry_lines},
)
OF_TOOL_CALLS: Final = _formats(ToolCall, tool_call_event)
OF_GAPS: Final = _formats(MissingEntries, gap_event)
