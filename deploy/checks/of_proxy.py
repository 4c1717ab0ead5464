"""What the sidecar needs."""

from typing import Final

from audit_log.process.environment import variable_of
from audit_log.process.reading import SettingsReading, stop
from audit_log.process.settings import AuditLogSettings, NatsSettings
from deploy.checks.audit_database import WRITTEN, DatabaseUnderCheck, Rights, writing_groups
from deploy.checks.check import Check, CheckFailedError, Group, blocking
from deploy.checks.files import files_check
from deploy.checks.journal_place import folder_check, ring_check
from deploy.checks.neighbours import http_check, nats_check
from proxy.mcp.codings import CODINGS, MISSING, WHAT_IS_MISSING
from proxy.service import check_tls_files
from proxy.settings import APPLICATION, ProxySettings, Sink
from proxy.telemetry.observers import span_export
from proxy.telemetry.tracing import TracingUnavailableError
from proxy.workers import place_of

_RIGHTS: Final = Rights(
    select=("mcp_audit_seal_tile",),
    insert=WRITTEN,
    execute=("mcp_audit_log_ensure_partitions", "mcp_audit_purge", "mcp_audit_seal_prune"),
)


def groups() -> list[Group]:
    """Return the checks, for the settings of the environment; exit if any is wrong."""
    reading = SettingsReading()
    shared = reading.read(AuditLogSettings)
    settings = reading.read(ProxySettings)
    needs_nats = settings is not None and settings.sink is Sink.NATS
    nats = reading.read(NatsSettings) if needs_nats else None
    if shared is None or settings is None or reading.complaints():
        stop(reading.complaints())
    found: list[Group] = [
        [files_check("TLS files", lambda: check_tls_files(settings))],
        *_journals(settings),
        [Check("response codings", _codings)],
        *_origins(settings),
        *_databases(shared, settings),
    ]
    if nats is not None:
        found.append(_nats(nats))
    if settings.tracing:
        found.append([_tracing(settings.instance_name)])
    return found


def _journals(settings: ProxySettings) -> list[Group]:
    folders = [settings.journal_dir]
    if settings.workers > 1:
        folders = [
            place_of(number, settings.journal_dir, "").journal
            for number in range(settings.workers)
        ]
    return [
        *([folder_check(folder)] for folder in folders),
        [
            ring_check(
                variable_of(ProxySettings, "journal_ring_dir"),
                settings.journal_dir,
                settings.journal_ring_dir,
            )
        ],
    ]


def _origins(settings: ProxySettings) -> list[Group]:
    authorities = settings.upstream_ca_file
    found = [
        http_check(
            "PROXY_UPSTREAM_URL",
            settings.upstream_url,
            authorities=authorities,
            shown=settings.upstream_client,
        )
    ]
    for setting, url in (
        ("PROXY_AUDIT_API_URL", settings.audit_api_url),
        ("PROXY_HUB_URL", settings.hub_url),
    ):
        if url is not None:
            found.append(http_check(setting, url, authorities=authorities))
    if settings.webhook_url is not None:
        found.append(http_check("PROXY_WEBHOOK_URL", settings.webhook_url.get_secret_value()))
    return [[check] for check in found]


def _databases(shared: AuditLogSettings, settings: ProxySettings) -> list[Group]:
    tokens = settings.token_database_url
    return writing_groups(
        DatabaseUnderCheck("AUDIT_LOG_DATABASE_URL", shared.database_url),
        _RIGHTS,
        None if tokens is None else DatabaseUnderCheck("PROXY_TOKEN_DATABASE_URL", tokens),
        ("PROXY_TOKEN_QUERY", settings.token_query),
    )


def _nats(nats: NatsSettings) -> Group:
    # The NATS client takes 2 MiB, and most do without.
    from audit_log.nats.jetstream import check_files  # noqa: PLC0415

    return [
        files_check("NATS files", lambda: check_files(nats)),
        nats_check(nats, APPLICATION, needs_stream=False),
    ]


async def _codings() -> str:
    read = f"{', '.join(coding.decode() for coding in CODINGS)} are read"
    return f"{read}; {WHAT_IS_MISSING}" if MISSING else read


def _tracing(instance: str) -> Check:
    def look() -> str:
        try:
            _ = span_export(instance)
        except TracingUnavailableError as error:
            raise CheckFailedError(str(error)) from None
        return "spans can be made"

    return blocking("PROXY_TRACING", look)
