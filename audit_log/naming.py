"""Names for records of tokens that the token cache did not know when the call ended."""

from collections.abc import Sequence
from time import monotonic
from typing import Final, Protocol, TypeVar

from msgspec.structs import replace

from audit_log.errors import StoreUnavailableError
from audit_log.record import AuditRecord, Invocation, unknown_token_name
from audit_log.tokens import Token

Named = TypeVar("Named", AuditRecord, Invocation)
PATIENCE_SECONDS: Final = 300.0
"""How long the database of the tokens may stay away before a token's records go without a name."""


class FindToken(Protocol):
    """How names are asked for: of the token table itself, not of the cache's few look-ups."""

    async def __call__(self, token_hash: str, /) -> Token | None:
        """Return the token with this hash, or None if there is none. Raises StoreError."""


class Naming:
    """Gives records their token id and name.

    The tokens may be in another database than the store. If that database stays away while the
    store answers, waiting for it would hold up the whole audit log. Patience therefore ends after
    `PATIENCE_SECONDS` for each token, and its name stays unknown.
    """

    def __init__(self, find: FindToken | None) -> None:
        """Ask *find*. Without it records are returned as they are, for the ingest to name them."""
        self._find = find
        self._failing_since: dict[str, float] = {}

    async def named(self, records: Sequence[Named]) -> Sequence[Named]:
        """Return *records* with names; raise StoreUnavailableError while there is patience."""
        if self._find is None:
            return records
        hashes = {record.token_hash for record in records if record.token_name is None}
        if not hashes:
            return records
        tokens = {
            known: await self._token(self._find, known) for known in hashes if known is not None
        }
        return [_named(record, tokens) for record in records]

    def start_over(self) -> None:
        """Count patience from the start again: the store is away too, so names delay nothing."""
        self._failing_since.clear()

    async def _token(self, find: FindToken, token_hash: str) -> Token | None:
        try:
            token = await find(token_hash)
        except StoreUnavailableError:
            since = self._failing_since.setdefault(token_hash, monotonic())
            if monotonic() - since < PATIENCE_SECONDS:
                raise
            return None
        self._failing_since.pop(token_hash, None)
        return token


def _named(record: Named, tokens: dict[str, Token | None]) -> Named:
    if record.token_name is not None or record.token_hash is None:
        return record
    token = tokens[record.token_hash]
    if token is None:
        return replace(record, token_name=unknown_token_name(record.token_hash), token_hash=None)
    return replace(record, token_id=token.id, token_name=token.name, token_hash=None)
