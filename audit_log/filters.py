"""Which records and tool calls are meant: filters that one in memory can be held against.

`audit_log/postgres/conditions.py` writes the same filters as SQL. The two must agree, and
`tests/integration/test_filters.py` holds them to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from ipaddress import ip_address
from operator import eq
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from audit_log.addresses import Network
from audit_log.clock import TOLERATED_SECONDS
from audit_log.objects import is_within
from audit_log.patterns import is_like
from audit_log.record import UNKNOWN_TOKEN, AuditRecord, Invocation, Outcome

CLOCK_AHEAD: Final = timedelta(seconds=TOLERATED_SECONDS)
"""A record that is dated further after its arrival is of a sidecar whose clock was ahead."""
SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS", "TRACE")
"""The methods that ask for no change (RFC 9110, section 9.2.1).

`TOOL` is none of them: what a tool does through the Hub's tunnel is not known.
"""
REFUSALS: Final = (401, 403)
"""The status codes with which the API refuses a caller."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Among(Generic[Value]):
    """Which values match: one of `any_of`, if that names some, and none of `none_of`."""

    any_of: tuple[Value, ...] = ()
    none_of: tuple[Value, ...] = ()

    def __bool__(self) -> bool:
        """Whether this is a condition."""
        return bool(self.any_of or self.none_of)

    def holds(self, fits: Callable[[Value], bool]) -> bool:
        """Say whether what *fits* some values matches. What has no value fits none."""
        return (not self.any_of or any(map(fits, self.any_of))) and not any(
            map(fits, self.none_of)
        )


def one_of(*values: Value) -> Among[Value]:
    """Return the condition to have one of *values*."""
    return Among(any_of=values)


def none_of(*values: Value) -> Among[Value]:
    """Return the condition to have none of *values*."""
    return Among(none_of=values)


