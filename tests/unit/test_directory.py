import asyncio
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from audit_log.errors import StoreUnavailableError
from audit_log.tokens import Token
from proxy.directory import DirectoryLimits, DirectoryUnavailableError, TokenDirectory
from proxy.token_memory import MISSING

TOKEN = Token(id=uuid4(), name="ci")
PATIENT = DirectoryLimits(lookup_seconds=30, lookups_at_once=2)
IMPATIENT = DirectoryLimits(lookup_seconds=0)


class Tokens:
    """Answers at once, or when released; or is away."""

    def __init__(self, **tokens: Token) -> None:
        self.by_hash = tokens
        self.asked: list[str] = []
        self.is_away = False
        self.answering = asyncio.Event()
        self.answering.set()

    async def find(self, token_hash):
        self.asked.append(token_hash)
        await self.answering.wait()
        if self.is_away:
            raise StoreUnavailableError("away")
        return self.by_hash.get(token_hash)


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
def directory(tokens, clock):
    return TokenDirectory(tokens.find, limits=PATIENT, clock=clock)


async def test_a_token_is_looked_up_once_and_then_known(directory, tokens):
    assert directory.known("a") is MISSING
    assert await directory.identify("a") == TOKEN
    assert await directory.identify("a") == TOKEN

    assert directory.known("a") == TOKEN
    assert tokens.asked == ["a"]


async def test_nobodys_token_is_known_to_be_nobodys(directory, tokens):
    assert await directory.identify("x") is None
    assert directory.known("x") is None


async def test_who_asks_for_the_same_token_shares_the_look_up(directory, tokens):
    tokens.answering.clear()
    callers = [asyncio.create_task(directory.identify("a")) for _ in range(10)]
    await until(lambda: tokens.asked)
    tokens.answering.set()

    assert await asyncio.gather(*callers) == [TOKEN] * 10
    assert tokens.asked == ["a"]


async def test_a_caller_who_leaves_does_not_take_the_answer_from_the_others(directory, tokens):
    tokens.answering.clear()
    leaves = asyncio.create_task(directory.identify("a"))
    stays = asyncio.create_task(directory.identify("a"))
    await until(lambda: tokens.asked)
    leaves.cancel()
    tokens.answering.set()

    assert await stays == TOKEN


async def test_too_many_look_ups_are_refused_at_once(directory, tokens):
    tokens.answering.clear()
    waiting = [asyncio.create_task(directory.identify(name)) for name in ("a", "b")]
    await until(lambda: len(tokens.asked) == 2)

    with pytest.raises(DirectoryUnavailableError):
        await directory.identify("c")

    tokens.answering.set()
    assert await asyncio.gather(*waiting) == [TOKEN, None]
    assert await directory.identify("c") is None


async def test_a_slow_answer_is_not_waited_for_but_serves_the_next_call(tokens):
    directory = TokenDirectory(tokens.find, limits=IMPATIENT)
    tokens.answering.clear()

    with pytest.raises(DirectoryUnavailableError):
        await directory.identify("a")
    await until(lambda: tokens.asked)
    tokens.answering.set()
    await until(lambda: directory.known("a") is not MISSING)

    assert directory.known("a") == TOKEN


async def test_an_unreachable_database_is_said_so_and_asked_again(directory, tokens):
    tokens.is_away = True
    with pytest.raises(DirectoryUnavailableError, match="out of reach: away"):
        await directory.identify("a")
    assert not directory.is_reachable

    tokens.is_away = False
    await directory.refresh()
    assert directory.is_reachable
    assert await directory.identify("a") == TOKEN


async def test_nobody_waits_for_a_database_that_failed_but_it_is_asked_behind_the_call(
    directory, tokens
):
    tokens.is_away = True
    await directory.refresh()
    tokens.is_away = False
    tokens.answering.clear()

    # PATIENT: it would wait for half a minute.
    with pytest.raises(DirectoryUnavailableError, match="away"):
        await directory.identify("a")
    await until(lambda: "a" in tokens.asked)
    tokens.answering.set()
    await until(lambda: directory.is_reachable)

    assert directory.known("a") == TOKEN


async def test_one_caller_alone_waits_for_a_database_that_does_not_answer(tokens):
    directory = TokenDirectory(tokens.find, limits=DirectoryLimits(lookup_seconds=0.25))
    await directory.refresh()
    tokens.answering.clear()
    with pytest.raises(DirectoryUnavailableError, match="no answer in time"):
        await directory.identify("a")
    assert not directory.is_reachable

    began = time.monotonic()
    for token_hash in ("a", "b", "c", "a") * 10:
        with pytest.raises(DirectoryUnavailableError):
            await directory.identify(token_hash)
    assert time.monotonic() - began < 0.25

    tokens.answering.set()
    await until(lambda: directory.is_reachable)
    assert await directory.identify("never seen") is None


async def test_an_answer_that_comes_late_ends_the_waiting_in_vain(tokens):
    late = TokenDirectory(tokens.find, limits=IMPATIENT)
    await late.refresh()
    tokens.answering.clear()
    with pytest.raises(DirectoryUnavailableError):
        await late.identify("a")
    assert not late.is_reachable

    tokens.answering.set()
    await until(lambda: late.is_reachable)
    assert await late.identify("a") == TOKEN


async def test_what_was_known_stays_known_while_the_database_is_away(directory, tokens, clock):
    await directory.identify("a")
    tokens.is_away = True
    clock.seconds = 100_000

    await directory.refresh()

    assert directory.known("a") == TOKEN
    assert directory.age_seconds == 100_000


async def test_a_refresh_reads_what_is_in_use_and_forgets_the_rest(directory, tokens, clock):
    tokens.by_hash["b"] = Token(id=uuid4(), name="nightly")
    await directory.identify("b")
    clock.seconds = 601
    await directory.identify("a")
    tokens.by_hash["a"] = Token(id=TOKEN.id, name="renamed")

    await directory.refresh()

    assert tokens.asked == ["b", "a", "a"]
    assert directory.known("a") == tokens.by_hash["a"]
    assert directory.known("b") is MISSING
    assert directory.age_seconds == 0


async def test_a_refresh_without_tokens_in_use_still_learns_whether_the_database_answers(
    directory, tokens
):
    await directory.refresh()
    assert directory.is_reachable

    tokens.is_away = True
    await directory.refresh()
    assert not directory.is_reachable


async def test_ending_the_directory_ends_its_look_ups(directory, tokens):
    tokens.answering.clear()
    running = asyncio.create_task(directory.run())
    caller = asyncio.create_task(directory.identify("a"))
    await until(lambda: "a" in tokens.asked)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(DirectoryUnavailableError):
        await caller


async def until(condition: Callable[[], object]) -> None:
    """Let the other tasks go on until *condition* holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)
