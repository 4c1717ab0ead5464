"""What PostgreSQL attaches to a table's identity, and so would not follow a conversion."""

from typing import Final

from audit_log.errors import SchemaError
from audit_log.postgres.database import Database

_FOLLOWERS: Final = """
SELECT DISTINCT 'view ' || ev_class::regclass AS name
FROM pg_depend JOIN pg_rewrite ON objid = pg_rewrite.oid AND classid = 'pg_rewrite'::regclass
WHERE refobjid = 'mcp_audit_log'::regclass AND ev_class <> refobjid
UNION ALL
SELECT 'rule ' || rulename FROM pg_rewrite WHERE ev_class = 'mcp_audit_log'::regclass
UNION ALL
SELECT 'foreign key ' || conname || ' of ' || conrelid::regclass
FROM pg_constraint
WHERE contype = 'f' AND 'mcp_audit_log'::regclass IN (confrelid, conrelid)
UNION ALL
SELECT 'row level security' FROM pg_class
WHERE oid = 'mcp_audit_log'::regclass AND relrowsecurity
UNION ALL
SELECT 'policy ' || polname FROM pg_policy WHERE polrelid = 'mcp_audit_log'::regclass
UNION ALL
SELECT 'membership in publication ' || pubname
FROM pg_publication_rel JOIN pg_publication ON pg_publication.oid = prpubid
WHERE prrelid = 'mcp_audit_log'::regclass
UNION ALL
SELECT 'membership in subscription ' || subname
FROM pg_subscription_rel JOIN pg_subscription ON pg_subscription.oid = srsubid
WHERE srrelid = 'mcp_audit_log'::regclass
UNION ALL
SELECT 'grants on column ' || attname FROM pg_attribute
WHERE attrelid = 'mcp_audit_log'::regclass AND attacl IS NOT NULL
UNION ALL
SELECT 'identity of column ' || attname FROM pg_attribute
WHERE attrelid = 'mcp_audit_log'::regclass AND attidentity <> ''
UNION ALL
SELECT 'trigger ' || tgname FROM pg_trigger
WHERE tgrelid = 'mcp_audit_log'::regclass AND NOT tgisinternal
    AND tgname <> 'mcp_audit_log_convert'
"""


async def require_no_followers(database: Database) -> None:
    """Raise `SchemaError` with the names of all that would stay with the old table."""
    followers = [row["name"] for row in await database.fetch(_FOLLOWERS)]
    if followers:
        raise SchemaError(
            f"these would stay with the old table: {', '.join(followers)}; "
            "drop them, and make them again after the conversion"
        )
