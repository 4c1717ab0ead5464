"""API calls and tool calls as API Activity (class 6003) of OCSF.

What a tool has to do with has the profile `ai_operation`, with the tool call as its message
context. The model behind the agent is not known here: there is no `ai_model`.
"""

from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from audit_api.formats.ocsf import Event, EventClass, known, metadata
from audit_api.formats.ocsf import milliseconds_since_epoch as milliseconds
from audit_log.record import AuditRecord, Invocation, Outcome, ToolOutcome

_API_ACTIVITY: Final = EventClass(6003, "API Activity", 6, "Application Activity")
_OTHER: Final = 99
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
_MCP_SERVER: Final = "PodWarden MCP server"
_TOOL: Final = "TOOL"
_TOOL_CALL: Final = "tools/call"
_HTTP_METHODS: Final = frozenset({*_ACTIVITIES, "CONNECT", "TRACE"})
"""The methods in OCSF's enumeration."""
_UNKNOWN: Final = (0, "Unknown")
_SUCCESS: Final = (1, "Success")
_FAILURE: Final = (2, "Failure")
_TOOL_STATUSES: Final = MappingProxyType(
    {
        ToolOutcome.OK: _SUCCESS,
        ToolOutcome.TOOL_ERROR: _FAILURE,
        ToolOutcome.PROTOCOL_ERROR: _FAILURE,
        ToolOutcome.CANCELLED: _FAILURE,
        ToolOutcome.DECLINED: _FAILURE,
        ToolOutcome.ABANDONED: _FAILURE,
    }
)
"""Of any other outcome it is not known what the tool did."""


def api_call_event(record: AuditRecord) -> Event:
    """Return *record* as API Activity. Values without an OCSF field go to `unmapped`."""
    return known(
        {
            **_API_ACTIVITY.classify(*_ACTIVITIES.get(record.method, (_OTHER, record.method))),
            **_common(record, _status_of_call(record)),
            "metadata": _metadata(record, record.invocation_id),
            "actor": {"user": _user(record)},
            "api": known(
                {
                    "operation": f"{record.method} {record.path}",
                    "service": {"name": "PodWarden API"},
                    "request": _request(record),
                    "response": known({"code": record.status_code or None}),
                }
            ),
            "http_request": _http_request(record),
            "http_response": known({"code": record.status_code or None}),
            "message_context": _message_context(record.tool, record.invocation_id),
            "unmapped": known({"attribution": record.attribution}),
        }
    )


def tool_call_event(invocation: Invocation) -> Event:
    """Return *invocation* as API Activity. Its status code is ours: a failed tool has 500."""
    client = known({"name": invocation.client_name, "version": invocation.client_version})
    session = known({"uid": invocation.session and str(invocation.session)})
    return known(
        {
            **_API_ACTIVITY.classify(_OTHER, _TOOL_CALL),
            **_common(invocation, _TOOL_STATUSES.get(invocation.outcome, _UNKNOWN)),
            "metadata": _metadata(invocation, invocation.id),
            "actor": known({"user": _user(invocation), "session": session}),
            "api": known(
                {
                    "operation": f"{_TOOL_CALL} {invocation.tool}",
                    "service": {"name": _MCP_SERVER},
                    "version": invocation.protocol_version,
                    "request": _request(invocation),
                    "response": known(
                        {"code": invocation.status_code or None, "error": _error(invocation)}
                    ),
                }
            ),
            "http_request": known({"user_agent": invocation.user_agent}),
            "message_context": _message_context(invocation.tool, invocation.id, client),
            "unmapped": _unmapped(invocation),
        }
    )


def _unmapped(invocation: Invocation) -> Event:
    """Return what has no OCSF field. `actor.user` is the token; the principal is no such user."""
    return known(
        {
            "api_calls": invocation.api_calls,
            "origin": invocation.origin,
            "rounds": invocation.rounds,
            "principal": invocation.principal,
            "claims": invocation.claims,
        }
    )


def _common(record: AuditRecord | Invocation, status: tuple[int, str]) -> Event:
    return {
        "severity_id": 1,
        "severity": "Informational",
        "status_id": status[0],
        "status": status[1],
        "status_code": str(record.status_code),
        "status_detail": str(record.outcome),
        "time": milliseconds(record.created_at),
        "duration": None if record.duration_ms is None else round(record.duration_ms),
        "src_endpoint": {"ip": record.client_ip} if record.client_ip else {"name": "unknown"},
    }


def _status_of_call(record: AuditRecord) -> tuple[int, str]:
    if record.outcome == Outcome.INTERRUPTED:
        return _UNKNOWN
    return _SUCCESS if record.status_code < HTTPStatus.BAD_REQUEST else _FAILURE


def _metadata(record: AuditRecord | Invocation, correlation_uid: UUID | None) -> Event:
    return metadata(
        record.id,
        record.instance,
        correlation_uid=correlation_uid,
        logged_time=record.arrived_at and milliseconds(record.arrived_at),
        profiles=["ai_operation"] if record.tool is not None else None,
    )


def _user(record: AuditRecord | Invocation) -> Event:
    return known({"name": record.token_name, "credential_uid": record.token_id})


def _request(record: AuditRecord | Invocation) -> Event:
    return known({"uid": record.request_id})


def _error(invocation: Invocation) -> str | None:
    return None if invocation.error_code is None else str(invocation.error_code)


def _http_request(record: AuditRecord) -> dict[str, Any] | None:
    if record.method == _TOOL:  # a tool call through the Hub tunnel is not an HTTP request
        return None
    return known(
        {
            "http_method": record.method if record.method in _HTTP_METHODS else None,
            "url": {"path": record.path},
            "user_agent": record.user_agent,
        }
    )


def _message_context(
    tool: str | None, invocation_id: UUID | None, client: Event | None = None
) -> Event | None:
    if tool is None:
        return None
    return known(
        {
            "name": tool,
            "uid": invocation_id,
            "ai_role_id": 3,
            "ai_role": "Tool",
            "service": {"name": _MCP_SERVER},
            "application": client,
        }
    )
