"""Look-ups of tokens seen for the first time: many in one query, each in its turn.

Theory of operation. Tokens wait in the order of their arrival, and callers with the same token
share one turn. One query at a time takes as many as cost little time (`Portion`). So a
flood of invented tokens becomes few queries, and an honest token among them waits briefly.

A query that gives no result in time means that the database is away: all turns then end without a
result, and the query goes on, to learn when the database is back. While many tokens wait there is
more time: a flood slows the database down, and must not pass as an outage. A long queue says
nothing about the database: a caller whose turn does not come in time gives up, and its token is
asked for no more, so that a flood holds up nothing once it has ended.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

import structlog

from audit_log.process.background import where_raised
from audit_log.tokens import Token
from proxy.tokens.memory import MISSING, Missing

Found: TypeAlias = Token | Missing | None
Turn: TypeAlias = asyncio.Future[Found]
"""The result of a look-up: MISSING if the database gives none; cancelled if it is not asked."""
Query = Callable[[Sequence[str]], Awaitable[Mapping[str, Token | None] | None]]
"""Asks the database for many tokens; returns None if it cannot be asked now."""
QUICK_SECONDS: Final = 0.05
"""The tokens of a query should cost no more: callers wait for it, and for the one before it."""
SLOW_SECONDS: Final = 0.1
_FIRST_PORTION: Final = 64
_REMEMBERED: Final = 32
_LOOKS: Final = 5
"""In how many parts the wait for a query is divided. A loop that was busy meanwhile ends one part
at a time, and reads the result in between: it is not the database that was late."""
_SHORTEST_LOOK_SECONDS: Final = 0.001
_MANY: Final = 16
"""With more tokens waiting, a query has as long as they have."""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Portion:
    """How many tokens one query asks for: as many as cost no more than QUICK_SECONDS.

    What a query costs beside its tokens is taken from the quickest of the last ones: a database
    that is far away does not come nearer when it is asked for less.
    """

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._lately: deque[float] = deque(maxlen=_REMEMBERED)
        self.size = min(_FIRST_PORTION, at_most)

    def note(self, asked: int, seconds: float) -> None:
        """Learn that a query for *asked* tokens took that long."""
        self._lately.append(seconds)
        cost = seconds - min(self._lately)
        if cost > SLOW_SECONDS:
            self.size = max(1, self.size // 2)
        elif cost < QUICK_SECONDS and asked >= self.size:
            self.size = min(2 * self.size, self._at_most)


class LookUps:
    """The tokens that wait for their look-up, and the task that looks them up."""

    def __init__(
        self,
        query: Query,
        portion: Portion,
        *,
        late: Callable[[], object],
        late_seconds: float,
        busy_seconds: float,
        max_waiting: int,
    ) -> None:
        """Ask *query*; call *late* if it gives no result within *late_seconds*.

        While many tokens wait, these are *busy_seconds*.
        """
        self._query = query
        self._portion = portion
        self._late = late
        self._late_seconds = late_seconds
        self._busy_seconds = busy_seconds
        self._max_waiting = max_waiting
        self._turns: dict[str, Turn] = {}
        """Those that wait, and those that are asked for now."""
        self._waiting: OrderedDict[str, float] = OrderedDict()
        """When they joined, by the monotonic clock of the loop."""
        self._task: asyncio.Task[None] | None = None

    def join(self, token_hash: str) -> Turn:
        """Return the turn of this token; it is cancelled if too many wait."""
        turn = self._turns.get(token_hash)
        if turn is not None:
            return turn
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        if len(self._waiting) >= self._max_waiting:
            turn.cancel()
            return turn
        self._turns[token_hash] = turn
        self._waiting[token_hash] = loop.time()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="token-look-ups")
        return turn

    async def end(self) -> None:
        """End the look-ups, all turns without a result."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._settle_all()

    async def _run(self) -> None:
        try:
            while self._waiting:
                if hashes := self._next():
                    await self._ask(hashes)
        except Exception as error:  # noqa: BLE001  a defect: the next look-up begins anew
            log.error("token_cache.look_up_failed", error=repr(error), where=where_raised(error))
            for turn in self._turns.values():
                turn.cancel()
            self._turns.clear()
            self._waiting.clear()
        finally:
            self._task = None

    def _next(self) -> Sequence[str]:
        """Return the tokens to ask for now; drop those that waited for so long that all left."""
        oldest = asyncio.get_running_loop().time() - self._busy_seconds
        hashes: list[str] = []
        while self._waiting and len(hashes) < self._portion.size:
            token_hash, joined_at = self._waiting.popitem(last=False)
            if joined_at < oldest:
                self._turns.pop(token_hash).cancel()
            else:
                hashes.append(token_hash)
        return hashes

    async def _ask(self, hashes: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        asking = asyncio.ensure_future(self._query(hashes))
        try:
            if await self._is_late(asking):
                self._late()
                self._settle_all()
            found = await asking
        finally:
            asking.cancel()
        if found is None:
            self._settle_all()
            return
        self._portion.note(len(hashes), loop.time() - began)
        for token_hash in hashes:
            if (turn := self._turns.pop(token_hash, None)) is not None:
                turn.set_result(found.get(token_hash, MISSING))

    async def _is_late(self, asking: "asyncio.Future[Mapping[str, Token | None] | None]") -> bool:
        """Wait for *asking* as long as it may take; return whether that was not enough."""
        look_seconds = max(self._late_seconds / _LOOKS, _SHORTEST_LOOK_SECONDS)
        looks = 0
        while not asking.done():
            seconds = self._busy_seconds if len(self._turns) > _MANY else self._late_seconds
            if looks >= _LOOKS and looks * look_seconds >= seconds:
                return True
            await asyncio.wait({asking}, timeout=look_seconds)
            looks += 1
        return False

    def _settle_all(self) -> None:
        """End all turns: the database gives no result now."""
        for turn in self._turns.values():
            turn.set_result(MISSING)
        self._turns.clear()
        self._waiting.clear()
