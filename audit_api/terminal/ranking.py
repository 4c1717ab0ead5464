"""`top` and `objects`: which tokens, tools, addresses or objects had the most calls."""

import argparse
from typing import Final

import msgspec

from audit_api.client.asking import Filters
from audit_api.client.audit_client import AuditClient
from audit_api.client.shapes import Count
from audit_api.terminal.screen import Cell, Column, Screen

KEYS: Final = ("token", "tool", "path_template", "client", "status", "session", "object")
"""By what calls can be counted; the audit API may know more."""
_SPANS: Final = frozenset({"since", "until"})
_COLUMNS: Final = (
    Column("CALLS", 10, to_the_right=True),
    Column("BEFORE", 10, to_the_right=True),
    Column("CHANGES", 10, to_the_right=True),
    Column("REFUSED", 10, to_the_right=True),
    Column("FAILED", 10, to_the_right=True, yields=1),
    Column("LAST", 24, yields=2),
)


async def top(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Show what had the most calls."""
    await _ranked(client, screen, options, options.by, options.filters)


async def objects(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Show the objects with the most changes; with `--reads` those with the most calls."""
    filters = options.filters if options.reads else {"changes": "true", **options.filters}
    await _ranked(client, screen, options, "object", filters)


async def _ranked(
    client: AuditClient, screen: Screen, options: argparse.Namespace, by: str, filters: Filters
) -> None:
    if not _SPANS & filters.keys():
        screen.remark("of the last 7 days; since=30d counts more")
    wanted: Filters = {"by": by, "limit": options.limit, **filters}
    if options.json:
        found = await client.ask("/stats", wanted, list[msgspec.Raw])
        screen.lines(bytes(each).decode() for each in found)
        return
    counts = await client.ask("/stats", wanted, list[Count])
    if not counts:
        screen.remark("nothing matches")
        return
    has_before = any(count.before is not None for count in counts)
    columns = [each for each in _COLUMNS if has_before or each.title != "BEFORE"]
    columns.append(Column(by.upper(), 40, stretches=True))
    screen.titles(columns)
    rows = [_cells(screen, count) for count in counts]
    screen.rows(columns, [[row.get(each.title, row[""]) for each in columns] for row in rows])


def _cells(screen: Screen, count: Count) -> dict[str, Cell]:
    """Return the cells of one row by the titles of their columns; the value itself by ""."""
    return {
        "CALLS": Cell(f"{count.calls:,}"),
        "BEFORE": Cell("-" if count.before is None else f"{count.before:,}"),
        "CHANGES": Cell(f"{count.changes:,}"),
        "REFUSED": Cell(f"{count.refused:,}", "yellow" if count.refused else None),
        "FAILED": Cell(f"{count.failed:,}", "red" if count.failed else None),
        "LAST": Cell("-" if count.last is None else screen.moment(count.last)),
        "": Cell("(none)" if count.value is None else count.value),
    }
