"""Errors of PostgreSQL, NATS, files and seals, in our own words: drivers' are translated."""


class StoreError(Exception):
    """Something went wrong between us and PostgreSQL."""


class StoreUnavailableError(StoreError):
    """Not now: the store is away, overloaded, full or not yet migrated. Trying again may help."""


class StoreAwayError(StoreUnavailableError):
    """Not now: the store was not asked, for want of connection or name. No item is to blame."""


class StatementRefusedError(StoreUnavailableError):
    """Not now: the statement, not the data, fails with the present schema or rights."""


class DeadlockError(StoreUnavailableError):
    """Not now: PostgreSQL rolled our transaction back to resolve a deadlock."""


class LockTimeoutError(StoreUnavailableError):
    """Not now: another session holds a lock, and waiting for it would hold up those behind us."""


class TokenUnreadableError(StoreUnavailableError):
    """The token query returned a row that is no token: a wrong query, or one odd row."""


class RecordRefusedError(StoreError):
    """Never: the store rejects these records as they are; a retry does not help."""


class SchemaError(StoreError):
    """The database holds something that we cannot adopt or migrate. The message says what."""


class CredentialsFileError(ValueError):
    """A file cannot be read or holds no credentials. The message says which and why."""


class SealError(ValueError):
    """Something about a sealed log is wrong. The message says what, and what to do."""


class SealFormatError(SealError):
    """A text, file or value is not of its format."""


class SignatureError(SealError):
    """A note is signed by no trusted key, or a trusted key's signature is wrong."""


class ProofError(SealError):
    """A proof does not lead from what it proves to the root hash."""
