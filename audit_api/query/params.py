"""The parameters of each endpoint: one model that parses, validates and describes them."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from audit_api.formats.export_formats import ExportFormat, ListFormat
from audit_api.formats.seals import ProofFormat
from audit_api.query.filter_params import (
    Filters,
    Params,
    Span,
    StoredFilters,
    Times,
    ToolCallFilters,
)
from audit_api.query.values import (
    MAX_PART,
    ClientNetworks,
    Id,
    Limit,
    PartLimit,
    Pattern,
    ReadKinds,
    Text,
    Texts,
)
from audit_log.postgres.search import DEFAULT_LIMIT


class Page(Params):
    """A query with pages."""

    limit: Limit = DEFAULT_LIMIT
    cursor: str | None = Field(
        default=None,
        description='the next page: from the previous page\'s `Link: <…>; rel="next"`',
    )


class Newest(Page, Times):
    """A list, newest first. What is dated ahead is left out unless the parameters ask for it."""

    around: Id | None = Field(
        default=None,
        description="an entry or tool call: the list begins so that it is in the middle of the "
        "page, and is of 5 minutes before and after it where `since` and `until` are not given",
    )

    def leaves_out_from(self, edge: datetime) -> bool:
        """Say whether what is dated at *edge*, a moment in the future, or later is left out.

        It is shown if the query says up to when, asks by arrival or for clocks that were ahead, or
        begins that late itself.
        """
        asks_otherwise = self.until, self.arrived_since, self.arrived_until, self.clock_ahead
        return (*asks_otherwise, self.around) == (None,) * 5 and (
            self.since is None or self.since < edge
        )


class EntriesParams(Newest, StoredFilters):
    """The parameters of a list of entries, newest first."""

    expand: Literal["details"] | None = Field(
        default=None, description="`details`: all details, not only the six documented keys"
    )


class FormatChoice(Params):
    """A list that can be had as events of OCSF."""

    format: ListFormat = Field(
        default=ListFormat.JSON,
        description="`ocsf`: events of OCSF, one JSON object per line",
    )


class InvocationsParams(Newest, ToolCallFilters, FormatChoice):
    """The parameters of a list of tool calls, newest first."""


class SessionsParams(Page, ToolCallFilters):
    """The parameters of a list of agents' sessions: those with a tool call that matches."""


class GapsParams(Span, FormatChoice):
    """The parameters of a list of gaps, newest first: those that overlap the span."""

    limit: Limit = DEFAULT_LIMIT


class ReadsParams(Page, Span):
    """The parameters of a list of reads, newest first; all that are given must match."""

    reader: Texts | None = Field(
        default=None, description="the name of the reader's token; several by commas"
    )
    kind: ReadKinds | None = Field(default=None, description="what it was; several by commas")
    client_ip: ClientNetworks | None = Field(
        default=None,
        description="the reader's address, or a network that contains it; several by commas",
    )
    session: Text | None = Field(
        default=None, description="the session at the page, as a read has it"
    )
    question: Pattern | None = Field(
        default=None,
        description="a prefix of the question; with `*` (any text), a pattern for all of it",
    )


class ExportKind(StrEnum):
    """What an export consists of."""

    ENTRIES = "entries"
    GAPS = "gaps"


class Files(Params):
    """What a file is like, and where it begins and ends."""

    format: ExportFormat = Field(
        default=ExportFormat.NDJSON,
        description="`ndjson` and `ocsf`: one JSON object per line, gaps first, as lines of their "
        "own kind; `csv`: without gaps, which its name and the response fields tell of",
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


class ExportParams(StoredFilters, Files):
    """The parameters of an export: all matching entries, oldest first."""

    kind: ExportKind = Field(
        default=ExportKind.ENTRIES,
        description="`gaps`: the gaps of that time alone, as a file of their own",
    )


class InvocationsExportParams(ToolCallFilters, Files):
    """The parameters of an export of tool calls: all that match, oldest first."""


class ProofParams(Params):
    """The parameters of a proof."""

    format: ProofFormat | None = Field(
        default=None,
        description="`tlog-proof`: a file for c2sp.org/tlog-proof, also without this parameter; "
        "`json`: what is known of the seal, as `Accept: application/json` gives it too",
    )


class Following(Params):
    """Where a live stream begins."""

    after: str | None = Field(
        default=None,
        description="where to begin: an `X-Audit-Mark`, or the id of an event; "
        "the field `Last-Event-ID` has precedence",
    )


class StreamParams(Filters, Following):
    """The parameters of the live stream of entries."""


class InvocationsStreamParams(ToolCallFilters, Following):
    """The parameters of the live stream of tool calls."""


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
