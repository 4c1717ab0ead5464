"""Refuses to send what would not be complete."""

from audit_api.errors import NotNowError
from audit_log.schema.subscription import Subscription


class IncompleteError(NotNowError):
    """A stream or an export would leave records out."""


async def require_complete(subscription: Subscription) -> None:
    """Raise IncompleteError with the reason, if there is one."""
    reason = (await subscription.findings()).leaves_out
    if reason is not None:
        raise IncompleteError(reason)
