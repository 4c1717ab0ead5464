"""The SQL that counts values: in one pass where they are few, in two where they may be many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from audit_log.filters import StoredFilter
from audit_log.postgres.conditions import (
    CHANGES,
    OF_UNKNOWN_TOKEN,
    REFUSED,
    Arguments,
    conditions_of,
)
from audit_log.postgres.transaction import ONE_SNAPSHOT
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
BY_PATH: Final = frozenset({FacetBy.PATH_TEMPLATE, FacetBy.OBJECT})
OF_MANY: Final = frozenset({FacetBy.CLIENT, FacetBy.OBJECT})
"""What may have nearly as many values as there are calls.

All values are counted, but whether calls failed, and when, is asked for the chosen ones alone.
"""
# A span of time is nearly in one piece on the disk, but the planner takes a month to be scattered,
# and reads all of it. Hundreds of thousands of values fit into 64 MB; sorted through files they
# take three times as long. To compile a statement takes longer than to run it.
COUNTING: Final = """
SET LOCAL random_page_cost TO 1.1;
SET LOCAL work_mem TO '64MB';
SET LOCAL parallel_tuple_cost TO 0;
SET LOCAL enable_sort TO off;
SET LOCAL jit TO off
"""
"""For a transaction that counts many rows."""
PREPARATION: Final = f"{ONE_SNAPSHOT};{COUNTING}"
"""For both passes."""

# A path that ends in a number has the template of the same path with any other number: these are
# counted as one, by what is before the number. Octets are trimmed three times as fast as
# characters.
_STEM: Final = "rtrim(convert_to(path, getdatabaseencoding()), '0123456789'::bytea)"
_UNNUMBERED: Final = f"""CASE
    WHEN path LIKE '%/' OR {_STEM} NOT LIKE '%/'::bytea THEN path END"""
# All unknown tokens are one.
_TOKEN_NAME: Final = f"CASE WHEN {OF_UNKNOWN_TOKEN} THEN '{UNKNOWN_TOKENS}' ELSE token_name END"
_GROUPS: Final[Mapping[FacetBy, str]] = MappingProxyType(
    {
        FacetBy.TOKEN: f"token_id, {_TOKEN_NAME} AS token_name",
        FacetBy.TOOL: "tool",
        FacetBy.PATH_TEMPLATE: f"{_STEM} AS stem, {_UNNUMBERED} AS path",
        FacetBy.CLIENT: "client_ip",
        FacetBy.STATUS: "status_code",
        # An API call has no session of its own: it is that of its tool call.
        FacetBy.SESSION: "CASE WHEN tool_call IS NULL THEN invocation_id END AS invocation_id,"
        " session, client_name",
        FacetBy.OBJECT: "path",
    }
)
_KEYS: Final[Mapping[FacetBy, str]] = MappingProxyType(
    {
        # A token is one whatever its name was.
        FacetBy.TOKEN: "coalesce(token_id::text, token_name)",
        FacetBy.TOOL: "tool",
        FacetBy.PATH_TEMPLATE: "coalesce(path, convert_from(stem, getdatabaseencoding()) || '0')",
        FacetBy.CLIENT: "host(client_ip)",
        FacetBy.STATUS: "status_code::text",
        FacetBy.SESSION: "coalesce(counted.session, late.session)::text",
        FacetBy.OBJECT: "path",
    }
)
_COLUMNS: Final[Mapping[FacetBy, int]] = MappingProxyType(
    {FacetBy.TOKEN: 2, FacetBy.PATH_TEMPLATE: 2, FacetBy.SESSION: 3}
)
"""How many columns of `_GROUPS` there are, if not one."""
_LABELS: Final[Mapping[FacetBy, str]] = MappingProxyType(
    {
        FacetBy.TOKEN: "max(token_name)",
        FacetBy.SESSION: "max(coalesce(counted.client_name, late.client_name))",
    }
)
_CALLS: Final = """(
    SELECT * FROM mcp_audit_log
    WHERE created_at >= {earliest}::timestamptz AND created_at < {until}::timestamptz
        AND {conditions}
) AS call"""
# The tool calls of about the same time are joined first, at once. What is left has its tool call
# at another time, or none.
_OF_TOOL_CALLS: Final = """
LEFT JOIN (
    SELECT id AS tool_call, session, client_name FROM mcp_tool_invocation
    WHERE created_at >= {earliest}::timestamptz - interval '1 day'
        AND created_at < {until}::timestamptz + interval '1 day'
) AS of_tool_call ON tool_call = invocation_id"""
_LATE_TOOL_CALLS: Final = """
LEFT JOIN LATERAL (
    SELECT session, client_name FROM mcp_tool_invocation
    WHERE id = counted.invocation_id
    OFFSET 0
) AS late ON true"""
_COUNTED: Final = """
SELECT {group}, count(*){now} AS calls,
    count(*) FILTER (WHERE {changes}{and_now}) AS changes,
    count(*) FILTER (WHERE {refused}{and_now}) AS refused,
    count(*) FILTER (WHERE status_code >= 500{and_now}) AS failed,
    {before} AS before, min(created_at){now} AS first, max(created_at){now} AS last
