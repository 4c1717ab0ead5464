"""An anchor that takes checkpoints by POST over https: an archive, a ticket system, a mailbox."""

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from proxy.seal.anchors.anchor import Anchored, Offer
from proxy.seal.anchors.anchor_http import Http
from proxy.seal.anchors.anchor_url import AnchorUrl

_FIELDS: Final = MappingProxyType({"Content-Type": "text/plain; charset=utf-8"})


class HttpsAnchor:
    """Posts the signed note of each checkpoint; any status of 2xx says that it was taken."""

    def __init__(self, url: AnchorUrl) -> None:
        self._place = url.place
        self._http = Http(url, is_secure=True)

    async def anchor(self, offer: Offer) -> Anchored:
        """Post the checkpoint; see `Anchor.anchor`."""
        reply = await self._http.request("POST", self._place, str(offer.note).encode(), _FIELDS)
        if not reply.is_success:
            raise reply.refusal()
        return Anchored(reply.fields.get("Location", f"status {reply.status}"), datetime.now(UTC))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
