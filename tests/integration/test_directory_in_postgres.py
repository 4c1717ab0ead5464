import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from audit_log.database import open_database
from audit_log.errors import StoreUnavailableError
from audit_log.schema import migrate
from audit_log.tokens import Token, TokenTable, hash_token
from deploy.local.postgres import running_postgres
from proxy.directory import DirectoryLimits, DirectoryUnavailableError, TokenDirectory
from proxy.token_memory import Missing

PATIENT = DirectoryLimits(lookup_seconds=30, poll_seconds=0.05)
BY_NOTIFICATION_ONLY = DirectoryLimits(lookup_seconds=30, poll_seconds=3600)


@asynccontextmanager
async def kept_up_to_date(
    tokens: TokenTable, limits: DirectoryLimits, *, listening: bool = True
) -> AsyncIterator[TokenDirectory]:
    directory = TokenDirectory(tokens.find, limits=limits)
    running = asyncio.create_task(directory.run(tokens.changes if listening else None))
    try:
        yield directory
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def is_revoked(answer: Token | Missing | None) -> bool:
    return isinstance(answer, Token) and answer.revoked_at is not None


async def test_a_revoked_token_is_noticed_at_once(database):
    tokens = TokenTable(database)
    token, secret = await tokens.create("ci", "viewer", 90)
    key = hash_token(secret)
    async with kept_up_to_date(tokens, BY_NOTIFICATION_ONLY) as directory:
        assert await directory.identify(key) == token

        await tokens.revoke(token.id)

        await until(lambda: is_revoked(directory.known(key)))


async def test_a_token_made_after_it_was_first_tried_is_noticed_at_once(database):
    tokens = TokenTable(database)
    async with kept_up_to_date(tokens, BY_NOTIFICATION_ONLY) as directory:
        token, secret = await tokens.create("ci", "viewer", 90)
        await database.execute("UPDATE mcp_tokens SET token_hash = 'other'")
        assert await directory.identify(hash_token(secret)) is None

        await database.execute("UPDATE mcp_tokens SET token_hash = $1", hash_token(secret))

        await until(lambda: directory.known(hash_token(secret)) == token)


async def test_a_revoked_token_is_noticed_without_notifications_too(database):
    tokens = TokenTable(database)
    token, secret = await tokens.create("ci", "viewer", 90)
    async with kept_up_to_date(tokens, PATIENT, listening=False) as directory:
        await directory.identify(hash_token(secret))

        await tokens.revoke(token.id)

        await until(lambda: is_revoked(directory.known(hash_token(secret))))


async def test_tokens_stay_known_while_postgresql_is_away_and_are_read_again_when_it_is_back():
    with (
        tempfile.TemporaryDirectory(prefix="postgres-") as parent,
        running_postgres(Path(parent) / "data", durable=False) as server,
    ):
        async with open_database(server.url(), application="test") as database:
            await migrate(database)
            tokens = TokenTable(database)
            token, secret = await tokens.create("ci", "viewer", 90)
            async with kept_up_to_date(tokens, PATIENT) as directory:
                await directory.identify(hash_token(secret))

                server.kill()
                await until(lambda: not directory.is_reachable)
                assert directory.known(hash_token(secret)) == token
                with pytest.raises(DirectoryUnavailableError):
                    await directory.identify(hash_token("pwm_never_seen"))

                server.start()
                await until(lambda: directory.is_reachable)
                await tokens.revoke(token.id)
                await until(lambda: is_revoked(directory.known(hash_token(secret))))


async def test_a_table_of_podwardens_is_asked_by_its_own_query(database):
    await database.execute(
        """
        CREATE TABLE theirs (key text, digest text, label text, dies timestamp);
        INSERT INTO theirs VALUES
            ('11111111-2222-3333-4444-555555555555', 'abc', 'ci', '2026-02-28 03:42');
        """
    )
    query = "SELECT key AS id, label AS name, dies AS expires_at FROM theirs WHERE digest = $1"
    token = await TokenTable(database, query).find("abc")

    assert token is not None
    assert (str(token.id), token.name) == ("11111111-2222-3333-4444-555555555555", "ci")
    assert token.role is None
    assert token.expires_at is not None
    assert token.expires_at.isoformat() == "2026-02-28T03:42:00+00:00"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 'ci' AS name, $1::text AS hash",
        "SELECT 7 AS id, 'ci' AS name WHERE $1::text IS NOT NULL",
        "SELECT gen_random_uuid() AS id, NULL AS name WHERE $1::text IS NOT NULL",
        "SELECT no such thing",
        "SELECT gen_random_uuid() AS id, 'ci' AS name",
    ],
)
async def test_a_query_that_does_not_answer_tokens_is_a_directory_out_of_reach(database, query):
    with pytest.raises(StoreUnavailableError):
        await TokenTable(database, query).find("abc")


async def until(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds: what other tasks and PostgreSQL do has no event for us."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)
