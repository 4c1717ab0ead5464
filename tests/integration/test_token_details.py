"""What readers are told of a token: as far as the token query has it."""

from datetime import UTC, datetime, timedelta

import pytest

from audit_log.postgres.agents.token_details import TokenDetails, TokenDirectory, listing_of
from audit_log.postgres.token_table import TokenTable
from audit_log.record import new_record_id
from tests.neighbours.audit_api import ALL, asking_as_admin, record

THEIRS = """
CREATE TABLE their_users (nr int, mail text);
CREATE TABLE theirs (key text, digest text, label text, owned_by int, made timestamp, rights text);
INSERT INTO their_users VALUES (7, 'anna@example.org');
INSERT INTO theirs VALUES
    ('11111111-2222-3333-4444-AAAAAAAAAAAA', 'abc', 'ci', 7, '2026-02-28 03:42', 'operator'),
    ('22222222-2222-3333-4444-555555555555', 'def', 'old', 8, NULL, 'viewer');
"""
QUERY = """
SELECT key::uuid AS id, label AS name, mail AS owner, made AS created_at, rights AS role, 7 AS x
FROM theirs LEFT JOIN their_users ON nr = owned_by WHERE {condition}
"""


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("digest = $1", "digest IS NOT NULL"),
        ('theirs."digest"=$1::text', 'theirs."digest" IS NOT NULL'),
        ("$1 = digest AND NOT gone;", "digest IS NOT NULL AND NOT gone"),
        ("digest = $1::char(64) FOR SHARE", "digest IS NOT NULL FOR SHARE"),
        # What is compared otherwise is not understood, and nothing is told.
        ("digest = lower($1)", None),
        ("lower(digest) = $1", None),
        ("digest = $1 OR old_digest = $1", None),
        ("digest = $1 || $2", None),
        ("digest = $10", None),
        ("digest >= $1", None),
        ("digest <> $1", None),
        ("digest = $1 || 'x'", None),
    ],
)
def test_the_list_of_tokens_is_the_token_query_for_any_hash(condition, expected):
    begin = "SELECT * FROM theirs WHERE "
    assert listing_of(begin + condition) == (expected and begin + expected)


async def test_an_own_token_query_tells_what_it_has(database):
    await database.execute(THEIRS)
    directory = TokenDirectory(database, QUERY.format(condition="digest = $1"))
    theirs = await database.fetch("SELECT key::uuid FROM theirs")
    ids = [new_record_id(), *(row["key"] for row in theirs)]

    details = await directory.details_of(ids)

    assert {str(id_): told for id_, told in details.items()} == {
        "11111111-2222-3333-4444-aaaaaaaaaaaa": TokenDetails(
            owner="anna@example.org",
            role="operator",
            created_at=datetime(2026, 2, 28, 3, 42, tzinfo=UTC),
        ),
        "22222222-2222-3333-4444-555555555555": TokenDetails(role="viewer"),
    }


@pytest.mark.parametrize("condition", ["digest = lower($1)", "no_such = $1"])
async def test_a_query_that_cannot_be_asked_tells_nothing(database, condition):
    await database.execute(THEIRS)
    directory = TokenDirectory(database, QUERY.format(condition=condition))
    assert await directory.details_of([new_record_id()]) == {}


async def test_of_podwardens_table_is_told_what_it_has_and_may_be_read(database):
    await database.execute(
        "DROP TABLE mcp_tokens; CREATE TABLE mcp_tokens (id text, name text, owner int)"
    )
    id_ = new_record_id()
    await database.execute("INSERT INTO mcp_tokens VALUES ($1, 'ci', 7)", str(id_))
    assert await TokenDirectory(database).details_of([id_]) == {id_: TokenDetails(owner="7")}

    await database.execute("DROP TABLE mcp_tokens")
    assert await TokenDirectory(database).details_of([id_]) == {}


async def test_readers_are_told_who_has_a_token(database_url, database, store):
    tokens = TokenTable(database)
    token, _ = await tokens.create("laptop", "operator", 90, "anna", "her laptop\u202e")
    await store.append([record(token_id=token.id, token_name="laptop")])
    async with (
        asking_as_admin(database, database_url) as api,
        api.get(f"{ALL}/tokens") as response,
    ):
        [told] = await response.json()

    assert (told["owner"], told["description"]) == ("anna", "her laptop\u202e")
    assert (told["role"], told["revoked_at"]) == ("operator", None)
    lives = datetime.fromisoformat(told["expires_at"]) - datetime.fromisoformat(told["created_at"])
    assert lives == timedelta(days=90)
