"""`top` and `objects`: which tokens, tools, addresses or objects had the most calls."""

import argparse
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

import msgspec

from audit_api.client.audit_client import AuditClient
from audit_api.client.shapes import Entry
from audit_api.terminal.progress import progress
from audit_api.terminal.screen import Cell, Column, Screen
from audit_log.objects import object_of, template_of

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS", "TOOL"})
"""Methods that change nothing, as far as can be known: a tool tells by its API calls."""
_REFUSED: Final = frozenset({401, 403})
_SPANS: Final = frozenset({"since", "until", "arrived_since", "arrived_until"})
KEYS: Final[Mapping[str, Callable[[Entry], object]]] = MappingProxyType(
    {
        "token": lambda entry: entry.token_name,
        "tool": lambda entry: entry.tool,
        "client": lambda entry: entry.client_ip,
        "user_agent": lambda entry: entry.user_agent,
        "method": lambda entry: entry.method,
        "path": lambda entry: entry.path,
        "template": lambda entry: template_of(entry.path),
        "status": lambda entry: entry.status_code,
        "outcome": lambda entry: entry.outcome,
        "instance": lambda entry: entry.instance,
        "object": lambda entry: object_of(entry.path),
    }
)
"""What calls can be counted by."""
_COLUMNS: Final = (
    Column("CALLS", 10, to_the_right=True),
    Column("CHANGES", 10, to_the_right=True),
    Column("REFUSED", 10, to_the_right=True),
    Column("LAST", 24),
    Column("", 40, stretches=True),
)


@dataclass(slots=True)
class Tally:
    """The calls of one token, tool or other key."""

    calls: int = 0
    changes: int = 0
    refused: int = 0
    last: datetime | None = None

    def count(self, entry: Entry) -> None:
        """Count *entry*."""
        self.calls += 1
        self.changes += is_change(entry)
        self.refused += entry.outcome == "refused" or entry.status_code in _REFUSED
        self.last = entry.created_at if self.last is None else max(self.last, entry.created_at)


def is_change(entry: Entry) -> bool:
    """Say whether *entry* may have changed something: by its method, and it was not refused."""
    is_refused = entry.outcome == "refused" or entry.status_code in _REFUSED
    return entry.method not in _READING and not is_refused


async def top(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Show what had the most calls."""
    tallies = await _counted(client, screen, options, options.by)
    _show(screen, options, tallies, options.by, lambda tally: tally.calls)


async def objects(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Show the objects with the most changes; with `--reads` those with the most calls."""
    tallies = await _counted(client, screen, options, "object")
    if not options.reads:
        tallies = {name: tally for name, tally in tallies.items() if tally.changes}
    _show(screen, options, tallies, "object", lambda tally: tally.changes or tally.calls)


async def _counted(
    client: AuditClient, screen: Screen, options: argparse.Namespace, by: str
) -> dict[object, Tally]:
    """Count all entries that match by the key *by*: exactly, in memory for each key alone."""
    key, tallies, wanted = KEYS[by], dict[object, Tally](), dict(options.filters)
    if not _SPANS & wanted.keys():
        wanted["since"] = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        screen.remark("of the last 24 hours; since=7d counts more")
    with progress(screen) as done:
        async with client.export({"format": "ndjson", **wanted}) as export:
            async for line in _lines(export.pieces):
                done.add(line)
                entry = msgspec.json.decode(line, type=Entry)
                if (name := key(entry)) is not None:
                    tallies.setdefault(name, Tally()).count(entry)
    return tallies


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line + b"\n"


def _show(
    screen: Screen,
    options: argparse.Namespace,
    tallies: Mapping[object, Tally],
    by: str,
    rank: Callable[[Tally], int],
) -> None:
    most = sorted(tallies.items(), key=lambda each: (-rank(each[1]), str(each[0])))
    shown = most if options.all else most[: options.limit]
    if options.json:
        screen.lines(_json(by, name, tally) for name, tally in shown)
        return
    if not shown:
        screen.remark("nothing matches")
        return
    columns = (*_COLUMNS[:-1], Column(by.upper(), 40, stretches=True))
    screen.titles(columns)
    screen.rows(columns, [_row(screen, name, tally) for name, tally in shown])
    if len(most) > len(shown):
        screen.remark(f"{len(most) - len(shown):,} more: --all shows them")


def _row(screen: Screen, name: object, tally: Tally) -> list[Cell]:
    return [
        Cell(f"{tally.calls:,}"),
        Cell(f"{tally.changes:,}"),
        Cell(f"{tally.refused:,}", "yellow" if tally.refused else None),
        Cell(screen.moment(tally.last) if tally.last else "-"),
        Cell(str(name)),
    ]


def _json(by: str, name: object, tally: Tally) -> str:
    return msgspec.json.encode({by: name, **asdict(tally)}).decode()
