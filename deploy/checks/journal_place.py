"""Where the journal is to lie: its folder and the place of its ring. Neither is made."""

import os
from pathlib import Path

from audit_log.plurals import counted
from deploy.checks.check import Check, CheckFailedError, blocking
from proxy.journal import JournalError
from proxy.journal.folder import JournalFolder
from proxy.journal.rings.orphaned_rings import orphaned_rings
from proxy.journal.rings.placement import ring_directories


def folder_check(path: Path) -> Check:
    """Return the check that a journal can be kept in *path*, and that no process keeps one."""

    def look() -> str:
        if not path.exists():
            above = next(folder for folder in path.absolute().parents if folder.exists())
            _ = _writable(above)
            return f"{path} will be made"
        _ = _writable(path)
        try:
            JournalFolder(path).close()  # it takes the lock
        except JournalError as error:
            raise CheckFailedError(str(error)) from None
        return f"{path} can be written to, and no process holds it"

    return blocking("PROXY_JOURNAL_DIR", look)


def ring_check(setting: str, journal: Path, wanted: Path | None) -> Check:
    """Return the check that the ring of *journal* lies in memory: in *wanted* if given."""

    def look() -> str:
        folder = ring_directories(journal.absolute(), wanted)[0]
        if folder == journal.absolute():
            raise CheckFailedError(
                "the newest records would lie on disk, where a stalled disk holds calls up:"
                f" give {setting} a tmpfs"
            )
        found = f"{_writable(folder)} can be written to"
        orphaned = orphaned_rings([folder])
        if orphaned:
            size = sum(ring.size for ring in orphaned)
            take = "take" if len(orphaned) > 1 else "takes"
            found += f"; {counted(len(orphaned), 'orphaned ring')} {take} {size} bytes there: "
            found += "see `podwarden-audit journal rings`"
        return found

    return blocking(setting, look)


def _writable(folder: Path) -> Path:
    if not folder.is_dir():
        raise CheckFailedError(f"{folder} is no directory: make it, or name another")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise CheckFailedError(f"{folder} cannot be written to: give it to the service's user")
    return folder
