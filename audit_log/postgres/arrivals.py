"""What has arrived since somebody last looked, exactly: neither lost nor told twice.

`created_at` cannot tell: after an outage records of an hour ago arrive now, and of two sidecars
that write at once the one that began first may be seen last. So the place where a reader stands
is a snapshot of PostgreSQL, which knows of every transaction whether its rows were to be seen;
`appended_in` names the transaction that wrote a record.
"""

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from audit_log.errors import StoreUnavailableError
from audit_log.filters import EVERYTHING, RecordFilter
from audit_log.postgres.conditions import Arguments, conditions_of
from audit_log.postgres.database import Database
from audit_log.postgres.rows import RECORD_COLUMNS, Place, records_of
from audit_log.postgres.transaction import Transaction
from audit_log.record import AuditRecord

CHANNEL: Final = "mcp_audit_appended"
"""Announced, without a payload, when records have been appended."""

# A replica's snapshot does not name what is still under way, so there all of it counts as unseen.
_SNAPSHOT: Final = """
SELECT system_identifier::text AS cluster,
    CASE WHEN pg_is_in_recovery()
         THEN format('%1$s:%1$s:', pg_snapshot_xmin(snapshot)) ELSE snapshot::text END AS snapshot
FROM pg_control_system(), pg_current_snapshot() AS snapshot
"""
_ARRIVED: Final = """
SELECT {columns} FROM mcp_audit_log
WHERE {conditions}
ORDER BY created_at, id
LIMIT {limit}
"""


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """Which transactions were to be seen at some moment."""

    cluster: str
    """Transactions are numbered by each PostgreSQL cluster for itself."""
    text: Annotated[str, msgspec.Meta(pattern=r"^[0-9]+:[0-9]+:([0-9]+(,[0-9]+)*)?$")]
    """As PostgreSQL writes it: `xmin:xmax:` and those between that were still under way."""

    @property
    def end(self) -> int:
        """The first transaction that had not begun by then."""
        return int(self.text.split(":")[1])

    def unseen(self, arguments: Arguments) -> str:
        """Return the SQL condition that a record was not to be seen then.

        Written without a function, so that the index on `appended_in` answers it.
        """
        under_way = self.text.split(":")[2]
        first_unbegun = arguments.add(str(self.end))
        unfinished = arguments.add(under_way.split(",") if under_way else [])
        return (
            f"(appended_in >= {first_unbegun}::text::xid8"
            f" OR appended_in = ANY({unfinished}::text[]::xid8[]))"
        )

    def seen(self, arguments: Arguments) -> str:
        """Return the SQL condition that a record was to be seen then."""
        snapshot = arguments.add(self.text)
        return f"pg_visible_in_snapshot(appended_in, {snapshot}::text::pg_snapshot)"


class Standpoint(msgspec.Struct, frozen=True, array_like=True):
    """How far somebody has come in reading what arrives.

    All that `seen` shows is read; and of what `reading` shows beyond that, all up to `place`.
    """

    seen: Snapshot
    reading: Snapshot | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Records that have arrived, in order of time, read from one standpoint to the next."""

    records: list[AuditRecord]
    seen: Snapshot
    reading: Snapshot
    is_last: bool
    """Whether nothing more was there when this was read."""

    @property
    def end(self) -> Standpoint:
        """How far one has come when all of `records` are read."""
        return Standpoint(self.reading) if self.is_last else self.standpoint(self.records[-1])

    def standpoint(self, record: AuditRecord) -> Standpoint:
        """Return how far one has come when *record*, one of `records`, is read."""
        return Standpoint(self.seen, self.reading, Place.of(record))


async def snapshot_now(source: Database | Transaction) -> Snapshot:
    """Return what is to be seen now; in a transaction that keeps its view, what it sees."""
    row = await source.fetch_row(_SNAPSHOT)
    if row is None:
        raise StoreUnavailableError("PostgreSQL does not tell its snapshot")
    return Snapshot(row["cluster"], row["snapshot"])


async def read_on(
    database: Database,
    standpoint: Standpoint,
    *,
    wanted: RecordFilter = EVERYTHING,
    until: Snapshot | None = None,
    limit: int,
) -> Step:
    """Return the next records that have arrived, at most *limit*.

    Nothing beyond *until* is read if that is given. The standpoint must be of this cluster.
    """
    reading = standpoint.reading or until or await snapshot_now(database)
    arguments = Arguments()
    conditions = [
        standpoint.seen.unseen(arguments),
        reading.seen(arguments),
        *conditions_of(wanted, arguments),
    ]
    if standpoint.place is not None:
        created_at, id_ = map(arguments.add, standpoint.place)
        conditions.append(f"(created_at, id) > ({created_at}::timestamptz, {id_}::uuid)")
    sql = _ARRIVED.format(
        columns=RECORD_COLUMNS,
        conditions=" AND ".join(conditions),
        limit=arguments.add(limit),
    )
    records = records_of(await database.fetch(sql, *arguments))
    return Step(records, standpoint.seen, reading, is_last=len(records) < limit)
