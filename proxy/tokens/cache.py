"""The token cache: the token behind a token hash, from memory.

Theory of operation. `TokenMemory` holds the tokens, and `TokenCache` keeps it up to date:

- *Look-up.* A token seen for the first time waits for its turn, and many are queried together
  (`LookUps`). The look-up goes on when its callers give up, so that the next call knows the token.
- *Poll.* Every few seconds the tokens used lately are read again, many in one query. The others
  are forgotten, but only after a query that succeeded.
- *Notifications.* A changed token that is announced is read again at once. After a new
  subscription everything is read once, because earlier announcements are unknown.

While the database cannot be reached, known tokens stay known (fail static) and calls with unknown
tokens do not wait: after a query that is late or fails, all fail at once, until a query succeeds
again. A query that is older than another one never overwrites its result.
`Token.refusal` decides at each use whether a token has expired or been revoked.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from audit_log.errors import StoreError
from audit_log.process.changes import LoggedState
from audit_log.tokens import Token
from proxy.tokens.lookups import LookUps, Portion
from proxy.tokens.memory import MISSING, Missing, TokenMemory

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# The hash of no token: queried when no token is in use, to learn whether the database answers.
_PROBE: Final = "0" * 64
_OUT_OF_REACH: Final = "the token cache cannot reach the token database"


class TokenCacheUnavailableError(Exception):
    """The token is not in the cache, and the database is away or its row cannot be read."""


class TokenCacheBusyError(Exception):
    """The database responds, and has not come to this token in time."""


class TokenSource(Protocol):
    """All that the cache needs of the token table."""

    async def find_together(self, hashes: Sequence[str], /) -> Mapping[str, Token | None]:
        """Return the token of each hash, or None; omit those whose row cannot be read.

        Raise StoreError.
        """


Changes = Callable[[], AbstractAsyncContextManager[AsyncIterator[str]]]
"""Subscribes to announcements of changed tokens, and yields their hashes."""


class AfterPoll(Protocol):
    """Is awaited after each poll, on the connection of the polls. Never raises."""

    async def __call__(self, *, is_reachable: bool) -> None:
        """Learn whether the poll found the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCacheLimits:
    """How long the cache waits and remembers, how much it keeps, and how much it queries."""

    lookup_seconds: float = 0.25
    """How long a look-up may take before the database counts as away; longer in a flood."""
    turn_seconds: float = 2.0
    """How long a call waits for its turn while the database responds."""
    max_waiting: int = 10_000
    """How many tokens may wait for their turn."""
    poll_seconds: float = 5.0
    in_use_seconds: float = 600.0
    """A token used within this time is read again at each poll; another one is forgotten."""
    tokens_at_once: int = 250
    """The most tokens read in one query. More would save little, and delay calls for longer."""
    unknown_seconds: float = 5.0
    max_known: int = 100_000
    max_unknown: int = 10_000


