"""A rule tested against the past: how often it would have fired."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from audit_api.client.audit_client import AuditClient
from audit_api.rules.judge import Judge, Told, moment_of
from audit_api.rules.rule import Rule

_NEWEST: Final = 5


@dataclass(slots=True)
class Past:
    """What a rule would have told."""

    every: timedelta | None
    fired: int = 0
    """How many deliveries there would have been."""
    calls: int = 0
    """How many calls they would have been about."""
    newest: deque[Told] = field(default_factory=lambda: deque(maxlen=_NEWEST))
    """The last of these calls, oldest first."""
    _delivered_at: datetime | None = None
    _waits: bool = False
    """Whether calls wait until they may be delivered."""

    def add(self, told: Told) -> None:
        """Count *told*, which is later than all before."""
        self.calls += 1
        self.newest.append(told)
        now, due = moment_of(told), self._due
        if self._waits and due is not None and due <= now:
            self.fired, self._delivered_at, self._waits = self.fired + 1, due, False
            due = self._due
        if due is None or due <= now:
            self.fired, self._delivered_at = self.fired + 1, now
        else:
            self._waits = True

    def end(self) -> None:
        """Count the delivery of what waits, if something does."""
        self.fired += self._waits
        self._waits = False

    @property
    def _due(self) -> datetime | None:
        """When the next delivery may be; None if at once."""
        if self.every is None or self._delivered_at is None:
            return None
        return self._delivered_at + self.every


async def tested(
    client: AuditClient,
    rule: Rule,
    since: str,
    until: str,
    read: Callable[[bytes], object],
) -> Past:
    """Return what *rule* would have told between two moments; *read* hears of all that is read.

    Raises AuditApiError.
    """
    judge, past = Judge(client, rule), Past(rule.every)
    wanted = {**rule.filters, "format": "ndjson", "since": since, "until": until}
    async with client.export(wanted, rule.of) as export:
        async for line in _lines(export.pieces):
            read(line)
            told = msgspec.json.decode(line, type=dict[str, Any])
            if "kind" not in told and await judge.fires(told):  # a gap has a kind
                past.add(told)
    past.end()
    return past


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line + b"\n"
