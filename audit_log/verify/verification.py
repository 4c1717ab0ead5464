"""Verifies all logs of a database, in one snapshot of it.

Theory of operation. Rows are read in the order in which they lie, and the leaf of each is made
anew and put to its place (`LeafFile`). Notes give the other leaves. Tile by tile, rows, notes and
stored tiles say what the tile may be (`Tiles`), and the signed roots decide (`Solver`). Then each
place is judged that is not simply right (`Judge`).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Final

from audit_log.errors import SealFormatError
from audit_log.plurals import agreeing, counted
from audit_log.postgres.transaction import Transaction
from audit_log.seal.checkpoint import Checkpoint
from audit_log.seal.encoding import HASH_BYTES
from audit_log.seal.keys import VerifierKey
from audit_log.seal.note import Note
from audit_log.seal.policy import Policy
from audit_log.seal.tree import leaf_hash, leaf_hashes
from audit_log.verify.ages import Keeping, Kept, keeping
from audit_log.verify.evidence.anchored import Anchored
from audit_log.verify.evidence.bookmark import SOURCE, Bookmark, encoded
from audit_log.verify.evidence.signed import Checkpoints, Collector
from audit_log.verify.evidence.subjects import Subject, subjects_of
from audit_log.verify.findings import Finding, Kind, LogReport, Report
from audit_log.verify.proving.leaf_file import LeafFile
from audit_log.verify.proving.leaf_members import differing, members_of
from audit_log.verify.proving.one_log import OneLog
from audit_log.verify.stored.stored_rows import Sealed, Table, rows_at, sealed_rows
from audit_log.verify.stored.stored_seal import StoredSeal
from audit_log.verify.telling.placeless import tell_placeless
from audit_log.verify.telling.succession import followers
from audit_log.verify.telling.summing_up import Terms, sum_up
from audit_log.verify.telling.wording import Found, limited, tell_bad

OVERLAP: Final = timedelta(hours=1)
"""How far behind the last run `--since` reads again: transactions that were open then."""
MOST_LOOKED_AT: Final = 100
_OLDEST: Final = """
SELECT min(created_at) FROM mcp_audit_log
WHERE log = ANY($1::integer[]) AND created_at >= '1970-01-01Z'::timestamptz
"""
_LOG_OF: Final = attrgetter("log")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be verified, and by whose word."""

    policy: Policy
    anchored: Sequence[Anchored]
    bookmarks: Mapping[str, Bookmark]
    now: datetime
    """By the verifier's clock: the database's is not trusted."""
    kept_days: int | None = None
    silent_after: timedelta | None = None


@dataclass(slots=True)
class _Tally:
    """Rows that no known log has."""

    unknown: Counter[int]
    malformed: Counter[int]


