import asyncio
from time import monotonic

from audit_api.query.cache import Cache


class Search:
    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.searched = 0

    async def __call__(self) -> int:
        self.searched += 1
        until = monotonic() + self.seconds
        while monotonic() < until:
            await asyncio.sleep(0)
        return self.searched


async def test_what_was_dear_to_find_is_kept_and_what_was_cheap_is_not():
    remembered: Cache[int] = Cache()
    dear, cheap = Search(0.1), Search()
    assert [await remembered.answer("dear", dear) for _ in range(3)] == [1, 1, 1]

    await remembered.answer("cheap", cheap)
    async with asyncio.timeout(5):
        while await remembered.answer("cheap", cheap) == 1:
            await asyncio.sleep(0)


async def test_those_who_ask_at_once_share_one_search():
    remembered: Cache[int] = Cache()
    search = Search(0.05)
    answers = await asyncio.gather(*(remembered.answer("x", search) for _ in range(5)))
    assert answers == [1] * 5


async def test_a_failure_is_not_kept():
    remembered: Cache[int] = Cache()

    async def fail() -> int:
        raise ValueError

    for _ in range(2):
        try:
            await remembered.answer("x", fail)
        except ValueError:
            continue
    assert await remembered.answer("x", Search()) == 1


async def test_memory_is_bounded():
    remembered: Cache[int] = Cache()
    for number in range(150):
        await remembered.answer(number, Search(0.002))
    assert len(remembered._kept) <= 100
    assert len(remembered._finding) <= 1
