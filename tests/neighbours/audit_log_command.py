"""`python -m audit_log`, run as an operator runs it."""

import os

from tests.neighbours.program import run

PATIENCE_SECONDS = 300


def audit_log(url: str | None, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run the command; return its exit code, its output and its complaints."""
    return run(
        "audit_log",
        *arguments,
        environment=environment(url, **settings),
        seconds=PATIENCE_SECONDS,
    )


def environment(url: str | None, **settings: str) -> dict[str, str]:
    """Return what the command is told by its environment."""
    given = {"PATH": os.defpath, "PYTHONUTF8": "1", **settings}
    if url is not None:
        given["AUDIT_LOG_DATABASE_URL"] = url
    return given
