"""The questions that are measured: the two documented ones, and each filter alone."""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from types import MappingProxyType
from typing import Final
from uuid import UUID

from audit_log.filters import EVERYTHING, RecordFilter, one_of
from audit_log.record import Outcome
from benchmarks.query_data import ENDED


def _id(name: str) -> UUID:
    return UUID(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest())


DOCUMENTED: Final = ("all tokens", "one token")
CASES: Final[Mapping[str, RecordFilter]] = MappingProxyType(
    {
        "all tokens": EVERYTHING,
        "one token": RecordFilter(token_id=one_of(_id("token-3"))),
        "token_id, rare": RecordFilter(token_id=one_of(_id("token-37"))),
        "token_name": RecordFilter(token_name=one_of("token-3")),
        "token_name, rare": RecordFilter(token_name=one_of("token-36")),
        "token_name, absent": RecordFilter(token_name=one_of("nobody")),
        "method": RecordFilter(method=one_of("DELETE")),
        "method, rare": RecordFilter(method=one_of("TOOL")),
        "method, absent": RecordFilter(method=one_of("TRACE")),
        "status": RecordFilter(status=one_of(range(404, 405))),
        "status, rare": RecordFilter(status=one_of(range(418, 419))),
        "status class": RecordFilter(status=one_of(range(500, 600))),
        "status class, absent": RecordFilter(status=one_of(range(300, 400))),
        "outcome": RecordFilter(outcome=one_of(Outcome.UPSTREAM_UNREACHABLE)),
        "outcome, rare": RecordFilter(outcome=one_of(Outcome.INTERRUPTED)),
        "outcome, absent": RecordFilter(outcome=one_of(Outcome.STREAMING)),
        "path prefix": RecordFilter(path=one_of("/api/v1/clusters")),
        "path prefix, rare": RecordFilter(path=one_of("/api/v1/clusters/1777")),
        "path prefix, absent": RecordFilter(path=one_of("/nowhere")),
        "path pattern": RecordFilter(path=one_of("/api/v1/clusters/177*7")),
        "tool": RecordFilter(tool=one_of("tool_3")),
        "tool, rare": RecordFilter(tool=one_of("tool_39")),
        "tool, absent": RecordFilter(tool=one_of("nothing")),
        "invocation_id": RecordFilter(invocation_id=one_of(_id("invocation1000"))),
        "client_ip": RecordFilter(client_ip=one_of(ip_network("10.1.7.9"))),
        "client_ip, network": RecordFilter(client_ip=one_of(ip_network("10.1.7.0/24"))),
        "client_ip, absent": RecordFilter(client_ip=one_of(ip_network("192.0.2.0/24"))),
        "since": RecordFilter(since=ENDED - timedelta(hours=1)),
        "until": RecordFilter(until=ENDED - timedelta(days=45)),
        "until, absent": RecordFilter(until=ENDED - timedelta(days=900)),
        # An index knows the beginning of a path only; where that says little, the log is read.
        "path pattern, rare end": RecordFilter(path=one_of("/api/v1/*/1777")),
        "path pattern, absent": RecordFilter(path=one_of("*nowhere*")),
    }
)
"""Each with a common, a rare and an absent value where that makes a difference."""
UNINDEXED: Final = ("path pattern, rare end", "path pattern, absent")
