"""OTLP logs over HTTP, in protocol buffers (opentelemetry-proto 1.x, logs.proto).

The responses are read here, because common exporters lose records: they take a `partial_success`
for a success, and drop a batch at once for all but 429, 502 and 503.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from audit_api.push.items import Item, ItemsRefusedError, ReceiverAwayError
from audit_api.push.protobuf import double, fields_of, fixed_64, message, text, varint

_TIMEOUT: Final = ClientTimeout(total=30)
_REFUSALS: Final = frozenset({400, 413, 422})
"""What blames the records. Anything else is the receiver's own, or the operator's to mend."""
_MOST_SECONDS: Final = 60.0
_INFORMATION: Final = 9, "INFO"
_WARNING: Final = 13, "WARN"
_SCOPE: Final = "podwarden-audit"
# Names of the semantic conventions where there are any; all others are ours.
_NAMES: Final = {
    "method": "http.request.method",
    "path": "url.path",
    "status_code": "http.response.status_code",
    "client_ip": "client.address",
    "user_agent": "user_agent.original",
    "tool": "gen_ai.tool.name",
    "session": "mcp.session.id",
}


class Otlp:
    """A receiver of OTLP: a collector, or a service that takes logs itself."""

    name: Final = "otlp"

    def __init__(self, session: ClientSession, url: str) -> None:
        """Send to *url*, all of it, through *session*, whose fields carry the credentials."""
        self._session = session
        self._url = url

    async def send(self, items: Sequence[Item]) -> None:
        """Return when the receiver says that it has *items*.

        Raises ReceiverAwayError, or ItemsRefusedError where it says that it dropped some.
        """
        body = request_of(items)
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/x-protobuf"},
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                status, told = response.status, await response.read()
                retry = response.headers.get("Retry-After", "")
        except TimeoutError:
            raise ReceiverAwayError("it does not respond in time") from None
        except ClientError as error:
            told_by = (isinstance(error, OSError) and error.strerror) or str(error)
            raise ReceiverAwayError(str(told_by)) from None
        if status in _REFUSALS:
            raise ItemsRefusedError(f"it responds {status}: {_readable(told)}")
        if not 200 <= status < 300:  # noqa: PLR2004
            seconds = min(float(retry), _MOST_SECONDS) if retry.isdecimal() else 0.0
            raise ReceiverAwayError(f"it responds {status}: {_readable(told)}", seconds)
        rejected, reason = partial_success(told)
        if rejected:
            raise ItemsRefusedError(f"it dropped {rejected} of {len(items)}: {reason}")


def request_of(items: Sequence[Item]) -> bytes:
    """Return the ExportLogsServiceRequest of *items*: one resource, one scope, in their order."""
    resource = message(1, message(1, _attribute("service.name", _SCOPE)))
    scope = message(1, text(1, _SCOPE))
    records = [message(2, _record(item)) for item in items]
    return message(1, resource, message(2, scope, *records))


def partial_success(body: bytes) -> tuple[int, str]:
    """Return how many records the receiver rejected, and why, by an ExportLogsServiceResponse."""
    rejected, reason = 0, ""
    with suppress(ValueError):  # some receivers respond 200 with a text of their own
        for number, value in fields_of(body):
            if number != 1 or not isinstance(value, bytes):
                continue
            for inner, told in fields_of(value):
                if inner == 1 and isinstance(told, int):
                    rejected = told
                elif inner == 2 and isinstance(told, bytes):  # noqa: PLR2004
                    reason = _readable(told)
    return rejected, reason


def _record(item: Item) -> bytes:
    severity, name = _WARNING if item.has_failed else _INFORMATION
    return b"".join(
        [
            fixed_64(1, _nanoseconds(item.moment)),
            fixed_64(11, _nanoseconds(datetime.now(UTC))),
            varint(2, severity),
            text(3, name),
            message(5, text(1, _in_words(item))),
            *(
                message(6, _attribute(_NAMES.get(field, f"podwarden.audit.{field}"), value))
                for field, value in item.told.items()
                if value is not None
            ),
            text(12, f"podwarden.audit.{item.kind}"),
        ]
    )


def _in_words(item: Item) -> str:
    told = item.told
    if "method" in told:
        return f"{told.get('token_name')} {told['method']} {told['path']} {told['status_code']}"
    return str(told.get("message") or told.get("reason") or told.get("tool") or item.kind)


def _attribute(name: str, value: Any) -> bytes:
    """Return a KeyValue; its value is text, a truth value, an integer, a number or nested."""
    return text(1, name) + message(2, _any(value))


def _any(value: Any) -> bytes:
    if isinstance(value, bool):
        return varint(2, int(value))
    if isinstance(value, int):
        return varint(3, value % 2**64)
    if isinstance(value, float):
        return double(4, value)
    if isinstance(value, dict):
        pairs = [message(1, _attribute(name, inner)) for name, inner in value.items()]
        return message(6, *pairs)
    return text(1, str(value))


def _nanoseconds(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000


def _readable(body: bytes) -> str:
    shown = body[:200].decode(errors="replace")
    return "".join(each for each in shown if each.isprintable()).strip() or "nothing more"
