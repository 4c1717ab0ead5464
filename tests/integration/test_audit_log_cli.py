import re
from uuid import uuid4

import pytest

from audit_log.postgres.database import open_database
from audit_log.postgres.token_table import TokenTable
from audit_log.schema.migrate import is_current
from audit_log.tokens import hash_token
from tests.neighbours.audit_log_command import audit_log


async def test_migrate_says_what_it_applied_and_makes_partitions(empty_database_url):
    code, output, _ = audit_log(empty_database_url, "migrate")
    assert code == 0
    assert output.splitlines()[0] == "applied 0001_audit_log.sql"
    assert audit_log(empty_database_url, "migrate") == (0, "the schema is up to date\n", "")

    async with open_database(empty_database_url, application="test") as database:
        assert await is_current(database)
        partitions = await database.fetch(
            "SELECT FROM pg_inherits WHERE inhparent::regclass = $1::text::regclass",
            "mcp_audit_log",
        )
    assert len(partitions) == 5


async def test_a_created_token_is_found_by_its_secret_until_it_is_revoked(database_url, database):
    code, output, _ = audit_log(
        *(database_url, "token", "create", "ci", "--role", "viewer", "--expiry-days", "30"),
        *("--owner", "anna", "--description", "builds and deploys"),
    )
    assert code == 0
    [token_id] = re.findall(r"^id +(\S+)$", output, re.MULTILINE)
    [secret] = re.findall(r"^secret +(pwm_[\w-]{43})$", output, re.MULTILINE)

    token = await TokenTable(database).find(hash_token(secret))
    assert token is not None
    assert (str(token.id), token.name, token.role) == (token_id, "ci", "viewer")
    assert token.expires_at is not None
    assert token.revoked_at is None

    assert audit_log(database_url, "token", "list")[1].endswith("  ci  (anna)\n")
    assert audit_log(database_url, "token", "revoke", token_id) == (0, f"revoked {token_id}\n", "")

    revoked = await TokenTable(database).find(hash_token(secret))
    assert revoked is not None
    assert revoked.revoked_at is not None


async def test_the_list_names_every_token_and_no_secret(database_url, database):
    for name in ("first", "zweiter 🚀"):
        await TokenTable(database).create(name, "admin", 90)
    _, secret = await TokenTable(database).create("third", "operator", 1)

    code, output, _ = audit_log(database_url, "token", "list")

    assert code == 0
    assert [line.split("  ")[-1] for line in output.splitlines()] == [
        "first",
        "zweiter 🚀",
        "third",
    ]
    assert secret not in output
    assert hash_token(secret) not in output


def complaint_of(url: str | None, *arguments: str) -> str:
    """Return the last of the lines that tell what was wrong."""
    code, output, complaint = audit_log(url, *arguments)
    assert code != 0
    assert output == ""
    assert "Traceback" not in complaint
    return complaint.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["create", "ci", "--role", "owner"], "invalid choice: 'owner'"),
        (["create", "ci", "--role", "admin", "--expiry-days", "0"], "from 1 to 365"),
        (["create", "ci", "--role", "admin", "--expiry-days", "366"], "from 1 to 365"),
        (["create", "ci", "--role", "admin", "--expiry-days", "soon"], "from 1 to 365"),
        (["create", " ", "--role", "admin"], "not blank"),
        (["create", "a\nb", "--role", "admin"], "printable"),
        (["create", "ci"], "--role"),
        (["revoke", "7"], "not a UUID: 7"),
        ([], "required: action"),
    ],
)
def test_a_wrong_command_is_told_in_a_line(arguments, complaint):
    assert complaint in complaint_of("postgresql://x@127.0.0.1:1/x", "token", *arguments)


def test_a_missing_setting_is_told():
    assert complaint_of(None, "migrate") == "AUDIT_LOG_DATABASE_URL is not set"


def test_a_database_that_is_down_is_told():
    complaint = complaint_of("postgresql://x:secret@127.0.0.1:1/x", "migrate")

    assert complaint.startswith("PostgreSQL cannot do this now: ")
    assert "secret" not in complaint


def test_an_unknown_token_is_told(database_url):
    token_id = str(uuid4())

    assert complaint_of(database_url, "token", "revoke", token_id) == (
        f"there is no token with the id {token_id}"
    )


def test_a_missing_schema_is_told(empty_database_url):
    complaint = complaint_of(empty_database_url, "token", "list")

    assert 'relation "mcp_tokens" does not exist' in complaint


async def test_a_table_that_cannot_be_adopted_is_told(empty_database_url):
    async with open_database(empty_database_url, application="test") as database:
        await database.execute("CREATE TABLE mcp_audit_log (id int)")

    assert "column id is integer" in complaint_of(empty_database_url, "migrate")
