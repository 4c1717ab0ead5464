"""AWS Signature Version 4 of a request whose body is known: pure, over values.

The algorithm: docs.aws.amazon.com, "Create a signed AWS API request". boto3 would do it too, with
25 MB and threads; an anchor needs two requests.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

from yarl import URL


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key, and the session token of a temporary one."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def object_url(endpoint: URL, bucket: str, key: str) -> URL:
    """Return the address of an object, with the bucket in the path, encoded as S3 signs it."""
    path = "/".join(quote(part, safe="") for part in (bucket, *key.split("/")))
    return URL(f"{str(endpoint).rstrip('/')}/{path}", encoded=True)


@dataclass(frozen=True, slots=True)
class S3Request:
    """A request to S3 with its whole body. The URL has no query."""

    method: str
    url: URL
    body: bytes
    fields: Mapping[str, str]


def signed(
    request: S3Request, credentials: Credentials, region: str, at: datetime
) -> dict[str, str]:
    """Return the fields of *request*, sent at *at*, with its signature."""
    url = request.url
    hashed = hashlib.sha256(request.body).hexdigest()
    stamp = f"{at:%Y%m%dT%H%M%SZ}"
    port = f":{url.explicit_port}" if url.explicit_port else ""
    all_fields = {
        **request.fields,
        "Host": f"{url.host}{port}",
        "x-amz-content-sha256": hashed,
        "x-amz-date": stamp,
    }
    if credentials.session_token is not None:
        all_fields["x-amz-security-token"] = credentials.session_token
    lowered = sorted((name.lower(), " ".join(value.split())) for name, value in all_fields.items())
    names = ";".join(name for name, _ in lowered)
    lines = "".join(f"{name}:{value}\n" for name, value in lowered)
    canonical = f"{request.method}\n{url.raw_path}\n\n{lines}\n{names}\n{hashed}"
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    all_fields["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return all_fields
