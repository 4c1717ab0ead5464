"""An anchor in a folder, best on another volume: the newest checkpoint, and one of each hour."""

from datetime import UTC, datetime
from pathlib import Path

from audit_log.process.disk_thread import DiskThread
from audit_log.process.sealing.checkpoint_file import ContradictedError, keep_in
from proxy.seal.anchors.anchor import (
    AnchorAwayError,
    Anchored,
    AnchorRefusedError,
    Offer,
)


class FileAnchor:
    """Writes checkpoints into *folder*, in a thread: the volume may hang."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_made = False
        self._thread: DiskThread | None = None

    async def anchor(self, offer: Offer) -> Anchored:
        """Write the checkpoint to disk; see `Anchor.anchor`."""
        if self._thread is None:
            self._thread = DiskThread("anchor-file")
        now = datetime.now(UTC)
        try:
            path = await self._thread.submit(self._keep, offer, now.timestamp())
        except OSError as error:
            raise AnchorAwayError(f"{self._folder} cannot be written: {error.strerror}") from None
        return Anchored(str(path), now)

    async def close(self) -> None:
        """Let the thread end."""
        if self._thread is not None:
            self._thread.end()

    def _keep(self, offer: Offer, now: float) -> Path:
        # Once, and again only after a failure: a folder that is being removed is left alone. Its
        # parents are never made: they may be where a volume is not mounted.
        if not self._is_made:
            self._folder.mkdir(exist_ok=True)
            self._is_made = True
        try:
            return keep_in(self._folder, offer.checkpoint, offer.note, now)
        except FileNotFoundError:
            self._is_made = False
            raise
        except ContradictedError as error:
            raise AnchorRefusedError(str(error)) from None
