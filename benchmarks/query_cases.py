"""The questions that are measured: the two documented ones, and each filter alone."""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from types import MappingProxyType
from typing import Final

from audit_log.filters import EVERYTHING, RecordFilter, none_of, one_of
from audit_log.record import Outcome
from benchmarks.query_data import ENDED, id_of

DOCUMENTED: Final = ("all tokens", "one token")
CASES: Final[Mapping[str, RecordFilter]] = MappingProxyType(
    {
        "all tokens": EVERYTHING,
        "one token": RecordFilter(token_id=one_of(id_of("token-3"))),
        "token_id, rare": RecordFilter(token_id=one_of(id_of("token-37"))),
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
        "invocation_id": RecordFilter(invocation_id=one_of(id_of("invocation1000"))),
        "client_ip": RecordFilter(client_ip=one_of(ip_network("10.1.7.9"))),
        "client_ip, network": RecordFilter(client_ip=one_of(ip_network("10.1.7.0/24"))),
        "client_ip, absent": RecordFilter(client_ip=one_of(ip_network("192.0.2.0/24"))),
        "since": RecordFilter(since=ENDED - timedelta(hours=1)),
        "until": RecordFilter(until=ENDED - timedelta(days=45)),
        "until, absent": RecordFilter(until=ENDED - timedelta(days=900)),
        "object": RecordFilter(object=one_of("clusters/1777")),
        "object, absent": RecordFilter(object=one_of("clusters/99999")),
        "object history: changes": RecordFilter(object=one_of("clusters/1777"), changes=True),
        "object, refused": RecordFilter(object=one_of("clusters/1777"), refused=True),
        "changes": RecordFilter(changes=True),
        "refused": RecordFilter(refused=True),
        "unknown tokens": RecordFilter(unknown_tokens=True),
        "token, not": RecordFilter(token_name=none_of("token-0", "token-1")),
        "methods": RecordFilter(method=one_of("POST", "DELETE")),
        "status classes": RecordFilter(status=one_of(range(400, 500), range(500, 600))),
        "instance": RecordFilter(instance=one_of("sidecar-1")),
        "instance, absent": RecordFilter(instance=one_of("sidecar-9")),
        "request_id": RecordFilter(request_id=one_of(id_of("5000").hex)),
        "user agent": RecordFilter(user_agent=one_of("python-httpx")),
        "user agent, absent": RecordFilter(user_agent=one_of("curl")),
        "duration": RecordFilter(least_ms=99.99),
        "duration, absent": RecordFilter(least_ms=5_000.0),
        "token and changes": RecordFilter(token_id=one_of(id_of("token-3")), changes=True),
        "rare token and changes": RecordFilter(token_id=one_of(id_of("token-37")), changes=True),
        "token and refused": RecordFilter(token_id=one_of(id_of("token-3")), refused=True),
        "token and status class": RecordFilter(
            token_id=one_of(id_of("token-3")), status=one_of(range(500, 600))
        ),
        "token and tool": RecordFilter(token_id=one_of(id_of("token-3")), tool=one_of("tool_3")),
        "token and object": RecordFilter(
            token_id=one_of(id_of("token-3")), object=one_of("clusters/1777")
        ),
        "tool and status class": RecordFilter(
            tool=one_of("tool_3"), status=one_of(range(500, 600))
        ),
        "client and method": RecordFilter(
            client_ip=one_of(ip_network("10.1.7.0/24")), method=one_of("DELETE")
        ),
        "a day of changes": RecordFilter(
            since=ENDED - timedelta(days=31), until=ENDED - timedelta(days=30), changes=True
        ),
        # An index knows the beginning of a path only; where that says little, the log is read.
        "path pattern, rare end": RecordFilter(path=one_of("/api/v1/*/1777")),
        "path pattern, absent": RecordFilter(path=one_of("*nowhere*")),
    }
)
"""Each with a common, a rare and an absent value where that makes a difference."""
UNINDEXED: Final = ("path pattern, rare end", "path pattern, absent")
