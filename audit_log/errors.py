"""What can go wrong at the doors to our neighbours, whatever a driver calls it."""


class StoreError(Exception):
    """Something went wrong between us and PostgreSQL."""


class StoreUnavailableError(StoreError):
    """Not now: the store is away, overloaded, full or not yet migrated. Trying again may help."""


class StatementRefusedError(StoreUnavailableError):
    """Not as the schema and our rights are now: the statement is to blame, and not the data."""


class DeadlockError(StoreUnavailableError):
    """Not this time: another transaction and ours waited for each other, and ours was undone."""


class TokenUnreadableError(StoreUnavailableError):
    """The token query answers something that is no token: a wrong query, or one odd row."""


class RecordRefusedError(StoreError):
    """Never: the store will not take these records as they are, however often it is asked."""


class SchemaError(StoreError):
    """The database holds something that we cannot adopt or migrate. The message says what."""


class CredentialsFileError(ValueError):
    """A file cannot be read or holds no credentials. The message says which and why."""
