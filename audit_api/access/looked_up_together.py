"""Tokens of requests that come at the same time, looked up in one query.

Any client can send tokens that it invented. One query for each would keep readers waiting: they
take turns at few connections. So one query runs at a time, and the next one asks for all tokens
that have come meanwhile. Nothing is remembered: a revoked token is refused on its next request.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from audit_log.errors import StoreError
from audit_log.tokens import Token

AT_ONCE: Final = 250
"""The most tokens of one query."""


class TokenTable(Protocol):
    """What is needed of the token table."""

    async def find(self, token_hash: str, /) -> Token | None:
        """Return the token of *token_hash*, or None. Raise StoreError."""

    async def find_together(self, hashes: Sequence[str], /) -> Mapping[str, Token | None]:
        """Return the token of each hash, or None; omit those whose row cannot be read.

        Raise StoreError.
        """


@dataclass(slots=True)
class _Batch:
    hashes: set[str] = field(default_factory=set)
    found: Mapping[str, Token | None] | None = None
    """None before the query has ended."""
    error: StoreError | None = None


class LookedUpTogether:
    """Finds tokens, those of several requests in one query."""

    def __init__(self, table: TokenTable) -> None:
        self._table = table
        self._next = _Batch()
        """What the next query asks for."""
        self._asking = asyncio.Lock()

    async def find(self, token_hash: str) -> Token | None:
        """Return the token with *token_hash*, or None. Raises StoreError."""
        if len(self._next.hashes) >= AT_ONCE:
            self._next = _Batch()
        batch = self._next
        batch.hashes.add(token_hash)
        async with self._asking:
            # The first of a batch asks for all. If it is cancelled, the second one does.
            if batch.found is None and batch.error is None:
                await self._ask(batch)
        if batch.error is not None:
            raise batch.error
        if batch.found is None or token_hash not in batch.found:
            return await self._table.find(token_hash)  # alone it raises what is wrong with it
        return batch.found[token_hash]

    async def _ask(self, batch: _Batch) -> None:
        if batch is self._next:
            self._next = _Batch()
        try:
            batch.found = await self._table.find_together(list(batch.hashes))
        except StoreError as error:
            batch.error = error
