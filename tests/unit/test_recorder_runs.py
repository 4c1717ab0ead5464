"""What is told of a recorder that ends early, once and again and again."""

import pytest

from audit_log.process.background import STEADY_SECONDS
from proxy.recorder.runs import DEAD_SECONDS, Runs

KILLED = -9


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def runs(clock):
    return Runs(clock)


def test_of_a_recorder_that_runs_nothing_is_told(runs):
    assert (runs.failures, runs.problem, runs.death) == (0, None, None)


def test_an_end_is_told_until_a_run_is_steady(runs, clock):
    runs.note_failure(KILLED, again_in_seconds=0.1)
    assert "1 times in succession, last with exit code -9" in runs.problem
    clock.now += 1 + STEADY_SECONDS
    assert (runs.failures, runs.problem, runs.death) == (1, None, None)


def test_a_series_that_does_not_end_means_that_it_cannot_live(runs, clock):
    for _ in range(int(DEAD_SECONDS / 10)):
        assert runs.death is None
        runs.note_failure(1, again_in_seconds=5.0)
        clock.now += 10
    assert "12 times in succession, last with exit code 1" in runs.death


def test_a_steady_run_ends_a_series(runs, clock):
    for _ in range(20):
        runs.note_failure(KILLED, again_in_seconds=5.0)
        clock.now += 5.0 + STEADY_SECONDS
        assert runs.death is None
    assert runs.failures == 20
