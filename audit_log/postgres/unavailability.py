"""Why a database cannot be used now, as a category: no name, address or secret is in it."""

import errno
import re
import socket
import ssl
from collections.abc import Sequence
from typing import Final

import asyncpg

from audit_log.errors import StoreUnavailableError

_OUT_OF_REACH: Final = "is out of reach"
_BY_KIND: Final[Sequence[tuple[type[BaseException], str]]] = (
    (asyncpg.InvalidPasswordError, "refuses the password"),
    (asyncpg.InvalidAuthorizationSpecificationError, "does not let this user in from here"),
    (asyncpg.InvalidCatalogNameError, "does not exist"),
    (asyncpg.InsufficientPrivilegeError, "does not give this user the rights it needs"),
    (asyncpg.CannotConnectNowError, "is starting, stopping or in recovery"),
    (asyncpg.TooManyConnectionsError, "has no connection left"),
    (asyncpg.ReadOnlySQLTransactionError, "is read-only"),
    (asyncpg.TargetServerAttributeNotMatched, "is not the kind of server that the URL asks for"),
    (asyncpg.ClientConfigurationError, "has a URL that the driver refuses"),
    (ssl.SSLCertVerificationError, f"{_OUT_OF_REACH}: its TLS certificate is not accepted"),
    (ssl.SSLError, f"{_OUT_OF_REACH}: TLS failed"),
    (socket.gaierror, f"{_OUT_OF_REACH}: its host name has no address"),
    (UnicodeError, f"{_OUT_OF_REACH}: its host name has no address"),
    (TimeoutError, f"{_OUT_OF_REACH}: no response in time"),
)
"""The first that fits counts."""
_BY_ERRNO: Final = {
    errno.ECONNREFUSED: f"{_OUT_OF_REACH}: connection refused",
    errno.EHOSTUNREACH: f"{_OUT_OF_REACH}: no route",
    errno.ENETUNREACH: f"{_OUT_OF_REACH}: no route",
    errno.ETIMEDOUT: f"{_OUT_OF_REACH}: no response in time",
    errno.ENOENT: f"{_OUT_OF_REACH}: its socket does not exist",
    errno.EACCES: f"{_OUT_OF_REACH}: its socket may not be opened",
}
_ERRNO: Final = re.compile(r"Errno (\d+)")
_TLS_REFUSED: Final = "rejected SSL upgrade"
"""The driver raises a plain ConnectionError with these words."""


def why_unusable(error: StoreUnavailableError) -> str:
    """Return what the database of *error* does or lacks, as the end of a sentence about it."""
    cause = error.__cause__
    for kind, text in _BY_KIND:
        if isinstance(cause, kind):
            return text
    if not isinstance(cause, OSError):
        return _OUT_OF_REACH
    if _TLS_REFUSED in str(cause):
        return f"{_OUT_OF_REACH}: it speaks no TLS"
    # A host with several addresses fails with one error, whose text lists those of all.
    numbers = {cause.errno} if cause.errno else {int(one) for one in _ERRNO.findall(str(cause))}
    return _BY_ERRNO.get(numbers.pop(), _OUT_OF_REACH) if len(numbers) == 1 else _OUT_OF_REACH
