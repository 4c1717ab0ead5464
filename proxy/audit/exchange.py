"""An exchange: one request with its response, while it is in progress."""

import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Final, Protocol
from uuid import UUID

import msgspec

from audit_log.record import Attribution, Kept, Outcome
from audit_log.tokens import Token
from proxy.audit.callers import Callers
from proxy.audit.identity import Credentials
from proxy.audit.record_text import RecordText, ending, known, opening
from proxy.audit.shares import Share, Standing
from proxy.audit.tally import Tally
from proxy.http.framing import Payload
from proxy.http.response import ResponseHead
from proxy.tokens.memory import MISSING, Missing

STATUS_UNKNOWN: Final = 0
STATUS_CLIENT_CLOSED: Final = 499
NOT_BEGUN: Final = -3
"""Stands for the slot of a call that was recorded without `Recorder.begin`."""
# Until Python 3.12 a member of an enum is looked up by a Python function.
_REFUSED: Final = Outcome.REFUSED
_KNOWN: Final = Standing.KNOWN
# Of a module, a function is looked up at each call.
_seconds: Final = time.perf_counter
_now_ns: Final = time.time_ns
_UNRESOLVED: Final = Standing.UNRESOLVED
_INTERRUPTED: Final = ending(Outcome.INTERRUPTED, STATUS_UNKNOWN, None)


class Cause(msgspec.Struct, frozen=True):
    """The tool call that caused an API call, and how sure we are of that."""

    tool: str
    invocation_id: UUID
    attribution: Attribution
    tool_traceparent: str | None = None
    """The client's span of the tool call, where spans are sent."""

    @property
    def members(self) -> bytes:
        """Return what a record says of it, as members of JSON with a comma behind each."""
        return known(self)[1:-1] + b","


class Recorder(Protocol):
    """Where records go: all that an exchange needs of the journal. Neither call ever waits.

    Its classes name it as a base: to compiled code a call is then one of theirs, and no look-up.
    """

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
    """What is added to the request on its way upstream. A field that it has gets a member more."""
    reads_request: ClassVar[bool] = False
    """Whether `request_content` is to be told of the request's body."""

    def begin(self) -> None:
        """Learn that the request is about to be forwarded."""
        return

    most_at_once: ClassVar[int] = sys.maxsize
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
        self.tally = tally
        self._has_ended = False

    def end(self, outcome: Outcome, _status: int) -> None:
        """Count it, once."""
        if not self._has_ended:
            self._has_ended = True
            self.tally.unaudited[outcome] += 1


class AuditedCall:
    """An API call of one of our tokens, as its head alone tells of it.

    No struct, for the reason that `Share` is none.
    """

    def __init__(
        self,
        token_hash: str | Credentials,
        client_ip: str,
        user_agent: bytes | None,
        members: bytes,
    ) -> None:
        """*members* is what its record says of the request: see `request_members`."""
        self.token_hash: Final = token_hash
        self.client_ip: Final = client_ip
        self.user_agent: Final = user_agent
        self.members: Final = members


class AuditedExchange(Exchange):
    """An exchange that leaves exactly one record behind, however it ends."""

    def __init__(
        self, recorder: Recorder, tally: Tally, callers: Callers, call: AuditedCall
    ) -> None:
        """Record *call*, which has just arrived, to *recorder*."""
        self._started = _seconds()
        self._recorder = recorder
        self._tally = tally
        self._callers = callers
        self._call = call
        self._opening = opening(_now_ns())
        self._token: Token | Missing | None = MISSING
        self._standing = _UNRESOLVED
        self._facts: bytes | None = None
        """What its record says of the request and the caller, once that was asked for."""
        self._shared: Share | None = None
        """Its caller's share, once that was asked for."""
        self._slot = NOT_BEGUN
        self._has_ended = False

    def is_made_with(self, token: Token | None, standing: Standing) -> None:
        """Learn with which token it is made, None if there is no such token of ours."""
        self._token, self._standing = token, standing
        self._facts = self._shared = None

    def is_caused_by(self, cause: Cause) -> None:
        """Learn which tool call is behind it."""
        self._opening += cause.members

    def begin(self) -> None:
        """Note the call, so that it is recorded as interrupted if we are killed from now on."""
        self._slot = self._recorder.begin(self._text(_INTERRUPTED), self._share())

    def end(self, outcome: Outcome, status: int) -> None:
        """Record the call, once."""
        if self._has_ended:
            return
        self._has_ended = True
        self._tally.audited[outcome] += 1
        duration_ms = (_seconds() - self._started) * 1_000
        if outcome is _REFUSED and self._standing is _UNRESOLVED:
            # A flood of tokens that are not looked up must not fill the journal.
            self._standing, self._shared = Standing.UNKNOWN, None
        text = self._text(ending(outcome, status, duration_ms))
        self._recorder.end(self._slot, text, self._share())

    def _text(self, ending: bytes) -> RecordText:
        facts = self._facts
        if facts is None:
            call = self._call
            facts = self._facts = call.members + self._callers.members(
                call.token_hash, self._token, call.client_ip, call.user_agent
            )
        return self._opening + ending + facts

    def _share(self) -> Share:
        share = self._shared
        if share is None:
            caller = self._call.token_hash
            if isinstance(caller, str):
                share = Share(caller, self._standing)
            else:
                share = Share(caller.value, Standing.UNKNOWN)
            self._shared = share
        return share


def standing_of(token: Token | Missing | None, complaint: str | None) -> Standing:
    """Return what is known of a caller with *token*, of which *complaint* is what is wrong."""
    if token is MISSING:
        return _UNRESOLVED
    return Standing.UNKNOWN if token is None or complaint else _KNOWN
