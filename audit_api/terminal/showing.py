"""`show`: all that is known of one entry, tool call or session."""

import argparse
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from audit_api.client.audit_client import ALL, PAGE, AuditClient, Filters
from audit_api.client.refusals import NothingFoundError
from audit_api.terminal.columns import ENTRIES, TOOL_CALLS, Listing
from audit_api.terminal.screen import Screen

# An id says what it is of only by where it is found. Tool calls first: an API call that knows its
# tool call is asked for by its own id.
_PLACES: Final[Sequence[tuple[str, Filters]]] = (
    ("/entries", ALL),
    ("/invocations", ALL),
    ("/sessions", {"limit": PAGE}),
)
_LISTS: Final[dict[str, Listing[Any]]] = {"calls": ENTRIES, "invocations": TOOL_CALLS}


async def show(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Show what has the id that *options* name. Raise NothingFoundError if nothing has it."""
    told = await _found(client, str(options.id))
    if options.json:
        screen.line(bytes(told).decode())
    else:
        _show(screen, msgspec.json.decode(told))
    if options.around is not None:
        await _show_around(client, screen, msgspec.json.decode(told), options)


async def _found(client: AuditClient, id_: str) -> msgspec.Raw:
    for path, parameters in _PLACES:
        try:
            return await client.ask(f"{path}/{id_}", parameters, msgspec.Raw)
        except NothingFoundError:
            continue
    raise NothingFoundError(f"no entry, tool call or session has the id {id_}")


def _show(screen: Screen, told: dict[str, Any]) -> None:
    fields = {name: value for name, value in told.items() if name not in _LISTS}
    width = max(map(len, fields))
    screen.lines(f"{name:{width}}  {_text(value)}" for name, value in fields.items())
    for name, listing in _LISTS.items():
        if items := told.get(name):
            screen.line()
            screen.titles(listing.columns)
            values = msgspec.convert(items, list[listing.shape])  # type: ignore[name-defined]
            screen.rows(listing.columns, [listing.row(each, screen.moment) for each in values])


async def _show_around(
    client: AuditClient, screen: Screen, told: dict[str, Any], options: argparse.Namespace
) -> None:
    """Show the entries before and after what was *told*, oldest first."""
    distance = timedelta(minutes=options.around)
    first = datetime.fromisoformat(told.get("created_at") or told["first_call"])
    last = datetime.fromisoformat(told.get("last_call") or first.isoformat())
    filters: Filters = {"since": first - distance, "until": last + distance}
    if options.json:
        wanted = {"expand": "details", **filters}
        pages = [page async for page in client.pages("", wanted, msgspec.Raw)]
        items = [bytes(item).decode() for page in pages for item in page]
        screen.lines(reversed(items))
        return
    entries = [entry async for entry in client.entries(filters)]
    screen.line()
    screen.titles(ENTRIES.columns)
    screen.rows(ENTRIES.columns, [ENTRIES.row(each, screen.moment) for each in reversed(entries)])


def _text(value: object) -> str:
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return "-" if value is None else str(value)
