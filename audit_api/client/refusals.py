"""Why a question has no answer, as the client raises it. Each message is for the operator."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec


class AuditApiError(Exception):
    """The audit API did not do what was asked, and will not if it is asked again."""


class WrongQuestionError(AuditApiError):
    """A filter or another parameter is unknown or has a wrong value."""


class NotAllowedError(AuditApiError):
    """The token is missing, not valid, or may not read the audit log."""


class NothingFoundError(AuditApiError):
    """What was asked for does not exist."""


class OutOfReachError(AuditApiError):
    """Not now: the audit API, or what is behind it, is away or busy. Trying again may help."""


_NOT_NOW: Final = frozenset({429, 500, 502, 503, 504})
_KINDS: Final[Mapping[int, type[AuditApiError]]] = dict.fromkeys(_NOT_NOW, OutOfReachError) | {
    400: WrongQuestionError,
    401: NotAllowedError,
    403: NotAllowedError,
    404: NothingFoundError,
    422: WrongQuestionError,
}

_NO_SUCH_PATH: Final = "Not Found"
"""What FastAPI, and the audit API with it, says where a path leads to nothing that it has."""


def refusal(status: int, body: bytes) -> AuditApiError:
    """Return the error that a response with *status* and *body* stands for."""
    told = f"it responds {status}: is this the address of the audit API?"
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError):
        detail = msgspec.json.decode(body)["detail"]  # in FastAPI's shape
        if detail != _NO_SUCH_PATH:
            told = detail if isinstance(detail, str) else "; ".join(map(_problem, detail))
    return _KINDS.get(status, AuditApiError)(told)


def _problem(problem: dict[str, Any]) -> str:
    name, is_unknown = problem["loc"][-1], problem["type"] == "extra_forbidden"
    return f"{name}: {'there is no such filter or option' if is_unknown else problem['msg']}"