class Verification:
    """One run. The transaction is a snapshot, and only reads."""

    def __init__(
        self, transaction: Transaction, request: Request, progress: Callable[[int, int], None]
    ) -> None:
        """*progress* is called with how much is done, and of how much."""
        self._transaction, self._request = transaction, request
        self._progress = progress
        self._done = self._total = 0
        self._seal = StoredSeal(transaction)
        self._keys: dict[str, tuple[VerifierKey, ...]] = {}
        """Of logs that have changed theirs, as the old key has signed."""
        for origin, bookmark in request.bookmarks.items():
            self._keys[origin] = tuple(map(VerifierKey.parse, bookmark.keys))

    async def run(self) -> tuple[Report, dict[str, Bookmark]]:
        """Return what was found, and up to where the next run may rely on it."""
        bookmarks = self._request.bookmarks
        while True:
            with ExitStack() as stack:
                logs, findings = await self._open(stack, bookmarks)
                tally = await self._read_rows(logs, bookmarks)
                for one in logs:
                    await one.gather(self._transaction, self._advance)
                    one.solve()
                if bookmarks and any(_has_holes(one) for one in logs):
                    bookmarks = {}  # rows may have arrived earlier than the bookmark says
                    continue
                if self._changes_keys(logs):
                    continue
                return await self._tell(logs, [*findings, *_of(tally)], bookmarks)

    async def _open(
        self, stack: ExitStack, bookmarks: Mapping[str, Bookmark]
    ) -> tuple[list[OneLog], list[Finding]]:
        """Return the logs, with room for their leaves, and what is wrong with others."""
        request = self._request
        found = subjects_of(request.policy, await self._seal.logs(), request.anchored)
        logs = []
        for subject in found.known:
            bookmark = bookmarks.get(subject.origin)
            checkpoints = await self._checkpoints(subject, bookmark)
            base = bookmark.tree.size if bookmark else 0
            known = bookmark.leaves if bookmark else b""
            size = max(checkpoints.size, base + len(known) // HASH_BYTES)
            leaves = stack.enter_context(LeafFile(base, size, known))
            logs.append(OneLog(subject, checkpoints, leaves, bookmark))
        self._done, self._total = 0, 2 * sum(one.leaves.size - one.leaves.base for one in logs)
        return logs, found.findings

    async def _checkpoints(self, subject: Subject, bookmark: Bookmark | None) -> Checkpoints:
        base = bookmark.proved if bookmark else 0
        anchored = [
            anchor
            for anchor in self._request.anchored
            if (checkpoint := _checkpoint(anchor.note)) is not None
            and checkpoint.origin == subject.origin
            and checkpoint.size >= base
        ]
        if bookmark is not None:
            anchored.append(Anchored(Note.parse(bookmark.note), SOURCE, bookmark.seen_at))
        keys = dict.fromkeys((*subject.keys, *self._keys.get(subject.origin, ())))
        return Collector(tuple(keys), self._request.policy).collect(
            await self._seal.checkpoints(subject.log, base),
            anchored,
            await self._seal.receipts(subject.log, base),
        )

    async def _read_rows(
        self, logs: Sequence[OneLog], bookmarks: Mapping[str, Bookmark]
    ) -> _Tally:
        by_log = {one.subject.log: one for one in logs}
        tally = _Tally(Counter(), Counter())
        for table in Table:
            async for rows in sealed_rows(self._transaction, table, self._since(logs, bookmarks)):
                for log, of_log in groupby(sorted(rows, key=_LOG_OF), key=_LOG_OF):
                    _put(by_log.get(log), list(of_log), tally)
                self._advance(len(rows))
        return tally

    def _since(self, logs: Sequence[OneLog], bookmarks: Mapping[str, Bookmark]) -> datetime | None:
        """Return from when on rows are new; None if those of some log are all new."""
        times = [
            bookmarks[one.subject.origin].arrived_at
            for one in logs
            if one.subject.origin in bookmarks
        ]
        return min(times) - OVERLAP if times and len(times) == len(logs) else None

    def _advance(self, places: int) -> None:
        self._done = min(self._done + places, self._total)
        self._progress(self._done, self._total)

    def _changes_keys(self, logs: Sequence[OneLog]) -> bool:
        """Take the keys that logs have changed to; say whether there are new ones."""
        is_new = False
        for one in logs:
            known = self._keys.get(one.subject.origin, ())
            new = [key for key in one.following_keys() if key not in (*known, *one.subject.keys)]
            if new:
                self._keys[one.subject.origin] = (*known, *new)
                is_new = True
        return is_new

    async def _tell(
        self, logs: list[OneLog], findings: list[Finding], bookmarks: Mapping[str, Bookmark]
    ) -> tuple[Report, dict[str, Bookmark]]:
        now = self._request.now
        terms = Terms(
            now,
            await self._keeping(logs, now),
            self._request.silent_after,
            await self._seal.is_replica(),
        )
        reports = []
        leaves: dict[int | None, LeafFile] = {one.subject.log: one.leaves for one in logs}
        for one in logs:
            await one.judge_all(self._transaction, terms.keeping, leaves)
        following = followers(logs)
        for one in logs:
            report = sum_up(one, terms, following.get(one.subject.origin))
            report.findings += tell_bad(one.judge.found, await self._look_at(one))
            report.findings = limited(report.findings)
            reports.append(report)
        since = self._since(logs, bookmarks)
        remarks = await tell_placeless(self._transaction, logs, reports, since)
        return Report(at=now, logs=reports, findings=findings, remarks=remarks), {
            one.subject.origin: bookmark
            for one, told in zip(logs, reports, strict=True)
            if (bookmark := _bookmark(one, told, now)) is not None
        }

    async def _keeping(self, logs: Sequence[OneLog], now: datetime) -> Keeping:
        numbers = [one.subject.log for one in logs]
        row = await self._transaction.fetch_row(_OLDEST, numbers)
        oldest = row[0] if row is not None else None
        signed = [kept for one in logs for kept in one.kept()]
        for one in logs:
            if one.bookmark is not None:
                signed += [Kept(*kept) for kept in one.bookmark.kept]
        return keeping(
            int(now.timestamp()),
            self._request.kept_days,
            signed,
            None if oldest is None else int(oldest.timestamp()),
        )

    async def _look_at(self, one: OneLog) -> dict[int, list[Found]]:
        """Return what the tables hold at the bad places, and how it differs from notes."""
        places = [bad.place for bad in one.judge.found.bad[:MOST_LOOKED_AT]]
        found: dict[int, list[Found]] = {}
        if not places:
            return found
        notes = {}
        for place in places:
            for note in await self._seal.notes(one.subject.log, place, place + 1):
                notes[place, leaf_hash(note.data.encode())] = note.data
        signed = {bad.place: bad.sealed for bad in one.judge.found.bad}
        for table in Table:
            for sealed in await rows_at(self._transaction, table, one.subject.log, places):
                place = sealed.place or 0
                data = notes.get((place, signed[place] or b""))
                differences = differing(members_of(data), members_of(sealed.data)) if data else ()
                found.setdefault(place, []).append(Found(table, sealed.id, differences))
        return found


def _put(one: OneLog | None, rows: list[Sealed], tally: _Tally) -> None:
    """Put *rows*, all of one log, to their places."""
    if one is None:
        tally.unknown[rows[0].log] += len(rows)
        return
    start, size = one.leaves.start, one.leaves.size
    placed = [row for row in rows if row.place is not None and start <= row.place < size]
    twice = one.leaves.put_rows(
        [row.place or 0 for row in placed],
        leaf_hashes(row.data for row in placed),
        [row.seconds for row in placed],
    )
    for place, leaf in twice:
        one.noting.other(place, leaf)
    if len(placed) == len(rows):
        return
    for row in rows:
        if row.place is None or row.place < 0:
            tally.malformed[row.log] += 1
        elif row.place >= size:
            one.beyond.add(row.place, row.seconds, size)


def _of(tally: _Tally) -> list[Finding]:
    unknown = [
        Finding(
            kind=Kind.UNKNOWN_LOG,
            what=agreeing(
                count,
                f"{counted(count, 'row')} [names|name] the log {log}, which neither the policy nor"
                " an anchor knows",
            ),
        )
        for log, count in sorted(tally.unknown.items())
    ]
    return unknown + [
        Finding(
            kind=Kind.INSERTED,
            what=agreeing(
                count, f"{counted(count, 'row')} [names|name] the log {log}, but no place in it"
            ),
        )
        for log, count in sorted(tally.malformed.items())
    ]


def _has_holes(one: OneLog) -> bool:
    """Say whether anything is missing among the places that a bookmark calls new."""
    return one.bookmark is not None and 0 in one.leaves.marks


def _checkpoint(note: Note) -> Checkpoint | None:
    try:
        return Checkpoint.parse(note.text)
    except SealFormatError:
        return None


def _bookmark(one: OneLog, report: LogReport, now: datetime) -> Bookmark | None:
    """Return up to where *one* is verified; the old bookmark if anything was found."""
    proved = one.solution.proved
    # One that only an anchor has yet would be missed by the next run.
    notes = [
        c
        for c in one.checkpoints.signed
        if c.checkpoint.size == proved and c.arrived_at is not None
    ]
    if report.findings or not notes:
        return one.bookmark
    edge = one.solution.edge
    parts, leaves = encoded(edge, one.leaves.leaves(edge.size, proved))
    arrived = notes[-1].arrived_at
    earlier = one.bookmark.kept if one.bookmark is not None else []
    return Bookmark(
        proved=proved,
        edge=parts,
        open=leaves,
        note=str(notes[-1].note),
        seen_at=now,
        arrived_at=now if arrived is None else min(arrived, now),
        begun=one.begun(),
        newest=0 if (newest := one.newest_leaf()) is None else int(newest.timestamp()),
        unsealed=one.unsealed,
        left=one.left(),
        keys=[str(key) for key in one.following_keys()],
        kept=[*earlier, *((kept.since, kept.days) for kept in one.kept())],
    )
