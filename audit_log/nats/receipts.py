"""Receipts: an ingest tells a sidecar which of its messages are in PostgreSQL.

Theory of operation. A message that was consumed leaves the stream as one does that was purged, so
the stream cannot tell which of them arrived. Each message therefore has a number, and an ingest
sends it back when PostgreSQL has committed the message: to the inbox of the sidecar, beside the
stream, at most once.

A stream is a queue. When a later message has arrived, an earlier one has arrived too, or is lost
with a stream that was wiped, purged, deleted or set back. Its receipt may also be lost, or another
ingest has it in hand. After some seconds it counts as missing, and is appended again: harmless,
because records have ids.

While nothing else is published, a *probe*, a message without items, shows whether the stream
passes messages on, and which store they reach.
"""

import re
import secrets
from asyncio import Future, get_running_loop
from dataclasses import replace
from time import monotonic
from typing import Final

import msgspec

from audit_log.nats.messages import RECORD, Message

FIELD: Final = "Audit-Receipt"
"""The header field that asks for a receipt: the run of a sidecar, a point, a number."""
QUESTION: Final = "Audit-Question"
"""The header field that asks whether the record was there before."""
PACE_SECONDS: Final = 5.0
_LONGEST_PROBE_SECONDS: Final = 60.0
RECEIPTS: Final = "_INBOX.podwarden-audit-proxy.receipt"
"""Receipts are published below it."""
# Only this form: a sidecar must not choose to which subject an ingest publishes.
_ASKED: Final = re.compile(r"([0-9a-f]{16})\.([0-9]{1,18})")


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """That a message is in PostgreSQL."""

    number: int
    store: str | None = None
    """The identity of the store that has it, or None when it could not be told."""
    had: bool | None = None
    """Whether the record of a question was there before."""


def subject_of(asked: str) -> str | None:
    """Return where the receipt goes that the field *asked* asks for; None for another form."""
    found = _ASKED.fullmatch(asked)
    return f"{RECEIPTS}.{found[1]}" if found else None


def receipt_for(asked: str, store: str | None, *, had: bool | None) -> bytes:
    """Return the receipt that *asked*, of the right form, asks for."""
    return msgspec.json.encode(Receipt(int(asked.rpartition(".")[2]), store, had))


class Receipts:
    """The numbers of one run of a sidecar, and what has come back. Belongs to the event loop."""

    def __init__(self, pace_seconds: float = PACE_SECONDS) -> None:
        """Take for missing what is late by *pace_seconds*; send no more probes than one in it."""
        self._pace_seconds = pace_seconds
        self._run = secrets.token_hex(8)
        self.subject = f"{RECEIPTS}.{self._run}"
        """Where receipts come in."""
        self.numbered = 0
        """The number of the last message."""
        self.arrived = 0
        """Every message up to this one is in PostgreSQL, or is appended again."""
        self.store: str | None = None
        """The store that the last receipt named."""
        self._ahead: set[int] = set()
        """Numbers behind a missing one that have come back."""
        self._missing_since: float | None = None
        self._failed: dict[str, int] = {}
        """Messages that the stream did not confirm: their items go again, in one or in others."""
        self._questions: dict[int, Future[bool | None]] = {}
        self._probe = _Probe(pace_seconds)

    def stamped(self, message: Message) -> Message:
        """Return *message* with a number; with the same one again if it failed before."""
        number = self._failed.pop(message.id, 0)
        if number <= self.arrived:
            self.numbered = number = self.numbered + 1
        asks = {FIELD: f"{self._run}.{number}"}
        # A message that is sent again after a loss must not be taken for a duplicate.
        id_ = f"{message.id}-{self._run}-{self._probe.losses}"
        return replace(message, id=id_, fields={**message.fields, **asks})

    def note_failed(self, message: Message, stamped: Message) -> None:
        """Note that the stream did not confirm *message*."""
        self._failed[message.id] = int(stamped.fields[FIELD].rpartition(".")[2])

    def take(self, raw: bytes) -> None:
        """Note a receipt."""
        try:
            receipt = msgspec.json.decode(raw, type=Receipt)
        except msgspec.MsgspecError:
            return
        self.store = receipt.store or self.store
        self._probe.reset()
        question = self._questions.pop(receipt.number, None)
        if question is not None and not question.done():
            question.set_result(receipt.had)
        if self.arrived < receipt.number <= self.numbered:
            self._ahead.add(receipt.number)
            self._advance()

    def _advance(self) -> None:
        before, number = self.arrived, self.arrived + 1
        failed = set(self._failed.values())
        while number in self._ahead or number in failed:
            if number in self._ahead:
                self.arrived = number
            number += 1
        if self.arrived > before:
            self._ahead = {number for number in self._ahead if number > self.arrived}
            self._missing_since = None
        if self._ahead and self._missing_since is None:
            self._missing_since = monotonic()

    @property
    def is_missing(self) -> bool:
        """Whether a message did not arrive, while a later one has, for some seconds."""
        since = self._missing_since
        return since is not None and monotonic() - since >= self._pace_seconds

    def forget(self) -> None:
        """Wait for no message that was published until now: its items are appended again."""
        self.arrived = self.numbered
        self._ahead.clear()
        self._failed.clear()
        self._missing_since = None
        self._probe.losses += 1

    def probe(self) -> Message | None:
        """Return a probe, if one is due."""
        if not self._probe.is_due(self.numbered):
            return None
        return Message(RECORD, f"probe-{secrets.token_hex(8)}", b"[]")

    def question(self, message: Message) -> tuple[Message, "Future[bool | None]"]:
        """Return *message*, of one record, as a question, and what will hold the response."""
        stamped = self.stamped(replace(message, id=f"{message.id}-asked-{self.numbered}"))
        response: Future[bool | None] = get_running_loop().create_future()
        self._questions = {self.numbered: response}
        return replace(stamped, fields={**stamped.fields, QUESTION: "present"}), response


class _Probe:
    """When to send a probe: rarely while nothing comes back, so that few gather in a stream."""

    def __init__(self, pace_seconds: float) -> None:
        self._numbered = -1
        self._at = 0.0
        self._pace_seconds = self._delay = pace_seconds
        self.losses = 0

    def reset(self) -> None:
        """Note that a receipt came."""
        self._delay = self._pace_seconds
        self._at = min(self._at, monotonic() + self._pace_seconds)

    def is_due(self, numbered: int) -> bool:
        """Say whether one is due, which is then sent; messages up to *numbered* were published."""
        now = monotonic()
        is_idle, self._numbered = numbered == self._numbered, numbered
        if not is_idle or now < self._at:
            return False
        self._numbered += 1
        self._at = now + self._delay
        self._delay = min(2 * self._delay, _LONGEST_PROBE_SECONDS)
        return True
