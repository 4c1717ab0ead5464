import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from audit_log.postgres.database import open_database
from audit_log.postgres.token_table import TokenTable
from audit_log.schema.migrate import migrate
from audit_log.tokens import Token, hash_token
from proxy.tokens.cache import TokenCache, TokenCacheLimits, TokenCacheUnavailableError
from proxy.tokens.memory import Missing
from tests.neighbours.audit_database import own_postgres

PATIENT = TokenCacheLimits(lookup_seconds=30, poll_seconds=0.05)
BY_NOTIFICATION_ONLY = TokenCacheLimits(lookup_seconds=30, poll_seconds=3600)


@asynccontextmanager
async def kept_up_to_date(
    tokens: TokenTable, limits: TokenCacheLimits, *, listening: bool = True
) -> AsyncIterator[TokenCache]:
    cache = TokenCache(tokens, limits=limits)
    running = asyncio.create_task(cache.run(tokens.changes if listening else None))
    try:
        yield cache
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def is_revoked(response: Token | Missing | None) -> bool:
    return isinstance(response, Token) and response.revoked_at is not None


async def test_a_revoked_token_is_noticed_at_once(database):
    tokens = TokenTable(database)
    token, secret = await tokens.create("ci", "viewer", 90)
    key = hash_token(secret)
    async with kept_up_to_date(tokens, BY_NOTIFICATION_ONLY) as cache:
        assert await cache.identify(key) == token

        await tokens.revoke(token.id)

        await until(lambda: is_revoked(cache.known(key)))


async def test_a_token_made_after_it_was_first_tried_is_noticed_at_once(database):
    tokens = TokenTable(database)
    async with kept_up_to_date(tokens, BY_NOTIFICATION_ONLY) as cache:
        token, secret = await tokens.create("ci", "viewer", 90)
        await database.execute("UPDATE mcp_tokens SET token_hash = 'other'")
        assert await cache.identify(hash_token(secret)) is None

        await database.execute("UPDATE mcp_tokens SET token_hash = $1", hash_token(secret))

        await until(lambda: cache.known(hash_token(secret)) == token)


async def test_a_revoked_token_is_noticed_without_notifications_too(database):
    tokens = TokenTable(database)
    token, secret = await tokens.create("ci", "viewer", 90)
    async with kept_up_to_date(tokens, PATIENT, listening=False) as cache:
        await cache.identify(hash_token(secret))

        await tokens.revoke(token.id)

        await until(lambda: is_revoked(cache.known(hash_token(secret))))


async def test_tokens_stay_known_while_postgresql_is_away_and_are_read_again_when_it_is_back():
    with own_postgres() as server:
        async with open_database(server.url(), application="test") as database:
            await migrate(database)
            tokens = TokenTable(database)
            token, secret = await tokens.create("ci", "viewer", 90)
            async with kept_up_to_date(tokens, PATIENT) as cache:
                await cache.identify(hash_token(secret))

                server.kill()
                await until(lambda: not cache.is_reachable)
                assert cache.known(hash_token(secret)) == token
                with pytest.raises(TokenCacheUnavailableError):
                    await cache.identify(hash_token("pwm_never_seen"))

                server.start()
                await until(lambda: cache.is_reachable)
                await tokens.revoke(token.id)
                await until(lambda: is_revoked(cache.known(hash_token(secret))))


async def test_many_tokens_that_change_at_once_are_noticed(database):
    tokens = TokenTable(database)
    async with kept_up_to_date(tokens, BY_NOTIFICATION_ONLY) as cache:
        hashes = await known_tokens(tokens, cache, 300)

        await database.execute("UPDATE mcp_tokens SET revoked_at = now()")

        await until(lambda: all(is_revoked(cache.known(key)) for key in hashes))


async def test_tokens_that_are_deleted_become_unknown(database):
    tokens = TokenTable(database)
    async with kept_up_to_date(tokens, PATIENT, listening=False) as cache:
        hashes = await known_tokens(tokens, cache, 3)

        await database.execute("DELETE FROM mcp_tokens WHERE token_hash <> $1", hashes[0])

        await until(lambda: all(cache.known(key) is None for key in hashes[1:]))
        assert isinstance(cache.known(hashes[0]), Token)


async def test_who_shares_the_connection_with_a_long_refresh_is_answered_between_its_questions(
    database_url,
):
    async with open_database(database_url, connections=1, application="test") as database:
        tokens = TokenTable(database)
        _, newcomer = await tokens.create("newcomer", "viewer", 90)
        cache = TokenCache(tokens, limits=TokenCacheLimits(lookup_seconds=30, tokens_at_once=2))
        await known_tokens(tokens, cache, 200)
        refreshing = asyncio.create_task(cache.refresh())

        assert isinstance(await cache.identify(hash_token(newcomer)), Token)

        assert not refreshing.done()
        await refreshing


async def known_tokens(tokens: TokenTable, cache: TokenCache, number: int) -> list[str]:
    """Make tokens, let the cache know them, and return their hashes."""
    made = [await tokens.create(f"token {n}", "viewer", 90) for n in range(number)]
    hashes = [hash_token(secret) for _, secret in made]
    for key in hashes:
        assert isinstance(await cache.identify(key), Token)
    return hashes


async def until(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds: what other tasks and PostgreSQL do has no event for us."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)
