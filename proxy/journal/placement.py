"""Where the ring lies: on tmpfs if possible, because no disk can stall or fail it there."""

import hashlib
from pathlib import Path
from typing import Final

import structlog

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- names and owners are checked at open
_MOUNTS: Final = Path("/proc/self/mounts")
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def places_for_ring(folder: Path, ring_directory: Path | None) -> list[Path]:
    """Return the paths that the ring of the journal in *folder* may have, the best first.

    The name tells of the journal folder, so that its ring is found again and two journals do
    not meet. The last resort is the journal folder itself.
    """
    name = f"podwarden-audit-{hashlib.sha256(bytes(folder)).hexdigest()[:16]}.head"
    wanted = ring_directory or SHARED_MEMORY
    on_tmpfs = [wanted / name] if ring_directory or is_tmpfs(wanted) else []
    return [*on_tmpfs, folder / name]


def is_tmpfs(path: Path) -> bool:
    """Say whether *path* itself is the mount point of a file system that is only memory."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    kinds = {point: kind for _, point, kind, *_ in map(str.split, mounts)}
    return kinds.get(str(path)) in {"tmpfs", "ramfs"}
