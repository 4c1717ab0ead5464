"""`python -m deploy.healthcheck`: the image's HEALTHCHECK, for each service it can run."""

import argparse
import ssl
import sys
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from yarl import URL

from audit_api.push.push_settings import PushSettings
from audit_api.settings import AuditApiSettings
from audit_log.process.reading import read_settings
from audit_log.process.settings import IngestSettings
from proxy.settings import ProxySettings

_FIRST_PROCESS: Final = Path("/proc/1/cmdline")
_PATIENCE_SECONDS: Final = 3
_REACHED_AT: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_CONSOLE: Final = "podwarden-audit"


def main(
    arguments: Sequence[str] | None = None, program: str = "python -m deploy.healthcheck"
) -> int:
    """Return 0 when the service reports that it lives, else 1 after one line.

    *arguments* may name the service. Otherwise the first process of the container tells which one
    it is; a command such as `migrate` has nothing to ask and counts as healthy. Usage lines call
    this *program*.
    """
    parser = argparse.ArgumentParser(
        prog=program, description="ask the service in this container, or SERVICE, how it is"
    )
    parser.add_argument("service", nargs="?", choices=["proxy", "api", "ingest", "push"])
    service = parser.parse_args(arguments).service
    address = address_of([service] if service else words_of(_FIRST_PROCESS.read_text()))
    if address is None or (complaint := complaint_of(address)) is None:
        return 0
    sys.stderr.write(f"{complaint}\n")
    return 1


def words_of(command_line: str) -> list[str]:
    """Return what follows `python -m` or `podwarden-audit` in *command_line*, split at NULs."""
    words = command_line.removesuffix("\0").split("\0")
    for place, word in enumerate(words):
        if word == "-m" or Path(word).name == _CONSOLE:
            return words[place + 1 :]
    return []


def address_of(words: Sequence[str]) -> URL | None:
    """Return where the service that *words* run says that it lives; None if they run no service.

    *words* are those of `podwarden-audit`, or those of `python -m`.
    """
    match words:
        case ["proxy", *_]:
            proxy = read_settings(ProxySettings)
            return _address("http", proxy.ops_host, proxy.ops_port)
        case ["api" | "audit_api", *_]:
            api = read_settings(AuditApiSettings)
            return _address("https" if api.tls else "http", api.host, api.port)
        case ["ingest", *_] | ["audit_log", "ingest", *_]:
            ingest = read_settings(IngestSettings)
            return _address("http", ingest.ops_host, ingest.ops_port)
        case ["push", *_]:
            push = read_settings(PushSettings)
            return _address("http", push.ops_host, push.ops_port)
        case ["deploy.console", *command]:
            return address_of(command)
    return None


def _address(scheme: str, host: str, port: int) -> URL:
    host = _REACHED_AT.get(host, host)
    return URL.build(scheme=scheme, host=host, port=port, path="/healthz")


def complaint_of(address: URL) -> str | None:
    """Return why the response of *address* is not the expected one, or None."""
    tls = ssl.create_default_context()
    # We ask ourselves: the certificate has the names by which others know us, and nothing is told.
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    # For the same reason never by way of a proxy of the site's.
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=tls))
    try:
        opener.open(str(address), timeout=_PATIENCE_SECONDS).close()
    except (OSError, HTTPException) as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main())
