"""The URL of a PostgreSQL database, as a setting."""

from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, SecretStr

from audit_log.process.tls import KeyPair, client_context


def _checked(value: SecretStr) -> SecretStr:
    """Return *value*; raise ValueError if it is no such URL or its TLS files cannot be used."""
    url = value.get_secret_value()
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # Not chained: the first error quotes the URL, and the password in it.
        raise ValueError("has no port or host that makes sense") from None
    if parts.scheme not in {"postgresql", "postgres"} or not url.startswith(f"{parts.scheme}://"):
        raise ValueError("is not a postgresql:// URL")
    given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if given.get("sslrootcert") == "system":
        raise ValueError("sslrootcert=system is not supported: name the file of the system's CAs")
    _check_files(given)
    return value


def _check_files(given: dict[str, str]) -> None:
    files = {name: Path(value) for name, value in given.items()}
    certificate, key = files.get("sslcert"), files.get("sslkey")
    if (certificate is None) != (key is None):
        raise ValueError("sslcert and sslkey belong together")
    password = given.get("sslpassword", "")
    pair = KeyPair(certificate, key, password) if certificate and key else None
    if pair or "sslrootcert" in files:
        _ = client_context(files.get("sslrootcert"), pair)


DatabaseUrl = Annotated[SecretStr, AfterValidator(_checked)]
"""A `postgresql://` URL.

The TLS files that it names (libpq's `sslrootcert`, …) are checked at start. The database may be
away at start, and without this check a wrong file would only be reported once it is back.
"""
