"""Puts notes beside rows: what gives the leaf of a place, and whether the two agree."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from audit_log.postgres.transaction import Transaction
from audit_log.record import Outcome
from audit_log.seal.places import is_times
from audit_log.seal.tree import leaf_hash
from audit_log.verify.proving.leaf_file import CLASH, NO_LINE, ROW, LeafFile, Noted
from audit_log.verify.proving.leaf_members import (
    Identity,
    Members,
    differing,
    gives_way,
    identity_of,
    is_named,
    kind_of,
    members_of,
    moment_of,
)
from audit_log.verify.roots import TILE
from audit_log.verify.stored.stored_rows import Sealed, Table, rows_by_id
from audit_log.verify.stored.stored_seal import StoredNote

MOST_OTHERS: Final = 100_000
"""Places of a log of which several things are remembered."""
_TABLES: Final = {Noted.ENTRY: Table.ENTRIES, Noted.TOOL_CALL: Table.TOOL_CALLS}
_OUTCOME_AT: Final = {Noted.ENTRY: 6, Noted.TOOL_CALL: 4}
_LASTING_AT: Final = (1, 2, 7)
"""Id, time and instance."""
_INTERRUPTED: Final = Outcome.INTERRUPTED.value


@dataclass(slots=True)
class Noting:
    """What is known of one log's notes."""

    others: defaultdict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    """By place: what a row or another note says there beside what was taken."""
    named_later: int = 0
    written_later: int = 0
    interim: int = 0
    """Versions of tool calls and entries that are not the row's."""
    no_row: set[int] = field(default_factory=set)
    """Places of noted entries and tool calls that no row stands for."""
    elsewhere: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Places of noted versions, with log and place of the row of their id: there it is proved."""
    stale: set[int] = field(default_factory=set)
    """Places of noted versions that the row of their id should have given way to."""
    unnumbered: int = 0
    """Notes of places that the log has not, or that say nothing."""

    def other(self, place: int, leaf: bytes) -> None:
        """Remember what else is said of *place*."""
        if len(self.others) < MOST_OTHERS:
            self.others[place].append(leaf)


@dataclass(slots=True)
class _Question:
    """A note whose row has to be looked at."""

    place: int
    members: Sequence[object]
    leaf: bytes
    kind: Noted
    identity: Identity


def put_runs(leaves: LeafFile, runs: Sequence[StoredNote], to: Noting) -> None:
    """Put the notes of several places into *leaves*, as far as they lie in it."""
    for run in runs:
        kind, leaf = kind_of(members_of(run.data)), leaf_hash(run.data.encode())
        if kind in NO_LINE:
            for place in _places_of(run, leaves.start, leaves.size):
                own = leaves.leaf(place)
                if own is not None and own != leaf:
                    to.other(place, own)
                leaves.put_note(place, leaf, kind)


def _places_of(run: StoredNote, start: int, end: int) -> Iterator[int]:
    """Yield the places from *start* to *end* that a note of several lines stands for."""
    lines, place = run.lines, run.place
    if place < start:
        lines -= (start - place) - (start // TILE - place // TILE)
        place = start
    while lines > 0 and place < end:
        if not is_times(place):
            lines -= 1
            yield place
        place += 1


async def put_notes(
    transaction: Transaction, log: int, leaves: LeafFile, notes: Sequence[StoredNote], to: Noting
) -> None:
    """Put the notes of single places into *leaves*; look at the rows of those that differ."""
    questions, refused = [], list[_Question]()
    quarantined = _quarantined(notes)
    for note in notes:
        members = members_of(note.data)
        kind, leaf = kind_of(members), leaf_hash(note.data.encode())
        if leaf.hex() in quarantined.get(note.place, ()):
            identity = identity_of(members) if kind in _TABLES else None
            question = _question(note.place, members, (kind, leaf), identity)
            refused += [] if question is None else [question]
            continue
        question = _put(leaves, note.place, members, (kind, leaf), to)
        if question is not None:
            questions.append(question)
        moment = moment_of(kind, members)
        at = note.place - leaves.base
        if moment is not None and not leaves.seconds[at]:
            leaves.seconds[at] = min(max(0, int(moment.timestamp())), 0xFFFFFFFF)
    for kind in _TABLES:
        asked = [question for question in questions if question.kind is kind]
        if asked:
            await _look(transaction, log, leaves, asked, to)
        asked = [
            question
            for question in refused
            if question.kind is kind
            and leaves.mark(question.place) & CLASH
            # Else what is sealed there is another line than the quarantined one.
            and leaves.leaf(question.place) == quarantined[question.place][question.leaf.hex()]
        ]
        if asked:
            await _look_at_refused(transaction, log, leaves, asked, to)


def _quarantined(notes: Sequence[StoredNote]) -> dict[int, dict[object, bytes]]:
    """Return, by place, the leaves of quarantined lines, by the hash in hex that each holds.

    Several notes may say so of one place: the database is not trusted.
    """
    found: dict[int, dict[object, bytes]] = {}
    for note in notes:
        match members_of(note.data):
            case ["quarantined", str(held), *_]:
                found.setdefault(note.place, {})[held] = leaf_hash(note.data.encode())
    return found


async def _look_at_refused(
    transaction: Transaction, log: int, leaves: LeafFile, asked: list[_Question], to: Noting
) -> None:
    """Accept rows that were refused at first, and were replayed with the name of their token."""
    by_place = await _rows_of(transaction, log, asked)
    for question in asked:
        row = by_place.get(question.place)
        if row is not None and not differing(question.members, members_of(row.data)):
            leaves.marks[question.place - leaves.base] &= ~CLASH
            to.others.pop(question.place, None)
            to.written_later += 1


async def _rows_of(
    transaction: Transaction, log: int, asked: list[_Question]
) -> dict[int | None, Sealed]:
    """Return the rows of *log* that are asked for, by their places."""
    ids = [question.identity.id for question in asked]
    moments = [question.identity.created_at for question in asked]
    found = await rows_by_id(transaction, _TABLES[asked[0].kind], ids, moments)
    return {row.place: row for row in found if row.log == log}


def _put(
    leaves: LeafFile,
    place: int,
    members: Sequence[object],
    said: tuple[Noted, bytes],
    to: Noting,
) -> _Question | None:
    """Put one note; return it if its row has to be looked at."""
    kind, leaf = said
    mark, own = leaves.mark(place), leaves.leaf(place)
    identity = identity_of(members) if kind in _TABLES else None
    if leaves.noted(place) is not Noted.NOTHING:
        if own != leaf:
            to.other(place, leaf)
            leaves.marks[place - leaves.base] |= CLASH
        return None
    if not mark & ROW or own is None or own == leaf:
        leaves.put_note(place, leaf, kind)
        return _question(place, members, said, identity) if not mark & ROW else None
    if kind is Noted.QUARANTINED and members[1:] == [own.hex()]:
        to.written_later += 1
        leaves.put_note(place, leaf, kind)
    elif kind in NO_LINE:
        to.other(place, own)
        leaves.put_note(place, leaf, kind)
    elif identity is not None:
        to.other(place, own)
        leaves.put_note(place, leaf, kind, clashes=True)
        return _question(place, members, said, identity)
    else:
        to.other(place, own)
        leaves.put_note(place, leaf, kind, clashes=True)
    return None


def _question(
    place: int, members: Sequence[object], said: tuple[Noted, bytes], identity: Identity | None
) -> _Question | None:
    if identity is None:
        return None
    return _Question(place, members, said[1], said[0], identity)


async def _look(
    transaction: Transaction, log: int, leaves: LeafFile, asked: list[_Question], to: Noting
) -> None:
    """Look at the rows of notes of one kind: named later, or another version, or altered."""
    table = _TABLES[asked[0].kind]
    ids = [question.identity.id for question in asked]
    found = await rows_by_id(
        transaction, table, ids, [question.identity.created_at for question in asked]
    )
    by_place = {row.place: row for row in found if row.log == log}
    by_id = {
        identity.id: (row, members)
        for row in found
        if (identity := identity_of(members := members_of(row.data))) is not None
    }
    for question in asked:
        row = by_place.get(question.place)
        if row is not None and not differing(question.members, members_of(row.data)):
            _accept(leaves, question, row, to)
        elif not leaves.mark(question.place) & ROW:
            other, version = by_id.get(question.identity.id, (None, ()))
            if other is None or not _stands_for(other, version, question, log):
                to.no_row.add(question.place)
            elif question.kind is Noted.TOOL_CALL and gives_way(version, question.members):
                to.stale.add(question.place)
            else:
                to.interim += 1
                if other.place is not None:
                    to.elsewhere[question.place] = other.log, other.place


def _stands_for(row: Sealed, version: Members, question: _Question, log: int) -> bool:
    """Say whether *row* may be what became of the noted line, of which it has the id.

    A row of this log has to be proved at its own place. Another one goes on with a call that this
    log has seen unfinished, and is of its instance, by which rows without a place are judged.
    """
    if row.log == log and row.place is not None:
        return True
    said, outcome = question.members, _OUTCOME_AT[question.kind]
    goes_on = said[outcome] == _INTERRUPTED != version[outcome] or (
        question.kind is Noted.TOOL_CALL and gives_way(said, version)
    )
    return goes_on and all(said[at] == version[at] for at in _LASTING_AT)


def _accept(leaves: LeafFile, question: _Question, row: Sealed, to: Noting) -> None:
    """Take the note of a row that has got a name since."""
    if leaf_hash(row.data) == question.leaf:
        return
    leaves.put_note(question.place, question.leaf, question.kind)
    leaves.marks[question.place - leaves.base] &= ~CLASH
    to.others.pop(question.place, None)
    to.named_later += is_named(members_of(row.data))
