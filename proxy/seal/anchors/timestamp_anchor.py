"""An anchor at a time-stamp authority (RFC 3161): it signs that the checkpoint was there by then.

The authority keeps nothing. The token is the receipt, and must be kept: without it a checkpoint
that was stamped and is gone leaves no trace.
"""

from base64 import b64encode
from types import MappingProxyType
from typing import Final

from proxy.seal.anchors.anchor import AnchorAwayError, Anchored, Offer
from proxy.seal.anchors.anchor_http import Http
from proxy.seal.anchors.anchor_url import AnchorUrl
from proxy.seal.anchors.time_stamp import REQUEST_TYPE, NoTimeStampError, TimeStampRequest

_FIELDS: Final = MappingProxyType({"Content-Type": REQUEST_TYPE})


class TimestampAnchor:
    """Has the text of each signed note stamped; the receipt is the token, DER in base64."""

    def __init__(self, url: AnchorUrl) -> None:
        self._place = url.place
        self._http = Http(url, is_secure=url.place.scheme == "https")

    async def anchor(self, offer: Offer) -> Anchored:
        """Have the signed note stamped; see `Anchor.anchor`."""
        request = TimeStampRequest.of(str(offer.note).encode())
        reply = await self._http.request("POST", self._place, request.encode(), _FIELDS)
        if not reply.is_success:
            raise reply.refusal()
        try:
            token, time = request.read(reply.body)
        except NoTimeStampError as error:
            # "Not now" and "never" look alike here, and an authority knows nothing of our logs.
            raise AnchorAwayError(f"no time stamp: {error}") from None
        return Anchored(b64encode(token).decode(), time)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
