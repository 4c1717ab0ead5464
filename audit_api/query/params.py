"""The parameters of each endpoint: one model that parses, validates and describes them."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from itertools import groupby
from typing import ClassVar, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit_api.errors import InvalidParametersError
from audit_api.formats.export_formats import ExportFormat, ListFormat
from audit_api.formats.seals import ProofFormat
from audit_api.query.values import (
    MAX_PART,
    ClientNetwork,
    Flag,
    Id,
    Limit,
    Moment,
    PartLimit,
    Status,
    Text,
)
from audit_log.filters import RecordFilter, StoredFilter
from audit_log.postgres.search import DEFAULT_LIMIT
from audit_log.record import Outcome, ToolOutcome

Model = TypeVar("Model", bound=BaseModel)


class Params(BaseModel):
    """Parameters of one endpoint. Unknown parameters are refused, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Params):
    """No parameters."""


class Page(Params):
    """A query with pages."""

    limit: Limit = DEFAULT_LIMIT
    cursor: str | None = Field(
        default=None,
        description='the next page: from the previous page\'s `Link: <…>; rel="next"`',
    )


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


class Newest(Page, Times):
    """A list, newest first. What is dated ahead is left out unless the parameters ask for it."""

    def leaves_out_from(self, edge: datetime) -> bool:
        """Say whether what is dated at *edge*, a moment in the future, or later is left out.

        It is shown if the query says up to when, asks by arrival or for clocks that were ahead, or
        begins that late itself.
        """
        asks_otherwise = self.until, self.arrived_since, self.arrived_until, self.clock_ahead
        return asks_otherwise == (None,) * 4 and (self.since is None or self.since < edge)


class Filters(Times):
    """Filters of entries. An entry must match all that are given."""

    kind: ClassVar[type[RecordFilter]] = RecordFilter

    token_name: Text | None = Field(
        default=None, description="the token's name at the time of the call"
    )
    token_id: Id | None = Field(default=None, description="the token's id")
    unknown_tokens: Flag | None = Field(
        default=None,
        description="`true`: only calls with unknown tokens; `false`: only others",
    )
    method: Text | None = Field(default=None, description="HTTP method, or TOOL; case-sensitive")
    status: Status | None = Field(default=None, description="a status code, or a class like `4xx`")
    outcome: Outcome | None = Field(default=None, description="how the call ended")
    path: Text | None = Field(
        default=None,
        description="a prefix of the path; with `*` (any text), a pattern for the whole path",
    )
    tool: Text | None = Field(default=None, description="the MCP tool that caused the call")
    invocation_id: Id | None = Field(
        default=None, description="the tool call that caused the call"
    )
    client_ip: ClientNetwork | None = Field(
        default=None, description="the caller's address, or a network that contains it"
    )

    def filter(self, token_id: UUID | None = None) -> RecordFilter:
        """Return the filters for the store; *token_id*, if the path names one, goes first."""
        values = {each.name: getattr(self, each.name) for each in fields(self.kind)}
        if token_id is not None:
            values["token_id"] = token_id
        return self.kind(**values)


class StoredFilters(Filters):
    """Filters of entries that have been stored for a while: also by what called their tool."""

    kind = StoredFilter

    session: Id | None = Field(
        default=None, description="the agent's session: calls of its tool calls"
    )
    client_name: Text | None = Field(
        default=None, description="the MCP client's name: calls of its tool calls"
    )
    principal: Text | None = Field(
        default=None, description="on whose behalf, as a trusted proxy said: calls of tool calls"
    )


class EntriesParams(Newest, StoredFilters):
    """The parameters of a list of entries, newest first."""

    expand: Literal["details"] | None = Field(
        default=None, description="`details`: all details, not only the six documented keys"
    )


