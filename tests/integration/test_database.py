import asyncio
import logging

import asyncpg
import pytest
import uvloop

from audit_log.errors import RecordRefusedError, StoreAwayError, StoreUnavailableError
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.driver_errors import judged
from audit_log.process.logs import is_news
from tests.neighbours import audit_database
from tests.neighbours.hop import hop_to
from tests.neighbours.patience import PATIENCE_SECONDS
from tests.neighbours.ports import free_port

MORE_THAN_BUFFERS_HOLD = b"\n" * 2**25


def server_message(kind: bytes, body: bytes) -> bytes:
    """Return what PostgreSQL says, as it is on the wire."""
    return kind + (4 + len(body)).to_bytes(4) + body


LAST_WORDS = server_message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0")
NEWS = server_message(b"A", b"\0\0\0\1news\0last words were heard\0")
"""Heard after the last words, so that these have been heard as well."""
ODD_ANSWERS = (
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    server_message(b"Z", b"?"),
    server_message(b"T", b"\xff\xff"),
    server_message(b"D", b"\x00\x09"),
    server_message(b"E", b"SERROR\0VERROR\0C01000\0Man odd one\0\0"),
    server_message(b"S", b""),
    server_message(b"?", b"nonsense"),
)


@pytest.fixture
def own_postgres():
    """A server of this test's own, to be killed."""
    with audit_database.own_postgres() as server:
        yield server


async def answers(database: Database) -> bool:
    [row] = await database.fetch("SELECT 1")
    return bool(row[0] == 1)


async def test_opening_needs_no_database():
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    async with open_database(url, application="test") as database:
        with pytest.raises(StoreUnavailableError, match=r"Connect call failed|Connection refused"):
            await database.fetch("SELECT 1")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://x@nowhere.invalid/x",
        "postgresql://x@" + "a" * 70 + "/x",
        "postgresql://x@127.0.0.1/x?sslmode=nonsense",
    ],
)
async def test_a_url_that_leads_nowhere_is_a_database_that_is_away(url):
    async with open_database(url, application="test") as database:
        with pytest.raises(StoreUnavailableError):
            await database.fetch("SELECT 1")


async def test_a_wrong_password_is_a_database_that_is_away(database_url):
    scheme, _, rest = database_url.partition("@")
    wrong = f"{scheme.rpartition(':')[0]}:wrong@{rest}"
    async with open_database(wrong, application="test") as database:
        with pytest.raises(StoreUnavailableError, match="password"):
            await database.fetch("SELECT 1")


async def test_a_server_that_never_answers_is_given_up():
    async def say_nothing(_reader, writer):
        await hung_up.wait()
        writer.close()

    hung_up = asyncio.Event()
    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with open_database(f"postgresql://x@127.0.0.1:{port}/x", application="t") as silent:
            with pytest.raises(StoreUnavailableError):
                await silent.fetch("SELECT 1")
        hung_up.set()


async def test_a_statement_that_takes_too_long_is_given_up_and_the_next_one_works(database):
    with pytest.raises(StoreUnavailableError):
        async with database.transaction(statement_seconds=0.05) as transaction:
            await transaction.fetch("SELECT pg_sleep(60)")

    assert await answers(database)


async def test_a_killed_database_is_found_again_without_a_word_in_the_log(own_postgres, caplog):
    caplog.set_level(logging.DEBUG)
    async with open_database(own_postgres.url(), application="test") as database:
        assert await answers(database)

        own_postgres.kill()
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                await database.fetch_row("SELECT 1")
        own_postgres.start()

        assert await answers(database)
    assert [entry for entry in caplog.records if entry.levelno >= logging.WARNING] == []


async def test_a_database_killed_in_mid_statement_is_away(own_postgres, caplog):
    async with open_database(own_postgres.url(), application="test") as database:
        statement = asyncio.create_task(database.fetch("SELECT pg_sleep(60)"))
        await until_it_sleeps(own_postgres.url())
        own_postgres.stop()
        with pytest.raises(StoreUnavailableError, match="terminating connection"):
            await statement
        own_postgres.start()

        assert await answers(database)
    assert [entry for entry in caplog.records if entry.levelno >= logging.WARNING] == []


async def test_a_copy_that_finds_no_room_any_more_is_given_up_in_time(database_url):
    async with hop_to(database_url) as hop, open_database(hop.url, application="t") as database:
        await database.execute("CREATE TABLE lines (line text)")
        with pytest.raises(StoreUnavailableError):
            async with database.transaction(statement_seconds=0.5) as transaction:
                hop.black_hole()
                await transaction.copy("lines", ("line",), [MORE_THAN_BUFFERS_HOLD])
        hop.restore()

        assert await answers(database)


