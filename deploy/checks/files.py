"""Files that a service reads at start: certificates, keys, credentials."""

from collections.abc import Callable

from audit_log.errors import CredentialsFileError
from audit_log.process.tls import TlsFilesError
from deploy.checks.check import Check, CheckFailedError, blocking


def files_check(name: str, load: Callable[[], object]) -> Check:
    """Return the check that *load* can use its files; they may lie on a disk that hangs."""

    def look() -> str:
        try:
            load()
        except (TlsFilesError, CredentialsFileError) as error:
            raise CheckFailedError(str(error)) from None
        return "those that are set can be used"

    return blocking(name, look)
