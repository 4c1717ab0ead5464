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


async def test_an_expensive_result_is_kept_and_a_cheap_one_is_not():
    cache: Cache[int] = Cache()
    expensive, cheap = Search(0.1), Search()
    assert [await cache.get("expensive", expensive) for _ in range(3)] == [1, 1, 1]

    await cache.get("cheap", cheap)
    async with asyncio.timeout(5):
        while await cache.get("cheap", cheap) == 1:
            await asyncio.sleep(0)


async def test_concurrent_callers_share_one_search():
    cache: Cache[int] = Cache()
    search = Search(0.05)
    results = await asyncio.gather(*(cache.get("x", search) for _ in range(5)))
    assert results == [1] * 5


async def test_a_failure_is_not_kept():
    cache: Cache[int] = Cache()

    async def fail() -> int:
        raise ValueError

    for _ in range(2):
        try:
            await cache.get("x", fail)
        except ValueError:
            continue
    assert await cache.get("x", Search()) == 1


async def test_the_cache_is_bounded():
    cache: Cache[int] = Cache()
    for number in range(150):
        await cache.get(number, Search(0.002))
    assert len(cache._results) <= 100
    assert len(cache._loading) <= 1
