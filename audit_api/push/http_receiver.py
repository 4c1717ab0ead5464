"""One request to a receiver of HTTP, and what its response says of it.

The responses are read here, because common clients lose records: they drop at once what a receiver
does not take for all but 429, 502 and 503.
"""

from collections.abc import Mapping
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from audit_api.push.items import ItemsRefusedError, ReceiverAwayError

_TIMEOUT: Final = ClientTimeout(total=30)
_REFUSALS: Final = frozenset({400, 413, 422})
"""What blames the records. Anything else is the receiver's own, or the operator's to mend."""
_MOST_SECONDS: Final = 60.0


async def posted(
    session: ClientSession, url: str, body: bytes, fields: Mapping[str, str]
) -> bytes:
    """Post *body* to *url*; return the body of the response that says that it is taken.

    Raises ReceiverAwayError, or ItemsRefusedError where the response blames *body*. No message has
    the URL, which may hold a secret.
    """
    try:
        # Redirects are not followed: the operator chose this address and no other.
        async with session.post(
            url, data=body, headers=fields, timeout=_TIMEOUT, allow_redirects=False
        ) as response:
            status, told = response.status, await response.read()
            retry = response.headers.get("Retry-After", "")
    except TimeoutError:
        raise ReceiverAwayError("it does not respond in time") from None
    except ClientError as error:
        raise ReceiverAwayError(_reason(error)) from None
    if status in _REFUSALS:
        raise ItemsRefusedError(f"it responds {status}: {readable(told)}")
    if not 200 <= status < 300:  # noqa: PLR2004
        seconds = min(float(retry), _MOST_SECONDS) if retry.isdecimal() else 0.0
        raise ReceiverAwayError(f"it responds {status}: {readable(told)}", seconds)
    return told


def readable(body: bytes) -> str:
    """Return the beginning of *body* as text of one line."""
    shown = body[:200].decode(errors="replace")
    return "".join(each for each in shown if each.isprintable()).strip() or "nothing more"


def _reason(error: ClientError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    return str(getattr(error, "message", "")) or type(error).__name__
