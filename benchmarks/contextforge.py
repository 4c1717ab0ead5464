"""ContextForge, an MCP gateway, in a virtual environment of its own, before one MCP server."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import Request, urlopen

from benchmarks.environments import installed
from benchmarks.process import PROXY_CORE, Process, free_port, running

REQUIREMENT: Final = "mcp-contextforge-gateway==1.0.7"
PREFIX: Final = "upstream"
"""Stands before the names of the server's tools."""
_ADMIN: Final = "admin@example.com"


@dataclass(frozen=True, slots=True)
class ContextForge:
    """Where it listens, and a token that it accepts."""

    process: Process
    origin: str
    token: str


@contextmanager
def running_contextforge(directory: Path, upstream: str) -> Iterator[ContextForge]:
    """Run it with its files in *directory*, and *upstream* as its only server."""
    programs, port = installed(REQUIREMENT) / "bin", free_port()
    secret = secrets.token_urlsafe(48)
    environment = {
        "HOME": str(directory),
        "LOG_LEVEL": "ERROR",
        "JWT_SECRET_KEY": secret,
        "AUTH_ENCRYPTION_SECRET": secrets.token_urlsafe(48),
        "PLATFORM_ADMIN_EMAIL": _ADMIN,
        "PLATFORM_ADMIN_PASSWORD": secrets.token_urlsafe(24) + "-Aa1",
        "REQUIRE_USER_IN_DB": "false",
        "SSRF_ALLOW_LOCALHOST": "true",
        # It allows 100 calls a minute, and then responds with errors.
        "RATE_LIMITING_ENABLED": "false",
    }
    command: list[str | Path] = [
        programs / "mcpgateway",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    origin = f"http://127.0.0.1:{port}"
    with running(
        command, core=PROXY_CORE, directory=directory, environment=environment
    ) as process:
        process.wait_until(lambda: _is_healthy(origin))
        token = _token(programs, secret, environment)
        _register(origin, token, upstream)
        yield ContextForge(process, origin, token)


def _is_healthy(origin: str) -> bool:
    try:
        with urlopen(f"{origin}/health", timeout=5):  # noqa: S310  our own
            return True
    except (URLError, TimeoutError, ConnectionError):
        return False


def _token(programs: Path, secret: str, environment: dict[str, str]) -> str:
    module = "mcpgateway.utils.create_jwt_token"
    said = subprocess.run(
        [
            *(programs / "python", "-m", module, "--username", _ADMIN, "--admin"),
            *("--exp", "1000", "--secret", secret),
        ],
        env=environment,
        cwd=environment["HOME"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return said.stdout.split()[-1]


def _register(origin: str, token: str, upstream: str) -> None:
    server = {"name": PREFIX, "url": f"{upstream}/mcp", "transport": "STREAMABLEHTTP"}
    request = Request(  # noqa: S310  our own
        f"{origin}/gateways",
        data=json.dumps(server).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urlopen(request, timeout=60):  # noqa: S310  our own
        pass
