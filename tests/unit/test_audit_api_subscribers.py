import asyncio
from typing import Any

import pytest

from audit_api.errors import NotNowError
from audit_api.stream.subscribers import MAX_WAITING_BYTES, Subscriber
from audit_api.stream.tail import Tail, tailing
from audit_log.filters import EVERYTHING
from audit_log.postgres.reading.sources import RECORDS
from audit_log.process.background import BackgroundTasks
from audit_log.record import AuditRecord
from tests.neighbours.patience import eventually

NO_DATABASE: Any = None
HALF = b"x" * (MAX_WAITING_BYTES // 2)


async def test_a_subscriber_takes_what_it_is_offered_in_order():
    subscriber = Subscriber(EVERYTHING)
    subscriber.offer(b"1")
    subscriber.offer(b"2")
    assert [await subscriber.take(9) for _ in range(2)] == [b"1", b"2"]


async def test_a_subscriber_that_takes_nothing_in_time_is_told_nothing():
    assert await Subscriber(EVERYTHING).take(0.01) == b""


async def test_a_subscriber_waits_until_it_is_offered_something():
    subscriber = Subscriber(EVERYTHING)
    taking = asyncio.create_task(subscriber.take(9))
    await asyncio.sleep(0)
    subscriber.offer(b"1")
    assert await taking == b"1"


async def test_a_subscriber_with_too_much_waiting_falls_behind_for_good():
    subscriber = Subscriber(EVERYTHING)
    behind = []
    for piece in (HALF, HALF, b"1", b"2"):
        subscriber.offer(piece)
        behind.append(subscriber.is_behind)
    assert behind == [False, False, True, True]
    assert await subscriber.take(9) == b""


async def test_what_is_larger_than_all_that_may_wait_is_taken_if_nothing_else_waits():
    subscriber = Subscriber(EVERYTHING)
    subscriber.offer(HALF * 3)
    assert await subscriber.take(9) == HALF * 3
    assert not subscriber.is_behind


async def test_the_end_wakes_a_subscriber():
    subscriber = Subscriber(EVERYTHING)
    taking = asyncio.create_task(subscriber.take(9))
    await asyncio.sleep(0)
    subscriber.end()
    assert await taking == b""
    assert subscriber.is_over


async def test_a_tail_that_fails_is_begun_again_and_says_so():
    tasks = BackgroundTasks()

    async def subscribe(tail: Tail[AuditRecord]) -> None:
        async with tail.subscribed(EVERYTHING):
            pass

    async def is_noticed() -> bool:
        return "audit-tail-notifications has failed" in "".join(tasks.problems)

    async with tailing(NO_DATABASE, tasks, RECORDS, "audit-tail") as tail:
        joining = asyncio.create_task(subscribe(tail))
        assert await eventually(is_noticed)
    with pytest.raises(NotNowError):
        await joining