FROM {calls}
GROUP BY {columns}
"""
_SUMS: Final = """
SELECT {key} AS key, {label} AS label,
    sum(calls)::bigint AS calls, sum(changes)::bigint AS changes,
    sum(refused)::bigint AS refused, sum(failed)::bigint AS failed, sum(before)::bigint AS before,
    min(first) AS first, max(last) AS last, (sum(sum(calls)) OVER ())::bigint AS total
FROM ({counted}) AS counted{late}
GROUP BY 1
ORDER BY calls DESC, 1
LIMIT {limit}
"""
_OF_PATHS: Final = """
SELECT {key} AS key, NULL AS label, calls, changes, refused, failed, before, first, last,
    (sum(calls) OVER ())::bigint AS total
FROM ({counted}) AS counted
ORDER BY calls DESC, 1
LIMIT {limit}
"""
# The first row is the sum of all.
_MOST: Final = """
SELECT array_agg(value) AS values, array_agg(calls) AS calls, array_agg(before) AS before
FROM (
    SELECT {value} AS value, count(*){now} AS calls, {before} AS before
    FROM {calls}
    GROUP BY GROUPING SETS (({value}), ())
    ORDER BY grouping({value}) DESC, calls DESC, {order}
    LIMIT {limit}
) AS most
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


def facets_statement(
    query: FacetQuery, chosen: Sequence[object] | None = None
) -> tuple[str, Arguments]:
    """Return the SQL for the values with the most calls, or for the *chosen* ones."""
    by = query.by
    arguments = Arguments()
    calls, parts = _parts(query, arguments, chosen)
    is_by_session = by is FacetBy.SESSION
    if is_by_session:
        calls += _OF_TOOL_CALLS.format(**parts)
    group = _GROUPS[by]
    counted = _COUNTED.format(
        group=group,
        calls=calls,
        columns=", ".join(map(str, range(1, _COLUMNS.get(by, 1) + 1))),
        changes=CHANGES,
        refused=REFUSED,
        **parts,
    )
    limit = MOST_PATHS if by is FacetBy.PATH_TEMPLATE else query.limit
    sql = (_OF_PATHS if by in BY_PATH else _SUMS).format(
        key=_KEYS[by],
        label=_LABELS.get(by, "NULL"),
        counted=counted,
        late=_LATE_TOOL_CALLS if is_by_session else "",
        limit="ALL" if chosen is not None else arguments.add(limit),
    )
    return sql, arguments


def most_statement(query: FacetQuery) -> tuple[str, Arguments]:
    """Return the SQL for the values of `OF_MANY` with the most calls, after the sum of all."""
    arguments = Arguments()
    calls, parts = _parts(query, arguments)
    limit = MOST_PATHS if query.by in BY_PATH else query.limit
    sql = _MOST.format(
        value=_GROUPS[query.by],
        calls=calls,
        order=_KEYS[query.by],
        limit=arguments.add(limit + 1),
        **parts,
    )
    return sql, arguments


def _parts(
    query: FacetQuery, arguments: Arguments, chosen: Sequence[object] | None = None
) -> tuple[str, dict[str, str]]:
    """Return the calls that are counted, and what tells those of the period before apart."""
    conditions = conditions_of(query.filter, arguments)
    if chosen is not None:
        column = _GROUPS[query.by]
        values = arguments.add([value for value in chosen if value is not None])
        is_none = f" OR {column} IS NULL" if None in chosen else ""
        conditions.append(f"({column} = ANY({values}){is_none})")
    earliest = arguments.add(query.earliest)
    until = arguments.add(query.until)
    parts = {"earliest": earliest, "until": until, "now": "", "and_now": "", "before": "0::bigint"}
    if query.earliest < query.since:
        is_now = f"created_at >= {arguments.add(query.since)}::timestamptz"
        parts |= {
            "now": f" FILTER (WHERE {is_now})",
            "and_now": f" AND {is_now}",
            "before": f"count(*) FILTER (WHERE NOT {is_now})",
        }
    calls = _CALLS.format(conditions=" AND ".join(conditions) or "true", **parts)
    return calls, parts
