"""Where the ring lies: on tmpfs if possible, where no disk can stall or fail."""

import hashlib
import os
import re
from pathlib import Path
from typing import Final

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- names and owners are checked at open
_MOUNTS: Final = Path("/proc/self/mounts")
_MOUNT_DETAILS: Final = Path("/proc/self/mountinfo")
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


def place_of(folder: Path) -> int:
    """Return a number for where *folder* lies: its device and its path on that device.

    It stays when the folder is removed and made again. Two containers with a volume each at the
    same path have two numbers. 0 when it cannot be told.
    """
    found = ("", "")
    try:
        mounts = _MOUNT_DETAILS.read_bytes().splitlines()
    except OSError:
        return 0
    for _, _, device, root, point, *_ in map(bytes.split, mounts):
        # Blanks and the like are written as octal numbers (proc(5)).
        there = os.fsdecode(re.sub(rb"\\(\d{3})", lambda code: bytes([int(code[1], 8)]), point))
        # The last of several mounts at one point is the one that is seen.
        if folder.is_relative_to(there) and len(there) >= len(found[0]):
            on_device = Path(os.fsdecode(root)) / folder.relative_to(there)
            found = there, f"{os.fsdecode(device)} {on_device}"
    return int.from_bytes(hashlib.sha256(os.fsencode(found[1])).digest()[:7], "big")
