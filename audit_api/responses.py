"""HTTP responses: always JSON, with errors in FastAPI's shape."""

import traceback
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec
import structlog
from aiohttp import hdrs, web

from audit_api.errors import ApiError, NotNowError
from audit_log.errors import StoreUnavailableError

log = structlog.get_logger("audit_api")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# No cache may keep entries, and no browser may interpret text in them as a page.
_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Server": "podwarden-audit-api",
        "X-Content-Type-Options": "nosniff",
    }
)


def json_response(
    value: object, *, status: int = 200, fields: Mapping[str, str] = MappingProxyType({})
) -> web.Response:
    """Return a response with *value* as JSON; `msgspec.Raw` is sent as it is."""
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        headers={**_FIELDS, **fields},
        content_type="application/json",
    )


def text_response(
    text: str, content_type: str = "text/plain; charset=utf-8", status: int = 200
) -> web.Response:
    """Return a response with *text*, of exactly this content type."""
    fields = {**_FIELDS, hdrs.CONTENT_TYPE: content_type}
    return web.Response(body=text.encode(), status=status, headers=fields)


def empty_response(status: int) -> web.Response:
    """Return a response without a body."""
    return web.Response(status=status, headers=_FIELDS)


def whole_response(body: bytes, content_type: str, fields: Mapping[str, str]) -> web.Response:
    """Return a response with *body*, text in UTF-8."""
    return web.Response(
        body=body, headers={**_FIELDS, **fields}, content_type=content_type, charset="utf-8"
    )


def streamed_response(
    content_type: str, fields: Mapping[str, str], *, charset: str | None = "utf-8"
) -> web.StreamResponse:
    """Return a response whose body is sent later; one that is no text has no *charset*."""
    response = web.StreamResponse(headers={**_FIELDS, **fields})
    response.content_type = content_type
    response.charset = charset
    return response


def error_response(error: ApiError) -> web.Response:
    """Return the response that *error* carries."""
    return _detail_response(error.detail, status=error.status, fields=error.fields)


def responding_to_errors(handler: Handler) -> Handler:
    """Return *handler* with a JSON response for every error, instead of aiohttp's own pages."""

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except StoreUnavailableError as error:
            log.warning("question.not_answered", reason=str(error))
            return error_response(NotNowError("The audit log is out of reach"))
        except NotNowError as error:
            log.warning("question.not_answered", reason=str(error))
            return error_response(error)
        except ApiError as error:
            return error_response(error)
        except web.HTTPException as error:
            allow = error.headers.get(hdrs.ALLOW)
            return _detail_response(
                error.reason,
                status=error.status,
                fields={} if allow is None else {hdrs.ALLOW: allow},
            )
        except Exception as error:  # noqa: BLE001 - the outermost handler: a defect fails one request
            # The place and the type only: the message may quote what the caller sent.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            log.error(
                "question.failed",
                error=type(error).__name__,
                where=f"{frame.filename}:{frame.lineno}",
            )
            return error_response(ApiError("Internal Server Error"))

    return respond


def _detail_response(detail: object, *, status: int, fields: Mapping[str, str]) -> web.Response:
    return json_response({"detail": detail}, status=status, fields=fields)
