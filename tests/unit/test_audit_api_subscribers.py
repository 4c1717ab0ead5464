import asyncio
from typing import Any

import pytest

from audit_api.errors import NotNowError
from audit_api.stream.subscribers import MAX_WAITING_BYTES, Listener
from audit_api.stream.tail import Tail
from audit_log.filters import EVERYTHING
from audit_log.process.background import in_background

NO_DATABASE: Any = None
HALF = b"x" * (MAX_WAITING_BYTES // 2)


async def test_a_listener_hears_what_it_is_offered_in_order():
    listener = Listener(EVERYTHING)
    listener.offer(b"1")
    listener.offer(b"2")
    assert [await listener.hear(9) for _ in range(2)] == [b"1", b"2"]


async def test_a_listener_that_hears_nothing_in_time_is_told_nothing():
    assert await Listener(EVERYTHING).hear(0.01) == b""


async def test_a_listener_waits_until_it_is_offered_something():
    listener = Listener(EVERYTHING)
    hearing = asyncio.create_task(listener.hear(9))
    await asyncio.sleep(0)
    listener.offer(b"1")
    assert await hearing == b"1"


async def test_a_listener_with_too_much_waiting_falls_behind_for_good():
    listener = Listener(EVERYTHING)
    behind = []
    for piece in (HALF, HALF, b"1", b"2"):
        listener.offer(piece)
        behind.append(listener.is_behind)
    assert behind == [False, False, True, True]
    assert await listener.hear(9) == b""


async def test_what_is_larger_than_all_that_may_wait_is_heard_if_nothing_else_waits():
    listener = Listener(EVERYTHING)
    listener.offer(HALF * 3)
    assert await listener.hear(9) == HALF * 3
    assert not listener.is_behind


async def test_the_end_wakes_a_listener():
    listener = Listener(EVERYTHING)
    hearing = asyncio.create_task(listener.hear(9))
    await asyncio.sleep(0)
    listener.end()
    assert await hearing == b""
    assert listener.is_over


async def test_a_tail_that_fails_says_so_and_lets_nobody_wait():
    tail = Tail(NO_DATABASE)
    async with in_background(tail.heed(), "audit-tail-notifications", tail.note_end):
        with pytest.raises(NotNowError):
            async with tail.listening(EVERYTHING):
                pass
        assert tail.has_died
    with pytest.raises(NotNowError):
        async with tail.listening(EVERYTHING):
            pass