class ToolCallFilters(Params):
    """Filters of tool calls. A tool call must match all that are given."""

    tool: Text | None = Field(default=None, description="the MCP tool")
    token_name: Text | None = Field(
        default=None, description="the token's name at the time of the call"
    )
    token_id: Id | None = Field(default=None, description="the token's id")
    unknown_tokens: Flag | None = Field(
        default=None,
        description="`true`: only calls with unknown tokens; `false`: only others",
    )
    outcome: ToolOutcome | None = Field(default=None, description="how the tool call ended")
    client_name: Text | None = Field(
        default=None, description="the MCP client's name, as it introduced itself"
    )
    principal: Text | None = Field(
        default=None, description="on whose behalf it was made, as a trusted proxy said"
    )
    user_agent: Text | None = Field(
        default=None,
        description="a prefix of the agent's User-Agent; with `*` (any text), a pattern "
        "for the whole text",
    )


class FormatChoice(Params):
    """A list that can be had as events of OCSF."""

    format: ListFormat = Field(
        default=ListFormat.JSON,
        description="`ocsf`: events of OCSF, one JSON object per line",
    )


class InvocationsParams(Newest, ToolCallFilters, FormatChoice):
    """The parameters of a list of tool calls, newest first."""

    session: Id | None = Field(default=None, description="the agent's session")


class SessionsParams(Page, Span, ToolCallFilters):
    """The parameters of a list of agents' sessions: those with a tool call that matches."""


class GapsParams(Span, FormatChoice):
    """The parameters of a list of gaps, newest first: those that overlap the span."""

    limit: Limit = DEFAULT_LIMIT


class ExportParams(StoredFilters):
    """The parameters of an export: all matching entries, oldest first."""

    format: ExportFormat = Field(
        default=ExportFormat.NDJSON, description="`ocsf`: API Activity, one JSON object per line"
    )
    after: str | None = Field(
        default=None,
        description="the `X-Audit-Mark` of an earlier export: only entries that were not in it",
    )
    limit: PartLimit | None = Field(
        default=None,
        description="only a part of so many entries, whose mark continues behind the last; "
        f"more than {MAX_PART:,} means {MAX_PART:,}",
    )


class ProofParams(Params):
    """The parameters of a proof."""

    format: ProofFormat | None = Field(
        default=None,
        description="`tlog-proof`: a file for c2sp.org/tlog-proof, also without this parameter; "
        "`json`: what is known of the seal, as `Accept: application/json` gives it too",
    )


class StreamParams(Filters):
    """The parameters of the live stream."""

    after: str | None = Field(
        default=None,
        description="where to begin: an `X-Audit-Mark`, or the id of an event; "
        "the field `Last-Event-ID` has precedence",
    )


class TokenPath(Params):
    """The id of a token, in the path."""

    token_id: Id


class EntryPath(Params):
    """The id of an entry, in the path."""

    entry_id: Id


class SessionPath(Params):
    """The id of an agent's session, in the path."""

    session: Id


class InvocationPath(Params):
    """The id of a tool call, in the path."""

    invocation_id: Id


def read_query(kind: type[Model], query: Iterable[tuple[str, str]]) -> Model:
    """Return the parameters in *query*; InvalidParametersError names what is wrong with them.

    A repeated parameter is refused as well: one of its values would be ignored.
    """
    given = sorted(query)
    for name, pairs in groupby(given, key=lambda pair: pair[0]):
        if len(list(pairs)) > 1:
            raise InvalidParametersError.of(name, "Input should be given once", "repeated")
    return _read(kind, "query", dict(given))


def read_path(kind: type[Model], values: Mapping[str, str]) -> Model:
    """Return the parameters in the path; InvalidParametersError if one is invalid."""
    return _read(kind, "path", values)


def _read(kind: type[Model], place: str, values: Mapping[str, str]) -> Model:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise InvalidParametersError(
            [
                {"loc": [place, *problem["loc"]], "msg": problem["msg"], "type": problem["type"]}
                for problem in error.errors(include_url=False, include_input=False)
            ]
        ) from None
