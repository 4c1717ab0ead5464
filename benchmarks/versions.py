"""Which versions of the other proxies were measured, in their own words."""

import re
import subprocess
from collections.abc import Mapping
from typing import Final

from benchmarks.contestants import RunningProxy

_NUMBER: Final = re.compile(r"\d+\.\d+\.\d+")
_ARGUMENT: Final = {"nginx": "-v", "haproxy": "-v", "caddy": "version"}


def versions(proxies: Mapping[str, RunningProxy]) -> str:
    """Return a line with the version of each proxy, given by its name."""
    found = [f"{name} {_version(name, proxy.program)}" for name, proxy in proxies.items()]
    return f"Versions: {', '.join(found)}."


def _version(name: str, program: str) -> str:
    said = subprocess.run(
        [program, _ARGUMENT.get(name, "--version")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = _NUMBER.search(said.stdout + said.stderr)
    return found[0] if found else "of unknown version"
