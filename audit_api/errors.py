"""The answers that are not entries: each error carries its status, its detail and its fields."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import ClassVar, Final, Self

RETRY_AFTER_SECONDS: Final = 5
"""Long enough for a restarted PostgreSQL to answer, short enough for an operator who waits."""


class ApiError(Exception):
    """A question that is not answered, and what the caller is told instead."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    fields: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @property
    def detail(self) -> object:
        """What stands under `detail` in the answer, as FastAPI has it."""
        return str(self)


class MalformedRequestError(ApiError):
    """What arrived is not HTTP, or more of it than we read."""

    status = HTTPStatus.BAD_REQUEST


class UnauthorizedError(ApiError):
    """The caller showed no credentials, or none that count."""

    status = HTTPStatus.UNAUTHORIZED
    # RFC 9110, section 11.6.1: a 401 must name a challenge.
    fields = MappingProxyType({"WWW-Authenticate": "Bearer"})


class ForbiddenError(ApiError):
    """The caller is known and may not read the audit log."""

    status = HTTPStatus.FORBIDDEN


class NotNowError(ApiError):
    """Something that the answer depends on is away. Asking again may help."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    fields = MappingProxyType({"Retry-After": str(RETRY_AFTER_SECONDS)})


class InvalidParametersError(ApiError):
    """Parameters that cannot be understood, each named in the shape of FastAPI's own complaint."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, complaints: Sequence[Mapping[str, object]]) -> None:
        super().__init__("Invalid parameters")
        self._complaints = complaints

    @classmethod
    def of(cls, name: str, message: str, kind: str, place: str = "query") -> Self:
        """Return a complaint about the one parameter *name*."""
        return cls([{"loc": [place, name], "msg": message, "type": kind}])

    @property
    def detail(self) -> object:
        """The list of complaints."""
        return self._complaints


class NotFoundError(ApiError):
    """What the path names is not there."""

    status = HTTPStatus.NOT_FOUND
