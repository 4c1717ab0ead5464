"""Sealed logs as sidecars write them: rows, notes, tiles and checkpoints, in a real PostgreSQL."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec

from audit_log.postgres.database import Database
from audit_log.postgres.store import Store
from audit_log.record import AuditRecord, Event, Gap, Invocation, ToolOutcome, new_record_id
from audit_log.seal.checkpoint import Checkpoint, sign_checkpoint
from audit_log.seal.keys import SignerKey
from audit_log.seal.leaf import (
    MISSING,
    UNSEALED,
    VOID,
    entry_leaves,
    event_leaf,
    gap_leaf,
    quarantined_leaf,
    tool_call_leaf,
)
from audit_log.seal.places import LINES_PER_TILE, log_of
from audit_log.seal.stored import SealCheckpoint, Sealed, SealLog, SealNote, SealTile
from audit_log.seal.times import times_leaf
from audit_log.seal.tree import Tree, leaf_hash
from tests.neighbours.growing_tiles import GrowingTiles
from tests.neighbours.records import a_record, a_tool_call


class SealedLog:
    """One sidecar's log. Lines are added, then stored with `store`."""

    def __init__(
        self,
        instance: str = "sidecar-1",
        *,
        begun: datetime | None = None,
        sink: str = "postgres",
    ) -> None:
        self.instance = instance
        self.origin = f"podwarden-audit/{quote(instance, safe='')}/{uuid4().hex[:16]}"
        self.key = SignerKey.new(self.origin)
        self.log = log_of(self.origin)
        self.now = begun or datetime.now(UTC) - timedelta(hours=2)
        self.tree = Tree()
        self._tiles = GrowingTiles(self.tree, {})
        self._seconds: list[int] = []
        self.records: list[AuditRecord] = []
        self.invocations: list[Invocation] = []
        self.gaps: list[Gap] = []
        self.parts: list[Sealed] = [SealLog(self.log, self.origin, self.vkey, instance, 1)]
        self.checkpoints: list[SealCheckpoint] = []
        self.event("start", {"sink": sink})

    @property
    def size(self) -> int:
        return self.tree.size

    @property
    def vkey(self) -> str:
        return str(self.key.verifier)

    def take_over(self, other: "SealedLog") -> None:
        """Be a second history of *other*, signed by its key."""
        self.origin, self.key, self.log = other.origin, other.key, other.log
        self.parts[0] = SealLog(self.log, self.origin, self.vkey, self.instance, 1)
        self.parts[1:] = [msgspec.structs.replace(part, log=self.log) for part in self.parts[1:]]

    def entry(self, *, is_stored: bool = True, **values: Any) -> AuditRecord:
        """Add an entry; most have different values in all columns."""
        at = values.pop("created_at", None) or self._tick()
        values = {"instance": self.instance, "duration_ms": 1.25, **values}
        record = a_record(created_at=at, log=self.log, seq=self.size, **values)
        [data] = entry_leaves([record])  # type: ignore[list-item] # the same members
        if record.token_name is None:
            self._note(data)
        if is_stored:
            self.records.append(record)
        self._leaf(data, at)
        return record

    def full_entry(self) -> AuditRecord:
        """Add an entry that has a value in each column."""
        number = self.size
        return self.entry(
            token_id=uuid4(),
            token_name=f"laptop {number % 5}",
            method=random.choice(["GET", "POST", "DELETE"]),
            path=f'/api/v1/hosts/{number}/é"\\',
            status_code=random.choice([200, 404, 500]),
            duration_ms=round(random.random() * 1_000, 3),
            client_ip=random.choice(["10.1.2.3", "2001:db8::1", "::ffff:1.2.3.4"]),
            user_agent="python-httpx/0.28",
            tool="list_clusters",
            invocation_id=uuid4(),
            attribution="exact",
            request_id=f"req-{number}",
        )

    def quarantine(self, record: AuditRecord | None = None) -> AuditRecord:
        """Add an entry that the store refused."""
        at = self._tick()
        record = record or a_record(
            created_at=at, instance=self.instance, log=self.log, seq=self.size
        )
        [data] = entry_leaves([record])  # type: ignore[list-item]
        quarantined = quarantined_leaf(leaf_hash(data))
        self._note(quarantined)
        self._leaf(quarantined, at)
        return record

    def note_refused(self, record: AuditRecord) -> None:
        """Note what an entry said that the store will refuse, as is done of one without a name."""
        [data] = entry_leaves([record])  # type: ignore[list-item]
        self._note(data)

    def tool_call(self, **values: Any) -> Invocation:
        """Add a version of a tool call; one that has not ended is a note too."""
        at = self._tick()
        values = {"instance": self.instance, "duration_ms": 12.5, "created_at": at, **values}
        call = a_tool_call(log=self.log, seq=self.size, **values)
        data = tool_call_leaf(call)
        if not ToolOutcome(call.outcome).is_ending:
            self._note(data)
        self.invocations.append(call)
        self._leaf(data, at)
        return call

    def gap(self, **values: Any) -> Gap:
        at = self._tick()
        values = {"count": 3, "reason": "journal_full", "instance": self.instance, **values}
        gap = Gap(
            id=new_record_id(),
            started_at=at,
            ended_at=at,
            log=self.log,
            seq=self.size,
            **values,
        )
        self.gaps.append(gap)
        self._leaf(gap_leaf(gap), at)
        return gap

    def event(self, name: str, details: dict[str, str]) -> None:
        at = self._tick()
        data = event_leaf(Event(id=new_record_id(), at=at, name=name, details=details))
        self._note(data)
        self._leaf(data, at)

    def lines(self, data: bytes, count: int) -> None:
        """Add lines that are missing, void or unsealed: one note stands for all."""
        assert data in {MISSING, VOID, UNSEALED}
        self.parts.append(SealNote(self.log, self.size, count, data.decode()))
        for _ in range(count):
            self._leaf(data, self.now)

    def many(self, count: int) -> None:
        """Add entries, of which every tenth is late; some tool calls and gaps between them."""
        for number in range(count):
            if number % 97 == 13:
                self.tool_call()
            elif number % 211 == 17:
                self.gap()
            elif number % 10 == 9:
                self.entry(created_at=self._tick() - timedelta(seconds=random.randint(1, 300)))
            else:
                self.full_entry()
            if number % 50 == 49:
                self.checkpoint()

    def checkpoint(self, *keys: SignerKey) -> str:
        """Sign what is there, to be stored with the rest."""
        note = str(self.signed(*keys))
        self.checkpoints.append(SealCheckpoint(self.log, self.size, note))
        return note

    def signed(self, *keys: SignerKey) -> Any:
        checkpoint = Checkpoint(self.origin, self.size, self.tree.root())
        return sign_checkpoint(checkpoint, *(keys or (self.key,)))

    async def store(self, database: Database) -> None:
        """Store what was added since the last time, in no order."""
        store = Store(database)
        random.shuffle(self.records)
        await store.append(self.records)
        for call in self.invocations:
            await store.append_invocations([call])
        await store.append_gaps(self.gaps)
        await store.append_sealed([*self.parts, *self.checkpoints])
        for added in (self.records, self.invocations, self.gaps, self.parts, self.checkpoints):
            added.clear()

    def _tick(self) -> datetime:
        self.now += timedelta(milliseconds=random.randint(50, 150))
        return self.now

    def _note(self, data: bytes) -> None:
        self.parts.append(SealNote(self.log, self.size, 1, data.decode()))

    def _leaf(self, data: bytes, at: datetime) -> None:
        self._append(data)
        self._seconds.append(int(at.timestamp()))
        if len(self._seconds) == LINES_PER_TILE:
            times = times_leaf(self._seconds)
            self._note(times)
            self._append(times)
            self._seconds.clear()

    def _append(self, data: bytes) -> None:
        full = self._tiles.add(self.tree.append([leaf_hash(data)]))
        self.parts += [
            SealTile(self.log, tile.level, tile.index, hashes) for tile, hashes in full.items()
        ]


def write_policy(path: Path, logs: Iterable[SealedLog], *lines: str, quorum: str = "none") -> Path:
    path.write_text(
        "".join(f"log {log.vkey}\n" for log in logs)
        + "".join(f"{line}\n" for line in lines)
        + f"quorum {quorum}\n"
    )
    return path


def write_anchor(directory: Path, logs: Iterable[SealedLog]) -> Path:
    """Keep the newest checkpoint of each log in a file of its own."""
    directory.mkdir(exist_ok=True)
    for log in logs:
        (directory / f"{log.log & 0xFFFFFFFF:08x}").write_text(str(log.signed()))
    return directory
