"""`podwarden-audit check [SERVICE]`: a line for each thing that the service needs."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from audit_log.process.logs import set_up_logs
from deploy.checks.check import Group, run_checks

# Not imported before one is asked for: a check of the audit API needs nothing of the sidecar.
_MODULES: Final = {
    "proxy": "deploy.checks.of_proxy",
    "api": "deploy.checks.of_audit_api",
    "ingest": "deploy.checks.of_ingest",
}


def main(arguments: Sequence[str] | None = None, program: str = "podwarden-audit check") -> int:
    """Check a service; return 0 when it has all it needs, else 1. Exit with 78 for wrong settings.

    Nothing is started, made or changed. Each check ends within seconds.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description="Say whether SERVICE could start with these settings and do its work."
        " Starts and changes nothing.",
        epilog="exits with 0 if all is well, 1 if a check failed, 78 if a setting is wrong",
    )
    parser.add_argument(
        "service",
        metavar="SERVICE",
        nargs="?",
        choices=_MODULES,
        default="proxy",
        help="proxy (the default), api or ingest",
    )
    service = parser.parse_args(arguments).service
    # The check's own lines tell what a library would warn of.
    set_up_logs("console", "error")
    groups: list[Group] = import_module(_MODULES[service]).groups()
    return 0 if asyncio.run(run_checks(groups, _say)) else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
