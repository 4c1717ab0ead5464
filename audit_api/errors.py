"""Errors that callers see: each carries its status, its detail and its response fields."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import ClassVar, Final, Self

RETRY_AFTER_SECONDS: Final = 5
"""Long enough for PostgreSQL to restart, short enough for an operator at the page."""


class ApiError(Exception):
    """A request that fails, with the response that the caller gets."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    fields: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @property
    def detail(self) -> object:
        """The value of `detail` in the response body, as in FastAPI."""
        return str(self)


class MalformedRequestError(ApiError):
    """The request is not valid HTTP, or larger than the limits."""

    status = HTTPStatus.BAD_REQUEST


class BodyTimedOutError(ApiError):
    """The client stopped sending in the middle of the body."""

    status = HTTPStatus.REQUEST_TIMEOUT


class ReaderRefusedError(ApiError):
    """The caller may not read."""

    token_name: str | None = None
    """The name of the token that the caller showed, if it is known."""


class UnauthorizedError(ReaderRefusedError):
    """The caller sent no credentials, or none that are valid."""

    status = HTTPStatus.UNAUTHORIZED
    # RFC 9110, section 11.6.1: a 401 must name a challenge.
    fields = MappingProxyType({"WWW-Authenticate": "Bearer"})


class ForbiddenError(ReaderRefusedError):
    """The caller is authenticated and may not read the audit log."""

    status = HTTPStatus.FORBIDDEN


class NotNowError(ApiError):
    """A service that the response needs is unavailable. A retry may succeed."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    fields = MappingProxyType({"Retry-After": str(RETRY_AFTER_SECONDS)})


class InvalidParametersError(ApiError):
    """Invalid parameters, each described as FastAPI describes a validation error."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, problems: Sequence[Mapping[str, object]]) -> None:
        super().__init__("Invalid parameters")
        self._problems = problems

    @classmethod
    def of(cls, name: str, message: str, kind: str, place: str = "query") -> Self:
        """Return the error of the one parameter *name*; *place* is query, path, header or body."""
        return cls([{"loc": [place, name], "msg": message, "type": kind}])

    @property
    def detail(self) -> Sequence[Mapping[str, object]]:
        """One object for each invalid parameter: `loc`, `msg` and `type`."""
        return self._problems


class NotFoundError(ApiError):
    """The path names nothing that exists."""

    status = HTTPStatus.NOT_FOUND
