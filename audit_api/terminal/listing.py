"""`query` and `sessions`: lists, newest first."""

import argparse
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from audit_api.client.audit_client import AuditClient
from audit_api.client.shapes import Gap
from audit_api.terminal.columns import ENTRIES, GAPS, SESSIONS, TOOL_CALLS, Listing
from audit_api.terminal.progress import progress
from audit_api.terminal.screen import Screen

_SPAN: Final = ("since", "until")


async def query(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Show the entries, or what *options* name in their place, and gaps in that time."""
    if options.gaps:
        await _list(client, screen, options, GAPS)
        return
    await _list(client, screen, options, TOOL_CALLS if options.tool_calls else ENTRIES)
    await remark_gaps(client, screen, options.filters)


async def sessions(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Show the sessions of agents, last used first."""
    await _list(client, screen, options, SESSIONS)


async def _list(
    client: AuditClient, screen: Screen, options: argparse.Namespace, listing: Listing[Any]
) -> None:
    """Show a list page by page: as a table, or as the service wrote it."""
    wanted = options.filters
    if listing is ENTRIES:
        wanted = {"expand": "details", **wanted}
    limit = None if options.all else options.limit
    if options.json:
        with progress(screen, is_wanted=screen.width is None) as done:
            async for items in client.pages(listing.path, wanted, msgspec.Raw, limit):
                texts = [bytes(item) for item in items]
                screen.lines(text.decode() for text in texts)
                done.add(b"\n".join([*texts, b""]))
        return
    is_first = True
    async for page in client.pages(listing.path, wanted, listing.shape, limit):
        if is_first and page:
            screen.titles(listing.columns)
        is_first = is_first and not page
        screen.rows(listing.columns, [listing.row(item, screen.moment) for item in page])
    if is_first:
        screen.remark("nothing matches")


async def remark_gaps(client: AuditClient, screen: Screen, filters: Mapping[str, str]) -> None:
    """Say of each gap in the time of *filters* that what was shown may miss records of it."""
    span = {name: filters[name] for name in _SPAN if name in filters}
    for gap in await client.gaps(span):
        remark_gap(screen, gap)


def remark_gap(screen: Screen, gap: Gap) -> None:
    """Say that records are missing."""
    number = "an unknown number of" if gap.count is None else f"{gap.count:,}"
    screen.remark(
        f"gap: {number} records are missing between {screen.moment(gap.since)} and "
        f"{screen.moment(gap.until)} ({gap.reason}, {gap.instance})"
    )
