"""The keeper: a process that starts the recorder, and starts it again when it ends or hangs.

Theory of operation. To fork the process that takes calls would stop it for milliseconds. So the
keeper is forked from it before it has an event loop or a thread, and does nothing but fork the
recorder and wait for it. All three share the memory of what is loaded.

The proxy holds one end of a pipe, the *leash*. When it ends in whatever way, the pipe closes: the
recorder brings what is there to the store, within `ORPHAN_SECONDS`, and the keeper ends after it.
A keeper that is stopped (SIGSTOP) is continued then: it has the journal open, and would keep the
next start away.
"""

import asyncio
import ctypes
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NoReturn

import structlog

from proxy.recorder.page import Page
from proxy.recorder.runs import Runs

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0
"""Shorter than what the ring holds of a fast stream of calls."""
_LONG_LIFE_SECONDS: Final = 60.0
_HUNG_SECONDS: Final = 60.0
"""A recorder that has not shown a report for so long is killed. Calls go on meanwhile."""
ORPHAN_SECONDS: Final = 2.0
"""How long a recorder goes on when its proxy was killed: the next start has the rest."""
LAST_SECONDS: Final = ORPHAN_SECONDS + 1.0
"""One that is still there and silent after that is killed: it keeps the next start waiting."""
_WATCH_SECONDS: Final = 1.0
_NICENESS: Final = 5
_PR_SET_PDEATHSIG: Final = 1
"""Of prctl(2): which signal a process gets when the one that forked it ends."""
_OOM_SCORE: Final = 1_000
"""The recorder goes first when memory is short, however little it has: nothing is lost with it."""
log: structlog.stdlib.BoundLogger = structlog.get_logger("proxy")


class Keeper:
    """The proxy's view of the keeper."""

    def __init__(self, pid: int, life: int, runs: Runs) -> None:
        """Watch the keeper *pid* by *life*, a pipe that closes when it ends."""
        self._pid = pid
        self._life = life
        self._runs = runs

    @property
    def problem(self) -> str | None:
        """That the recorder ends again and again, or would not be started again; or None."""
        return self._end or self._runs.problem

    @property
    def dead(self) -> list[str]:
        """What only a new sidecar mends."""
        return list(filter(None, [self._end, self._runs.death]))

    @property
    def restarts(self) -> int:
        """How often the recorder was started again."""
        return self._runs.failures

    @property
    def _end(self) -> str | None:
        if _is_closed(self._life, 0):
            return "the recorder's keeper has ended: restart the sidecar"
        return None

    async def end(self, seconds: float) -> None:
        """Wait until the recorder has done its work and ended, for *seconds* at most."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._life, ended.set)
        if self._end is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGCONT)  # it may be stopped
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        except TimeoutError:
            log.warning("recorder.end_timed_out", seconds=seconds)
        finally:
            loop.remove_reader(self._life)


@contextmanager
def keeping(record: Callable[[int], None], page: Page) -> Iterator[Keeper]:
    """Keep a process running beside the block that does *record*; yield the keeper's view.

    *record* is told the number of the leash. It returns when all is done. To be entered before
    this process has an event loop or a thread.
    """
    leash, held = os.pipe()
    life, lived = os.pipe()
    runs = Runs()
    pid = os.fork()
    if not pid:
        os.close(held)
        os.close(life)
        _exit_with(lambda: _keep(record, leash, lived, page, runs))
    # The kernel takes away what ends: a keeper that was killed, and in a container, where this is
    # the first process, the recorder that it has left.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.close(leash)
    os.close(lived)
    try:
        yield Keeper(pid, life, runs)
    finally:
        os.close(held)
        os.close(life)


def _exit_with(work: Callable[[], None]) -> NoReturn:
    """End this process after *work*, without what its parent would do at its end."""
    code = 1
    try:
        work()
        code = 0
    except Exception as error:  # noqa: BLE001  told in one line, and begun again
        log.error("recorder.failed", error=repr(error))
    finally:
        os._exit(code)


def _keep(record: Callable[[int], None], leash: int, lived: int, page: Page, runs: Runs) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGCONT), 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # A signal to the whole group is for the proxy. The others end after it.
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    pause = _FIRST_PAUSE_SECONDS
    while True:
        began = time.monotonic()
        pid = os.fork()
        if not pid:
            os.close(lived)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            _exit_with(lambda: _record(record, leash))
        code = _ended(pid, page, leash)
        if code == 0 or _is_closed(leash, 0):
            return
        runs.note_failure(code, pause)
        log.error("recorder.ended_early", code=code, again_in_seconds=pause)
        if time.monotonic() - began > _LONG_LIFE_SECONDS:
            pause = _FIRST_PAUSE_SECONDS
        if _is_closed(leash, pause):
            return
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _record(record: Callable[[int], None], leash: int) -> None:
    with suppress(OSError):  # before anything may keep it waiting
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE), encoding="ascii")
    with suppress(OSError):
        os.nice(_NICENESS)
    record(leash)


def _ended(pid: int, page: Page, leash: int) -> int:
    """Return the exit code of *pid* when it has ended; kill it if it hangs."""
    last, since = page.beat, time.monotonic()
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if page.beat != last:
            last, since = page.beat, time.monotonic()
        elif (silent := time.monotonic() - since) > LAST_SECONDS and (
            silent > _HUNG_SECONDS or _is_closed(leash, 0)
        ):
            log.error("recorder.hung", seconds=round(silent))
            os.kill(pid, signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, _WATCH_SECONDS)


def _is_closed(pipe: int, seconds: float) -> bool:
    """Return whether the other end of *pipe* is closed, or closes within *seconds*."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return bool(poll.poll(seconds * 1_000))
