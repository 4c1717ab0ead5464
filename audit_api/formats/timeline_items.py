"""What stands in the timeline, as callers get it; `kind` says what it is."""

from audit_api.formats.entries import DetailedEntry
from audit_api.formats.tool_calls import ToolCallWithCalls


class EntryInTime(DetailedEntry, frozen=True, gc=False, tag_field="kind", tag="entry"):
    """One API call that stands alone: it has no tool call, or one that is not in the timeline."""


class ToolCallInTime(ToolCallWithCalls, frozen=True, gc=False, tag_field="kind", tag="tool_call"):
    """One tool call with the first API calls that it made, oldest first.

    `attribution` of each says whether that is `exact` or `inferred`.
    """
