"""A sidecar that may open few files.

`python -m tests.neighbours.few_files 200` lowers the limits and becomes `python -m proxy`.
"""

import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.neighbours.journal_home import journal_home
from tests.neighbours.program import become
from tests.neighbours.services import Service, running


@asynccontextmanager
async def sidecar_with_files(
    files: int, upstream_url: str, database_url: str, **settings: str
) -> AsyncIterator[Service]:
    """Run a sidecar that may open so many *files*. PYTHONPATH in *settings* names its build."""
    with journal_home() as home:
        environment = {
            **home.environment,
            "AUDIT_LOG_DATABASE_URL": database_url,
            "PROXY_UPSTREAM_URL": upstream_url,
            "PROXY_PORT": "0",
            "PROXY_OPS_PORT": "0",
            **settings,
        }
        async with running("tests.neighbours.few_files", environment, str(files)) as sidecar:
            yield sidecar


def main() -> None:
    """Lower the soft and the hard limit, and become the sidecar."""
    files = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    become("proxy")


if __name__ == "__main__":
    main()
