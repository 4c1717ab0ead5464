"""The schema as earlier versions left it."""

from audit_log.postgres.database import Database
from audit_log.schema import migrate as schema


async def migrate_up_to(database: Database, number: int) -> None:
    """Apply the first *number* migrations, as the version that had no more of them did."""
    if not number:
        return
    async with database.transaction() as transaction:
        await transaction.execute(schema._TABLE)
        for migration in schema.migrations()[:number]:
            await schema._apply(transaction, migration)
