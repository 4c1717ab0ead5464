"""The tables below a token in the terminal: its tools, clients and changed objects."""

from typing import Final

from audit_api.client.shapes import Count
from audit_api.terminal.columns import Listing, Moment
from audit_api.terminal.screen import Cell, Column


def _of(name: str, calls: str, beside: str) -> Listing[Count]:
    """Return the list of values of *name*, with *calls* as their number and *beside* in red."""

    def row(count: Count, moment: Moment) -> tuple[Cell, ...]:
        number = getattr(count, beside.lower())
        return (
            Cell(f"{count.calls:,}"),
            Cell(f"{number:,}", "red" if number else None),
            Cell("-" if count.last is None else moment(count.last)),
            Cell("(none)" if count.value is None else count.value),
        )

    columns = (
        Column(calls, 10, to_the_right=True),
        Column(beside, 10, to_the_right=True),
        Column("LAST", 24, yields=1),
        Column(name, 40, stretches=True),
    )
    return Listing("", Count, columns, row)


TOOLS: Final = _of("TOOL", "TOOL CALLS", "FAILED")
CLIENTS: Final = _of("CLIENT", "CALLS", "REFUSED")
OBJECTS: Final = _of("CHANGED OBJECT", "CHANGES", "REFUSED")
