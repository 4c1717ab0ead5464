"""How many tokens one query asks for, and what a busy loop is not taken for."""

import asyncio
import time

import pytest

from proxy.tokens.lookups import QUICK_SECONDS, SLOW_SECONDS, LookUps, Portion
from proxy.tokens.memory import MISSING


@pytest.fixture
def portion():
    return Portion(250)


def test_a_query_asks_for_more_while_the_database_answers_quickly(portion):
    first = portion.size
    portion.note(first, QUICK_SECONDS / 2)
    assert portion.size == 2 * first
    for _ in range(10):
        portion.note(portion.size, 0.0)
    assert portion.size == 250


def test_a_query_for_less_says_nothing_of_a_larger_one(portion):
    first = portion.size
    portion.note(first - 1, 0.0)
    assert portion.size == first


def test_a_query_asks_for_less_while_the_database_answers_slowly_but_for_one_at_least(portion):
    first = portion.size
    portion.note(1, 0.0)
    portion.note(first, 2 * SLOW_SECONDS)
    assert portion.size == first // 2
    for _ in range(10):
        portion.note(1, 2 * SLOW_SECONDS)
    assert portion.size == 1


def test_a_database_that_is_far_away_is_not_asked_for_less(portion):
    for _ in range(10):
        portion.note(portion.size, 2 * SLOW_SECONDS)
    assert portion.size == 250


async def test_what_no_caller_waits_for_any_more_is_not_asked_for():
    asked: list[str] = []
    goes_on = asyncio.Event()

    async def query(hashes):
        asked.extend(hashes)
        await goes_on.wait()
        return dict.fromkeys(hashes)

    lookups = LookUps(
        query, Portion(1), late=print, late_seconds=30, busy_seconds=0.05, max_waiting=9
    )
    first, stale = lookups.join("first"), lookups.join("stale")
    await asyncio.wait([stale], timeout=0.1)
    fresh = lookups.join("fresh")
    goes_on.set()

    assert await fresh is None
    assert (await first, stale.cancelled()) == (None, True)
    assert asked == ["first", "fresh"]


def lookups_of(query, late):
    return LookUps(
        query,
        Portion(1),
        late=lambda: late.append(None),
        late_seconds=0.1,
        busy_seconds=30,
        max_waiting=99,
    )


async def test_a_flood_that_slows_the_database_down_is_not_taken_for_an_outage():
    late: list[None] = []
    answers = asyncio.Event()

    async def query(hashes):
        await answers.wait()
        return dict.fromkeys(hashes)

    lookups = lookups_of(query, late)
    turns = [lookups.join(str(number)) for number in range(20)]
    _, waiting = await asyncio.wait(turns, timeout=0.3)  # three times what one alone is given
    assert (len(waiting), late) == (20, [])
    answers.set()
    await asyncio.wait(turns)

    answers.clear()
    assert await lookups.join("alone") is MISSING
    assert late == [None]
    answers.set()
    await lookups.end()


async def test_a_loop_that_was_busy_is_not_taken_for_a_database_that_is_late():
    late: list[None] = []

    async def query(hashes):
        # What the loop has to do meanwhile takes longer than a query may.
        asyncio.get_running_loop().call_soon(time.sleep, 0.2)
        await asyncio.sleep(0.15)
        return dict.fromkeys(hashes)

    turn = lookups_of(query, late).join("a")

    assert await turn is None
    assert late == []
