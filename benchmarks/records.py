"""Records as the sidecar makes them, of some tokens and paths, in the order of time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final
from uuid import UUID

from audit_log.record import AuditRecord, Outcome, new_record_id

_TOKENS: Final = [(UUID(int=number), f"assistant-{number}") for number in range(20)]
_PATHS: Final = (
    "/api/v1/clusters",
    "/api/v1/workloads/7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "/api/v1/hosts/node-17/metrics",
    "/api/v1/workloads/7c9e6679-7425-40de-944b-e07fc1f90ae7/logs",
)
_INTERVAL: Final = timedelta(microseconds=500)


@dataclass(frozen=True, slots=True)
class Passage:
    """Records that went one way, once."""

    records: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """How many records a second."""
        return self.records / self.seconds


def records(begin: datetime | None = None) -> Iterator[AuditRecord]:
    """Yield records for ever: two thousand for each second from *begin* on."""
    begin = begin or datetime.now(UTC)
    for number in count():
        token_id, token_name = _TOKENS[number % len(_TOKENS)]
        yield AuditRecord(
            id=new_record_id(),
            created_at=begin + number * _INTERVAL,
            method="GET",
            path=_PATHS[number % len(_PATHS)],
            status_code=200,
            outcome=Outcome.COMPLETED,
            instance="sidecar-1",
            token_id=token_id,
            token_name=token_name,
            duration_ms=3.25,
            client_ip="10.0.12.7",
            user_agent="python-httpx/0.28.1",
        )
