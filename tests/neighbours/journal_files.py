"""What a journal leaves on tmpfs and on disk, as a kill, a copy or an older version leaves it."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from audit_log.record import AuditRecord
from proxy.journal import Intake, Journal, Limits, open_journal
from proxy.journal.ring_header import FOLDER_ID, HEADER_BYTES
from proxy.journal.rings.placement import old_ring_name
from tests.neighbours.journal import SMALL, a_record, until

NOTHING_MOVES = Limits(ring_bytes=SMALL.ring_bytes, segment_bytes=1, max_bytes=1)


@dataclass(frozen=True, slots=True)
class JournalFiles:
    """A journal folder, and the directory of its ring."""

    folder: Path
    ring: Path

    @property
    def rings(self) -> list[Path]:
        return sorted(self.ring.glob("*.head"))

    @asynccontextmanager
    async def opened(self, **changes: object) -> AsyncIterator[tuple[Intake, Journal]]:
        """Open the journal; see `open_journal`."""
        values = {"instance": "sidecar-1", "ring_directory": self.ring, "limits": SMALL, **changes}
        async with open_journal(self.folder, **values) as (intake, journal):  # type: ignore[arg-type]
            yield intake, journal

    async def killed_with(self, count: int, *, moved: bool = True) -> list[AuditRecord]:
        """Leave *count* records as a kill does, not *moved* to disk if it has no room."""
        records = [a_record(number) for number in range(count)]
        async with self.opened(limits=SMALL if moved else NOTHING_MOVES) as (intake, _journal):
            for record in records:
                assert intake.offer(record)
            await until(lambda: not moved or not intake.ring_bytes_in_use)
            self.keep()
        self.put_back()
        return records

    @property
    def _kept(self) -> Path:
        return self.folder.with_name("kept")

    def keep(self) -> None:
        """Keep what a kill at this moment leaves."""
        copy(self.folder, self._kept / "journal")
        copy(self.ring, self._kept / "ring")

    def put_back(self) -> None:
        """Put what was kept where it was."""
        for name, place in (("journal", self.folder), ("ring", self.ring)):
            empty(place)
            shutil.copytree(self._kept / name, place, dirs_exist_ok=True)
        shutil.rmtree(self._kept)

    def as_before_0_2(self) -> None:
        """Leave the files as a sidecar of an earlier version does: without ids."""
        (self.folder / "id").unlink()
        for name in ("position.json", "end.json"):
            mark = self.folder / name
            if mark.exists():
                said = json.loads(mark.read_bytes())
                mark.write_text(json.dumps({key: said[key] for key in ("offset", "number")}))
        for ring in self.rings:
            with ring.open("r+b") as file:
                file.seek(8 * FOLDER_ID)
                file.write(bytes(HEADER_BYTES - 8 * FOLDER_ID))
            old = ring.with_name(old_ring_name(self.folder))
            ring.with_suffix(".calls").rename(old.with_suffix(".calls"))
            ring.rename(old)


def empty(folder: Path) -> None:
    """Remove everything in *folder*, in which a journal may be writing."""
    for path in folder.iterdir():
        if path.is_dir():
            remove(path)
        else:
            path.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Remove *folder*, in which a journal may be writing."""
    while folder.exists():
        with suppress(OSError):  # a file came or went meanwhile
            shutil.rmtree(folder)
            return


def copy(folder: Path, target: Path) -> None:
    """Copy *folder*, in which a journal may be writing, to *target*."""
    while True:
        shutil.rmtree(target, ignore_errors=True)
        with suppress(shutil.Error):  # a file went meanwhile
            shutil.copytree(folder, target)
            return
