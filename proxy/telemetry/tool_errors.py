"""The class of error that a tool call ended with, in the words of OpenTelemetry. Pure."""

from typing import Final

from audit_log.record import Invocation, ToolOutcome

NO_FAILURES: Final = frozenset(
    {ToolOutcome.OK, ToolOutcome.UNKNOWN, ToolOutcome.DECLINED}
    | {ToolOutcome.ASKED, ToolOutcome.WORKING}
)
"""A tool that its user declined has done what it should; of an unknown ending nothing is said."""


def error_type_of(invocation: Invocation) -> str | None:
    """Return `error.type` of *invocation*; None if it did not fail, or that is not known."""
    if invocation.outcome in NO_FAILURES:
        return None
    if invocation.outcome is ToolOutcome.PROTOCOL_ERROR:
        return str(invocation.error_code or invocation.status_code)
    return invocation.outcome.value
