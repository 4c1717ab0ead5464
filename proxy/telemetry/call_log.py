"""The log of calls: one line per audited call, if `PROXY_LOG_REQUESTS` is on."""

import structlog

from audit_log.record import AuditRecord

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def log_call(record: AuditRecord) -> None:
    """Log the caller, the request and the outcome, as *record* has them, and nothing else."""
    log.info(
        "call.ended",
        id=str(record.id),
        token_name=record.token_name,
        method=record.method,
        path=record.path,
        status=record.status_code,
        outcome=record.outcome.value,
        duration_ms=record.duration_ms and round(record.duration_ms, 2),
        client_ip=record.client_ip,
        tool=record.tool,
    )
