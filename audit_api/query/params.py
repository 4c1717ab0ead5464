"""What a caller asks for: one model for each question, which reads, checks and describes it."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit_api.errors import InvalidParametersError
from audit_api.formats.export_formats import ExportFormat
from audit_api.query.values import Id, Limit, Moment, Network, Status, Text
from audit_log.filters import RecordFilter
from audit_log.postgres.search import DEFAULT_LIMIT
from audit_log.record import Outcome, ToolOutcome

Model = TypeVar("Model", bound=BaseModel)


class Params(BaseModel):
    """Parameters of one question. One that is not here is refused, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Params):
    """A question without parameters."""


class Page(Params):
    """A question that is answered page by page."""

    limit: Limit = DEFAULT_LIMIT
    cursor: str | None = Field(
        default=None, description='where the last page ended: from its `Link: <…>; rel="next"`'
    )


class Span(Params):
    """A stretch of time."""

    since: Moment | None = Field(default=None, description="then or later")
    until: Moment | None = Field(default=None, description="before then")


class Filters(Span):
    """What entries must be like; all that is given must hold."""

    token_name: Text | None = Field(default=None, description="the token's name at the time")
    token_id: Id | None = Field(default=None, description="the token")
    method: Text | None = Field(default=None, description="HTTP method, or TOOL; case matters")
    status: Status | None = Field(default=None, description="a status code, or a class like `4xx`")
    outcome: Outcome | None = Field(default=None, description="how the call ended")
    path: Text | None = Field(
        default=None, description="what the path begins with; or the whole path, `*` for any text"
    )
    tool: Text | None = Field(default=None, description="the MCP tool behind the call")
    invocation_id: Id | None = Field(default=None, description="the tool call behind the call")
    client_ip: Network | None = Field(
        default=None, description="the caller's address, or a network that it lies in"
    )

    def filter(self, token_id: UUID | None = None) -> RecordFilter:
        """Return what records must be like; of the token *token_id* if the path names one."""
        values = {name: getattr(self, name) for name in Filters.model_fields}
        if token_id is not None:
            values["token_id"] = token_id
        return RecordFilter(**values)


class EntriesParams(Page, Filters):
    """Which entries, newest first."""

    expand: Literal["details"] | None = Field(
        default=None, description="`details`: all that is known, not the documented six keys alone"
    )


class InvocationsParams(Page, Span):
    """Which tool calls, newest first."""

    tool: Text | None = Field(default=None, description="the MCP tool")
    token_name: Text | None = Field(default=None, description="the token's name at the time")
    token_id: Id | None = Field(default=None, description="the token")
    outcome: ToolOutcome | None = Field(default=None, description="how the tool call ended")


class GapsParams(Span):
    """Which gaps, newest first: those that touch the span."""

    limit: Limit = DEFAULT_LIMIT


class ExportParams(Filters):
    """Which entries, oldest first, all of them."""

    format: ExportFormat = Field(
        default=ExportFormat.NDJSON, description="`ocsf`: API Activity, one JSON object per line"
    )
    after: str | None = Field(
        default=None,
        description="the `X-Audit-Mark` of an earlier export: only what that one could not show",
    )


class StreamParams(Filters):
    """Which entries, as they arrive."""

    after: str | None = Field(
        default=None,
        description="where to begin: an `X-Audit-Mark`, or the id of an event; "
        "`Last-Event-ID` goes before it",
    )


class TokenPath(Params):
    """A token, named in the path."""

    token_id: Id


class EntryPath(Params):
    """An entry, named in the path."""

    entry_id: Id


class InvocationPath(Params):
    """A tool call, named in the path."""

    invocation_id: Id


def read_query(kind: type[Model], query: Iterable[tuple[str, str]]) -> Model:
    """Return what *query* asks for; raise the complaint that names what is wrong with it.

    A parameter that stands twice is refused as well: one of the two would be ignored.
    """
    given = sorted(query)
    for name, pairs in groupby(given, key=lambda pair: pair[0]):
        if len(list(pairs)) > 1:
            raise InvalidParametersError.of(name, "Input should be given once", "repeated")
    return _read(kind, "query", dict(given))


def read_path(kind: type[Model], values: Mapping[str, str]) -> Model:
    """Return what the path names."""
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
