"""The values that occur most in the records of some time, with how often they do."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from heapq import nlargest
from types import MappingProxyType
from typing import Final

from audit_log.filters import StoredFilter
from audit_log.objects import object_of, template_of
from audit_log.postgres.conditions import (
    CHANGES,
    OF_UNKNOWN_TOKEN,
    REFUSED,
    Arguments,
    conditions_of,
)
from audit_log.postgres.database import Database
from audit_log.postgres.usage import UNKNOWN_TOKENS


class FacetBy(StrEnum):
    """By what records are counted."""

    TOKEN = "token"
    TOOL = "tool"
    PATH_TEMPLATE = "path_template"
    CLIENT = "client"
    STATUS = "status"
    SESSION = "session"
    OBJECT = "object"


MOST_PATHS: Final = 50_000
"""How many paths are looked at for templates and objects: those with the most calls."""

# A token is one whatever its name was, and all unknown tokens are one.
_TOKEN_NAME: Final = f"CASE WHEN {OF_UNKNOWN_TOKEN} THEN '{UNKNOWN_TOKENS}' ELSE token_name END"
_KEYS: Final[Mapping[FacetBy, str]] = MappingProxyType(
    {
        FacetBy.TOKEN: f"coalesce(token_id::text, {_TOKEN_NAME})",
        FacetBy.TOOL: "tool",
        FacetBy.PATH_TEMPLATE: "path",
        FacetBy.CLIENT: "host(client_ip)",
        FacetBy.STATUS: "status_code::text",
        FacetBy.SESSION: "invocation_id::text",
        FacetBy.OBJECT: "path",
    }
)
_LABELS: Final[Mapping[FacetBy, str]] = MappingProxyType(
    {FacetBy.TOKEN: f"max({_TOKEN_NAME})", FacetBy.SESSION: "NULL::text"}
)
_FACETS: Final = """
SELECT {key} AS key, {label} AS label,
    count(*) FILTER ({now}) AS calls,
    count(*) FILTER ({now} AND {changes}) AS changes,
    count(*) FILTER ({now} AND {refused}) AS refused,
    count(*) FILTER ({now} AND status_code >= 500) AS failed,
    count(*) FILTER (WHERE created_at < {since}::timestamptz) AS before,
    min(created_at) FILTER ({now}) AS first, max(created_at) FILTER ({now}) AS last,
    (sum(count(*) FILTER ({now})) OVER ())::bigint AS total
FROM mcp_audit_log
WHERE created_at >= {earliest}::timestamptz AND created_at < {until}::timestamptz
    AND {conditions}
GROUP BY 1
ORDER BY calls DESC, 1
LIMIT {limit}
"""
# What calls have no session of their own: it is that of their tool call.
_BY_SESSION: Final = """
SELECT mcp_tool_invocation.session::text AS key, max(mcp_tool_invocation.client_name) AS label,
    sum(calls)::bigint AS calls, sum(changes)::bigint AS changes, sum(refused)::bigint AS refused,
    sum(failed)::bigint AS failed, sum(before)::bigint AS before,
    min(first) AS first, max(last) AS last, max(total)::bigint AS total
FROM ({by_tool_call}) AS of_tool_call
LEFT JOIN mcp_tool_invocation ON mcp_tool_invocation.id = of_tool_call.key::uuid
GROUP BY 1
ORDER BY calls DESC, 1
LIMIT {limit}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetQuery:
    """By what is counted, in which time, and how many values are wanted."""

    by: FacetBy
    filter: StoredFilter
    """Its `since` and `until` are those of the query."""
    earliest: datetime
    """The beginning of the period before, with which this one is compared; or `since`."""
    since: datetime
    until: datetime
    limit: int


@dataclass(slots=True)
class Facet:
    """How often one value occurs."""

    key: str | None
    label: str | None
    calls: int
    changes: int
    refused: int
    failed: int
    before: int
    """Calls in the period before."""
    first: datetime | None
    last: datetime | None

    def add(self, other: "Facet") -> None:
        """Count the calls of *other* here as well."""
        for name in ("calls", "changes", "refused", "failed", "before"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        firsts = [moment for moment in (self.first, other.first) if moment is not None]
        lasts = [moment for moment in (self.last, other.last) if moment is not None]
        self.first, self.last = min(firsts, default=None), max(lasts, default=None)


_OF_PATHS: Final[Mapping[FacetBy, Callable[[str], str | None]]] = MappingProxyType(
    {FacetBy.PATH_TEMPLATE: template_of, FacetBy.OBJECT: object_of}
)


async def facets_of(database: Database, query: FacetQuery) -> tuple[list[Facet], int]:
    """Return the values with the most calls, and the number of all calls."""
    is_by_path = query.by in _OF_PATHS
    arguments = Arguments()
    conditions = conditions_of(query.filter, arguments)
    since = arguments.add(query.since)
    limit = arguments.add(MOST_PATHS if is_by_path else query.limit)
    is_by_session = query.by is FacetBy.SESSION
    sql = _FACETS.format(
        key=_KEYS[query.by],
        label=_LABELS.get(query.by, f"max({_KEYS[query.by]})"),
        now=f"WHERE created_at >= {since}::timestamptz",
        since=since,
        changes=CHANGES,
        refused=REFUSED,
        earliest=arguments.add(query.earliest),
        until=arguments.add(query.until),
        conditions=" AND ".join(conditions) or "true",
        limit="ALL" if is_by_session else limit,
    )
    if is_by_session:
        sql = _BY_SESSION.format(by_tool_call=sql, limit=limit)
    rows = await database.fetch(sql, *arguments)
    total = rows[0]["total"] if rows else 0
    found = [Facet(**{name: row[name] for name in Facet.__slots__}) for row in rows]
    if is_by_path:
        found = _summed(found, _OF_PATHS[query.by], query.limit)
    return [facet for facet in found if facet.calls or facet.before], total


def _summed(
    of_paths: Iterable[Facet], name_of: Callable[[str], str | None], limit: int
) -> list[Facet]:
    """Return the sums by what *name_of* says of a path, without those of which it says nothing."""
    sums: dict[str, Facet] = {}
    for facet in of_paths:
        name = name_of(facet.key or "")
        if name in sums:
            sums[name].add(facet)
        elif name is not None:
            facet.key = facet.label = name
            sums[name] = facet
    return nlargest(limit, sums.values(), key=lambda facet: (facet.calls, facet.before))
