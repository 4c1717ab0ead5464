"""The sorting of driver errors: "not now" (try again) or "never" (do not)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from audit_log.errors import (
    DeadlockError,
    LockTimeoutError,
    RecordRefusedError,
    StatementRefusedError,
    StoreAwayError,
    StoreError,
    StoreUnavailableError,
)

# SQLSTATE classes of PostgreSQL's appendix A that blame the data: data exception, integrity
# constraint violation, WITH CHECK OPTION violation, program limit exceeded.
_DATA_CLASSES: Final = ("22", "23", "44", "54")
_CHECK_VIOLATION: Final = "23514"
_RAISE_EXCEPTION: Final = "P0001"  # raised by a trigger of the operator that rejects the record
# Undefined table, column, function: this code is newer than the schema.
_UNDEFINED: Final = ("42P01", "42703", "42883")
_STATEMENT_CLASS: Final = "42"  # syntax error or access rule violation
_FEATURE_NOT_SUPPORTED: Final = "0A000"
_INSUFFICIENT_PRIVILEGE: Final = "42501"
_LOCKS: Final[dict[str, type[StoreUnavailableError]]] = {
    "40P01": DeadlockError,
    "55P03": LockTimeoutError,
}
_MAX_MESSAGE_CHARACTERS: Final = 300
_DOCUMENTED: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    UnicodeError,  # a host name that IDNA cannot encode
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise each error of the driver as the store error that it means.

    The driver raises more than it documents: a TypeError for an SQLSTATE of a warning, an
    AttributeError or IndexError for a reply that makes no sense. All of it means "not now".
    """
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise judged(error) from error


@contextmanager
def translated_as_away() -> Iterator[None]:
    """Raise each error as StoreAwayError: no statement has been sent that could be to blame."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise StoreAwayError(_text_of(error, _sqlstate_of(error))) from error


def judged(error: Exception) -> StoreError:
    """Return what *error* of the driver means: try again ("not now"), or do not ("never").

    "Never" is returned only if the values are to blame. A record rejected by mistake is
    quarantined; a record retried by mistake blocks all records behind it.
    """
    sqlstate = _sqlstate_of(error)
    if isinstance(error, asyncpg.PostgresError):
        is_data = _blames_the_data(sqlstate, error.constraint_name)
    else:
        # asyncpg raises this if it cannot encode a parameter. A bad URL is a ValueError as well.
        is_data = (
            isinstance(error, asyncpg.InterfaceError)
            and isinstance(error, ValueError)
            and not isinstance(error, asyncpg.ClientConfigurationError)
        )
    kind = RecordRefusedError if is_data else _unavailable(sqlstate)
    return kind(_text_of(error, sqlstate))


def blames_the_copy(error: asyncpg.PostgresError) -> bool:
    """Say whether INSERT may succeed where COPY failed with *error*: for a view, for example."""
    sqlstate = error.sqlstate or ""
    if sqlstate == _FEATURE_NOT_SUPPORTED:
        return True
    other_causes = (_INSUFFICIENT_PRIVILEGE, *_UNDEFINED)
    return sqlstate.startswith(_STATEMENT_CLASS) and sqlstate not in other_causes


def _blames_the_data(sqlstate: str, constraint: str | None) -> bool:
    if sqlstate == _CHECK_VIOLATION:
        # Without a constraint's name it means that no partition takes the row, or that its
        # partition was made at this moment: ours to mend, not the record's fault.
        return constraint is not None
    return sqlstate.startswith(_DATA_CLASSES) or sqlstate == _RAISE_EXCEPTION


def _unavailable(sqlstate: str) -> type[StoreUnavailableError]:
    if sqlstate.startswith(_STATEMENT_CLASS) or sqlstate == _FEATURE_NOT_SUPPORTED:
        return StatementRefusedError
    return _LOCKS.get(sqlstate, StoreUnavailableError)


def _sqlstate_of(error: Exception) -> str:
    return getattr(error, "sqlstate", None) or ""


def _text_of(error: Exception, sqlstate: str) -> str:
    # The message alone, not all that the driver prints: a DETAIL quotes the row, and rows must
    # not reach the logs.
    message = getattr(error, "message", None)
    if message is None:
        # What the driver raises for the SQLSTATE of a warning cannot be raised a second time, and
        # becomes the context of a TypeError.
        message = getattr(error.__context__, "message", None)
    if message is None:
        message = str(error) if isinstance(error, _DOCUMENTED) else f"the driver failed: {error!r}"
    text = " ".join(message.split()) or type(error).__name__
    text = text[:_MAX_MESSAGE_CHARACTERS]
    if sqlstate in _UNDEFINED and " mcp_" in text.replace('"', " "):
        text += " (the schema is missing or out of date: run `python -m audit_log migrate`)"
    return text