async def test_a_connection_lost_while_a_copy_waits_for_room_is_noticed(database_url, caplog):
    is_asked = asyncio.Event()

    def pieces():
        is_asked.set()
        yield MORE_THAN_BUFFERS_HOLD

    async def copy():
        async with database.transaction() as transaction:
            hop.black_hole()
            await transaction.copy("lines", ("line",), pieces())

    async with hop_to(database_url) as hop, open_database(hop.url, application="t") as database:
        await database.execute("CREATE TABLE lines (line text)")
        copying = asyncio.create_task(copy())
        await is_asked.wait()
        for _ in range(10):  # until the driver has written what fits
            await asyncio.sleep(0)
        hop.cut()
        with pytest.raises(StoreUnavailableError, match="connection was lost"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await copying
        hop.restore()

        assert await answers(database)
    warnings = [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert [entry for entry in warnings if is_news(entry)] == []


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("pieces", [1, 50])
def test_a_connection_lost_between_two_pieces_of_a_copy_is_noticed(database_url, run, pieces):
    async def copy():
        async with (
            hop_to(database_url) as hop,
            open_database(hop.url, application="t") as database,
        ):
            await database.execute("CREATE TABLE IF NOT EXISTS lines (line text)")

            def cut_off():
                hop.cut()
                for _ in range(pieces):
                    yield b'"line"\n'

            with pytest.raises(StoreUnavailableError):
                async with database.transaction() as transaction:
                    await transaction.copy("lines", ("line",), cut_off())
            assert await answers(database)

    run(copy())


@pytest.mark.parametrize("value", ["\0", "\ud800", 7, b"bytes"], ids=repr)
async def test_a_parameter_that_cannot_be_encoded_is_refused(database, value):
    with pytest.raises(RecordRefusedError):
        await database.fetch("SELECT $1::text", value)


async def is_away_once_it_says(said, database_url):
    async with hop_to(database_url) as hop, open_database(hop.url, application="t") as database:
        assert await answers(database)
        with pytest.raises(StoreUnavailableError):
            async with database.transaction(statement_seconds=1) as transaction:
                hop.replies_pass.clear()
                hop.say(said)
                await transaction.fetch("SELECT 1")
        hop.restore()

        assert await answers(database)


async def test_a_server_that_answers_oddly_is_away_and_its_connection_is_given_up(database_url):
    # All at once: most of them are waited for in vain.
    async with asyncio.TaskGroup() as tasks:
        for said in ODD_ANSWERS:
            tasks.create_task(is_away_once_it_says(said, database_url), name=repr(said))


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 64, b"S", b""])
async def test_a_server_that_is_no_postgres_is_away(said):
    async def answer(reader, writer):
        await reader.read(1)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with open_database(f"postgresql://x@127.0.0.1:{port}/x", application="t") as other:
            with pytest.raises(StoreAwayError):
                await other.fetch("SELECT 1")


async def test_a_setting_that_makes_connections_fail_blames_no_data(database_url):
    url = f"{database_url}?options=-c%20work_mem%3D-1"
    async with open_database(url, application="test") as other:
        with pytest.raises(StoreAwayError):
            await other.fetch("SELECT 1")


async def test_what_failed_not_now_leaves_its_connection(database_url):
    async with open_database(database_url, connections=1, application="one") as database:
        [before] = await database.fetch("SELECT pg_backend_pid()")
        with pytest.raises(RecordRefusedError):
            await database.fetch("SELECT 1 / 0")
        [same] = await database.fetch("SELECT pg_backend_pid()")
        with pytest.raises(StoreUnavailableError):
            await database.fetch("SELECT FROM nowhere")
        [other] = await database.fetch("SELECT pg_backend_pid()")

        assert before == same != other


NOTES_HOW_IT_IS_COMMITTED = """
CREATE TABLE written ();
CREATE TABLE committed (how text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO committed VALUES (current_setting('synchronous_commit'));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER noting AFTER INSERT ON written
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()
"""
"""A deferred trigger is the last to run before the commit: what it reads is what holds."""


