"""The tables of the terminal: which columns each has, and what stands in them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from audit_api.client.shapes import Entry, Gap, Read, Session, ToolCall
from audit_api.terminal.screen import Cell, Column

Shown = TypeVar("Shown")
Moment = Callable[[datetime], str]

_COLOURS: Final = MappingProxyType({2: "green", 3: "cyan", 4: "yellow", 5: "red"})
_OUTCOMES: Final = MappingProxyType(
    {"ok": "green", "tool_error": "red", "protocol_error": "red", "asked": "cyan"}
)


@dataclass(frozen=True, slots=True)
class Listing(Generic[Shown]):
    """One kind of list: where it is asked for, and how it is shown."""

    path: str
    shape: type[Shown]
    columns: Sequence[Column]
    row: Callable[[Shown, Moment], Sequence[Cell]]
    below: Callable[[Shown], Sequence[Shown]] = lambda _item: ()
    """Returns what stands below an item, each in a row of its own."""

    def rows(self, items: Iterable[Shown], moment: Moment) -> list[Sequence[Cell]]:
        """Return the rows of *items*."""
        return [self.row(each, moment) for item in items for each in (item, *self.below(item))]


def _of_entry(entry: Entry, moment: Moment) -> Sequence[Cell]:
    ending = "" if entry.outcome in {None, "completed"} else f" ({entry.outcome})"
    return (
        Cell(moment(entry.created_at)),
        Cell(_text(entry.status_code), _COLOURS.get((entry.status_code or 0) // 100)),
        Cell(entry.method),
        Cell(f"{entry.path}{ending}"),
        Cell(_text(entry.token_name)),
        Cell(_text(entry.tool)),
        Cell(_milliseconds(entry.duration_ms)),
        Cell(str(entry.id)),
    )


def _of_tool_call(call: ToolCall, moment: Moment) -> Sequence[Cell]:
    return (
        Cell(moment(call.created_at)),
        Cell(_text(call.outcome), _OUTCOMES.get(call.outcome or "", "yellow")),
        Cell(_text(call.tool)),
        Cell(_text(call.token_name)),
        Cell(_text(call.client_name)),
        Cell(str(call.api_calls)),
        Cell(_milliseconds(call.duration_ms)),
        Cell(str(call.id)),
    )


def _of_session(session: Session, moment: Moment) -> Sequence[Cell]:
    version = f" {session.client_version}" if session.client_version else ""
    return (
        Cell(moment(session.first_call)),
        Cell(moment(session.last_call)),
        Cell(f"{_text(session.client_name)}{version}"),
        Cell(_text(session.token_name)),
        Cell(str(session.tool_calls)),
        Cell(str(session.failures), "red" if session.failures else None),
        Cell(str(session.id)),
    )


def _of_gap(gap: Gap, moment: Moment) -> Sequence[Cell]:
    missing = "unknown" if gap.count is None else f"{gap.count:,}"
    return (
        Cell(moment(gap.since)),
        Cell(moment(gap.until)),
        Cell(missing, "red"),
        Cell(gap.reason),
        Cell(gap.instance),
    )


def _of_read(read: Read, moment: Moment) -> Sequence[Cell]:
    repeated = f" ({read.times:,} times)" if read.times > 1 else ""
    return (
        Cell(moment(read.created_at)),
        Cell(f"{read.kind}{repeated}", "yellow" if read.kind == "refused" else None),
        Cell(_text(read.reader)),
        Cell(_text(read.client_ip)),
        Cell("-" if read.rows_told is None else f"{read.rows_told:,}"),
        Cell(_text(read.status_code), _COLOURS.get((read.status_code or 0) // 100)),
        Cell(read.question),
    )


_TIME: Final = 24
_TOKEN: Final = Column("TOKEN", 16)
_ID: Final = Column("ID", 36, yields=1)
_MS: Final = Column("MS", 8, to_the_right=True, yields=3)
ENTRIES: Final = Listing(
    "",
    Entry,
    (
        Column("TIME", _TIME),
        Column("STATUS", 6),
        Column("METHOD", 6),
        Column("PATH", 40, stretches=True),
        _TOKEN,
        Column("TOOL", 16, yields=2),
        _MS,
        _ID,
    ),
    _of_entry,
)
TOOL_CALLS: Final = Listing(
    "/invocations",
    ToolCall,
    (
        Column("TIME", _TIME),
        Column("OUTCOME", 14),
        Column("TOOL", 24, stretches=True),
        _TOKEN,
        Column("CLIENT", 16, yields=2),
        Column("CALLS", 5, to_the_right=True, yields=2),
        _MS,
        _ID,
    ),
    _of_tool_call,
)
SESSIONS: Final = Listing(
    "/sessions",
    Session,
    (
        Column("FIRST CALL", _TIME),
        Column("LAST CALL", _TIME),
        Column("CLIENT", 24, stretches=True),
        _TOKEN,
        Column("TOOL CALLS", 10, to_the_right=True, yields=2),
        Column("FAILED", 6, to_the_right=True),
        _ID,
    ),
    _of_session,
)
READS: Final = Listing(
    "/reads",
    Read,
    (
        Column("TIME", _TIME),
        Column("KIND", 9),
        Column("READER", 16),
        Column("ADDRESS", 15, yields=2),
        Column("ROWS", 9, to_the_right=True),
        Column("STATUS", 6, yields=1),
        Column("QUESTION", 40, stretches=True),
    ),
    _of_read,
)
GAPS: Final = Listing(
    "/gaps",
    Gap,
    (
        Column("FROM", _TIME),
        Column("TO", _TIME),
        Column("MISSING", 10, to_the_right=True),
        Column("REASON", 24, stretches=True),
        Column("INSTANCE", 24, yields=1),
    ),
    _of_gap,
)


def _text(value: object) -> str:
    return "-" if value is None else str(value)


def _milliseconds(duration: float | None) -> str:
    return "-" if duration is None else f"{duration:,.1f}"
