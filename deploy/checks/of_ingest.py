"""What the ingest needs."""

from typing import Final

from audit_log.nats.ingest_service import APPLICATION
from audit_log.nats.jetstream import check_files
from audit_log.process.reading import SettingsReading, stop
from audit_log.process.settings import AuditLogSettings, IngestSettings, NatsSettings
from deploy.checks.audit_database import WRITTEN, DatabaseUnderCheck, Rights, writing_groups
from deploy.checks.check import Group
from deploy.checks.files import files_check
from deploy.checks.neighbours import nats_check

_RIGHTS: Final = Rights(
    insert=WRITTEN,
    execute=("mcp_audit_log_ensure_partitions",),
)


def groups() -> list[Group]:
    """Return the checks, for the settings of the environment; exit if any is wrong."""
    reading = SettingsReading()
    shared = reading.read(AuditLogSettings)
    nats = reading.read(NatsSettings)
    settings = reading.read(IngestSettings)
    if shared is None or nats is None or settings is None or reading.complaints():
        stop(reading.complaints())
    return [
        [
            files_check("NATS files", lambda: check_files(nats)),
            nats_check(nats, APPLICATION, needs_stream=True),
        ],
        *_databases(shared, settings),
    ]


def _databases(shared: AuditLogSettings, settings: IngestSettings) -> list[Group]:
    tokens = settings.token_database_url
    return writing_groups(
        DatabaseUnderCheck("AUDIT_LOG_DATABASE_URL", shared.database_url),
        _RIGHTS,
        None
        if tokens is None
        else DatabaseUnderCheck("AUDIT_LOG_INGEST_TOKEN_DATABASE_URL", tokens),
        ("AUDIT_LOG_INGEST_TOKEN_QUERY", settings.token_query),
    )
