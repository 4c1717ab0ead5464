"""What an anchor lacks of a log, and when it is due."""

from proxy.seal.anchors.backlog import LONGEST_DELAY_SECONDS, Backlog
from tests.neighbours.sealed_log import SealedLog

LOG = SealedLog()
ONE, TWO, THREE = (LOG.offer(size) for size in (1, 2, 3))


def longest(_least: float, most: float) -> float:
    return most


def test_the_newest_checkpoint_replaces_those_that_wait():
    backlog = Backlog(10)
    for now, offer in ((5, ONE), (6, TWO), (7, THREE)):
        backlog.take_in(offer, now)

    assert backlog.begin() is THREE
    assert backlog.lag_seconds(9) == 4, "since the first that the anchor lacks"
    backlog.succeeded(9)
    assert (backlog.begin(), backlog.lag_seconds(20), backlog.due_at) == (None, 0, 19)


def test_what_is_offered_during_an_attempt_waits_from_then_on():
    backlog = Backlog(10)
    backlog.take_in(ONE, 0)
    assert backlog.begin() is ONE
    backlog.take_in(TWO, 3)
    backlog.take_in(THREE, 4)

    backlog.succeeded(5)

    assert backlog.lag_seconds(7) == 4
    assert backlog.begin() is THREE


def test_a_failure_leaves_the_lag_as_it_is_and_the_delays_grow_to_a_limit():
    backlog = Backlog(10, jitter=longest)
    backlog.take_in(ONE, 0)
    delays = []
    for _ in range(30):
        backlog.begin()
        backlog.failed(100)
        delays.append(backlog.due_at - 100)

    assert delays[:5] == [1, 2, 4, 8, 16]
    assert delays[-1] == LONGEST_DELAY_SECONDS
    assert backlog.lag_seconds(100) == 100

    backlog.begin()
    backlog.succeeded(200)
    backlog.take_in(TWO, 300)
    backlog.begin()
    backlog.failed(300)
    assert backlog.due_at == 301, "a success ends the series"


def test_a_refusal_is_remembered_until_the_anchor_takes_one():
    backlog = Backlog(10)
    backlog.take_in(ONE, 0)
    backlog.begin()
    backlog.refused("a fork", 1)
    assert (backlog.refusal, backlog.due_at) == ("a fork", 1 + LONGEST_DELAY_SECONDS)
    assert backlog.begin() is ONE
    backlog.succeeded(400)
    assert backlog.refusal is None
