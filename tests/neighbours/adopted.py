"""An `mcp_audit_log` as PodWarden makes it, filled and adopted."""

from audit_log.postgres.database import Database
from audit_log.schema.migrate import migrate

PODWARDENS = """
CREATE TABLE mcp_audit_log (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_id uuid,
    token_name varchar(255) NOT NULL,
    method varchar(16) NOT NULL,
    path text NOT NULL,
    status_code integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""
_FILL = """
INSERT INTO mcp_audit_log (token_name, method, path, status_code, created_at)
SELECT 'token ' || row % 7, 'GET', '/api/v1/hosts/' || row, 200,
    now() - row * interval '150 days' / $1::integer
FROM generate_series(1, $1) AS row
"""


async def adopt(database: Database, rows: int) -> None:
    """Make PodWarden's table with *rows* of the last 150 days, and adopt it."""
    await database.execute(PODWARDENS)
    await database.execute(_FILL, rows)
    await migrate(database)
    await database.execute("ANALYZE mcp_audit_log")
