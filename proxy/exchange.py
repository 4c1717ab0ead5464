"""An exchange: one request with its answer, while it is going on."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from msgspec.structs import replace

from audit_log.record import Attribution, AuditRecord, Outcome, new_record_id
from proxy.framing import Payload
from proxy.identity import Caller, recorded_path
from proxy.request import RequestHead
from proxy.upstream import AnswerHead

STATUS_UNKNOWN = 0
STATUS_CLIENT_CLOSED = 499


@dataclass(frozen=True, slots=True)
class Cause:
    """The tool call that caused an API call, and how sure we are of that."""

    tool: str
    id: UUID
    attribution: Attribution


class Recorder(Protocol):
    """Where records go: all that an exchange needs of the journal. Neither call ever waits."""

    def begin(self, record: AuditRecord) -> int:
        """Note what is to be recorded if the sidecar is killed; return where that is noted."""

    def end(self, slot: int, record: AuditRecord) -> bool:
        """Take *record* in, forget what `begin` noted in *slot*; say whether there was room."""


class Exchange(Protocol):
    """What the lanes tell of an exchange. It ends once: later endings are ignored."""

    added_fields: Sequence[tuple[bytes, bytes]] = ()
    """What is added to the request on its way upstream."""

    def begin(self) -> None:
        """Learn that the request is about to be forwarded."""
        return

    def request_content(self, data: bytes) -> None:  # noqa: ARG002  a default
        """Learn of a piece of the request's body, before it is sent upstream."""
        return

    def answer_opened(self, head: AnswerHead, /) -> Payload | None:  # noqa: ARG002  a default
        """Learn of the answer's head; return what wants to be handed the answer's content."""
        return None

    def end(self, outcome: Outcome, status: int, /) -> None:
        """Learn how the exchange ended and what status the client was sent."""


class Tally:
    """How many exchanges have ended, by kind and outcome."""

    def __init__(self) -> None:
        self.audited: Counter[Outcome] = Counter()
        self.unaudited: Counter[Outcome] = Counter()
        self.oddities: Counter[str] = Counter()
        """What clients sent that nobody should, by kind."""


class UnauditedExchange(Exchange):
    """An exchange that leaves no record behind, and is only counted."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._has_ended = False

    def end(self, outcome: Outcome, _status: int) -> None:
        """Count it, once."""
        if not self._has_ended:
            self._has_ended = True
            self._tally.unaudited[outcome] += 1


@dataclass(slots=True)
class AuditedExchange(Exchange):
    """An exchange that leaves exactly one record behind, however it ends."""

    recorder: Recorder
    tally: Tally
    instance: str
    head: RequestHead
    client_ip: str | None
    cause: Cause | None = None
    """The tool call behind it."""
    caller: Caller = field(default_factory=Caller)
    id: UUID = field(default_factory=new_record_id)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _started: float = field(default_factory=time.perf_counter)
    _slot: int = -1
    _begun: AuditRecord | None = None
    _has_ended: bool = False

    def begin(self) -> None:
        """Note the call, so that it is recorded as interrupted if we are killed from now on."""
        self._begun = self._record(Outcome.INTERRUPTED, STATUS_UNKNOWN, None)
        self._slot = self.recorder.begin(self._begun)

    def end(self, outcome: Outcome, status: int) -> None:
        """Record the call, once."""
        if self._has_ended:
            return
        self._has_ended = True
        self.tally.audited[outcome] += 1
        duration_ms = (time.perf_counter() - self._started) * 1_000
        if self._begun is None:
            record = self._record(outcome, status, duration_ms)
        else:
            record = replace(
                self._begun, outcome=outcome, status_code=status, duration_ms=duration_ms
            )
        self.recorder.end(self._slot, record)

    def _record(self, outcome: Outcome, status: int, duration_ms: float | None) -> AuditRecord:
        return AuditRecord(
            id=self.id,
            created_at=self.created_at,
            token_id=self.caller.token_id,
            token_name=self.caller.token_name,
            token_hash=self.caller.token_hash,
            method=self.head.method.decode("latin-1"),
            path=recorded_path(self.head.target),
            status_code=status,
            outcome=outcome,
            duration_ms=duration_ms,
            client_ip=self.client_ip,
            user_agent=self.head.user_agent,
            request_id=self.head.request_id,
            tool=self.cause.tool if self.cause else None,
            invocation_id=self.cause.id if self.cause else None,
            attribution=self.cause.attribution if self.cause else None,
            instance=self.instance,
        )