ANY: Final[Among[Any]] = Among()


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFilter:
    """Conditions on the times of a record: all that are given must hold; None is no condition."""

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

    def _matches_times(self, record: AuditRecord | Invocation) -> bool:
        return (
            _lies_between(record.created_at, self.since, self.until)
            and _lies_between(record.arrived_at, self.arrived_since, self.arrived_until)
            and self.clock_ahead in {None, _is_dated_ahead(record)}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter(TimeFilter):
    """Conditions on what API calls and tool calls have in common."""

    token_name: Among[str] = ANY
    token_id: Among[UUID] = ANY
    unknown_tokens: bool | None = None
    """Made with an unknown token, or, if false, not made with one."""
    status: Among[range] = ANY
    """Ranges of status codes, without a step."""
    outcome: Among[str] = ANY
    tool: Among[str] = ANY
    client_ip: Among[Network] = ANY
    user_agent: Among[str] = ANY
    """Patterns, as for `RecordFilter.path`."""
    request_id: Among[str] = ANY
    instance: Among[str] = ANY
    least_ms: float | None = None
    """Took so long or longer; what has no duration never matches."""
    most_ms: float | None = None
    """Took so long or less."""

    def matches(self, record: AuditRecord | Invocation) -> bool:
        """Say whether *record* meets all conditions."""
        return (
            self._matches_values(record)
            and self.unknown_tokens in {None, _is_of_an_unknown_token(record)}
            and self.status.holds(lambda codes: record.status_code in codes)
            and self.user_agent.holds(partial(is_like, record.user_agent))
            and self.client_ip.holds(partial(_lies_in, record.client_ip))
            and self._matches_duration(record.duration_ms)
            and self._matches_times(record)
        )

    def _matches_values(self, record: AuditRecord | Invocation) -> bool:
        return all(
            wanted.holds(partial(eq, found))
            for wanted, found in (
                (self.token_name, record.token_name),
                (self.token_id, record.token_id),
                (self.outcome, record.outcome),
                (self.tool, record.tool),
                (self.request_id, record.request_id),
                (self.instance, record.instance),
            )
        )

    def _matches_duration(self, ms: float | None) -> bool:
        if ms is None:
            return self.least_ms is None and self.most_ms is None
        return (self.least_ms is None or ms >= self.least_ms) and (
            self.most_ms is None or ms <= self.most_ms
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter(CallFilter):
    """Conditions on the record of an API call."""

    method: Among[str] = ANY
    path: Among[str] = ANY
    """A prefix of the path; or, with a `*` in it, the whole path, `*` standing for any text."""
    object: Among[str] = ANY
    """Objects by their path, with all that is below them."""
    invocation_id: Among[UUID] = ANY
    changes: bool | None = None
    """Made with a method that may change something, or, if false, with one that may not."""
    refused: bool | None = None
    """Refused by the sidecar, or by the API with 401 or 403; or, if false, not refused."""

    def matches(self, record: AuditRecord | Invocation) -> bool:
        """Say whether *record* is that of an API call and meets all conditions."""
        # Not super(): dataclasses with slots are made twice, and it would name the first.
        return (
            isinstance(record, AuditRecord)
            and CallFilter.matches(self, record)
            and self.method.holds(partial(eq, record.method))
            and self.path.holds(partial(is_like, record.path))
            and self.object.holds(partial(is_within, record.path))
            and self.invocation_id.holds(partial(eq, record.invocation_id))
            and self.changes in {None, record.method not in SAFE_METHODS}
            and self.refused in {None, _is_refused(record)}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFilter(RecordFilter):
    """Conditions that only the store can judge, too: on the tool call that caused a record.

    That is written when it has ended, and so later than its API calls.
    """

    session: Among[UUID] = ANY
    """Of the agent."""
    client_name: Among[str] = ANY
    client_version: Among[str] = ANY
    protocol_version: Among[str] = ANY
    principal: Among[str] = ANY

    @property
    def asks_for_agent(self) -> bool:
        """Whether the tool call behind a record must be looked at."""
        of_the_client = self.client_name, self.client_version, self.protocol_version
        return any((self.session, self.principal, *of_the_client))


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallFilter(CallFilter):
    """Conditions on a tool call."""

    invocation_id: Among[UUID] = ANY
    """Its own id."""
    session: Among[UUID] = ANY
    client_name: Among[str] = ANY
    client_version: Among[str] = ANY
    protocol_version: Among[str] = ANY
    principal: Among[str] = ANY

    def matches(self, record: AuditRecord | Invocation) -> bool:
        """Say whether *record* is a tool call and meets all conditions."""
        return (
            isinstance(record, Invocation)
            and CallFilter.matches(self, record)
            and self.invocation_id.holds(partial(eq, record.id))
            and self.session.holds(partial(eq, record.session))
            and self.client_name.holds(partial(eq, record.client_name))
            and self.client_version.holds(partial(eq, record.client_version))
            and self.protocol_version.holds(partial(eq, record.protocol_version))
            and self.principal.holds(partial(eq, record.principal))
        )


EVERYTHING: Final = RecordFilter()
EVERY_TOOL_CALL: Final = ToolCallFilter()


def _is_of_an_unknown_token(record: AuditRecord | Invocation) -> bool:
    return record.token_id is None and (record.token_name or "").startswith(UNKNOWN_TOKEN)


def _is_refused(record: AuditRecord) -> bool:
    return record.outcome == Outcome.REFUSED or record.status_code in REFUSALS


def _is_dated_ahead(record: AuditRecord | Invocation) -> bool:
    arrived_at = record.arrived_at
    return arrived_at is not None and record.created_at - arrived_at > CLOCK_AHEAD


def _lies_between(moment: datetime | None, first: datetime | None, end: datetime | None) -> bool:
    if moment is None:
        return first is None and end is None
    return (first is None or moment >= first) and (end is None or moment < end)


def _lies_in(address: str | None, network: Network) -> bool:
    return address is not None and ip_address(address) in network
