"""OCSF: records as API Activity (class 6003) of the Open Cybersecurity Schema Framework 1.6."""

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import msgspec

from audit_log.record import AuditRecord, Outcome

VERSION: Final = "1.6.0"
CLASS_UID: Final = 6003
_OTHER: Final = (99, "Other")
_ACTIVITIES: Final = MappingProxyType(
    {
        "POST": (1, "Create"),
        "GET": (2, "Read"),
        "HEAD": (2, "Read"),
        "OPTIONS": (2, "Read"),
        "PUT": (3, "Update"),
        "PATCH": (3, "Update"),
        "DELETE": (4, "Delete"),
    }
)
_TOOL: Final = "TOOL"
_HTTP_METHODS: Final = frozenset({*_ACTIVITIES, "CONNECT", "TRACE"})
"""The methods in OCSF's enumeration."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def ocsf_lines(records: Sequence[AuditRecord]) -> bytes:
    """Return *records* as OCSF events, one JSON object on each line."""
    return b"".join([msgspec.json.encode(ocsf_event(record)) + b"\n" for record in records])


def ocsf_event(record: AuditRecord) -> dict[str, Any]:
    """Return *record* as API Activity. Values without an OCSF field go to `unmapped`."""
    activity_id, activity_name = _ACTIVITIES.get(record.method, _OTHER)
    status_id, status = _status(record)
    return _known(
        {
            "activity_id": activity_id,
            "activity_name": activity_name,
            "category_uid": 6,
            "category_name": "Application Activity",
            "class_uid": CLASS_UID,
            "class_name": "API Activity",
            "type_uid": CLASS_UID * 100 + activity_id,
            "type_name": f"API Activity: {activity_name}",
            "severity_id": 1,
            "severity": "Informational",
            "status_id": status_id,
            "status": status,
            "status_code": str(record.status_code),
            "status_detail": str(record.outcome),
            "time": _milliseconds(record.created_at),
            "duration": None if record.duration_ms is None else round(record.duration_ms),
            "metadata": _metadata(record),
            "actor": {
                "user": _known({"name": record.token_name, "credential_uid": record.token_id})
            },
            "api": _api(record),
            "src_endpoint": {"ip": record.client_ip} if record.client_ip else {"name": "unknown"},
            "http_request": _http_request(record),
            "http_response": {"code": record.status_code} if record.status_code else None,
            "unmapped": _unmapped(record),
        }
    )


def _status(record: AuditRecord) -> tuple[int, str]:
    if record.outcome == Outcome.INTERRUPTED:
        return 0, "Unknown"
    is_success = record.status_code < HTTPStatus.BAD_REQUEST
    return (1, "Success") if is_success else (2, "Failure")


def _metadata(record: AuditRecord) -> dict[str, Any]:
    return _known(
        {
            "version": VERSION,
            "uid": record.id,
            "correlation_uid": record.invocation_id,
            "log_name": "mcp_audit_log",
            "log_provider": record.instance,
            "logged_time": record.arrived_at and _milliseconds(record.arrived_at),
            "product": {"name": "PodWarden audit sidecar", "vendor_name": "PodWarden"},
        }
    )


def _api(record: AuditRecord) -> dict[str, Any]:
    return _known(
        {
            "operation": f"{record.method} {record.path}",
            "service": {"name": "PodWarden API"},
            "request": {"uid": record.request_id} if record.request_id is not None else None,
            "response": {"code": record.status_code} if record.status_code else None,
        }
    )


def _http_request(record: AuditRecord) -> dict[str, Any] | None:
    if record.method == _TOOL:  # a tool call through the Hub tunnel is not an HTTP request
        return None
    return _known(
        {
            "http_method": record.method if record.method in _HTTP_METHODS else None,
            "url": {"path": record.path},
            "user_agent": record.user_agent,
        }
    )


def _unmapped(record: AuditRecord) -> dict[str, Any]:
    return _known({"tool": record.tool, "attribution": record.attribution})


def _milliseconds(moment: datetime) -> int:
    return int((moment - _EPOCH).total_seconds() * 1_000)


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
