"""Where the ring lies: on tmpfs if possible, where no disk can stall or fail."""

import hashlib
from pathlib import Path
from typing import Final

import structlog

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- names and owners are checked at open
_MOUNTS: Final = Path("/proc/self/mounts")
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def places_for_ring(folder: Path, ring_directory: Path | None) -> list[Path]:
    """Return the possible paths of the ring of the journal in *folder*, the best first.

    The name is derived from the journal folder: the next start finds the ring again, and two
    journals never share one. The last resort is the journal folder itself.
    """
    # Called ".head" on disk since the first version: a new name would lose the ring of an update.
    name = f"podwarden-audit-{hashlib.sha256(bytes(folder)).hexdigest()[:16]}.head"
    wanted = ring_directory or SHARED_MEMORY
    on_tmpfs = [wanted / name] if ring_directory or is_tmpfs(wanted) else []
    return [*on_tmpfs, folder / name]


def is_tmpfs(path: Path) -> bool:
    """Return whether *path* itself is the mount point of a file system in memory."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    kinds = {point: kind for _, point, kind, *_ in map(str.split, mounts)}
    return kinds.get(str(path)) in {"tmpfs", "ramfs"}
