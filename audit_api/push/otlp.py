"""OTLP logs over HTTP, in protocol buffers (opentelemetry-proto 1.x, logs.proto).

A `partial_success` is read here, because common exporters take it for a success.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import ClientSession

from audit_api.push.http_receiver import posted, readable
from audit_api.push.items import TOOL_CALL, Item, ItemsRefusedError
from audit_api.push.protobuf import double, fields_of, fixed_64, message, text, varint

_FIELDS: Final = {"Content-Type": "application/x-protobuf"}
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
    "protocol_version": "mcp.protocol.version",
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
        told = await posted(self._session, self._url, request_of(items), _FIELDS)
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
                    reason = readable(told)
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
                message(6, _attribute(_name_of(field, item), value))
                for field, value in item.told.items()
                if value is not None
            ),
            text(12, f"podwarden.audit.{item.kind}"),
        ]
    )


def _name_of(field: str, item: Item) -> str:
    """Return the attribute of *field*. The status of a tool call is ours: its response was 200."""
    is_ours = field == "status_code" and item.kind == TOOL_CALL
    return f"podwarden.audit.{field}" if is_ours else _NAMES.get(field, f"podwarden.audit.{field}")


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
