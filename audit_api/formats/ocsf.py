"""OCSF: what all events of the Open Cybersecurity Schema Framework 1.8 have in common.

`ocsf_calls` and `ocsf_gaps` make the events. A value that is not known is left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

VERSION: Final = "1.8.0"
Event = dict[str, Any]
_OTHER: Final = 99
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EventClass:
    """A class of events, with the category that it belongs to."""

    uid: int
    name: str
    category_uid: int
    category_name: str

    def classify(self, activity_id: int, activity: str) -> Event:
        """Return what says of an event that it is of this class, and what was done.

        Activity 99 is any other one: its name is ours, and the type's is not.
        """
        type_name = "Other" if activity_id == _OTHER else activity
        return {
            "activity_id": activity_id,
            "activity_name": activity,
            "category_uid": self.category_uid,
            "category_name": self.category_name,
            "class_uid": self.uid,
            "class_name": self.name,
            "type_uid": self.uid * 100 + activity_id,
            "type_name": f"{self.name}: {type_name}",
        }


def metadata(uid: UUID, instance: str, **more: object) -> Event:
    """Return the metadata of the event *uid*, of what the sidecar *instance* recorded."""
    return known(
        {
            "version": VERSION,
            "uid": uid,
            "log_name": "mcp_audit_log",
            "log_provider": instance,
            "product": {"name": "PodWarden audit sidecar", "vendor_name": "PodWarden"},
            **more,
        }
    )


def lines_of(events: Iterable[Event]) -> bytes:
    """Return *events*, one JSON object on each line."""
    return b"".join([msgspec.json.encode(event) + b"\n" for event in events])


def milliseconds_since_epoch(moment: datetime) -> int:
    """Return *moment* as OCSF's timestamp."""
    return int((moment - _EPOCH).total_seconds() * 1_000)


def known(values: Mapping[str, Any]) -> Event:
    """Return *values* without those that are None or empty objects."""
    return {name: value for name, value in values.items() if value is not None and value != {}}
