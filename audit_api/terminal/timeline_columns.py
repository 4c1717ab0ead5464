"""The timeline in the terminal: API calls below the tool call that made them."""

from collections.abc import Sequence
from typing import Any, Final

from audit_api.client.shapes import Entry, InTime, ToolCall
from audit_api.terminal.columns import ENTRIES, TOOL_CALLS, Listing, Moment
from audit_api.terminal.screen import Cell, Column


def _row(item: InTime | Entry, moment: Moment) -> Sequence[Cell]:
    if isinstance(item, ToolCall):
        time, ending, tool, token, client, _, took, id_ = TOOL_CALLS.row(item, moment)
        return time, ending, tool, token, client, took, id_
    time, status, method, path, token, _, took, id_ = ENTRIES.row(item, moment)
    # What stands alone is an item of the timeline; what a tool call made is not.
    mark = ""
    if type(item) is Entry:
        mark = "  ~ " if item.attribution == "inferred" else "  > "
    return time, status, Cell(f"{mark}{method.text} {path.text}"), token, Cell("-"), took, id_


def _below(item: Any) -> Sequence[Entry]:
    return item.calls if isinstance(item, ToolCall) else ()


TIMELINE: Final[Listing[Any]] = Listing(
    "/timeline",
    InTime,  # type: ignore[arg-type]  # a union of two
    (
        Column("TIME", 24),
        Column("ENDED", 14),
        Column("CALL (> made by the tool call above, ~ inferred)", 48, stretches=True),
        Column("TOKEN", 16),
        Column("CLIENT", 16, yields=2),
        Column("MS", 8, to_the_right=True, yields=3),
        Column("ID", 36, yields=1),
    ),
    _row,
    _below,
)
