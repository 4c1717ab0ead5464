"""Which records are meant: a filter that a record in memory can be held against.

`audit_log/postgres/conditions.py` writes the same filter as SQL. The two must agree, and
`tests/integration/test_filters.py` holds them to it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final
from uuid import UUID

from audit_log.addresses import Network
from audit_log.clock import TOLERATED_SECONDS
from audit_log.record import UNKNOWN_TOKEN, AuditRecord, Outcome

WILDCARD: Final = "*"
CLOCK_AHEAD: Final = timedelta(seconds=TOLERATED_SECONDS)
"""A record that is dated further after its arrival is of a sidecar whose clock was ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFilter:
    """Conditions on the times of a record."""

    since: datetime | None = None
    """Made then or later, by the sidecar's clock."""
    until: datetime | None = None
    """Made before then."""
    arrived_since: datetime | None = None
    """Arrived in the audit log then or later; what has no time of arrival never matches."""
    arrived_until: datetime | None = None
    """Arrived in the audit log before then."""
    clock_ahead: bool | None = None
    """Dated more than 5 s after it arrived: its sidecar's clock was ahead; or, if false, not."""

    def _matches_times(self, record: AuditRecord) -> bool:
        return (
            _lies_between(record.created_at, self.since, self.until)
            and _lies_between(record.arrived_at, self.arrived_since, self.arrived_until)
            and self.clock_ahead in {None, _is_dated_ahead(record)}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter(TimeFilter):
    """Conditions on a record: all that are given must hold; None is no condition."""

    token_name: str | None = None
    token_id: UUID | None = None
    unknown_tokens: bool | None = None
    """Made with an unknown token, or, if false, not made with one."""
    method: str | None = None
    status: range | None = None
    """A range of status codes, without a step."""
    outcome: Outcome | None = None
    path: str | None = None
    """A prefix of the path; or, with a `*` in it, the whole path, `*` standing for any text."""
    tool: str | None = None
    invocation_id: UUID | None = None
    client_ip: Network | None = None

    def matches(self, record: AuditRecord) -> bool:
        """Say whether *record* meets all conditions."""
        return (
            self._matches_values(record)
            and self.unknown_tokens in {None, _is_of_an_unknown_token(record)}
            and (self.status is None or record.status_code in self.status)
            and (self.path is None or _path_matches(self.path, record.path))
            and (self.client_ip is None or _lies_in(self.client_ip, record.client_ip))
            and self._matches_times(record)
        )

    def _matches_values(self, record: AuditRecord) -> bool:
        return all(
            wanted is None or wanted == found
            for wanted, found in (
                (self.token_name, record.token_name),
                (self.token_id, record.token_id),
                (self.method, record.method),
                (self.outcome, record.outcome),
                (self.tool, record.tool),
                (self.invocation_id, record.invocation_id),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFilter(RecordFilter):
    """Conditions that only the store can judge, too: on the tool call that caused a record.

    That is written when it has ended, and so later than its API calls.
    """

    session: UUID | None = None
    """Of the agent."""
    client_name: str | None = None
    principal: str | None = None

    @property
    def asks_for_agent(self) -> bool:
        """Whether the tool call behind a record must be looked at."""
        return (self.session, self.client_name, self.principal) != (None, None, None)


EVERYTHING: Final = RecordFilter()


def _is_of_an_unknown_token(record: AuditRecord) -> bool:
    return record.token_id is None and (record.token_name or "").startswith(UNKNOWN_TOKEN)


def _path_matches(wanted: str, path: str) -> bool:
    """Say whether *path* is as *wanted*; the time is linear for every pattern."""
    if WILDCARD not in wanted:
        return path.startswith(wanted)
    first, *between, last = wanted.split(WILDCARD)
    if not path.startswith(first) or not path.endswith(last):
        return False
    at, end = len(first), len(path) - len(last)
    for part in between:
        found = path.find(part, at, max(at, end))
        if found < 0:
            return False
        at = found + len(part)
    return at <= end


def _is_dated_ahead(record: AuditRecord) -> bool:
    arrived_at = record.arrived_at
    return arrived_at is not None and record.created_at - arrived_at > CLOCK_AHEAD


def _lies_between(moment: datetime | None, first: datetime | None, end: datetime | None) -> bool:
    if moment is None:
        return first is None and end is None
    return (first is None or moment >= first) and (end is None or moment < end)


def _lies_in(network: Network, address: str | None) -> bool:
    return address is not None and ip_address(address) in network
