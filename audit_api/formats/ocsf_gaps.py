"""Gaps as Event Log Activity (class 1008) of OCSF: what happened to the audit log itself."""

from typing import Final

from audit_api.formats.ocsf import Event, EventClass, known, metadata
from audit_api.formats.ocsf import milliseconds_since_epoch as milliseconds
from audit_log.record import Gap

_EVENT_LOG_ACTIVITY: Final = EventClass(1008, "Event Log Activity", 1, "System Activity")
_OTHER: Final = 99


def gap_event(gap: Gap) -> Event:
    """Return *gap*: `count` records are missing, and no count where it is not known."""
    missing = "Some records are"
    if gap.count is not None:
        missing = "1 record is" if gap.count == 1 else f"{gap.count} records are"
    return known(
        {
            **_EVENT_LOG_ACTIVITY.classify(_OTHER, "Lose records"),
            "severity_id": 4,
            "severity": "High",
            "status_id": 2,
            "status": "Failure",
            "status_detail": gap.reason,
            "message": f"{missing} missing ({gap.reason})",
            "count": gap.count,
            "time": milliseconds(gap.ended_at),
            "start_time": milliseconds(gap.started_at),
            "end_time": milliseconds(gap.ended_at),
            "log_name": "mcp_audit_log",
            "log_provider": gap.instance,
            "metadata": metadata(gap.id, gap.instance),
        }
    )
