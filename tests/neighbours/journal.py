"""Records and journals for tests."""

import asyncio
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from audit_log.record import AuditRecord, Gap, Outcome, new_record_id
from proxy.journal import Batch, Journal, Limits
from tests.neighbours.records import as_records

SMALL = Limits(ring_bytes=128 * 1024, segment_bytes=64 * 1024, max_bytes=1024 * 1024)
"""A journal that turns over within a few hundred records."""
BEGINNING = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def a_record(number: int = 0, **changes: Any) -> AuditRecord:
    values = {
        "id": new_record_id(),
        "created_at": BEGINNING + timedelta(seconds=number),
        "method": "GET",
        "path": f"/api/v1/clusters/{number}",
        "status_code": 200,
        "outcome": Outcome.COMPLETED,
        "instance": "sidecar-1",
        "token_name": "ci deploy",
        **changes,
    }
    return AuditRecord(**values)


def interrupted(record: AuditRecord) -> AuditRecord:
    """The record of a call as the handler hands it to `begin`."""
    values = {name: getattr(record, name) for name in record.__struct_fields__}
    return AuditRecord(**{**values, "status_code": 0, "outcome": Outcome.INTERRUPTED})


async def everything(journal: Journal, seconds: float = 20) -> tuple[list[AuditRecord], list[Gap]]:
    """Read and commit until nothing is left, as the writer does."""
    records: list[AuditRecord] = []
    gaps: list[Gap] = []
    async with asyncio.timeout(seconds):
        while journal.has_unwritten:
            batch = await journal.read()
            assert isinstance(batch, Batch)
            records += as_records(batch.records)
            gaps += batch.gaps
            journal.commit(batch)
    return records, gaps


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for what no event tells of: what the journal's threads do on their own."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def stall_disk(folder: Path) -> Callable[[], None]:
    """Let the first write to an open journal hang; return what lets the disk come back.

    Opening a pipe to write waits until somebody opens it to read: a system call that hangs, as
    it does on a dead disk, on any machine and for any user.
    """
    pipe = folder / f"{0:020d}.ndjson"
    os.mkfifo(pipe)

    def come_back() -> None:
        if pipe.is_fifo():
            os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))

    return come_back


@contextmanager
def file_size_limited(size: int) -> Iterator[None]:
    """A disk quota of the process: what is written beyond *size* is refused half-way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.ndjson"))


@contextmanager
def shared_memory() -> Iterator[Path]:
    """A folder on tmpfs that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="journal-test-", dir="/dev/shm") as folder:
        yield Path(folder)
