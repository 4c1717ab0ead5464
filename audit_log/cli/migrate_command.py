"""`python -m audit_log migrate`: bring the schema up to date."""

from datetime import UTC, datetime

from audit_log.cli.terminal import say
from audit_log.plurals import counted
from audit_log.postgres.database import Database
from audit_log.schema.migrate import ensure_partitions, migrate


async def bring_up_to_date(database: Database) -> None:
    """Apply what is missing, name it, and make the partitions of the coming months."""
    applied = await migrate(database)
    for name in applied:
        say(f"applied {name}")
    if not applied:
        say("the schema is up to date")
    move = await ensure_partitions(database, datetime.now(UTC))
    if move is not None:
        say(
            f"about {counted(move.total, 'record')} must be moved from the default partition into"
            " the months: sidecars and ingest do that, and tell how far it is in /readyz"
        )
