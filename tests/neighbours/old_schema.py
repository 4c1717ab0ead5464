"""The schema as earlier versions left it."""

from audit_log.postgres.database import Database
from audit_log.record import AuditRecord
from audit_log.schema import migrate as schema


async def migrate_up_to(database: Database, number: int) -> None:
    """Apply the first *number* migrations, as the version that had no more of them did."""
    if not number:
        return
    async with database.transaction() as transaction:
        await transaction.execute(schema._TABLE)
        for migration in schema.migrations()[:number]:
            await schema._apply(transaction, migration)


async def append_as_before(database: Database, record: AuditRecord) -> None:
    """Append *record* as the first version did, which knew only the columns of migration 0001."""
    await database.execute(
        "INSERT INTO mcp_audit_log (id, token_name, method, path, status_code, created_at,"
        " outcome, instance) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        *(record.id, record.token_name, record.method, record.path, record.status_code),
        *(record.created_at, record.outcome, record.instance),
    )
