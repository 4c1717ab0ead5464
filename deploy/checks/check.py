"""A check: one thing that a service needs, looked at within a time limit, told in one line."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from audit_log.process.disk_thread import in_disk_thread

LIMIT_SECONDS: Final = 6.0
"""For one check: longer than a connection to PostgreSQL or NATS may take, so that their own
complaint is told."""


class CheckFailedError(Exception):
    """What a service needs is not there. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at, and its name."""

    name: str
    look: Callable[[], Awaitable[str]]
    """Returns what was found. Raises CheckFailedError."""


Group = Sequence[Check]
"""Checks of which each makes sense only if those before it went well."""


def blocking(name: str, look: Callable[[], str]) -> Check:
    """Return a check whose *look* may wait for a disk for ever."""
    return Check(name, lambda: in_disk_thread(f"check-{name}", look))


async def run_checks(
    groups: Iterable[Group], say: Callable[[str], None], *, limit_seconds: float = LIMIT_SECONDS
) -> bool:
    """Run *groups* one after the other; say a line for each check; return whether all went well.

    After a failed check the rest of its group is skipped.
    """
    is_good = True
    for group in groups:
        is_group_good = True
        for check in group:
            if not is_group_good:
                say(f"skipped {check.name}")
                continue
            is_group_good, line = await _outcome(check, limit_seconds)
            state = "ok" if is_group_good else "failed"
            say(f"{state:8}{check.name}: {' '.join(line.split())}")
        is_good = is_good and is_group_good
    return is_good


async def _outcome(check: Check, limit_seconds: float) -> tuple[bool, str]:
    """Return whether *check* went well, and what it found or what is wrong."""
    try:
        async with asyncio.timeout(limit_seconds):
            return True, await check.look()
    except CheckFailedError as error:
        return False, str(error)
    except TimeoutError:
        return False, f"no answer within {limit_seconds:g} seconds"
    except Exception as error:  # noqa: BLE001 -- the operator is owed a line, and no traceback
        return False, f"{type(error).__name__}: {error}"
