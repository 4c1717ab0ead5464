"""The demo tokens of `make run`, in a real database."""

from uuid import UUID

import pytest

from audit_log.postgres.token_table import TokenTable
from audit_log.tokens import hash_token
from deploy.local.demo_tokens import demo_tokens


@pytest.fixture
def table(database):
    return TokenTable(database)


@pytest.fixture
def memory(tmp_path):
    return tmp_path / "demo_tokens.json"


async def test_makes_a_good_token_of_each_role_and_remembers_it(table, memory):
    made = await demo_tokens(table, memory)

    assert list(made) == ["viewer", "operator", "admin"]
    for role, demo in made.items():
        token = await table.find(hash_token(demo.secret))
        assert token is not None
        assert (str(token.id), token.role, token.name) == (demo.id, role, f"demo-{role}")
    assert await demo_tokens(table, memory) == made
    assert len(await table.list()) == 3


async def test_the_secrets_are_for_the_owner_alone(table, memory):
    await demo_tokens(table, memory)

    assert memory.stat().st_mode & 0o777 == 0o600


async def test_replaces_a_revoked_token_and_keeps_the_others(table, memory):
    made = await demo_tokens(table, memory)
    await table.revoke(UUID(made["operator"].id))

    again = await demo_tokens(table, memory)

    assert again["operator"] != made["operator"]
    assert (again["viewer"], again["admin"]) == (made["viewer"], made["admin"])
    assert await demo_tokens(table, memory) == again


async def test_replaces_an_expired_token(table, database, memory):
    made = await demo_tokens(table, memory)
    await database.execute("UPDATE mcp_tokens SET expires_at = now() WHERE role = 'viewer'")

    assert (await demo_tokens(table, memory))["viewer"] != made["viewer"]


async def test_replaces_tokens_that_the_database_does_not_have(table, database, memory):
    made = await demo_tokens(table, memory)
    await database.execute("DELETE FROM mcp_tokens")

    again = await demo_tokens(table, memory)

    assert not {token.secret for token in again.values()} & {
        token.secret for token in made.values()
    }


@pytest.mark.parametrize("content", ["", "{", "[]", '{"viewer": 1}', '"pwm_"'])
async def test_a_damaged_memory_is_as_good_as_none(table, memory, content):
    memory.write_text(content)

    made = await demo_tokens(table, memory)

    assert list(made) == ["viewer", "operator", "admin"]
    assert await demo_tokens(table, memory) == made
