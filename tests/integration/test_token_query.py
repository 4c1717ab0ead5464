"""The token query: ours, or an operator's own, for one token and for many at once."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from audit_log.errors import StoreUnavailableError
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.token_table import TokenTable
from audit_log.postgres.transaction import Row
from tests.neighbours.patience import eventually

# A hash of a fixed length is of another type than text, and text as times may be anything.
THEIR_TABLE = """
CREATE TABLE theirs (
    id uuid DEFAULT gen_random_uuid(), digest char(64), name text, dies text, uses int DEFAULT 0
);
INSERT INTO theirs (digest, name, dies)
    VALUES ('hash-1', 'one', '2026-02-28 03:42'), ('hash-2', 'two', NULL);
"""
THEIR_QUERY = "SELECT id, name, dies::timestamp AS expires_at FROM theirs WHERE digest = $1"
COUNTING = "UPDATE theirs SET uses = uses + 1 WHERE digest = $1 RETURNING id, name"


@pytest.fixture
async def theirs(database: Database) -> Database:
    await database.execute(THEIR_TABLE)
    return database


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as entries:
        yield entries


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


@pytest.mark.parametrize(
    "query",
    [
        THEIR_QUERY,
        f"{THEIR_QUERY}; ",
        f"{THEIR_QUERY} -- '$1' is the hash",
        "WITH asked AS (SELECT $1 AS key) SELECT * FROM theirs, asked WHERE digest = key",
        "SELECT *, '$1' AS role FROM theirs WHERE decode(digest, 'escape') = decode($1, 'escape')",
        "SELECT *, 'theirs' AS asked FROM theirs WHERE digest = $1 FOR SHARE",
        "SELECT id, n AS name FROM theirs, unnest('{a,b}'::text[]) n WHERE digest = $1 ORDER BY 2",
    ],
)
async def test_tokens_are_asked_for_together_by_whatever_query_finds_one(theirs, query, logged):
    tokens = TokenTable(theirs, query)

    found = await tokens.find_together(["hash-2", "nobody's", "hash-1"])

    assert found == {
        "hash-1": await tokens.find("hash-1"),
        "hash-2": await tokens.find("hash-2"),
        "nobody's": None,
    }
    assert found["hash-1"] != found["hash-2"]
    assert not logged


async def test_tokens_that_are_asked_for_together_are_read_at_one_moment(theirs):
    at = "SELECT id, pg_current_xact_id()::text AS name FROM theirs WHERE digest = $1"

    found = await TokenTable(theirs, at).find_together(["hash-1", "hash-2"])

    assert len({token.name for token in found.values() if token}) == 1


async def test_tokens_that_are_asked_for_together_are_found_by_the_index_of_their_column(
    theirs, database_url
):
    await theirs.execute(
        """
        INSERT INTO theirs (digest, name)
            SELECT 'more-' || n, 'x' FROM generate_series(1, 5000) AS n;
        CREATE INDEX ON theirs (digest);
        ANALYZE theirs;
        """
    )
    scans = "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'theirs'"
    [before] = await theirs.fetch(scans)
    async with open_database(database_url, application="test") as asking:
        await TokenTable(asking, THEIR_QUERY).find_together([f"more-{n}" for n in range(1, 51)])

    async def counted() -> Row | None:
        """Return the counts; a connection tells its own when it ends."""
        [now] = await theirs.fetch(scans)
        return now if now["idx_scan"] == before["idx_scan"] + 50 else None

    assert (await eventually(counted))["seq_scan"] == before["seq_scan"]


@pytest.mark.parametrize(
    "query",
    [COUNTING, f"WITH counted AS ({COUNTING}) SELECT * FROM counted"],
    ids=["an UPDATE", "an UPDATE within"],
)
async def test_a_query_that_cannot_be_a_part_of_another_is_asked_one_by_one_and_that_is_said(
    theirs, query, logged
):
    tokens = TokenTable(theirs, query)

    for _ in range(2):
        found = await tokens.find_together(["hash-1", "nobody's", "hash-2"])
        assert [token and token.name for token in found.values()] == ["one", None, "two"]

    [said] = logged
    assert said["event"] == "tokens.asked_one_by_one"
    assert "FROM clause" in said["advice"]


@pytest.mark.parametrize("cannot_be", ["name", "expiry"])
async def test_a_row_that_makes_no_sense_does_not_keep_the_others_from_being_read(
    theirs, cannot_be
):
    """Neither one that is no token nor one that PostgreSQL cannot compute."""
    tokens = TokenTable(theirs, THEIR_QUERY)
    broken = {"name": "name = NULL", "expiry": "dies = 'soon'"}[cannot_be]
    await theirs.execute(f"UPDATE theirs SET {broken} WHERE digest = 'hash-1'")

    found = await tokens.find_together(["hash-1", "hash-2", "nobody's"])

    assert found == {"hash-2": await tokens.find("hash-2"), "nobody's": None}


async def test_a_query_that_is_wrong_itself_is_a_directory_out_of_reach(theirs, logged):
    await theirs.execute("DROP TABLE theirs")

    with pytest.raises(StoreUnavailableError, match="does not exist"):
        await TokenTable(theirs, THEIR_QUERY).find_together(["hash-1", "hash-2"])

    assert not logged