class TokenCache:
    """Tokens in memory, kept up to date by `run`."""

    def __init__(
        self,
        tokens: TokenSource,
        *,
        limits: TokenCacheLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = tokens
        self._limits = limits or TokenCacheLimits()
        self._clock = clock
        self._memory = TokenMemory(
            max_known=self._limits.max_known,
            max_unknown=self._limits.max_unknown,
            unknown_seconds=self._limits.unknown_seconds,
        )
        self._portion = Portion(self._limits.tokens_at_once)
        self._lookups = LookUps(
            self._look_up,
            self._portion,
            late=self._note_late,
            late_seconds=self._limits.lookup_seconds,
            busy_seconds=self._limits.turn_seconds,
            max_waiting=self._limits.max_waiting,
        )
        self._refreshed_at = clock()
        self._answers = LoggedState(
            log,
            fails="token_cache.became_unavailable",
            works="token_cache.became_available",
            is_known=False,
        )
        self._is_late = False
        self._reason = ""

    @property
    def is_reachable(self) -> bool:
        """Whether the last query succeeded, and in time."""
        return self._answers.is_working and not self._is_late

    @property
    def problem(self) -> str | None:
        """What `/readyz` says of the token cache, or None."""
        return None if self.is_reachable else _OUT_OF_REACH

    @property
    def is_out_of_reach(self) -> bool:
        """Whether the last query failed or was late. The poll goes on meanwhile."""
        return self._answers.is_failing or self._is_late

    @property
    def age_seconds(self) -> float:
        """The greatest age of a token in use: the time since the last complete refresh."""
        return self._clock() - self._refreshed_at

    def known(self, token_hash: str) -> Token | Missing | None:
        """Return the token, None if no token has this hash, or MISSING if that is not known."""
        return self._memory.recall(token_hash, self._clock())

    async def identify(self, token_hash: str) -> Token | None:
        """Return the token with this hash, or None if no token has it.

        Raise TokenCacheUnavailableError when the database is away, at once if that is known, and
        TokenCacheBusyError when it responds and too many other tokens wait.
        """
        token = self.known(token_hash)
        if token is not MISSING:
            return token
        turn = self._lookups.join(token_hash)
        if not self.is_out_of_reach:
            # Not cancelled with the caller: others may wait for it, and the next call needs it.
            await asyncio.wait({turn}, timeout=self._limits.turn_seconds)
        is_settled = turn.done() and not turn.cancelled()
        if is_settled and (found := turn.result()) is not MISSING:
            return found
        if is_settled or self.is_out_of_reach:
            raise TokenCacheUnavailableError(f"{_OUT_OF_REACH}: {self._reason}")
        raise TokenCacheBusyError("too many tokens are being looked up")

    def look_up(self, token_hash: str) -> None:
        """Have the token queried, without waiting for it, unless too many others wait."""
        _ = self._lookups.join(token_hash)

    async def run(
        self, changes: Changes | None = None, after_poll: AfterPoll | None = None
    ) -> None:
        """Keep the tokens in use up to date, for ever, also while the database is away."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._poll(after_poll), name="token-cache-poll")
                if changes is not None:
                    announced: asyncio.Queue[str] = asyncio.Queue()
                    tasks.create_task(
                        self._subscribe(changes, announced), name="token-cache-subscribe"
                    )
                    tasks.create_task(self._follow(announced), name="token-cache-follow")
        finally:
            await self._lookups.end()

    async def refresh(self) -> None:
        """Read the tokens in use again and forget the others. Stop at the first failed query."""
        oldest_use = self._clock() - self._limits.in_use_seconds
        for hashes in self._memory.turns(lambda: self._portion.size):
            if not await self._query_again(self._memory.used_since(oldest_use, hashes)):
                return
            # Only after a success: while the database is away, a token cannot be learned again.
            self._memory.forget_unused_since(oldest_use, hashes)
        self._refreshed_at = self._clock()

    async def _look_up(self, hashes: Sequence[str]) -> Mapping[str, Token | None] | None:
        """Query *hashes* and learn their tokens; return None when the query fails."""
        asked_at = self._clock()
        tokens = await self._query(hashes)
        if tokens is not None:
            self._learn(tokens, asked_at)
        return tokens

    async def _query_again(self, hashes: Sequence[str]) -> bool:
        """Query *hashes*, which are known, again; return whether the query succeeded."""
        asked_at = self._clock()
        tokens = await self._query(hashes or [_PROBE])
        if tokens is None:
            return False
        self._portion.note(len(hashes), self._clock() - asked_at)
        still_known = {key: token for key, token in tokens.items() if key in self._memory}
        self._learn(still_known, asked_at)
        return True

    async def _query(self, hashes: Sequence[str]) -> Mapping[str, Token | None] | None:
        """Query *hashes* together; return None when the query fails."""
        try:
            tokens = await self._tokens.find_together(hashes)
        except StoreError as error:
            self._note_reachable(succeeded=False, reason=str(error))
            return None
        self._note_reachable(succeeded=True)
        if len(tokens) < len(hashes):
            self._reason = "the token query returns rows that are no tokens"
        return tokens

    def _learn(self, tokens: Mapping[str, Token | None], asked_at: float) -> None:
        now = self._clock()
        for token_hash, token in tokens.items():
            self._memory.learn(token_hash, token, asked_at=asked_at, now=now)

    def _note_late(self) -> None:
        # Late at once, without a failure: a network that drops packets takes long to fail.
        self._is_late = True
        self._reason = "no response in time"

    def _note_reachable(self, *, succeeded: bool, reason: str = "") -> None:
        if succeeded:
            self._is_late = False
        else:
            self._reason = reason
        self._answers.note(None if succeeded else reason)

    async def _poll(self, after_poll: AfterPoll | None) -> None:
        while True:
            await self.refresh()
            if after_poll is not None:
                await after_poll(is_reachable=self.is_reachable)
            await asyncio.sleep(self._limits.poll_seconds)

    async def _subscribe(self, changes: Changes, announced: asyncio.Queue[str]) -> None:
        while True:
            try:
                async with changes() as hashes:
                    # Announcements before the subscription are unknown: read everything once.
                    await self.refresh()
                    async for token_hash in hashes:
                        if token_hash in self._memory:
                            announced.put_nowait(token_hash)
                        # If many arrived at once, the iteration itself does not yield to calls.
                        await asyncio.sleep(0)
            except StoreError:
                # The poll goes on meanwhile, and logs that the database is away.
                await asyncio.sleep(self._limits.poll_seconds)

    async def _follow(self, announced: asyncio.Queue[str]) -> None:
        """Read announced tokens again, together with those announced meanwhile."""
        while True:
            hashes = {await announced.get()}
            while len(hashes) < self._limits.tokens_at_once and not announced.empty():
                hashes.add(announced.get_nowait())
            await self._query_again(list(hashes))
