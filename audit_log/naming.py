"""Names for records of tokens that the token cache did not know when the call ended."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from time import monotonic
from typing import Final, Protocol

from audit_log.errors import StoreUnavailableError, TokenUnreadableError
from audit_log.record import Named, named, unknown_token_name
from audit_log.tokens import Token

PATIENCE_SECONDS: Final = 300.0
"""How long the database of the tokens may stay away before records go without a name."""
TOGETHER: Final = 250
"""How many names one query asks for: a flood of invented tokens must not be as many queries."""
REMEMBERED_SECONDS: Final = 30.0
MAX_REMEMBERED: Final = 10_000


class FindTokens(Protocol):
    """How names are asked for: of the token table itself, not of the cache's look-ups."""

    async def __call__(self, hashes: Sequence[str], /) -> Mapping[str, Token | None]:
        """Return the token of each hash, or None; omit those whose row cannot be read.

        Raises StoreUnavailableError.
        """


class Naming:
    """Gives records their token id and name.

    The tokens may be in another database than the store. If that database stays away while the
    store answers, waiting for it would hold up the whole audit log. Patience therefore ends after
    `PATIENCE_SECONDS`, and names stay unknown until it answers again; likewise for a single token
    whose row cannot be read.
    """

    def __init__(self, find: FindTokens | None) -> None:
        """Ask *find*. Without it records are returned as they are, for the ingest to name them."""
        self._find = find
        self._away_since: float | None = None
        self._unreadable_since: dict[str, float] = {}
        self._remembered: dict[str, tuple[Token | None, float]] = {}
        """Tokens, or None, with the time until which they are not asked for again."""

    async def named(self, records: Sequence[Named]) -> Sequence[Named]:
        """Return *records* with names; raise StoreUnavailableError while there is patience."""
        if self._find is None:
            return records
        # In the order of the records, each once.
        hashes = dict.fromkeys(
            record.token_hash
            for record in records
            if record.token_name is None and record.token_hash is not None
        )
        if not hashes:
            return records
        tokens = await self._tokens(self._find, hashes)
        return [_named(record, tokens) for record in records]

    def start_over(self) -> None:
        """Count patience from the start again: the store is away too, so names delay nothing."""
        self._away_since = None
        self._unreadable_since.clear()

    async def _tokens(self, find: FindTokens, hashes: Iterable[str]) -> dict[str, Token | None]:
        """Return the token of each of *hashes*; None also where patience has ended."""
        tokens: dict[str, Token | None] = {}
        now = monotonic()
        asked = []
        for token_hash in hashes:
            token, until = self._remembered.get(token_hash, (None, 0.0))
            if now < until:
                tokens[token_hash] = token
            else:
                asked.append(token_hash)
        remaining = iter(asked)
        while together := list(islice(remaining, TOGETHER)):
            tokens.update(await self._asked(find, together))
        return tokens

    async def _asked(self, find: FindTokens, hashes: Sequence[str]) -> dict[str, Token | None]:
        try:
            found = await find(hashes)
        except StoreUnavailableError:
            if self._away_since is None:
                self._away_since = monotonic()
            if monotonic() - self._away_since < PATIENCE_SECONDS:
                raise
            return dict.fromkeys(hashes)
        self._away_since = None
        for token_hash, token in found.items():
            self._unreadable_since.pop(token_hash, None)
            self._remember(token_hash, token)
        for token_hash in hashes:
            if token_hash not in found:
                self._be_patient(token_hash)
        return dict.fromkeys(hashes) | dict(found)

    def _be_patient(self, token_hash: str) -> None:
        """Raise TokenUnreadableError while there is patience with this token."""
        since = self._unreadable_since.setdefault(token_hash, monotonic())
        if monotonic() - since < PATIENCE_SECONDS:
            raise TokenUnreadableError("the token query returns a row that is no token")
        # Remembered, so that it holds nothing up any more.
        self._remember(token_hash, None)

    def _remember(self, token_hash: str, token: Token | None) -> None:
        self._remembered.pop(token_hash, None)
        self._remembered[token_hash] = token, monotonic() + REMEMBERED_SECONDS
        if len(self._remembered) > MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]


def _named(record: Named, tokens: Mapping[str, Token | None]) -> Named:
    if record.token_name is not None or record.token_hash is None:
        return record
    token = tokens[record.token_hash]
    if token is None:
        return named(record, unknown_token_name(record.token_hash))
    return named(record, token.name, token.id)
