"""What a recorder does, measured: records that are written as they come, or after an outage."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Final

from benchmarks.calm import Patience, noticing_others
from benchmarks.database import Database
from benchmarks.load import Target, closed_loop
from benchmarks.plain_copy import PlainCopy
from benchmarks.process import CLIENT_CORE, family_seconds, pin
from benchmarks.records import Passage
from benchmarks.sidecar import Sidecar

_CONNECTIONS: Final = 32
_LONGEST_SECONDS: Final = 60
_ACCEPTED: Final = 'records_total{fate="accepted"}'


@dataclass(frozen=True, slots=True)
class Recorder:
    """The recorder of a sidecar."""

    name: str
    sidecar: Sidecar
    target: Target
    """What is asked, so that there are records."""
    pid: int
    """The process whose processor time counts, with its descendants."""


class Bench:
    """Has calls recorded, written and copied, and notes what others do meanwhile."""

    def __init__(self, database: Database, plain: PlainCopy, patience: Patience) -> None:
        """Write to *database*, and copy by *plain*; wait for calm as *patience* says."""
        self._server, self._plain, self._patience = database.server, plain, patience
        self.shares: list[float] = []

    def live(self, recorder: Recorder, records: int) -> Passage:
        """Have *records* written as they come."""
        return self._measured(recorder, lambda: _call(recorder, records))

    def drained(self, recorder: Recorder, records: int) -> Passage:
        """Have *records* written after an outage."""
        self._server.stop()
        _call(recorder, records)
        return self._measured(recorder, self._start)

    def copied(self) -> Passage:
        """Copy what has just been written."""
        with self._noticing():
            return self._plain.copied()

    def _measured(self, recorder: Recorder, work: Callable[[], None]) -> Passage:
        with self._noticing():
            began, used = datetime.now(UTC), family_seconds(recorder.pid)
            work()
            recorder.sidecar.settle()
            return self._plain.arrived(began, family_seconds(recorder.pid) - used)

    def _start(self) -> None:
        self._server.start()
        pin(self._server.pid, CLIENT_CORE)

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        self._patience.wait_for_calm()
        with noticing_others() as disturbance:
            yield
        self.shares.append(disturbance.share)


def _call(recorder: Recorder, records: int) -> None:
    """Make calls until *records* more are accepted."""
    wanted = recorder.sidecar.metric(_ACCEPTED) + records
    per_second = float(records)
    while (missing := wanted - recorder.sidecar.metric(_ACCEPTED)) > 0:
        seconds = min(_LONGEST_SECONDS, ceil(missing / per_second))
        answers = closed_loop(recorder.target, connections=_CONNECTIONS, seconds=seconds)
        per_second = answers.per_second