@pytest.mark.parametrize(
    ("given", "used"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")]
)
async def test_a_commit_is_durable_whatever_the_database_says(database, database_url, given, used):
    name = database_url.rpartition("/")[2]
    await database.execute(f"ALTER DATABASE {name} SET synchronous_commit = {given}")
    await database.execute(NOTES_HOW_IT_IS_COMMITTED)
    async with open_database(database_url, connections=1, application="test") as other:
        await other.execute("INSERT INTO written DEFAULT VALUES")
        [row] = await other.fetch("SELECT how FROM committed")
        assert row[0] == used


async def test_a_transaction_that_fails_leaves_nothing(database):
    with pytest.raises(LookupError):
        async with database.transaction() as transaction:
            await transaction.execute("CREATE TABLE passing ()")
            raise LookupError

    [row] = await database.fetch("SELECT to_regclass('passing')")
    assert row[0] is None


async def test_more_callers_than_connections_take_turns(database):
    answers = await asyncio.gather(*(database.fetch_row("SELECT $1::int", n) for n in range(50)))

    assert [row[0] for row in answers] == list(range(50))


async def test_notifications_are_heard(database):
    async with database.notifications("news") as news:
        await database.execute("SELECT pg_notify('news', 'first'); SELECT pg_notify('news', '2')")

        assert await anext(news) == "first"
        assert await anext(news) == "2"


async def test_one_connection_is_enough_to_listen_and_to_ask(database_url):
    async with (
        open_database(database_url, connections=1, application="one") as database,
        open_database(database_url, application="others") as others,
        database.notifications("news") as news,
    ):
        await asyncio.gather(*(database.fetch_row("SELECT $1::int", n) for n in range(20)))
        with pytest.raises(RecordRefusedError):
            await database.fetch_row("SELECT 1 / 0")
        assert await database.fetch_row("SELECT 1") is not None
        await others.execute("NOTIFY news, 'first'")

        assert await anext(news) == "first"
        [row] = await others.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'one'"
        )
        assert row["count"] == 1


async def test_a_lost_only_connection_is_reported_and_made_again(database_url):
    async with open_database(database_url, connections=1, application="one") as database:
        with pytest.raises(StoreUnavailableError, match="lost"):
            async with database.notifications("news") as news:
                with pytest.raises(StoreUnavailableError):
                    await database.execute("SELECT pg_terminate_backend(pg_backend_pid())")
                await anext(news)

        assert await database.fetch_row("SELECT 1") is not None


async def heard_before_a_transaction(database, hear):
    await hear()
    async with database.transaction():
        pass


async def heard_in_a_transaction(database, hear):
    async with database.transaction():
        await hear()


@pytest.mark.parametrize("use", [heard_before_a_transaction, heard_in_a_transaction])
async def test_an_only_connection_used_between_its_last_words_and_its_end_is_reported(
    database_url, use
):
    async def hear():
        hop.say(LAST_WORDS + NEWS)
        assert await anext(news) == "last words were heard"

    async with (
        hop_to(database_url) as hop,
        open_database(hop.url, connections=1, application="one") as database,
    ):
        with pytest.raises(StoreUnavailableError, match="lost"):
            async with database.notifications("news") as news:
                with pytest.raises(StoreUnavailableError, match="in progress"):
                    await use(database, hear)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await anext(news)

        assert await answers(database)


async def test_a_lost_listening_connection_is_reported(own_postgres):
    async with (
        open_database(own_postgres.url(), application="test") as database,
        database.notifications("news") as news,
    ):
        own_postgres.kill()

        with pytest.raises(StoreUnavailableError, match="lost"):
            await anext(news)


async def test_listening_to_a_database_that_is_away_is_reported():
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    async with open_database(url, application="test") as database:
        with pytest.raises(StoreUnavailableError):
            async with database.notifications("news"):
                pass


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.NumericValueOutOfRangeError("x"),
        asyncpg.CharacterNotInRepertoireError("x"),
        asyncpg.NotNullViolationError("x"),
        asyncpg.ProgramLimitExceededError("x"),
        asyncpg.WithCheckOptionViolationError("x"),
        asyncpg.RaiseError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_that_blame_the_data_mean_never(error):
    assert isinstance(judged(error), RecordRefusedError)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("x"),
        asyncpg.CannotConnectNowError("x"),
        asyncpg.AdminShutdownError("x"),
        asyncpg.TooManyConnectionsError("x"),
        asyncpg.DiskFullError("x"),
        asyncpg.OutOfMemoryError("x"),
        asyncpg.DeadlockDetectedError("x"),
        asyncpg.SerializationError("x"),
        asyncpg.ReadOnlySQLTransactionError("x"),
        asyncpg.InvalidPasswordError("x"),
        asyncpg.InvalidCatalogNameError("x"),
        asyncpg.InsufficientPrivilegeError("x"),
        asyncpg.UndefinedTableError("x"),
        asyncpg.QueryCanceledError("x"),
        asyncpg.LockNotAvailableError("x"),
        asyncpg.DataCorruptedError("x"),
        asyncpg.InternalServerError("x"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.ClientConfigurationError("x"),
        asyncpg.InternalClientError("x"),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_all_other_errors_mean_not_now(error):
    assert isinstance(judged(error), StoreUnavailableError)


def test_an_error_is_told_in_one_short_line():
    assert str(judged(OSError("first\n  second"))) == "first second"
    assert str(judged(TimeoutError())) == "TimeoutError"
    assert len(str(judged(OSError("x" * 1_000)))) == 300


async def until_it_sleeps(url: str) -> None:
    connection = await asyncpg.connect(url)
    async with asyncio.timeout(10):
        while not await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        ):
            await asyncio.sleep(0.01)
    await connection.close()
