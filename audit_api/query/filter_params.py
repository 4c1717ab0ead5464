"""The filters, as parameters: which of them there are, how each is parsed and described."""

from dataclasses import Field as FilterField
from dataclasses import fields
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from audit_api.query.values import (
    ClientNetworks,
    Flag,
    Ids,
    Milliseconds,
    Moment,
    Objects,
    Outcomes,
    Pattern,
    Statuses,
    Texts,
    ToolOutcomes,
)
from audit_log.filters import (
    ANY,
    Among,
    RecordFilter,
    StoredFilter,
    TimeFilter,
    ToolCallFilter,
)
from audit_log.postgres.agents.timeline import TimelineFilter


class Params(BaseModel):
    """Parameters of one endpoint. Unknown parameters are refused, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Params):
    """No parameters."""


class Span(Params):
    """A span of time."""

    since: Moment | None = Field(
        default=None, description="at this time or later, by the sidecar's clock"
    )
    until: Moment | None = Field(default=None, description="before this time")


class Times(Span):
    """Spans of time and of arrival: the records of a late sidecar arrive long after their time."""

    arrived_since: Moment | None = Field(
        default=None,
        description="arrived in the audit log at this time or later, by PostgreSQL's clock; "
        "older entries, of before version 0.2, have no such time",
    )
    arrived_until: Moment | None = Field(
        default=None, description="arrived in the audit log before this time"
    )
    clock_ahead: Flag | None = Field(
        default=None,
        description="`true`: only what is dated more than 5 s after it arrived, as its "
        "sidecar's clock was ahead; `false`: only others",
    )


def _not(name: str) -> Any:
    return Field(default=None, alias=f"{name}!", description=f"as `{name}`: none of these")


class CallFilters(Times):
    """Filters that API calls and tool calls have in common; all that are given must match.

    Several values are separated by commas: one of them must match. `status!=404` is the filter
    `status!`: none of them may match.
    """

    token_name: Texts | None = Field(
        default=None, description="the token's name at the time of the call; several by commas"
    )
    not_token_name: Texts | None = _not("token_name")
    token_id: Ids | None = Field(default=None, description="the token's id; several by commas")
    not_token_id: Ids | None = _not("token_id")
    unknown_tokens: Flag | None = Field(
        default=None,
        description="`true`: only calls with unknown tokens; `false`: only others",
    )
    status: Statuses | None = Field(
        default=None, description="a status code, or a class like `4xx`; several by commas"
    )
    not_status: Statuses | None = _not("status")
    tool: Texts | None = Field(
        default=None, description="the MCP tool that caused the call; several by commas"
    )
    not_tool: Texts | None = _not("tool")
    client_ip: ClientNetworks | None = Field(
        default=None,
        description="the caller's address, or a network that contains it; several by commas",
    )
    not_client_ip: ClientNetworks | None = _not("client_ip")
    user_agent: Pattern | None = Field(
        default=None,
        description="a prefix of the User-Agent; with `*` (any text), a pattern for all of it",
    )
    not_user_agent: Pattern | None = _not("user_agent")
    request_id: Texts | None = Field(default=None, description="the call's `X-Request-Id`")
    instance: Texts | None = Field(
        default=None, description="the sidecar that recorded the call; several by commas"
    )
    not_instance: Texts | None = _not("instance")
    least_ms: Milliseconds | None = Field(
        default=None,
        alias="duration_ms>",
        description="`duration_ms>=1500`: it took so many milliseconds or more",
    )
    most_ms: Milliseconds | None = Field(
        default=None,
        alias="duration_ms<",
        description="`duration_ms<=1500`: it took so many milliseconds or less",
    )


class Filters(CallFilters):
    """Filters of entries."""

    method: Texts | None = Field(
        default=None, description="HTTP method, or TOOL; case-sensitive; several by commas"
    )
    not_method: Texts | None = _not("method")
    outcome: Outcomes | None = Field(
        default=None, description="how the call ended; several by commas"
    )
    not_outcome: Outcomes | None = _not("outcome")
    path: Pattern | None = Field(
        default=None,
        description="a prefix of the path; with `*` (any text), a pattern for the whole path",
    )
    not_path: Pattern | None = _not("path")
    object: Objects | None = Field(
        default=None,
        description="an object by its path below `/api/v1`, such as `clusters/12`: calls of it "
        "and of what is below it; several by commas",
    )
    not_object: Objects | None = _not("object")
    invocation_id: Ids | None = Field(
        default=None, description="the tool call that caused the call; several by commas"
    )
    changes: Flag | None = Field(
        default=None,
        description="`true`: only calls that may change something, which are all but GET, HEAD, "
        "OPTIONS and TRACE; `false`: only those",
    )
    refused: Flag | None = Field(
        default=None,
        description="`true`: only calls that the sidecar refused, or the API with 401 or 403; "
        "`false`: only others",
    )

    def filter(self) -> RecordFilter:
        """Return the filters for the store."""
        return RecordFilter(**_values(self, RecordFilter))


class AgentFilters(Params):
    """Filters by the agent that called a tool."""

    session: Ids | None = Field(default=None, description="the agent's session; several by commas")
    not_session: Ids | None = _not("session")
    client_name: Texts | None = Field(
        default=None, description="the MCP client, as it introduced itself; several by commas"
    )
    not_client_name: Texts | None = _not("client_name")
    client_version: Texts | None = Field(
        default=None, description="the version of the MCP client; several by commas"
    )
    not_client_version: Texts | None = _not("client_version")
    protocol_version: Texts | None = Field(
        default=None, description="the version of MCP that it spoke; several by commas"
    )
    not_protocol_version: Texts | None = _not("protocol_version")
    principal: Texts | None = Field(
        default=None, description="on whose behalf, as a trusted proxy said; several by commas"
    )
    not_principal: Texts | None = _not("principal")


class StoredFilters(Filters, AgentFilters):
    """Filters of entries that have been stored for a while: also by what called their tool."""

    def filter(self) -> StoredFilter:
        """Return the filters for the store."""
        return StoredFilter(**_values(self, StoredFilter))


class ToolCallFilters(CallFilters, AgentFilters):
    """Filters of tool calls."""

    invocation_id: Ids | None = Field(
        default=None, description="the tool call's own id; several by commas"
    )
    outcome: ToolOutcomes | None = Field(
        default=None, description="how the tool call ended; several by commas"
    )
    not_outcome: ToolOutcomes | None = _not("outcome")

    def filter(self) -> ToolCallFilter:
        """Return the filters for the store."""
        return ToolCallFilter(**_values(self, ToolCallFilter))


class TimelineFilters(CallFilters, AgentFilters):
    """Filters of API calls and tool calls together: those that both have."""

    invocation_id: Ids | None = Field(
        default=None, description="a tool call and its API calls; several by commas"
    )

    def filter(self) -> TimelineFilter:
        """Return the filters for the store."""
        return TimelineFilter(
            StoredFilter(**_values(self, StoredFilter)),
            ToolCallFilter(**_values(self, ToolCallFilter)),
        )


def _values(params: CallFilters, kind: type[TimeFilter]) -> dict[str, Any]:
    """Return the fields of the filter *kind*, for the store."""
    return {each.name: _condition(params, each) for each in fields(kind)}


def _condition(params: CallFilters, each: FilterField[Any]) -> object:
    given = getattr(params, each.name, None)
    if each.default is not ANY:
        return given
    return Among(given or (), getattr(params, f"not_{each.name}", None) or ())
