"""`python -m audit_log`, run as an operator runs it."""

import os
import subprocess
import sys

PATIENCE_SECONDS = 300


def audit_log(url: str | None, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run the command; return its exit code, its output and its complaints."""
    done = subprocess.run(
        [sys.executable, "-m", "audit_log", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env=environment(url, **settings),
    )
    return done.returncode, done.stdout, done.stderr


def environment(url: str | None, **settings: str) -> dict[str, str]:
    """Return what the command is told by its environment."""
    given = {"PATH": os.defpath, "PYTHONUTF8": "1", **settings}
    if url is not None:
        given["AUDIT_LOG_DATABASE_URL"] = url
    return given
