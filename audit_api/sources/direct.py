"""Reads the database itself: an audit API inside this process answers, for this process alone.

So each filter means the same in both ways. The service listens on the loopback interface and
accepts one token, which is made here and is in no table. It records no reads: its role may SELECT
alone, and PostgreSQL's own log is the record of who reads the tables.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from pydantic import ValidationError

from audit_api.app import serving
from audit_api.client.audit_client import AuditClient, open_client
from audit_api.settings import AuditApiSettings
from audit_api.sources.source import SourceError
from audit_log.postgres.database import open_database
from audit_log.process.environment import Settings
from audit_log.process.settings import AuditLogSettings
from audit_log.tokens import hash_token, new_secret

_ONE_TOKEN: Final = """
SELECT '00000000-0000-0000-0000-000000000000'::uuid AS id, 'a terminal' AS name, 'admin' AS role,
    NULL::timestamptz AS expires_at, NULL::timestamptz AS revoked_at
WHERE $1::text = '{}'
"""


@asynccontextmanager
async def open_direct(database_url: str) -> AsyncIterator[AuditClient]:
    """Yield a client that reads the database at *database_url*, whose role may SELECT.

    The database may be away. Raises SourceError for a URL that makes no sense.
    """
    secret = new_secret()
    try:
        shared = AuditLogSettings(**_alone(AuditLogSettings, database_url=database_url))
    except ValidationError as error:
        told = error.errors(include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise SourceError(f"the URL of the database {told}") from None
    query = _ONE_TOKEN.format(hash_token(secret))
    settings = AuditApiSettings(**_alone(AuditApiSettings, port=0, token_query=query))
    async with (
        serving(shared, settings, records_reads=False) as address,
        open_client(f"http://{address.host}:{address.port}", secret) as client,
    ):
        yield client


async def reach(database_url: str) -> None:
    """Return if the audit log is there; raise StoreError, which says why it is not."""
    async with open_database(database_url, connections=1, application="terminal") as database:
        await database.execute("SELECT 'mcp_audit_log'::regclass")


def _alone(kind: type[Settings], **ours: object) -> dict[str, Any]:
    """Return *ours* and all defaults: the environment may be that of a service."""
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.model_fields.items()
        if not field.is_required()
    }
    return defaults | ours
