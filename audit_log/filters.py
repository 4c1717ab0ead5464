"""Which records are meant: one set of conditions, put to PostgreSQL or to a record at hand."""

import re
from dataclasses import dataclass, fields
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final
from uuid import UUID

from audit_log.record import AuditRecord, Outcome

WILDCARD: Final = "*"

# `{}` is where the value goes. The driver hands values over apart from the text.
_CONDITIONS: Final = {
    "token_name": "token_name = {}",
    "token_id": "token_id = {}::uuid",
    "method": "method = {}",
    "outcome": "outcome = {}",
    "path": "path LIKE {}",
    "tool": "tool = {}",
    "invocation_id": "invocation_id = {}::uuid",
    "client_ip": "client_ip <<= {}::cidr",
    "since": "created_at >= {}::timestamptz",
    "until": "created_at < {}::timestamptz",
}


class Arguments(list[object]):
    """The values of a statement, in the order of their numbers."""

    def add(self, value: object) -> str:
        """Take *value* in; return how the statement calls it."""
        self.append(value)
        return f"${len(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """What a record must be like. What is None does not matter; all that is given must hold."""

    token_name: str | None = None
    token_id: UUID | None = None
    method: str | None = None
    status: range | None = None
    """Which status codes, without a step."""
    outcome: Outcome | None = None
    path: str | None = None
    """What the path begins with; or, with a `*` in it, the whole path, `*` being any text."""
    tool: str | None = None
    invocation_id: UUID | None = None
    client_ip: IPv4Network | IPv6Network | None = None
    since: datetime | None = None
    """Arrived then or later."""
    until: datetime | None = None
    """Arrived before then."""

    def conditions(self, arguments: Arguments) -> list[str]:
        """Return the SQL conditions; *arguments* takes in their values."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.path is not None:
            given["path"] = _like(self.path)
        return [
            condition.format(arguments.add(given[name]))
            for name, condition in _CONDITIONS.items()
            if given[name] is not None
        ] + self._status_conditions(arguments)

    def _status_conditions(self, arguments: Arguments) -> list[str]:
        if self.status is None:
            return []
        if len(self.status) == 1:
            return [f"status_code = {arguments.add(self.status.start)}"]
        first, end = arguments.add(self.status.start), arguments.add(self.status.stop)
        return [f"status_code >= {first} AND status_code < {end}"]

    def matches(self, record: AuditRecord) -> bool:
        """Say whether PostgreSQL would find *record*."""
        return (
            self._matches_values(record)
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


def _like(path: str) -> str:
    literal = re.sub(r"([\\%_])", r"\\\1", path)
    return literal.replace(WILDCARD, "%") if WILDCARD in path else literal + "%"


def _path_matches(wanted: str, path: str) -> bool:
    """Say whether *path* is as *wanted*, in a time that no pattern can stretch."""
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


def _lies_in(network: IPv4Network | IPv6Network, address: str | None) -> bool:
    return address is not None and ip_address(address) in network
