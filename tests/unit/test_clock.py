"""PostgreSQL's time as a process knows it, by clocks that the test sets."""

from datetime import UTC, datetime, timedelta

import pytest

from audit_log.clock import DatabaseClock, Sample

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Clocks:
    """The clocks of a machine and of a database: each is set, and all go on together."""

    def __init__(self):
        self.seconds = 1_000.0
        self.here = self.there = NOON
        self.clock = DatabaseClock(local=self._local, elapsed=lambda: self.seconds)

    def _local(self):
        return self.here.timestamp()

    def go_on(self, seconds):
        self.seconds += seconds
        self.here += timedelta(seconds=seconds)
        self.there += timedelta(seconds=seconds)

    def look(self, *, there=0.0, back=0.0):
        """Look at the database's clock: so many seconds on the way *there* and *back*."""
        asked_at = self.seconds
        self.go_on(there)
        told = self.there
        self.go_on(back)
        self.clock.note(Sample(told, asked_at, self.seconds))


@pytest.fixture
def clocks():
    return Clocks()


def test_before_anything_is_known_the_local_clock_counts(clocks):
    assert clocks.clock.now() == NOON
    assert clocks.clock.offset_seconds is None
    assert clocks.clock.problem is None


@pytest.mark.parametrize(("hours", "direction"), [(1, "ahead of"), (-1, "behind")])
def test_a_clock_that_differs_is_told_with_both_times(clocks, hours, direction):
    clocks.here += timedelta(hours=hours)
    clocks.look()
    clocks.go_on(30)

    assert clocks.clock.now() == clocks.there
    assert clocks.clock.offset_seconds == hours * 3_600
    problem = clocks.clock.problem
    assert f"3600 s {direction} PostgreSQL's" in problem
    assert f"{12 + hours}:00:30 UTC here, 2026-11-28 12:00:30 there" in problem


def test_five_seconds_are_nothing_to_tell(clocks):
    clocks.here += timedelta(seconds=5)
    clocks.look()

    assert clocks.clock.problem is None
    assert clocks.clock.offset_seconds == 5


def test_a_step_of_the_local_clock_changes_nothing_and_is_told_at_once(clocks):
    clocks.look()
    clocks.here += timedelta(hours=1)
    clocks.go_on(1)

    assert clocks.clock.now() == clocks.there
    assert "3600 s ahead of" in clocks.clock.problem

    clocks.here -= timedelta(hours=1)
    assert clocks.clock.problem is None


def test_the_shortest_round_trip_counts(clocks):
    clocks.look(there=3, back=1)
    assert clocks.clock.now() == clocks.there + timedelta(seconds=1)

    clocks.look(there=0.01, back=0.01)
    for _ in range(4):
        clocks.look(there=3, back=1)
        assert clocks.clock.now() == clocks.there
    clocks.look(there=3, back=1)  # the short one is too long ago
    assert clocks.clock.now() != clocks.there


def test_a_long_round_trip_is_no_difference_of_the_clocks(clocks):
    clocks.look(there=20)

    assert clocks.clock.offset_seconds == -10
    assert clocks.clock.problem is None


def test_another_clock_behind_the_same_name_is_believed_at_once(clocks):
    clocks.look()
    clocks.there += timedelta(minutes=10)  # set, or that of a promoted standby
    clocks.look(there=0.5, back=0.5)

    assert clocks.clock.now() == clocks.there
    assert "600 s behind" in clocks.clock.problem
