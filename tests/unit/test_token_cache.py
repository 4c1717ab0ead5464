import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from audit_log.errors import StoreUnavailableError
from audit_log.tokens import Token
from proxy.tokens.cache import (
    TokenCache,
    TokenCacheBusyError,
    TokenCacheLimits,
    TokenCacheUnavailableError,
)
from proxy.tokens.memory import MISSING

TOKEN = Token(id=uuid4(), name="ci")
REVOKED = Token(id=TOKEN.id, name="ci", revoked_at=datetime(2026, 2, 28, tzinfo=UTC))
PATIENT = TokenCacheLimits(lookup_seconds=30, turn_seconds=30, tokens_at_once=3)
IMPATIENT = TokenCacheLimits(lookup_seconds=0)


class Tokens:
    """Answers at once, or when released; or is away."""

    def __init__(self, **tokens: Token) -> None:
        self.by_hash = tokens
        self.asked: list[str] = []
        self.unreadable: set[str] = set()
        self.is_away = False
        self.responding = asyncio.Event()
        self.responding.set()

    async def find_together(self, hashes):
        self.asked.append("+".join(sorted(hashes)))
        answers = await self.answers(hashes)
        return {key: token for key, token in answers.items() if key not in self.unreadable}

    async def answers(self, hashes):
        answers = {key: self.by_hash.get(key) for key in hashes}  # as it is when asked
        await self.responding.wait()
        if self.is_away:
            raise StoreUnavailableError("away")
        return answers


