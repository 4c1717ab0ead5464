"""The token directory: who is behind a token hash, answered from memory.

A call never waits for the database, save for a token seen for the first time, and then briefly.
When the database is away, what was known stays known (fail static), and nobody waits for what is
not: one caller has waited in vain, and those after it need not. Whether a token has expired or
been revoked is judged where it is used, by `Token.refusal`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from audit_log.errors import StoreError, TokenUnreadableError
from audit_log.tokens import Token
from proxy.tokens.memory import MISSING, Missing, TokenMemory

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# Nobody's hash: asked when no token is in use, to learn whether the database answers.
_PROBE: Final = "0" * 64


class TokenCacheUnavailableError(Exception):
    """Nobody can say now whose token this is."""


class TokenSource(Protocol):
    """How the directory asks the token table."""

    async def find(self, token_hash: str, /) -> Token | None:
        """Return the token with this hash, or None. Raises `StoreError`."""

    async def find_together(self, hashes: Sequence[str], /) -> Mapping[str, Token | None]:
        """Return the token of each, or None; leave those out whose row makes no sense.

        Raises `StoreError`.
        """


Changes = Callable[[], AbstractAsyncContextManager[AsyncIterator[str]]]
"""How token hashes are announced when they change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCacheLimits:
    """How long the directory waits and remembers, and how much it keeps and asks."""

    lookup_seconds: float = 0.25
    """How long a call waits for a token seen for the first time; the look-up itself goes on."""
    lookups_at_once: int = 4
    """A flood of invented tokens must not become a flood of queries."""
    poll_seconds: float = 5.0
    in_use_seconds: float = 600.0
    """Tokens used within this time are read again at each poll; the others are forgotten."""
    tokens_at_once: int = 250
    """So many are read again in one question. More gain little, and hold calls up for longer."""
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
        self._lookups: dict[str, asyncio.Task[Token | Missing | None]] = {}
        self._refreshed_at = clock()
        self._is_reachable: bool | None = None  # nobody has asked yet
        self._is_late = False
        self._reason = ""

    @property
    def is_reachable(self) -> bool:
        """Whether the database answered the last question, and in time."""
        return self._is_reachable is True and not self._is_late

    @property
    def is_out_of_reach(self) -> bool:
        """Whether it is known that a question would get no answer in time. The poll goes on."""
        return self._is_reachable is False or self._is_late

    @property
    def age_seconds(self) -> float:
        """How old the oldest answer in use may be: the time since the last complete refresh."""
        return self._clock() - self._refreshed_at

    def known(self, token_hash: str) -> Token | Missing | None:
        """Return the token, None if nobody has it, or MISSING if only the database can say."""
        return self._memory.recall(token_hash, self._clock())

    async def identify(self, token_hash: str) -> Token | None:
        """Return the token with this hash, or None if nobody has it.

        Raises `TokenCacheUnavailableError` when there is no answer in time; at once when too many
        others are being looked up, or when the database is known to be out of reach. Whoever asks
        for the same token shares one look-up.
        """
        answer = self.known(token_hash)
        if answer is MISSING:
            lookup = self._lookup(token_hash)
            if not self.is_out_of_reach:
                await self._wait_for(lookup)
            if lookup.done() and not lookup.cancelled():
                answer = lookup.result()
        if answer is MISSING:
            raise TokenCacheUnavailableError(f"the token cache is out of reach: {self._reason}")
        return answer

    async def run(self, changes: Changes | None = None) -> None:
        """Keep the tokens in use up to date, for ever; whether or not the database is there."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._poll(), name="directory-poll")
                if changes is not None:
                    announced: asyncio.Queue[str] = asyncio.Queue()
                    tasks.create_task(self._listen(changes, announced), name="directory-listen")
                    tasks.create_task(self._follow(announced), name="directory-follow")
        finally:
            for lookup in self._lookups.values():
                lookup.cancel()
            await asyncio.gather(*self._lookups.values(), return_exceptions=True)

    async def refresh(self) -> None:
        """Read every token in use again; forget those out of use. Stops at the first failure."""
        oldest_use = self._clock() - self._limits.in_use_seconds
        for hashes in self._memory.turns(self._limits.tokens_at_once):
            if not await self._ask_again(self._memory.used_since(oldest_use, hashes)):
                return
            # Only now: while the database is away, an unused token could not be learned again.
            self._memory.forget_unused_since(oldest_use, hashes)
        self._refreshed_at = self._clock()

    def _lookup(self, token_hash: str) -> "asyncio.Task[Token | Missing | None]":
        lookup = self._lookups.get(token_hash)
        if lookup is None:
            if len(self._lookups) >= self._limits.lookups_at_once:
                raise TokenCacheUnavailableError("too many tokens are being looked up")
            lookup = asyncio.create_task(self._ask(token_hash), name="token-lookup")
            self._lookups[token_hash] = lookup
            lookup.add_done_callback(lambda _: self._lookups.pop(token_hash))
        return lookup

    async def _wait_for(self, lookup: "asyncio.Task[Token | Missing | None]") -> None:
        # Not cancelled with the caller: others may wait for it, and the next call will ask.
        await asyncio.wait({lookup}, timeout=self._limits.lookup_seconds)
        if not lookup.done():
            # Do not wait for its failure: a network that swallows everything takes long to fail.
            self._is_late = True
            self._reason = "no answer in time"

    async def _ask(self, token_hash: str) -> Token | Missing | None:
        """Return the database's answer after learning it, or MISSING when it gives none."""
        asked_at = self._clock()
        try:
            token = await self._tokens.find(token_hash)
        except TokenUnreadableError as error:
            self._reason = str(error)
            return MISSING
        except StoreError as error:
            self._note_reachable(answered=False, reason=str(error))
            return MISSING
        self._note_reachable(answered=True)
        self._memory.learn(token_hash, token, asked_at=asked_at, now=self._clock())
        return token

    async def _ask_again(self, hashes: Sequence[str]) -> bool:
        """Learn what the database says now of *hashes*; say whether it answers at all."""
        if not hashes:
            await self._ask(_PROBE)
            return self.is_reachable
        asked_at = self._clock()
        try:
            answers = await self._tokens.find_together(hashes)
        except StoreError as error:
            self._note_reachable(answered=False, reason=str(error))
            return False
        self._note_reachable(answered=True)
        now = self._clock()
        for token_hash, token in answers.items():
            if token_hash in self._memory:  # not pushed out meanwhile
                self._memory.learn(token_hash, token, asked_at=asked_at, now=now)
        return True

    def _note_reachable(self, *, answered: bool, reason: str = "") -> None:
        if answered:
            self._is_late = False
        else:
            self._reason = reason
        if answered == self._is_reachable:
            return
        if answered:
            log.info("directory.became_available")
        else:
            log.warning("directory.became_unavailable", reason=self._reason)
        self._is_reachable = answered

    async def _poll(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(self._limits.poll_seconds)

    async def _listen(self, changes: Changes, announced: asyncio.Queue[str]) -> None:
        while True:
            try:
                async with changes() as hashes:
                    # What was announced before we listened is unknown: read everything once.
                    await self.refresh()
                    async for token_hash in hashes:
                        if token_hash in self._memory:
                            announced.put_nowait(token_hash)
                        # Many may have come at once, and are then had without waiting.
                        await asyncio.sleep(0)
            except StoreError:
                # The poll goes on meanwhile, and is the one that says so in the log.
                await asyncio.sleep(self._limits.poll_seconds)

    async def _follow(self, announced: asyncio.Queue[str]) -> None:
        """Read what was announced, together with all that was announced meanwhile."""
        while True:
            hashes = {await announced.get()}
            while len(hashes) < self._limits.tokens_at_once and not announced.empty():
                hashes.add(announced.get_nowait())
            await self._ask_again(list(hashes))
