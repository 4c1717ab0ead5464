"""`show`: all that is known of one entry, tool call, session or token."""

import argparse
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import msgspec

from audit_api.client.asking import ALL, PAGE, Filters
from audit_api.client.audit_client import AuditClient
from audit_api.client.refusals import NothingFoundError, WrongQuestionError
from audit_api.terminal.columns import ENTRIES, TOOL_CALLS, Listing
from audit_api.terminal.screen import Screen
from audit_api.terminal.token_columns import CLIENTS, OBJECTS, TOOLS

# An id says what it is of only by where it is found. Tool calls first: an API call that knows its
# tool call is asked for by its own id.
_PLACES: Final[Sequence[tuple[str, Filters]]] = (
    ("/entries", ALL),
    ("/invocations", ALL),
    ("/sessions", {"limit": PAGE}),
    ("/tokens", ALL),
)
_TOKENS: Final = _PLACES[-1:]
_LISTS: Final[dict[str, Listing[Any]]] = {
    "calls": ENTRIES,
    "invocations": TOOL_CALLS,
    "tools": TOOLS,
    "clients": CLIENTS,
    "objects": OBJECTS,
}


async def show(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Show what *options* name by its id, or a token by its name.

    Raise NothingFoundError if there is no such thing.
    """
    told = await _found(client, options.id)
    if options.json:
        screen.line(bytes(told).decode())
    else:
        _show(screen, msgspec.json.decode(told))
    if options.around is not None:
        await _show_around(client, screen, msgspec.json.decode(told), options)


async def _found(client: AuditClient, id_: str) -> msgspec.Raw:
    is_name = not _is_id(id_)
    for path, parameters in _TOKENS if is_name else _PLACES:
        try:
            return await client.ask(f"{path}/{quote(id_, safe='')}", parameters, msgspec.Raw)
        except NothingFoundError:
            continue
    if is_name:
        raise NothingFoundError(f"no token named {id_} made a call: `top token` lists tokens")
    raise NothingFoundError(f"no entry, tool call, session or token has the id {id_}")


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _show(screen: Screen, told: dict[str, Any]) -> None:
    lists = {name: told.pop(name) for name in _LISTS if isinstance(told.get(name), list)}
    width = max(map(len, told))
    screen.lines(f"{name:{width}}  {_text(value)}" for name, value in told.items())
    for name, items in lists.items():
        if items:
            listing = _LISTS[name]
            screen.line()
            screen.titles(listing.columns)
            values = msgspec.convert(items, list[listing.shape])  # type: ignore[name-defined]
            screen.rows(listing.columns, [listing.row(each, screen.moment) for each in values])


async def _show_around(
    client: AuditClient, screen: Screen, told: dict[str, Any], options: argparse.Namespace
) -> None:
    """Show the entries before and after what was *told*, oldest first."""
    if "first_used" in told:
        raise WrongQuestionError("--around goes with an entry, a tool call or a session")
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
