"""Reads what has arrived since the last read, exactly: no record is lost or returned twice.

Theory of operation. Neither a time nor a sequence number can say what a reader has seen: after an
outage, records of an hour ago arrive now, and of two transactions the one that began first may
commit last. A snapshot of PostgreSQL can: it says of every transaction whether its rows were
visible. The column `appended_in` names the transaction that wrote a record.

So a reader's position is a `Snapshot`. What has arrived since is what the current snapshot shows
and the reader's does not. If that is more than one batch, the reader keeps both snapshots and the
place of the last record read (`Standpoint`) until it has read everything between them; then the
newer snapshot becomes its position.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final, Generic

import msgspec

from audit_log.errors import StoreUnavailableError
from audit_log.filters import EVERYTHING, TimeFilter
from audit_log.postgres.conditions import Arguments, conditions_of
from audit_log.postgres.database import Database
from audit_log.postgres.reading.sources import Source, Told
from audit_log.postgres.rows import Place
from audit_log.postgres.transaction import Transaction

CHANNEL: Final = "mcp_audit_appended"
"""The channel that is notified, without a payload, when records have been appended."""

# A replica's snapshot does not list the transactions in progress. There every transaction from
# xmin on counts as unseen, so a transaction that stays open on the primary holds back all that
# arrive after it: `replica.OpenTransaction` tells.
_SNAPSHOT: Final = """
SELECT system_identifier::text AS cluster,
    CASE WHEN pg_is_in_recovery()
         THEN format('%1$s:%1$s:', pg_snapshot_xmin(snapshot)) ELSE snapshot::text END AS snapshot
FROM pg_control_system(), pg_current_snapshot() AS snapshot
"""
_ARRIVED: Final = """
SELECT {columns} FROM {table}
WHERE {conditions}
ORDER BY created_at, id
LIMIT {limit}
"""


_ID: Final = "[1-9][0-9]{0,18}"
"""A transaction's number: 64 bits, and not 0."""
_NOTHING: Final = "1:1:"
"""The text of a snapshot in which nothing was visible. PostgreSQL's own first number is 3."""


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """Which transactions were visible at some moment."""

    cluster: str
    """The system identifier: each PostgreSQL cluster numbers its own transactions."""
    text: Annotated[str, msgspec.Meta(pattern=rf"\A{_ID}:{_ID}:({_ID}(,{_ID})*)?\Z")]
    """In PostgreSQL's format: `xmin:xmax:` and the transactions between in progress."""

    def __post_init__(self) -> None:
        """Raise ValueError for what PostgreSQL could not have said."""
        first, end, in_progress = self.text.split(":")
        between = [int(id_) for id_ in in_progress.split(",") if id_]
        is_ordered = all(one < other for one, other in pairwise(between))
        if not (is_ordered and all(int(first) <= id_ < int(end) for id_ in between)):
            raise ValueError("the transactions in progress are not between the others")
        if int(first) > int(end):
            raise ValueError("the snapshot ends before it begins")

    @classmethod
    def before_all(cls, cluster: str) -> "Snapshot":
        """Return the snapshot in which nothing was visible: a reader begins with it."""
        return cls(cluster, _NOTHING)

    @property
    def end(self) -> int:
        """The first transaction that had not begun at that moment."""
        return int(self.text.split(":")[1])

    def unseen(self, arguments: Arguments) -> str:
        """Return the SQL condition that a record was not visible in this snapshot.

        Written without a function, so that the index on `appended_in` can be used.
        """
        if self.text == _NOTHING:
            return "true"
        in_progress = self.text.split(":")[2]
        first_unbegun = arguments.add(str(self.end))
        unfinished = arguments.add(in_progress.split(",") if in_progress else [])
        return (
            f"(appended_in >= {first_unbegun}::text::xid8"
            f" OR appended_in = ANY({unfinished}::text[]::xid8[]))"
        )

    def covered(self, arguments: Arguments) -> str:
        """Return the SQL condition that a record is not beyond this snapshot.

        For a reader in the same REPEATABLE READ transaction: on a replica it sees more than the
        snapshot tells.
        """
        return f"(appended_in IS NULL OR appended_in < {arguments.add(str(self.end))}::text::xid8)"

    def seen(self, arguments: Arguments) -> str:
        """Return the SQL condition that a record was visible in this snapshot.

        One that no transaction is known of was there before all that are.
        """
        visible = (
            f"pg_visible_in_snapshot(appended_in, {arguments.add(self.text)}::text::pg_snapshot)"
        )
        return f"(appended_in IS NULL OR {visible})"


class Standpoint(msgspec.Struct, frozen=True, array_like=True):
    """How far a reader has come.

    It has read all that `seen` shows; and of what `reading` shows beyond that, all up to `place`.
    """

    seen: Snapshot
    reading: Snapshot | None = None
    place: Place | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if no read can have ended here."""
        if (self.reading is None) != (self.place is None):
            raise ValueError("a place belongs to a reading that is not complete")
        if self.place is not None:
            self.place.check()
        if self.reading is not None and self.reading.cluster != self.seen.cluster:
            raise ValueError("a read has one cluster")

    @property
    def end(self) -> int:
        """The first transaction that had not begun when this was read."""
        return self.seen.end if self.reading is None else self.reading.end


@dataclass(frozen=True, slots=True)
class Step(Generic[Told]):
    """What has arrived, in order of time: what is read between two standpoints."""

    records: list[Told]
    seen: Snapshot
    reading: Snapshot
    is_last: bool
    """Whether there were no more when this was read."""

    @property
    def end(self) -> Standpoint:
        """The standpoint after all of `records`."""
        return Standpoint(self.reading) if self.is_last else self.standpoint(self.records[-1])

    def standpoint(self, record: Told) -> Standpoint:
        """Return the standpoint after *record*, one of `records`."""
        return Standpoint(self.seen, self.reading, Place.of(record))


async def snapshot_now(source: Database | Transaction) -> Snapshot:
    """Return the current snapshot; in a REPEATABLE READ transaction, its own."""
    row = await source.fetch_row(_SNAPSHOT)
    if row is None:
        raise StoreUnavailableError("PostgreSQL does not return its snapshot")
    return Snapshot(row["cluster"], row["snapshot"])


async def read_on(
    database: Database | Transaction,
    source: Source[Told],
    standpoint: Standpoint,
    *,
    wanted: TimeFilter = EVERYTHING,
    until: Snapshot | None = None,
    limit: int,
) -> Step[Told]:
    """Return the next of *source* that have arrived and match *wanted*, at most *limit*.

    Nothing beyond *until* is read if that is given. *standpoint* must be of this cluster.
    """
    reading = standpoint.reading or until or await snapshot_now(database)
    arguments = Arguments()
    conditions = [
        standpoint.seen.unseen(arguments),
        reading.seen(arguments),
        *conditions_of(wanted, arguments),
    ]
    if standpoint.place is not None:
        conditions.append(standpoint.place.condition(">", arguments))
    sql = _ARRIVED.format(
        columns=source.columns,
        table=source.table,
        conditions=" AND ".join(conditions),
        limit=arguments.add(limit),
    )
    records = source.read(await database.fetch(sql, *arguments))
    return Step(records, standpoint.seen, reading, is_last=len(records) < limit)
