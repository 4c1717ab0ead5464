"""`python -m deploy.local`, or `make run`: everything on this machine, until Ctrl-C."""

import argparse
import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from deploy.local.errors import CannotRunError
from deploy.local.everything import run, settled

_WRONG_USAGE: Final = 2


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the arguments."""

    def error(self, message: str) -> NoReturn:
        self.exit(_WRONG_USAGE, f"make run: {message}; see {self.prog} --help\n")


def main() -> None:
    """Run everything; exit with one line when something is in the way."""
    options = _parser().parse_args()
    try:
        with settled(Path("data").absolute(), with_sample=options.sample is not None) as plan:
            asyncio.run(_until_told_to_stop(run(plan)))
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None  # before there was anything to stop
    except (CannotRunError, OSError) as error:
        # An OSError can come at any time from the data directory: full, read-only, gone.
        raise SystemExit(f"make run: {error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m deploy.local",
        allow_abbrev=False,
        description="Run PostgreSQL, a demo PodWarden, the sidecar and the audit API on this"
        " machine, with their files in ./data, until Ctrl-C.",
        epilog="Settings are environment variables (docs/settings.md). PROXY_UPSTREAM_URL uses"
        " your own PodWarden, AUDIT_LOG_DATABASE_URL your own PostgreSQL.",
    )
    parser.add_argument(
        "--sample",
        choices=["day"],
        help="make up a day of traffic to look at; also `make run SAMPLE=day`",
    )
    return parser


async def _until_told_to_stop(work: Coroutine[Any, Any, None]) -> None:
    """Do *work*; end it in order at the first SIGINT or SIGTERM, and take no notice of more."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    task = asyncio.create_task(work, name="run")
    waiting = asyncio.create_task(told.wait(), name="stop-signal")
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    main()
