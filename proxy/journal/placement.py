"""Where the ring lies: on tmpfs if possible, where no disk can stall or fail."""

import hashlib
from pathlib import Path
from typing import Final

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- names and owners are checked at open
_MOUNTS: Final = Path("/proc/self/mounts")
# Called ".head" on disk since the first version: a new name would lose the ring of an update.
_NAME: Final = "podwarden-audit-{}.head"
RING_PATTERN: Final = _NAME.format("*")


def ring_directories(folder: Path, wanted: Path | None) -> list[Path]:
    """Return where the ring of the journal in *folder* may lie, the best place first.

    The last resort is the journal folder itself.
    """
    if wanted is not None:
        return [wanted, folder]
    return [SHARED_MEMORY, folder] if is_tmpfs(SHARED_MEMORY) else [folder]


def ring_names(folder_id: int, identity: int) -> list[str]:
    """Return the names for the ring *identity* of the folder *folder_id*, the best first.

    The second is for a first that is taken: by a ring that cannot be moved away, or by the ring
    of a copy of the folder.
    """
    name = f"{folder_id:016x}"
    return [_NAME.format(name), _NAME.format(f"{name}-{identity:016x}")]


def old_ring_name(folder: Path) -> str:
    """Return how versions before 0.2 named the ring of *folder*: by the path alone."""
    return _NAME.format(hashlib.sha256(bytes(folder)).hexdigest()[:16])


def is_tmpfs(path: Path) -> bool:
    """Return whether *path* itself is the mount point of a file system in memory."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    kinds = {point: kind for _, point, kind, *_ in map(str.split, mounts)}
    return kinds.get(str(path)) in {"tmpfs", "ramfs"}
