"""What the audit API needs."""

from typing import Final

from audit_api.settings import AuditApiSettings
from audit_log.process.reading import SettingsReading, stop
from audit_log.process.settings import AuditLogSettings
from audit_log.process.tls import server_context
from deploy.checks.audit_database import READ_SEAL, READS, WRITTEN, DatabaseUnderCheck, Rights
from deploy.checks.check import Group
from deploy.checks.files import files_check
from deploy.checks.neighbours import http_check

_RIGHTS: Final = Rights(select=(*WRITTEN, "mcp_audit_schema"))
_RIGHTS_OF_PRIMARY: Final = Rights((*_RIGHTS.select, READS), insert=(READS,))
_RIGHTS_TO_SEAL: Final = Rights(
    (*_RIGHTS_OF_PRIMARY.select, READ_SEAL[0]), insert=(READS, *READ_SEAL), update=READ_SEAL[:1]
)


def groups() -> list[Group]:
    """Return the checks, for the settings of the environment; exit if any is wrong."""
    reading = SettingsReading()
    shared = reading.read(AuditLogSettings)
    settings = reading.read(AuditApiSettings)
    if shared is None or settings is None or reading.complaints():
        stop(reading.complaints())
    pair = settings.tls
    found: list[Group] = [
        [files_check("TLS files", lambda: pair and server_context(pair))],
        *_databases(shared, settings),
    ]
    if settings.auth_url is not None:
        found.append([http_check("AUDIT_API_AUTH_URL", str(settings.auth_url))])
    return found


def _databases(shared: AuditLogSettings, settings: AuditApiSettings) -> list[Group]:
    primary = DatabaseUnderCheck("AUDIT_LOG_DATABASE_URL", shared.database_url)
    wanted = _RIGHTS_OF_PRIMARY if settings.seal_dir is None else _RIGHTS_TO_SEAL
    found: list[Group] = [_reading(primary, primary, wanted)]
    if settings.database_url is not None:
        replica = DatabaseUnderCheck("AUDIT_API_DATABASE_URL", settings.database_url)
        found.append(_reading(replica, primary, _RIGHTS))
    tokens = primary
    if settings.token_database_url is not None:
        tokens = DatabaseUnderCheck("AUDIT_API_TOKEN_DATABASE_URL", settings.token_database_url)
        found.append([tokens.reach(may_be_replica=True)])
    found[-1] = [*found[-1], tokens.tokens("AUDIT_API_TOKEN_QUERY", settings.token_query)]
    return found


def _reading(database: DatabaseUnderCheck, primary: DatabaseUnderCheck, wanted: Rights) -> Group:
    return [
        database.reach(may_be_replica=database is not primary),
        database.schema(),
        database.rights(wanted),
        database.arrivals(primary),
    ]
