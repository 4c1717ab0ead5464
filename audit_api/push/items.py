"""What is pushed: lines of an export, each with what it tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec

ENTRY: Final = "entry"
TOOL_CALL: Final = "tool_call"
GAP: Final = "gap"
RULE: Final = "rule"
TEST: Final = "test"


@dataclass(frozen=True, slots=True)
class Item:
    """An entry, a tool call, a gap, what a rule has to tell, or a test."""

    kind: str
    told: dict[str, Any]

    @property
    def moment(self) -> datetime:
        """When it happened."""
        return datetime.fromisoformat(self.told.get("created_at") or self.told["from"])

    @property
    def has_failed(self) -> bool:
        """Whether it tells of a refusal, of a failure, or of missing records."""
        status = self.told.get("status_code") or 0
        return self.kind == GAP or status >= 500 or status in {401, 403}  # noqa: PLR2004


class Receiver(Protocol):
    """Where items are pushed to."""

    @property
    def name(self) -> str:
        """What it is called in metrics and logs."""

    async def send(self, items: Sequence[Item]) -> None:
        """Return when the receiver has taken all of *items*, in their order.

        Raises ReceiverAwayError or ItemsRefusedError; some may have been taken then.
        """


class ReceiverAwayError(Exception):
    """Not now: sending the same items again may succeed."""

    def __init__(self, message: str, retry_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds
        """How long the receiver asked to wait."""


class ItemsRefusedError(Exception):
    """Never: the receiver does not take at least one of these items."""


def items_of(body: bytes, kind: str) -> list[Item]:
    """Return the items in *body*, lines of an export of *kind* in NDJSON.

    Gaps are told among entries, and not again among tool calls.
    """
    # No line has a member `kind` but a gap among lines of another kind.
    told = [msgspec.json.decode(line, type=dict[str, Any]) for line in body.splitlines()]
    items = [Item(each.get("kind", kind), each) for each in told]
    return [item for item in items if kind == ENTRY or item.kind != GAP]


def a_test() -> Item:
    """Return an item that tells of no call: for the operator, or to see what a receiver takes."""
    told = {
        "created_at": datetime.now(UTC).isoformat(),
        "message": "a test of podwarden-audit push",
        "instance": "podwarden-audit",
    }
    return Item(TEST, told)
