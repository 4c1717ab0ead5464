"""PostgreSQL's own programs (psql, pg_dump, …) against the server of a test."""

import os
import subprocess
from pathlib import Path
from typing import Final

from deploy.local.postgres_home import installed_binaries

BINARIES: Final = installed_binaries(None, Path())
CHECKOUT: Final = Path(__file__).parents[2]


def run_program(program: str, *arguments: str) -> str:
    """Run *program* to its end, which must be a good one; return what it said."""
    done = subprocess.run(
        [BINARIES / program, *arguments],
        env={"LC_ALL": "C", "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def set_up_roles(url: str, *variables: str) -> str:
    """Run deploy/roles.sql in the database at *url*; return what it said."""
    settings = [part for variable in variables for part in ("-v", variable)]
    return run_program("psql", "-X", *settings, "-f", str(CHECKOUT / "deploy/roles.sql"), url)
