"""An exchange: one request with its response, while it is in progress."""

import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from audit_log.record import Attribution, Kept, Outcome
from audit_log.tokens import Token
from proxy.audit.identity import Caller, Credentials
from proxy.audit.record_text import Facts, RecordText, ending, opening
from proxy.audit.shares import Share, Standing
from proxy.audit.tally import Tally
from proxy.audit.trace_context import TraceContext, trace_context
from proxy.http.framing import Payload
from proxy.http.request import RequestHead
from proxy.http.response import ResponseHead
from proxy.http.target import recorded_path
from proxy.tokens.memory import MISSING, Missing

STATUS_UNKNOWN: Final = 0
STATUS_CLIENT_CLOSED: Final = 499
NOT_BEGUN: Final = -3
"""Stands for the slot of a call that was recorded without `Recorder.begin`."""
# Until Python 3.12 a member of an enum is looked up by a Python function.
_REFUSED: Final = Outcome.REFUSED
_KNOWN: Final = Standing.KNOWN
_INTERRUPTED: Final = ending(Outcome.INTERRUPTED, STATUS_UNKNOWN, None)


class Cause(msgspec.Struct, frozen=True):
    """The tool call that caused an API call, and how sure we are of that."""

    tool: str
    invocation_id: UUID
    attribution: Attribution

    @property
    def members(self) -> bytes:
        """Return what a record says of it, as members of JSON with a comma behind each."""
        return msgspec.json.encode(self)[1:-1] + b","


class Recorder(Protocol):
    """Where records go: all that an exchange needs of the journal. Neither call ever waits."""

    def begin(self, record: Kept | RecordText, share: Share | None = None) -> int:
        """Note what is to be recorded if the sidecar is killed; return where that is noted."""

    def end(self, slot: int, record: Kept | RecordText, share: Share | None = None) -> bool:
        """Take *record* in, forget what `begin` noted in *slot*; say whether there was room."""


class Exchange(Protocol):
    """What the relays tell of an exchange. It ends once: later endings are ignored."""

    identification: Callable[[], Awaitable[None]] | None = None
    """What to await before the request may be forwarded, such as the look-up of its token.
    Raises RefusedError, after recording it."""
    added_fields: Sequence[tuple[bytes, bytes]] = ()
    """What is added to the request on its way upstream."""
    reads_request: bool = False
    """Whether `request_content` is to be told of the request's body."""

    def begin(self) -> None:
        """Learn that the request is about to be forwarded."""
        return

    most_at_once: int = sys.maxsize
    """How many bytes of the request's body one turn of the event loop passes on."""

    def request_content(self, data: bytes) -> None:  # noqa: ARG002  a default
        """Learn of a piece of the request's body, before it is sent upstream."""
        return

    def request_ended(self) -> None:
        """Learn that the client sends nothing more through a tunnel."""
        return

    def response_opened(self, head: ResponseHead, /) -> Payload | None:  # noqa: ARG002  a default
        """Learn of the response's head; return what observes its content, or None."""
        return None

    def end(self, outcome: Outcome, status: int, /) -> None:
        """Learn how the exchange ended and what status the client was sent."""


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


class MadeCall(msgspec.Struct, frozen=True, gc=False):
    """What all records of a call say when it is made with one token, and whose share they take."""

    rest: bytes
    """The end of the JSON of each record: see `RecordText`."""
    share: Share


class AuditedCall:
    """An API call of one of our tokens, as its head alone tells of it."""

    __slots__ = (
        *("_client_ip", "_instance", "_is_traced", "_made", "_now", "_token"),
        *("head", "token_hash"),
    )

    def __init__(
        self,
        head: RequestHead,
        token_hash: str | Credentials,
        client_ip: str,
        instance: str,
        now: Callable[[], datetime],
        *,
        is_traced: bool = False,
    ) -> None:
        """Be made with the token of *token_hash*, or with ambiguous credentials.

        *now* is the time by which tokens expire. *is_traced* says to keep the client's span.
        """
        self.head = head
        self.token_hash = token_hash
        self._client_ip = client_ip
        self._instance = instance
        self._now = now
        self._is_traced = is_traced
        self._token: Token | Missing | None = MISSING
        self._made: MadeCall | None = None

    def made_with(self, token: Token | Missing | None) -> MadeCall:
        """Return what follows from the call being made with *token*."""
        if self._made is None or token is not self._token:
            self._token = token
            share = share_of(self.token_hash, token, self._now)
            self._made = MadeCall(self._facts(token).rest, share)
        return self._made

    def _facts(self, token: Token | Missing | None) -> Facts:
        head, caller = self.head, Caller.of(self.token_hash, token)
        trace = trace_context(head) if self._is_traced else TraceContext()
        return Facts(
            method=head.method.decode("latin-1"),
            path=recorded_path(head.target),
            instance=self._instance,
            token_id=caller.token_id,
            token_name=caller.token_name,
            token_hash=caller.token_hash,
            client_ip=self._client_ip,
            user_agent=head.user_agent,
            request_id=head.request_id,
            traceparent=trace.traceparent,
            tracestate=trace.tracestate,
        )


class AuditedExchange(Exchange):
    """An exchange that leaves exactly one record behind, however it ends."""

    def __init__(self, recorder: Recorder, tally: Tally, call: AuditedCall) -> None:
        """Record *call*, which has just arrived, to *recorder*."""
        self.token: Token | Missing | None = MISSING
        """With which it is made, once that is known."""
        self._started = time.perf_counter()
        self._recorder = recorder
        self._tally = tally
        self._call = call
        self._opening = opening(datetime.now(UTC))
        self._slot = NOT_BEGUN
        self._has_ended = False

    def is_caused_by(self, cause: Cause) -> None:
        """Learn which tool call is behind it."""
        self._opening += cause.members

    def begin(self) -> None:
        """Note the call, so that it is recorded as interrupted if we are killed from now on."""
        made = self._call.made_with(self.token)
        text = RecordText(self._opening, _INTERRUPTED, made.rest)
        self._slot = self._recorder.begin(text, made.share)

    def end(self, outcome: Outcome, status: int) -> None:
        """Record the call, once."""
        if self._has_ended:
            return
        self._has_ended = True
        self._tally.audited[outcome] += 1
        duration_ms = (time.perf_counter() - self._started) * 1_000
        made = self._call.made_with(self.token)
        text = RecordText(self._opening, ending(outcome, status, duration_ms), made.rest)
        share = made.share
        if outcome is _REFUSED and share.standing is Standing.UNRESOLVED:
            # A flood of tokens that are not looked up must not fill the journal.
            share = Share(share.caller, Standing.UNKNOWN)
        self._recorder.end(self._slot, text, share)


def share_of(
    token_hash: str | Credentials, token: Token | Missing | None, now: Callable[[], datetime]
) -> Share:
    """Return the share of a caller with *token* at the time *now*, as for `Caller.of`."""
    if isinstance(token_hash, Credentials):
        return Share(token_hash.value, Standing.UNKNOWN)
    if token is MISSING:
        return Share(token_hash, Standing.UNRESOLVED)
    is_known = token is not None and token.refusal(now) is None
    return Share(token_hash, _KNOWN if is_known else Standing.UNKNOWN)
