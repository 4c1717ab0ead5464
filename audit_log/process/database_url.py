"""The URL of a PostgreSQL database, as a setting."""

import os
import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qs

from pydantic import AfterValidator, SecretStr

from audit_log.process.tls import KeyPair, client_context
from audit_log.process.url_parameters import complaints_about, is_port

IS_DATABASE_URL: Final = re.compile("postgres(?:ql)?://")
_BAD_PERCENT: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_HOST: Final = re.compile(r"(?:\[[^\[\]\s]+\]|[^\[\]:\s]+)(?::([0-9]{1,5}))?")


def _checked(value: SecretStr) -> SecretStr:
    """Return *value*; raise ValueError if it is no such URL or its TLS files cannot be used."""
    url = value.get_secret_value()
    if not IS_DATABASE_URL.match(url):
        raise ValueError("is not a postgresql:// URL")
    place, _, query = url.partition("?")
    if _BAD_PERCENT.search(url):
        raise ValueError("has a `%` without two hexadecimal digits: write %25")
    if "#" in url:
        raise ValueError("contains `#`: write %23")
    authority, _, database = place.partition("://")[2].partition("/")
    _check_place(authority, database)
    given = {name: values[-1] for name, values in parse_qs(query).items()}
    if given.get("sslrootcert") == "system":
        raise ValueError("sslrootcert=system is not supported: name the file of the system's CAs")
    if complaints := complaints_about(query):
        raise ValueError("; ".join(complaints))
    _check_once(given, authority, database)
    _check_files(given)
    return value


def _check_place(authority: str, database: str) -> None:
    """Raise ValueError if *authority* is not `user:password@host:port`, hosts comma separated."""
    if authority.count("@") > 1 or "@" in database:
        raise ValueError("contains an `@` too many: write %40, and %2F for `/`, in the password")
    hosts = authority.rpartition("@")[2]
    # Without any, `?host=` names them, or the socket of this machine is meant.
    if hosts and not all(_is_host(host) for host in hosts.split(",")):
        raise ValueError("has no port or host that makes sense")


def _check_once(given: dict[str, str], authority: str, database: str) -> None:
    """Raise ValueError if a parameter in *given* stands before the `?` too: one is not used."""
    user, _, hosts = authority.rpartition("@")
    twice = {"host": hosts, "port": hosts, "user": user, "dbname": database, "database": database}
    for name, said in twice.items():
        if said and name in given:
            raise ValueError(f"{name} belongs before the `?`, or all of it behind the `?`")


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and (found[1] is None or is_port(found[1]))


def _check_files(given: dict[str, str]) -> None:
    files = {name: Path(value) for name, value in given.items()}
    certificate, key = files.get("sslcert"), files.get("sslkey")
    if (certificate is None) != (key is None):
        raise ValueError("sslcert and sslkey belong together")
    password = given.get("sslpassword", "")
    pair = KeyPair(certificate, key, password) if certificate and key else None
    if pair or "sslrootcert" in files:
        _ = client_context(files.get("sslrootcert"), pair)
    verifies = given.get("sslmode") in {"verify-ca", "verify-full"}
    if verifies and "sslrootcert" not in files and not _has_authorities():
        raise ValueError(f"sslmode={given['sslmode']} needs sslrootcert")
    if "sslcrl" in files and not files["sslcrl"].is_file():
        raise ValueError("sslcrl names no file")


def _has_authorities() -> bool:
    """Say whether the driver finds certificates that the URL does not name."""
    home = os.environ.get("HOME")
    default = Path(home, ".postgresql", "root.crt") if home else None
    return "PGSSLROOTCERT" in os.environ or (default is not None and default.is_file())


DatabaseUrl = Annotated[SecretStr, AfterValidator(_checked)]
"""A `postgresql://` URL.

The TLS files that it names (libpq's `sslrootcert`, …) are checked at start. The database may be
away at start, and without this check a wrong file would only be reported once it is back.
"""
