"""Which records are meant: a filter that a record in memory can be held against.

`audit_log/postgres/conditions.py` writes the same filter as SQL. The two must agree, and
`tests/integration/test_filters.py` holds them to it.
"""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Final
from uuid import UUID

from audit_log.addresses import Network
from audit_log.record import UNKNOWN_TOKEN, AuditRecord, Outcome

WILDCARD: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
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
    since: datetime | None = None
    """Arrived then or later."""
    until: datetime | None = None
    """Arrived before then."""

    def matches(self, record: AuditRecord) -> bool:
        """Say whether *record* meets all conditions."""
        return (
            self._matches_values(record)
            and self.unknown_tokens in {None, _is_of_an_unknown_token(record)}
            and (self.status is None or record.status_code in self.status)
            and (self.path is None or _path_matches(self.path, record.path))
            and (self.client_ip is None or _lies_in(self.client_ip, record.client_ip))
            and (self.since is None or record.created_at >= self.since)
            and (self.until is None or record.created_at < self.until)
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


def _lies_in(network: Network, address: str | None) -> bool:
    return address is not None and ip_address(address) in network