class Announcements:
    """Are heard at once, without waiting, when there are some."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[str] = asyncio.Queue()
        self.is_listened_to = asyncio.Event()

    @asynccontextmanager
    async def changes(self):
        yield self.hashes()

    async def hashes(self):
        while True:
            self.is_listened_to.set()
            yield await self.waiting.get()


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
async def tokens():
    return Tokens(a=TOKEN)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(tokens, clock):
    return TokenCache(tokens, limits=PATIENT, clock=clock)


async def test_a_token_is_looked_up_once_and_then_known(cache, tokens):
    assert cache.known("a") is MISSING
    assert await cache.identify("a") == TOKEN
    assert await cache.identify("a") == TOKEN

    assert cache.known("a") == TOKEN
    assert tokens.asked == ["a"]


async def test_nobodys_token_is_known_to_be_nobodys(cache, tokens):
    assert await cache.identify("x") is None
    assert cache.known("x") is None


async def test_who_asks_for_the_same_token_shares_the_look_up(cache, tokens):
    tokens.responding.clear()
    callers = [asyncio.create_task(cache.identify("a")) for _ in range(10)]
    await until(lambda: tokens.asked)
    tokens.responding.set()

    assert await asyncio.gather(*callers) == [TOKEN] * 10
    assert tokens.asked == ["a"]


async def test_a_caller_who_leaves_does_not_take_the_answer_from_the_others(cache, tokens):
    tokens.responding.clear()
    leaves = asyncio.create_task(cache.identify("a"))
    stays = asyncio.create_task(cache.identify("a"))
    await until(lambda: tokens.asked)
    leaves.cancel()
    tokens.responding.set()

    assert await stays == TOKEN


async def test_tokens_that_wait_are_looked_up_together_in_the_order_of_their_arrival(
    cache, tokens
):
    tokens.responding.clear()
    callers = [asyncio.create_task(cache.identify(name)) for name in "abcde"]
    await until(lambda: tokens.asked)
    tokens.responding.set()

    assert await asyncio.gather(*callers) == [TOKEN, None, None, None, None]
    assert tokens.asked == ["a+b+c", "d+e"]


async def test_more_than_may_wait_are_refused_at_once_while_the_database_responds(tokens):
    cache = TokenCache(tokens, limits=TokenCacheLimits(max_waiting=2, tokens_at_once=1))
    await cache.refresh()
    tokens.asked.clear()
    tokens.responding.clear()
    asked = asyncio.create_task(cache.identify("a"))
    await until(lambda: tokens.asked)
    waiting = [asyncio.create_task(cache.identify(name)) for name in ("b", "c")]
    await asyncio.sleep(0)

    with pytest.raises(TokenCacheBusyError):
        await cache.identify("d")

    tokens.responding.set()
    assert await asyncio.gather(asked, *waiting) == [TOKEN, None, None]
    assert await cache.identify("d") is None


async def test_whose_turn_does_not_come_in_time_is_not_taken_for_an_outage(tokens):
    limits = TokenCacheLimits(turn_seconds=0.05, lookup_seconds=30)
    cache = TokenCache(tokens, limits=limits)
    tokens.responding.clear()

    with pytest.raises(TokenCacheBusyError):
        await cache.identify("a")
    assert not cache.is_out_of_reach

    tokens.responding.set()
    await until(lambda: cache.known("a") is not MISSING)
    assert cache.is_reachable


async def test_a_defect_of_the_look_up_refuses_and_the_next_call_begins_anew(cache, tokens):
    find, tokens.find_together = tokens.find_together, None
    with capture_logs() as log, pytest.raises(TokenCacheBusyError):
        await cache.identify("a")
    assert log[0]["event"] == "token_cache.look_up_failed"
    tokens.find_together = find

    assert await cache.identify("a") == TOKEN


async def test_a_slow_answer_is_not_waited_for_but_serves_the_next_call(tokens):
    cache = TokenCache(tokens, limits=IMPATIENT)
    tokens.responding.clear()

    with pytest.raises(TokenCacheUnavailableError):
        await cache.identify("a")
    await until(lambda: tokens.asked)
    tokens.responding.set()
    await until(lambda: cache.known("a") is not MISSING)

    assert cache.known("a") == TOKEN


async def test_an_unreachable_database_is_said_so_and_asked_again(cache, tokens):
    tokens.is_away = True
    with pytest.raises(TokenCacheUnavailableError, match="cannot reach the token database: away"):
        await cache.identify("a")
    assert not cache.is_reachable

    tokens.is_away = False
    await cache.refresh()
    assert cache.is_reachable
    assert await cache.identify("a") == TOKEN


async def test_nobody_waits_for_a_database_that_failed_but_it_is_asked_behind_the_call(
    cache, tokens
):
    tokens.is_away = True
    await cache.refresh()
    tokens.is_away = False
    tokens.responding.clear()

    # PATIENT: it would wait for half a minute.
    with pytest.raises(TokenCacheUnavailableError, match="away"):
        await cache.identify("a")
    await until(lambda: "a" in tokens.asked)
    tokens.responding.set()
    await until(lambda: cache.is_reachable)

    assert cache.known("a") == TOKEN


async def test_one_caller_alone_waits_for_a_database_that_does_not_answer(tokens):
    cache = TokenCache(tokens, limits=TokenCacheLimits(lookup_seconds=0.25))
    await cache.refresh()
    tokens.responding.clear()
    with pytest.raises(TokenCacheUnavailableError, match="no response in time"):
        await cache.identify("a")
    assert not cache.is_reachable

    began = time.monotonic()
    for token_hash in ("a", "b", "c", "a") * 10:
        with pytest.raises(TokenCacheUnavailableError):
            await cache.identify(token_hash)
    assert time.monotonic() - began < 0.25

    tokens.responding.set()
    await until(lambda: cache.is_reachable)
    assert await cache.identify("never seen") is None


async def test_an_answer_that_comes_late_ends_the_waiting_in_vain(tokens):
    late = TokenCache(tokens, limits=IMPATIENT)
    await late.refresh()
    tokens.responding.clear()
    with pytest.raises(TokenCacheUnavailableError):
        await late.identify("a")
    assert not late.is_reachable

    tokens.responding.set()
    await until(lambda: late.is_reachable)
    assert await late.identify("a") == TOKEN


async def test_what_was_known_stays_known_while_the_database_is_away(cache, tokens, clock):
    await cache.identify("a")
    tokens.is_away = True
    clock.seconds = 100_000

    await cache.refresh()

    assert cache.known("a") == TOKEN
    assert cache.age_seconds == 100_000


async def test_a_refresh_reads_what_is_in_use_and_forgets_the_rest(cache, tokens, clock):
    tokens.by_hash["b"] = Token(id=uuid4(), name="nightly")
    await cache.identify("b")
    clock.seconds = 601
    await cache.identify("a")
    tokens.by_hash["a"] = Token(id=TOKEN.id, name="renamed")

    await cache.refresh()

    assert tokens.asked == ["b", "a", "a"]
    assert cache.known("a") == tokens.by_hash["a"]
    assert cache.known("b") is MISSING
    assert cache.age_seconds == 0


async def test_a_refresh_asks_for_several_tokens_at_once(cache, tokens):
    await know(cache, tokens, "abcdefg")

    await cache.refresh()

    assert tokens.asked == ["a+b+c", "d+e+f", "g"]


async def test_a_token_that_is_gone_or_makes_no_sense_leaves_the_others_as_they_are(cache, tokens):
    await know(cache, tokens, "abc")
    tokens.by_hash = {"b": REVOKED, "c": REVOKED}
    tokens.unreadable = {"b"}

    await cache.refresh()

    assert [cache.known(key) for key in "abc"] == [None, TOKEN, REVOKED]
    assert cache.is_reachable
    assert cache.age_seconds == 0


async def test_one_question_without_an_answer_ends_a_refresh_and_the_next_goes_on_from_there(
    cache, tokens
):
    await know(cache, tokens, "abcdefg")
    tokens.is_away = True
    await cache.refresh()
    assert tokens.asked == ["a+b+c"]
    assert not cache.is_reachable

    tokens.is_away = False
    await cache.refresh()

    assert tokens.asked[1:] == ["d+e+f", "a+b+g", "c"]


async def test_a_token_that_is_pushed_out_while_it_is_asked_for_stays_out(tokens, clock):
    cache = TokenCache(tokens, limits=TokenCacheLimits(max_known=1), clock=clock)
    await know(cache, tokens, "a")
    tokens.responding.clear()
    refreshing = asyncio.create_task(cache.refresh())
    await until(lambda: tokens.asked)
    asked_first, tokens.responding = tokens.responding, asyncio.Event()
    tokens.responding.set()
    tokens.by_hash["b"] = REVOKED
    await cache.identify("b")

    asked_first.set()
    await refreshing

    assert cache.known("a") is MISSING
    assert cache.known("b") == REVOKED


async def test_a_refresh_without_tokens_in_use_still_learns_whether_the_database_answers(
    cache, tokens
):
    await cache.refresh()
    assert cache.is_reachable

    tokens.is_away = True
    await cache.refresh()
    assert not cache.is_reachable


async def test_ending_the_cache_ends_its_look_ups(cache, tokens):
    tokens.responding.clear()
    running = asyncio.create_task(cache.run())
    caller = asyncio.create_task(cache.identify("a"))
    await until(lambda: "a" in tokens.asked)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(TokenCacheUnavailableError):
        await caller


async def test_the_answer_to_a_refresh_does_not_replace_that_to_a_later_announcement(
    cache, tokens, clock
):
    await know(cache, tokens, "a")
    async with listening(cache) as announcements:
        tokens.asked.clear()
        tokens.responding.clear()
        refreshing = asyncio.create_task(cache.refresh())
        await until(lambda: tokens.asked == ["a"])
        asked_first, tokens.responding = tokens.responding, asyncio.Event()
        tokens.by_hash["a"] = REVOKED
        clock.seconds = 1
        announcements.waiting.put_nowait("a")
        await until(lambda: tokens.asked == ["a", "a"])
        tokens.responding.set()
        await until(lambda: cache.known("a") == REVOKED)

        asked_first.set()
        await refreshing

    assert cache.known("a") == REVOKED


async def test_what_is_announced_while_one_question_goes_on_is_asked_for_in_the_next(
    cache, tokens
):
    await know(cache, tokens, "abcd")
    async with listening(cache) as announcements:
        tokens.asked.clear()
        tokens.responding.clear()
        announcements.waiting.put_nowait("a")
        await until(lambda: tokens.asked == ["a"])
        for key in ("b", "c", "b", "nobody's", "d"):
            announcements.waiting.put_nowait(key)
        tokens.by_hash = dict.fromkeys("abcd", REVOKED)
        await until(announcements.waiting.empty)
        tokens.responding.set()
        await until(lambda: cache.known("d") == REVOKED)

    assert tokens.asked == ["a", "b+c+d"]


async def test_many_announcements_at_once_do_not_keep_others_from_their_turn(cache):
    async with listening(cache) as announcements:
        for number in range(1000):
            announcements.waiting.put_nowait(str(number))
        await until(lambda: announcements.waiting.qsize() < 1000)

        assert announcements.waiting.qsize() > 900


async def know(cache: TokenCache, tokens: Tokens, hashes: str) -> None:
    """Let the cache know a token behind each of *hashes*; forget what was asked for that."""
    tokens.by_hash = dict.fromkeys(hashes, TOKEN)
    for token_hash in hashes:
        assert await cache.identify(token_hash) == TOKEN
    tokens.asked.clear()


@asynccontextmanager
async def listening(cache: TokenCache) -> AsyncIterator[Announcements]:
    """Run the cache; yield what it listens to once it has read everything."""
    announcements = Announcements()
    running = asyncio.create_task(cache.run(announcements.changes))
    try:
        await announcements.is_listened_to.wait()
        yield announcements
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    """Let the other tasks go on until *condition* holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)
