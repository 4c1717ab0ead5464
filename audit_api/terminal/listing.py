"""`query`, `sessions` and `reads`: lists, newest first."""

import argparse
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from audit_api.client.audit_client import AuditClient
from audit_api.client.shapes import Gap
from audit_api.terminal.columns import ENTRIES, GAPS, READS, SESSIONS, TOOL_CALLS, Listing
from audit_api.terminal.progress import progress
from audit_api.terminal.screen import Screen
from audit_api.terminal.timeline_columns import TIMELINE
from audit_log.plurals import counted

_SPAN: Final = ("since", "until")
_MOST_GAPS: Final = 3
"""So many are told beside another list."""


async def query(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Show the entries, or what *options* name in their place, and gaps in that time."""
    if options.gaps:
        await _list(client, screen, options, GAPS)
        return
    listing: Listing[Any] = TOOL_CALLS if options.tool_calls else ENTRIES
    if options.timeline:
        listing = TIMELINE
    oldest = await _list(client, screen, options, listing)
    # What was not listed may miss records, too, but that is no news of this list.
    since = {} if oldest is None else {"since": oldest.created_at.isoformat()}
    await remark_gaps(client, screen, {**since, **options.filters})


async def sessions(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Show the sessions of agents, last used first."""
    await _list(client, screen, options, SESSIONS)


async def reads(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Show who read the audit log."""
    await _list(client, screen, options, READS)


async def _list(
    client: AuditClient, screen: Screen, options: argparse.Namespace, listing: Listing[Any]
) -> Any:
    """Show a list page by page: as a table, or as the service wrote it; return its last item.

    Return None if there are no more of them than were listed.
    """
    wanted = options.filters
    if listing is ENTRIES:
        wanted = {"expand": "details", **wanted}
    limit = None if options.all else options.limit
    listed, last = 0, None
    with progress(screen, is_wanted=options.json and screen.width is None) as done:
        async for page in client.pages(listing.path, wanted, msgspec.Raw, limit):
            texts = [bytes(item) for item in page]
            items = [msgspec.json.decode(text, type=listing.shape) for text in texts]
            if options.json:
                screen.lines(text.decode() for text in texts)
            elif items:
                if not listed:
                    screen.titles(listing.columns)
                screen.rows(listing.columns, listing.rows(items, screen.moment))
            done.add(b"\n".join([*texts, b""]))
            listed += len(items)
            last = items[-1] if items else last
    if not listed and not options.json:
        screen.remark("nothing matches")
    return last if listed == limit else None


async def remark_gaps(client: AuditClient, screen: Screen, filters: Mapping[str, str]) -> None:
    """Say of each gap in the time of *filters* that what was shown may miss records of it."""
    span = {name: filters[name] for name in _SPAN if name in filters}
    gaps = await client.gaps(span)
    for gap in gaps[:_MOST_GAPS]:
        remark_gap(screen, gap)
    if len(gaps) > _MOST_GAPS:
        screen.remark(f"{len(gaps) - _MOST_GAPS} more gaps: query --gaps shows them")


def remark_gap(screen: Screen, gap: Gap) -> None:
    """Say that records are missing."""
    are = "an unknown number of records are"
    if gap.count is not None:
        are = f"{counted(gap.count, 'record')} {'is' if gap.count == 1 else 'are'}"
    screen.remark(
        f"gap: {are} missing between {screen.moment(gap.since)} and "
        f"{screen.moment(gap.until)} ({gap.reason}, {gap.instance})"
    )
