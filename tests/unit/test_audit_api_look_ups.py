"""Tokens of requests to the audit API that come together are looked up together."""

import asyncio

import pytest

from audit_api.access.looked_up_together import AT_ONCE, LookedUpTogether
from audit_log.errors import StoreUnavailableError, TokenUnreadableError


class Table:
    """A token table that answers when it is told to, and has no token."""

    def __init__(self):
        self.asked: list[list[str]] = []
        self.answers = asyncio.Event()
        self.error: Exception | None = None

    async def find(self, token_hash):
        raise TokenUnreadableError(f"{token_hash} is no token")

    async def find_together(self, hashes):
        self.asked.append(sorted(hashes))
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return {token_hash: None for token_hash in hashes if token_hash != "odd"}


@pytest.fixture
async def table():
    return Table()


async def begun(finder, *hashes):
    tasks = [asyncio.create_task(finder.find(token_hash)) for token_hash in hashes]
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_a_query_runs_is_asked_for_in_the_next_one(table):
    finder = LookedUpTogether(table)
    first = await begun(finder, "a")
    others = await begun(finder, "b", "c", "b", "a")
    table.answers.set()

    assert await asyncio.gather(*first, *others) == [None] * 5
    assert table.asked == [["a"], ["a", "b", "c"]]


async def test_no_query_asks_for_more_than_a_bounded_number(table):
    finder = LookedUpTogether(table)
    table.answers.set()
    await asyncio.gather(*await begun(finder, *map(str, range(2 * AT_ONCE))))

    assert max(map(len, table.asked)) <= AT_ONCE


async def test_all_of_a_query_learn_that_the_database_is_away_and_the_next_asks_again(table):
    finder = LookedUpTogether(table)
    table.error = StoreUnavailableError("away")
    table.answers.set()
    found = await asyncio.gather(
        *await begun(finder, "a"), *await begun(finder, "b", "c"), return_exceptions=True
    )
    assert [str(error) for error in found] == ["away"] * 3
    asked = len(table.asked)
    table.error = None

    assert await finder.find("a") is None
    assert len(table.asked) == asked + 1


async def test_a_row_that_is_no_token_fails_its_own_request_alone(table):
    finder = LookedUpTogether(table)
    table.answers.set()
    _, [odd, other] = await begun(finder, "a"), await begun(finder, "odd", "b")

    with pytest.raises(TokenUnreadableError):
        await odd
    assert await other is None


async def test_a_request_that_is_cancelled_leaves_its_query_to_the_others(table):
    finder = LookedUpTogether(table)
    [first] = await begun(finder, "a")
    second, third = await begun(finder, "b", "c")
    first.cancel()
    await asyncio.sleep(0)
    second.cancel()
    table.answers.set()

    assert await third is None
