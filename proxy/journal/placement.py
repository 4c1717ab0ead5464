"""Where the head lies: on tmpfs if possible, because no disk can stall or fail it there."""

import hashlib
from pathlib import Path
from typing import Final

import structlog

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- names and owners are checked at open
_MOUNTS: Final = Path("/proc/self/mounts")
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def places_for_ring(directory: Path, head_directory: Path | None) -> list[Path]:
    """Return the paths that the head of the journal in *directory* may have, the best first.

    The name tells of the journal directory, so that its head is found again and two journals do
    not meet. The last resort is the journal directory itself.
    """
    name = f"podwarden-audit-{hashlib.sha256(bytes(directory)).hexdigest()[:16]}.head"
    wanted = head_directory or SHARED_MEMORY
    on_tmpfs = [wanted / name] if head_directory or is_tmpfs(wanted) else []
    return [*on_tmpfs, directory / name]


def is_tmpfs(path: Path) -> bool:
    """Say whether *path* itself is the mount point of a file system that is only memory."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    kinds = {point: kind for _, point, kind, *_ in map(str.split, mounts)}
    return kinds.get(str(path)) in {"tmpfs", "ramfs"}
