"""PostgreSQL: whether it is reached, its schema is current and the role has the rights it needs.

Only SELECTs run here. The catalogue says what a role may do without it being tried.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import SecretStr

from audit_log.errors import StoreError
from audit_log.postgres.copy_lines import COLUMNS
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.token_table import TokenTable
from audit_log.schema.migrate import is_current
from audit_log.schema.subscription import Subscription
from audit_log.tokens import hash_token
from deploy.checks.check import Check, CheckFailedError, Group
from deploy.checks.neighbours import resolve

_APPLICATION: Final = "podwarden-audit-check"
_MIGRATE: Final = "run `podwarden-audit migrate` as its owner"
_GRANT: Final = "run deploy/roles.sql again (it belongs after each migrate)"
_WHO: Final = """
SELECT current_user AS role, current_setting('server_version') AS version,
       pg_is_in_recovery() AS is_replica
"""
_SCHEMA: Final = """
SELECT to_regclass('mcp_audit_schema') IS NOT NULL AS is_there,
       has_table_privilege(to_regclass('mcp_audit_schema'), 'SELECT') AS is_readable
"""
_TABLES: Final = """
SELECT name FROM unnest($1::text[]) AS name WHERE NOT has_table_privilege(name, $2)
"""
_COLUMNS: Final = """
SELECT name FROM unnest($1::text[]) AS name
WHERE NOT has_column_privilege('mcp_audit_log', name, 'INSERT')
"""
WRITTEN: Final = (
    *("mcp_audit_log", "mcp_audit_gap", "mcp_tool_invocation", "mcp_audit_seal_log"),
    *("mcp_audit_seal_checkpoint", "mcp_audit_seal_tile", "mcp_audit_seal_note"),
    "mcp_audit_seal_anchor",
)
"""What a sidecar and the ingest write into."""
READS: Final = "mcp_audit_read"
"""What the audit API writes into."""
READ_SEAL: Final = (
    *("mcp_audit_read_seal", "mcp_audit_seal_log", "mcp_audit_seal_checkpoint"),
    *("mcp_audit_seal_tile", "mcp_audit_seal_note"),
)
"""What it writes into as well, if it seals reads."""
_FUNCTIONS: Final = """
SELECT name FROM unnest($1::text[]) AS name
WHERE NOT coalesce(has_function_privilege(to_regproc(name)::oid, 'EXECUTE'), false)
"""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a role must be allowed to do, as deploy/roles.sql grants it."""

    select: tuple[str, ...] = ()
    insert: tuple[str, ...] = ()
    execute: tuple[str, ...] = ()
    update: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatabaseUnderCheck:
    """A database, and the setting that says where it is."""

    setting: str
    url: SecretStr

    def reach(self, *, may_be_replica: bool = False) -> Check:
        """Return the check that it lets us in, and can be written to."""

        async def look(database: Database) -> str:
            row = await database.fetch_row(_WHO)
            assert row is not None
            if row["is_replica"] and not may_be_replica:
                raise CheckFailedError(
                    f"this is a read replica: let {self.setting} be the primary"
                )
            kind = "a read replica" if row["is_replica"] else "PostgreSQL"
            return f"{kind} {row['version']} lets us in as {row['role']}"

        return self._check("", look)

    def schema(self) -> Check:
        """Return the check that every migration of this version has been applied."""

        async def look(database: Database) -> str:
            row = await database.fetch_row(_SCHEMA)
            assert row is not None
            if not row["is_there"]:
                raise CheckFailedError(f"there is none: {_MIGRATE}")
            if not row["is_readable"]:
                return "there; this role may not read which migrations were applied"
            if not await is_current(database):
                raise CheckFailedError(f"out of date: {_MIGRATE}")
            return "up to date"

        return self._check("schema", look)

    def rights(self, wanted: Rights) -> Check:
        """Return the check that the role has the rights *wanted*, and that these exist."""

        async def look(database: Database) -> str:
            missing = [
                *await _missing(database, "SELECT on ", _TABLES, wanted.select, "SELECT"),
                *await _missing(database, "INSERT into ", _TABLES, wanted.insert, "INSERT"),
                *await _missing(database, "UPDATE ", _TABLES, wanted.update, "UPDATE"),
                *await _missing(database, "EXECUTE ", _FUNCTIONS, wanted.execute),
            ]
            if "mcp_audit_log" in wanted.insert and not missing:
                missing = await _missing(database, "INSERT into mcp_audit_log.", _COLUMNS, COLUMNS)
            if missing:
                raise CheckFailedError(f"the role may not {', '.join(missing)}: {_GRANT}")
            return "the role has those it needs"

        return self._check("rights", look)

    def arrivals(self, primary: Self) -> Check:
        """Return the check that exports and streams from here would be complete.

        The publication of a logical subscriber is looked for in *primary*.
        """

        async def look(database: Database) -> str:
            async with open_database(
                primary.url.get_secret_value(), connections=1, application=_APPLICATION
            ) as publisher:
                found = (await Subscription(database, publisher).findings()).all
            if found:
                raise CheckFailedError("; ".join(found))
            return "exports and live streams have all records"

        return self._check("arrivals", look)

    def tokens(self, setting: str, query: str) -> Check:
        """Return the check that *query*, which *setting* gives, can be asked for a token."""

        async def look(database: Database) -> str:
            try:
                found = await TokenTable(database, query).find(hash_token("podwarden-audit check"))
            except StoreError as error:
                raise CheckFailedError(
                    f"{error}: let it answer, and grant SELECT on what it reads"
                ) from None
            if found is not None:
                raise CheckFailedError("it answers a token whatever is asked for: compare with $1")
            return "the token query answers"

        return Check(setting, lambda: self._with_database(look))

    def _check(self, about: str, look: Callable[[Database], Awaitable[str]]) -> Check:
        return Check(about or self.setting, lambda: self._with_database(look))

    async def _with_database(self, look: Callable[[Database], Awaitable[str]]) -> str:
        url = self.url.get_secret_value()
        if (host := urlsplit(url).hostname) is not None and "%" not in host:
            await resolve(host)
        try:
            async with open_database(url, connections=1, application=_APPLICATION) as database:
                return await look(database)
        except StoreError as error:
            raise CheckFailedError(f"{error}: see {self.setting}") from None


def writing_groups(
    log: DatabaseUnderCheck,
    rights: Rights,
    tokens: DatabaseUnderCheck | None,
    query: tuple[str, str],
) -> list[Group]:
    """Return the checks of a service that writes to *log* and looks tokens up.

    *tokens* are in a database of their own, if given; *query* is a setting and its value.
    """
    of_log = [log.reach(), log.schema(), log.rights(rights)]
    if tokens is None:
        return [[*of_log, log.tokens(*query)]]
    return [of_log, [tokens.reach(may_be_replica=True), tokens.tokens(*query)]]


async def _missing(
    database: Database, prefix: str, sql: str, names: Sequence[str], *arguments: str
) -> list[str]:
    rows = await database.fetch(sql, names, *arguments) if names else []
    return [f"{prefix}{row['name']}" for row in rows]
