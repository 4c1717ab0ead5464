"""`python -m deploy.healthcheck`: the image's HEALTHCHECK, for whichever service it runs."""

import os
import sys
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from audit_api.settings import AuditApiSettings
from audit_log.settings import read_settings
from proxy.settings import ProxySettings

_FIRST_PROCESS: Final = Path("/proc/1/cmdline")
_PATIENCE_SECONDS: Final = 3


def main() -> int:
    """Return 0 when the container's service answers that it lives, else 1 after one line.

    The first process of the container tells which one it is; a command such as `migrate` has
    nothing to ask and counts as healthy.
    """
    words = _FIRST_PROCESS.read_bytes().split(b"\0")
    if b"proxy" in words:
        return _ask(read_settings(ProxySettings).ops_port)
    if b"audit_api" in words:
        return _ask(read_settings(AuditApiSettings).port)
    return 0


def _ask(port: int) -> int:
    try:
        urlopen(f"http://127.0.0.1:{port}/healthz", timeout=_PATIENCE_SECONDS).close()
    except (OSError, HTTPException) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    os.environ.pop("http_proxy", None)  # we ask ourselves, never through a proxy of the site
    sys.exit(main())
