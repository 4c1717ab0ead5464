"""Whether a database that gets the audit log by logical replication can tell what has arrived.

Exports and live streams go by `appended_in`, the transaction that wrote a record. A streaming
replica has the transactions of its primary. A logical subscriber has its own, so this column must
not be published: then its default names the subscriber's transaction. With the publisher's numbers
in it, records are behind what was read already, or ahead of what can be read: either way no export
would have them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from audit_log.postgres.database import Database

_LOOK_SECONDS: Final = 1.0
_READERS: Final = "live streams and exports would leave records out"
# No row that is seen can be of a transaction that has not begun. The newest rows tell of a
# publisher whose numbers are lower: `xmin` is the transaction that wrote a row here, modulo 2^32.
_NUMBERS: Final = """
SELECT EXISTS (SELECT FROM mcp_audit_log
        WHERE appended_in >= pg_snapshot_xmax(pg_current_snapshot())) AS are_ahead,
    NOT coalesce((SELECT bool_or(
        appended_in::text::numeric % 4294967296 = writer::text::numeric) FROM (
            SELECT appended_in, xmin AS writer FROM mcp_audit_log
            WHERE appended_in IS NOT NULL ORDER BY created_at DESC, id DESC LIMIT 100
        ) AS newest), true) AS are_foreign
"""
_SUBSCRIPTIONS: Final = """
SELECT subname AS name, subpublications AS publications,
    bool_or(srrelid <> 'mcp_audit_log'::regclass) AS is_by_partition,
    pg_is_in_recovery() OR EXISTS (
        SELECT FROM pg_stat_subscription AS worker
        WHERE worker.subid = pg_subscription.oid AND relid IS NULL AND pid IS NOT NULL) AS runs
FROM pg_subscription_rel JOIN pg_subscription ON pg_subscription.oid = srsubid
WHERE srrelid = 'mcp_audit_log'::regclass OR srrelid IN (
    SELECT inhrelid FROM pg_inherits WHERE inhparent = 'mcp_audit_log'::regclass)
GROUP BY pg_subscription.oid, subname, subpublications
ORDER BY subname
"""
# PostgreSQL 14 publishes all columns, and has no list of them.
_PUBLICATIONS: Final = """
SELECT pubname AS name, pubdelete AS sends_deletes,
    bool_or(coalesce(to_jsonb(published) -> 'attnames' ? 'appended_in', true)) AS sends_numbers
FROM pg_publication JOIN pg_publication_tables AS published USING (pubname)
JOIN pg_namespace ON nspname = schemaname
JOIN pg_class ON relnamespace = pg_namespace.oid AND relname = tablename
WHERE pubname = ANY ($1::text[]) AND pg_class.oid IN (
    SELECT 'mcp_audit_log'::regclass UNION
    SELECT inhrelid FROM pg_inherits WHERE inhparent = 'mcp_audit_log'::regclass)
GROUP BY pubname, pubdelete
ORDER BY pubname
"""

# A tool call that is recorded while it waits is changed when it ends: see migration 0016.
_SUBSCRIBED_TOOL_CALLS: Final = """
SELECT DISTINCT unnest(subpublications) AS name
FROM pg_subscription_rel JOIN pg_subscription ON pg_subscription.oid = srsubid
WHERE srrelid = 'mcp_tool_invocation'::regclass
"""
_WITHOUT_ENDS: Final = """
SELECT min(pubname) AS name FROM pg_publication
JOIN pg_publication_tables AS published USING (pubname)
JOIN pg_namespace ON nspname = schemaname
JOIN pg_class ON relnamespace = pg_namespace.oid AND relname = tablename
WHERE pubname = ANY ($1::text[]) AND pg_class.oid = 'mcp_tool_invocation'::regclass
HAVING NOT bool_or(pubupdate)
"""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with how the audit log gets here."""

    leaves_out: str | None
    """Why exports and live streams would leave records out, or None."""
    others: Sequence[str]
    """What else keeps records away, from pages too."""

    @property
    def all(self) -> list[str]:
        """Every reason to complain."""
        return [*([self.leaves_out] if self.leaves_out else []), *self.others]


class Subscription:
    """The logical replication that brings the audit log into *database*, if there is any.

    Publications are looked for in *primary*. Where they are of another server, the records tell
    which columns were sent.
    """

    def __init__(self, database: Database, primary: Database) -> None:
        self._database = database
        self._primary = primary
        self._found = Findings(None, ())
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    async def findings(self) -> Findings:
        """Return what is wrong; looks once a second at most. Raises `StoreError`."""
        async with self._looking:  # many streams that begin at once look once
            if monotonic() - self._looked_at >= _LOOK_SECONDS:
                self._found = await self._look()
                self._looked_at = monotonic()
            return self._found

    async def _look(self) -> Findings:
        subscriptions = await self._database.fetch(_SUBSCRIPTIONS)
        names = [name for row in subscriptions for name in row["publications"]]
        publications = await self._primary.fetch(_PUBLICATIONS, names) if names else []
        leaves_out = None
        for row in publications:
            if row["sends_numbers"]:
                leaves_out = _sends_numbers(row["name"])
        numbers = await self._database.fetch_row(_NUMBERS)
        if leaves_out is None and numbers is not None:
            is_told = {row["name"] for row in publications} >= set(names)
            if numbers["are_ahead"] or (numbers["are_foreign"] and not is_told):
                leaves_out = _of_another_server(is_subscriber=bool(names))
        others = [
            *(_is_by_partition(row["name"]) for row in subscriptions if row["is_by_partition"]),
            *(_does_not_run(row["name"]) for row in subscriptions if not row["runs"]),
            *(_sends_deletes(row["name"]) for row in publications if row["sends_deletes"]),
            *(_sends_no_ends(name) for name in await self._without_ends()),
        ]
        return Findings(leaves_out, others)

    async def _without_ends(self) -> list[str]:
        """Return the publication that sends tool calls and not how they end, if there is one."""
        subscribed = await self._database.fetch(_SUBSCRIBED_TOOL_CALLS)
        if not subscribed:
            return []
        names = [row["name"] for row in subscribed]
        return [row["name"] for row in await self._primary.fetch(_WITHOUT_ENDS, names)]


def _sends_numbers(publication: str) -> str:
    return (
        f"{_READERS}: publication {publication} sends the column appended_in of mcp_audit_log, "
        "which has to be the subscriber's own; publish the other columns only"
    )


def _of_another_server(*, is_subscriber: bool) -> str:
    cure = "publish mcp_audit_log without this column, then set it to DEFAULT here"
    if not is_subscriber:
        cure = "set it to NULL after a restore"
    return (
        f"{_READERS}: the column appended_in of mcp_audit_log has transaction numbers of another "
        f"server; {cure}"
    )


def _is_by_partition(subscription: str) -> str:
    return (
        f"subscription {subscription} gets single partitions of mcp_audit_log, so later months "
        "will not come; publish it with publish_via_partition_root, then refresh the subscription"
    )


def _does_not_run(subscription: str) -> str:
    return (
        f"subscription {subscription} does not run, so no records come; it is disabled, or the "
        "log of PostgreSQL says why it fails"
    )


def _sends_deletes(publication: str) -> str:
    return (
        f"publication {publication} sends deletes, so records that the primary moves into their "
        "month vanish here; let it publish = 'insert, update'"
    )


def _sends_no_ends(publication: str) -> str:
    return (
        f"publication {publication} sends no updates of mcp_tool_invocation, so tool calls that "
        "wait or work stay so here; publish this table by a publication of its own WITH (publish "
        "= 'insert, update')"
    )
