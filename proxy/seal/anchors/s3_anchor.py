"""An anchor in a store that speaks S3: one object for each checkpoint, locked against deletion.

The object is `<prefix>/<origin>/<size in 20 digits>`. It is put under the condition that there is
none of this name. That holds again above a delete marker, which an object lock allows: a verifier
lists the versions and trusts the oldest one, never the one that is served.
"""

import os
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import md5
from http import HTTPStatus
from typing import Final

from yarl import URL

from audit_log.errors import SealFormatError
from audit_log.seal.note import Note
from proxy.seal.anchors.anchor import (
    AnchorAwayError,
    Anchored,
    AnchorRefusedError,
    Offer,
)
from proxy.seal.anchors.anchor_http import Http, Reply
from proxy.seal.anchors.anchor_url import AnchorUrl
from proxy.seal.anchors.sigv4 import Credentials, S3Request, object_url, signed

LOCKS: Final = ("compliance", "governance")
_MOST_DAYS: Final = 36_500


class S3Anchor:
    """Puts each checkpoint into a bucket, with the credentials of the `AWS_…` variables."""

    def __init__(self, url: AnchorUrl, environment: Mapping[str, str] = os.environ) -> None:
        """Raise ValueError if an option of *url* is wrong, or a credential is missing."""
        options = url.options
        self._bucket = url.place.host or ""
        self._prefix = url.place.path.strip("/")
        self._region = options.get("region") or environment.get("AWS_REGION") or ""
        if not self._region:
            raise ValueError("names no region: give #region=… or AWS_REGION")
        self._endpoint = _endpoint(options.get("endpoint"), self._region)
        self._retain_days = _days(options.get("retain_days"))
        self._lock = options.get("lock", LOCKS[0])
        if self._lock not in LOCKS:
            raise ValueError(f"the option 'lock' must be {' or '.join(LOCKS)}")
        if "lock" in options and self._retain_days is None:
            raise ValueError("the option 'lock' needs 'retain_days'")
        self._credentials = _credentials(environment)
        self._http = Http(url, is_secure=self._endpoint.scheme == "https")

    async def anchor(self, offer: Offer) -> Anchored:
        """Put the checkpoint; see `Anchor.anchor`."""
        parts = (self._prefix, offer.checkpoint.origin, f"{offer.checkpoint.size:020d}")
        key = "/".join(filter(None, parts))
        body, now = str(offer.note).encode(), datetime.now(UTC)
        reply = await self._send("PUT", key, body, self._fields(body, now))
        if reply.status == HTTPStatus.PRECONDITION_FAILED:
            # Sent before, and the response was lost: or somebody else has put it there.
            await self._compare(key, offer.note)
        elif reply.status == HTTPStatus.CONFLICT:
            raise AnchorAwayError("two requests for one object at the same time")
        elif not reply.is_success:
            raise reply.refusal()
        version = reply.fields.get("x-amz-version-id")
        return Anchored(f"{key}?versionId={version}" if version else key, now)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _fields(self, body: bytes, now: datetime) -> dict[str, str]:
        fields = {
            "Content-Type": "text/plain; charset=utf-8",
            # A locked object needs it; of the checksums that would do, every store knows this one.
            "Content-MD5": b64encode(md5(body, usedforsecurity=False).digest()).decode(),
            "If-None-Match": "*",
        }
        if self._retain_days is not None:
            until = now + timedelta(days=self._retain_days)
            fields["x-amz-object-lock-mode"] = self._lock.upper()
            fields["x-amz-object-lock-retain-until-date"] = f"{until:%Y-%m-%dT%H:%M:%SZ}"
        return fields

    async def _compare(self, key: str, note: Note) -> None:
        reply = await self._send("GET", key, b"", {})
        if not reply.is_success:
            raise AnchorRefusedError(
                f"it has an object {key}, and does not let it be compared: status {reply.status}"
            )
        if not _is_of(note, reply.body):
            raise AnchorRefusedError(f"it has another checkpoint at {key}: a fork")

    async def _send(self, method: str, key: str, body: bytes, fields: Mapping[str, str]) -> Reply:
        url = object_url(self._endpoint, self._bucket, key)
        request = S3Request(method, url, body, fields)
        all_fields = signed(request, self._credentials, self._region, datetime.now(UTC))
        return await self._http.request(method, url, body, all_fields)


def _is_of(note: Note, body: bytes) -> bool:
    """Say whether *body* is the same checkpoint: other keys may have signed it since."""
    try:
        return Note.parse(body).text == note.text
    except SealFormatError:
        return False


def _endpoint(text: str | None, region: str) -> URL:
    url = URL(text or f"https://s3.{region}.amazonaws.com")
    if url.scheme not in {"http", "https"} or not url.host or url.user or url.query_string:
        raise ValueError("the option 'endpoint' must be http://host:port or https://host:port")
    return url


def _days(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_DAYS:
        raise ValueError("the option 'retain_days' must be a number of days from 1 to 36500")
    return int(text)


def _credentials(environment: Mapping[str, str]) -> Credentials:
    access_key = environment.get("AWS_ACCESS_KEY_ID")
    secret_key = environment.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key:
        raise ValueError("needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return Credentials(access_key, secret_key, environment.get("AWS_SESSION_TOKEN") or None)
