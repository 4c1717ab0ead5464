"""deploy/roles.sql: each role can do its work, and nothing else."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from aiohttp import ClientSession
from yarl import URL

from audit_log.errors import StoreError
from audit_log.nats.jetstream import open_jetstream
from audit_log.nats.publisher import Publisher
from audit_log.postgres.arrivals import CHANNEL
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.gaps import GapQuery, search_gaps
from audit_log.postgres.invocations import find_invocation
from audit_log.postgres.purge import apply_retention, purging
from audit_log.postgres.search import RecordQuery, search
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from audit_log.process.settings import NatsSettings
from audit_log.record import Gap, Invocation, Origin, ToolOutcome
from audit_log.retention import Retention
from audit_log.schema.migrate import migrate
from audit_log.tokens import hash_token
from deploy.local.postgres import PostgresServer
from tests.neighbours.audit_api import ALL
from tests.neighbours.console import console
from tests.neighbours.log_receivers import receiving_logs
from tests.neighbours.nats_server import running_nats
from tests.neighbours.ops import metric_becomes
from tests.neighbours.patience import eventually
from tests.neighbours.postgres import fresh_database
from tests.neighbours.postgres_programs import set_up_roles
from tests.neighbours.records import ARRIVAL, a_record
from tests.neighbours.services import (
    running,
    running_audit_api,
    running_ingest,
    running_sidecar,
)
from tests.neighbours.upstream import Upstream

_ROLES = (
    "podwarden_audit_owner",
    "podwarden_audit_proxy",
    "podwarden_audit_api",
    "podwarden_audit_ingest",
)


_CALL = Invocation(
    id=uuid4(), created_at=ARRIVAL, tool="list_hosts", outcome=ToolOutcome.OK,
    status_code=200, origin=Origin.MCP, instance="sidecar-1", token_name="ci",
)  # fmt: skip
_GAP = Gap(
    id=uuid4(), started_at=ARRIVAL, ended_at=ARRIVAL, count=3, reason="journal_full",
    instance="sidecar-1",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Urls:
    """One database, as each role reaches it."""

    superuser: str
    owner: str
    proxy: str
    audit_api: str
    ingest: str


@pytest.fixture
async def urls(postgres: PostgresServer) -> AsyncIterator[Urls]:
    """A database whose schema was made by the owner; partitions are nobody's work yet."""
    async with open_database(postgres.url(), application="test") as server:
        try:
            async with fresh_database(postgres, template="template0") as url:
                assert "migrate as podwarden_audit_owner" in set_up_roles(url)
                of_roles = [await _with_password(server, url, role) for role in _ROLES]
                async with open_database(of_roles[0], application="owner") as owner:
                    await migrate(owner)
                set_up_roles(url)
                yield Urls(url, *of_roles)
        finally:
            # They are the server's, and outlive the database.
            for role in _ROLES:
                await server.execute(f"DROP ROLE IF EXISTS {role}")


async def _with_password(server: Database, url: str, role: str) -> str:
    password = secrets.token_hex(16)
    await server.execute(f"ALTER ROLE {role} PASSWORD '{password}'")
    return str(URL(url).with_user(role).with_password(password))


async def test_both_services_do_their_work_with_their_roles(
    urls: Urls, upstream: Upstream, tmp_path: Path
):
    async with open_database(urls.owner, application="owner") as owner:
        _, secret = await TokenTable(owner).create("laptop", "admin", 90)

    async with (
        running_sidecar(upstream.url, urls.proxy) as sidecar,
        running_audit_api(urls.audit_api, AUDIT_API_SEAL_DIR=str(tmp_path)) as audit_api,
        ClientSession(headers={"Authorization": f"Bearer {secret}"}) as client,
    ):
        async with client.get(f"{sidecar.url}/api/v1/clusters") as response:
            assert response.status == 200

        async def entries() -> list[dict[str, object]]:
            async with client.get(f"{audit_api.url}{ALL}") as response:
                assert response.status == 200, await response.text()
                return list(await response.json())

        [entry] = await eventually(entries, sidecar.report)
        assert (entry["token_name"], entry["path"]) == ("laptop", "/api/v1/clusters")

        for url in (f"{sidecar.ops_url}/readyz", f"{audit_api.url}/readyz"):

            async def is_ready(url: str = url) -> bool:
                async with client.get(url) as response:
                    return bool((await response.json())["status"] == "ready")

            assert await eventually(is_ready, sidecar.report)

        async with open_database(urls.superuser, application="test") as database:
            signed = "SELECT FROM mcp_audit_seal_checkpoint WHERE note LIKE '%/audit-api%'"
            assert await eventually(lambda: database.fetch(signed), audit_api.report)
        await _made_partitions(urls.superuser)


async def test_a_check_is_content_with_each_role_and_names_a_right_that_is_missing(
    urls: Urls, upstream: Upstream, tmp_path: Path
):
    reach = {"PROXY_UPSTREAM_URL": upstream.url}
    for service, url in (("proxy", urls.proxy), ("api", urls.audit_api)):
        done = await console(
            "check", service, directory=tmp_path, AUDIT_LOG_DATABASE_URL=url, **reach
        )
        assert done.code == 0, done.output

    async with open_database(urls.superuser, application="test") as database:
        await database.execute("REVOKE INSERT ON mcp_audit_gap FROM podwarden_audit_proxy")
        await database.execute("REVOKE ALL ON FUNCTION mcp_audit_purge FROM podwarden_audit_proxy")
    done = await console("check", directory=tmp_path, AUDIT_LOG_DATABASE_URL=urls.proxy, **reach)
    assert done.code == 1
    async with open_database(urls.superuser, application="test") as database:
        await database.execute("REVOKE INSERT ON mcp_audit_read FROM podwarden_audit_api")
        await database.execute("REVOKE UPDATE ON mcp_audit_read_seal FROM podwarden_audit_api")
    its = {"AUDIT_LOG_DATABASE_URL": urls.audit_api, "AUDIT_API_SEAL_DIR": str(tmp_path)}
    of_api = await console("check", "api", directory=tmp_path, **its)
    missing = "the role may not INSERT into mcp_audit_read, UPDATE mcp_audit_read_seal"
    assert f"failed  rights: {missing}" in of_api.output
    assert (
        "failed  rights: the role may not INSERT into mcp_audit_gap, EXECUTE mcp_audit_purge:"
        " run deploy/roles.sql again (it belongs after each migrate)"
    ) in done.lines
    assert (
        "ok      schema: there; this role may not read which migrations were applied" in done.lines
    )


async def test_the_ingest_does_its_work_with_its_role(urls: Urls):
    async with open_database(urls.owner, application="owner") as owner:
        _, secret = await TokenTable(owner).create("laptop", "admin", 90)
    # Found out by the ingest; and the second time refused by COPY, for it is there.
    unnamed = a_record(token_name=None, token_id=None, token_hash=hash_token(secret))
    with running_nats() as nats:
        settings = NatsSettings(urls=nats.url, replicas=1)
        stream = {"AUDIT_LOG_NATS_URLS": nats.url, "AUDIT_LOG_NATS_REPLICAS": "1"}
        async with (
            running_ingest(urls.ingest, **stream) as ingest,
            open_jetstream(settings) as jetstream,
            open_database(urls.audit_api, application="audit_api") as reader,
        ):
            await metric_becomes(ingest, 1, "ingest_is_ready")
            await Publisher(jetstream).append([unnamed])
            await Publisher(jetstream).append([unnamed, a_record(id=uuid4())])
            waiting = msgspec.structs.replace(_CALL, outcome=ToolOutcome.ASKED)
            await Publisher(jetstream).append_invocations([waiting, _CALL])
            await Publisher(jetstream).append_gaps([_GAP])
            await metric_becomes(ingest, 6, "ingest_records_total", fate="written")
            names = {record.token_name for record in await search(reader, RecordQuery())}
            assert "laptop" in names
            call = await find_invocation(reader, _CALL.id)
            assert call is not None
            assert call.outcome == _CALL.outcome
            await _made_partitions(urls.superuser)


async def _made_partitions(url: str) -> None:
    async with open_database(url, application="test") as database:

        async def has_done_so() -> bool:
            row = await database.fetch_row(
                """
                SELECT (SELECT count(*) FROM pg_inherits
                        WHERE inhparent = 'mcp_audit_log'::regclass) AS partitions,
                       (SELECT array_agg(DISTINCT relowner::regrole::text) FROM pg_class
                        WHERE relname LIKE 'mcp_audit_log%') AS owners
                """
            )
            return row is not None and tuple(row) == (5, ["podwarden_audit_owner"])

        assert await eventually(has_done_so)


async def test_the_sidecar_appends_everything_and_the_reader_hears_of_it(urls: Urls):
    async with (
        open_database(urls.proxy, application="proxy") as proxy,
        open_database(urls.audit_api, application="audit_api") as reader,
        reader.notifications(CHANNEL) as heard,
    ):
        store = Store(proxy)
        for _ in range(2):  # twice, as after a response that was lost
            await store.append([a_record()])
            await store.append_invocations([_CALL])
            await store.append_gaps([_GAP])
        assert await anext(heard) == ""
        assert [found.count for found in await search_gaps(reader, GapQuery(limit=10))] == [3]


async def test_the_sidecar_lets_go_what_the_owner_has_said_and_nothing_else(urls: Urls):
    old = [a_record(created_at=ARRIVAL - timedelta(days=day)) for day in (1, 100)]
    async with (
        open_database(urls.owner, application="owner") as owner,
        open_database(urls.proxy, application="proxy") as proxy,
    ):
        await Store(proxy).append(old)
        moment = ARRIVAL - timedelta(days=30)
        with pytest.raises(StoreError, match="retention"):
            _ = [removed async for removed in purging(proxy, moment)]
        await apply_retention(owner, Retention(days=30))
        assert sum([removed.records async for removed in purging(proxy, moment)]) == 1
        with pytest.raises(StoreError, match="denied"):
            await apply_retention(proxy, Retention(days=1))


async def test_the_sidecar_hears_of_a_token_that_changes(urls: Urls):
    async with (
        open_database(urls.owner, application="owner") as owner,
        open_database(urls.proxy, application="proxy") as proxy,
        TokenTable(proxy).changes() as changes,
    ):
        _, secret = await TokenTable(owner).create("laptop", "admin", 90)
        assert await anext(changes) == hash_token(secret)


async def test_the_sidecar_may_also_copy_into_the_audit_log(urls: Urls):
    row = {
        "id": uuid4(),
        "token_name": "ci",
        "method": "GET",
        "path": "/",
        "status_code": 200,
        "created_at": ARRIVAL,
        "outcome": "completed",
        "instance": "sidecar-1",
    }
    connection = await asyncpg.connect(urls.proxy)
    try:
        await connection.copy_records_to_table(
            "mcp_audit_log",
            columns=list(row),
            records=[tuple(row.values())],
        )
    finally:
        await connection.close()


_NOT_FOR_ANY = (
    "UPDATE mcp_audit_log SET status_code = 200",
    "DELETE FROM mcp_audit_log",
    "TRUNCATE mcp_audit_log",
    "DROP TABLE mcp_audit_log",
    "ALTER TABLE mcp_audit_log ADD COLUMN x int",
    "ALTER TABLE mcp_audit_log DISABLE TRIGGER ALL",
    "CREATE INDEX ON mcp_audit_log (path)",
    "CREATE TRIGGER t BEFORE INSERT ON mcp_audit_log FOR EACH ROW EXECUTE FUNCTION now()",
    "INSERT INTO mcp_audit_log_default SELECT * FROM mcp_audit_log_default",
    "SELECT * FROM mcp_audit_log_default",
    "DELETE FROM mcp_audit_log_default",
    "LOCK TABLE mcp_audit_log IN ACCESS EXCLUSIVE MODE",
    "UPDATE mcp_audit_gap SET count = 0",
    "DELETE FROM mcp_audit_gap",
    "UPDATE mcp_tool_invocation SET outcome = 'completed'",
    "DELETE FROM mcp_tool_invocation",
    "UPDATE mcp_audit_read SET reader = 'another'",
    "DELETE FROM mcp_audit_read",
    "INSERT INTO mcp_tokens (id) VALUES (gen_random_uuid())",
    "UPDATE mcp_tokens SET role = 'admin'",
    "DELETE FROM mcp_tokens",
    "INSERT INTO mcp_audit_schema (name, checksum) VALUES ('x', 'x')",
    "CREATE TABLE x ()",
    "CREATE TEMPORARY TABLE x ()",
    "CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA x",
    "CREATE ROLE x",
    "SET ROLE podwarden_audit_owner",
    "ALTER FUNCTION mcp_audit_log_ensure_partitions RENAME TO x",
    "COPY mcp_audit_gap TO PROGRAM 'cat'",
)
_NOT_FOR_THE_PROXY = (
    "SELECT path FROM mcp_audit_log",
    "SELECT created_at FROM mcp_tokens",
    "SELECT owner FROM mcp_tokens",
    "SELECT * FROM mcp_tokens",
    "SELECT id FROM mcp_audit_gap",
    "SELECT id FROM mcp_tool_invocation",
    "SELECT id FROM mcp_audit_read",
    "SELECT key FROM mcp_audit_read_seal",
    "INSERT INTO mcp_audit_read (id) SELECT gen_random_uuid()",
    "SELECT name FROM mcp_audit_schema",
    "COPY mcp_audit_log TO STDOUT",
    "INSERT INTO mcp_audit_gap SELECT gen_random_uuid(), now(), now(), 1, '', '' RETURNING id",
    "INSERT INTO mcp_tool_invocation (id) SELECT gen_random_uuid() ON CONFLICT (id) DO NOTHING",
)
_NOT_FOR_THE_INGEST = ("SELECT mcp_audit_purge(now(), 1)",)
_NOT_FOR_THE_AUDIT_API = (
    "INSERT INTO mcp_audit_gap SELECT gen_random_uuid(), now(), now(), 1, '', ''",
    "INSERT INTO mcp_tool_invocation (id) SELECT gen_random_uuid()",
    "COPY mcp_audit_log FROM STDIN",
    "UPDATE mcp_audit_seal_checkpoint SET note = ''",
    "DELETE FROM mcp_audit_read_seal",
    "SELECT mcp_audit_log_ensure_partitions(now(), 3)",
)


async def test_the_sidecar_may_do_nothing_else(urls: Urls):
    assert await _allowed(urls.proxy, [*_NOT_FOR_ANY, *_NOT_FOR_THE_PROXY]) == []


async def test_the_ingest_may_do_nothing_else(urls: Urls):
    refused = [*_NOT_FOR_ANY, *_NOT_FOR_THE_PROXY, *_NOT_FOR_THE_INGEST]
    assert await _allowed(urls.ingest, refused) == []


async def test_the_audit_api_may_do_nothing_else(urls: Urls):
    assert await _allowed(urls.audit_api, [*_NOT_FOR_ANY, *_NOT_FOR_THE_AUDIT_API]) == []


async def _allowed(url: str, statements: list[str]) -> list[str]:
    """Return what was not refused for want of a right, with what became of it."""
    connection = await asyncpg.connect(url)
    allowed = []
    try:
        for statement in statements:
            try:
                async with connection.transaction():  # LOCK asks for one
                    await connection.execute(statement)
            except asyncpg.InsufficientPrivilegeError:
                continue
            except asyncpg.PostgresError as error:
                allowed.append(f"{statement}: {error}")
            else:
                allowed.append(statement)
    finally:
        await connection.close()
    return allowed


async def test_running_it_again_takes_back_what_was_granted_by_hand(urls: Urls):
    async with open_database(urls.superuser, application="test") as superuser:
        await superuser.execute("GRANT DELETE ON mcp_audit_log TO podwarden_audit_proxy")

    set_up_roles(urls.superuser)

    assert await _allowed(urls.proxy, ["DELETE FROM mcp_audit_log"]) == []


async def test_what_is_podwardens_stays_podwardens_in_a_shared_database(urls: Urls):
    async with open_database(urls.superuser, application="test") as superuser:
        await superuser.execute(
            "CREATE TABLE mcp_tool_registry ();"
            "CREATE FUNCTION mcp_tool_count() RETURNS int LANGUAGE sql AS 'SELECT 1'"
        )

        set_up_roles(urls.superuser, "shared=1")

        rows = await superuser.fetch(
            "SELECT relowner <> 'podwarden_audit_owner'::regrole FROM pg_class"
            " WHERE relname = 'mcp_tool_registry' UNION ALL"
            " SELECT proowner <> 'podwarden_audit_owner'::regrole FROM pg_proc"
            " WHERE proname = 'mcp_tool_count'"
        )
    assert [row[0] for row in rows] == [True, True]


async def test_an_audit_log_that_somebody_else_made_becomes_the_owners(urls: Urls):
    async with open_database(urls.superuser, application="test") as superuser:
        for name in ("mcp_audit_log", "mcp_audit_log_default", "mcp_tokens"):
            await superuser.execute(f"ALTER TABLE {name} OWNER TO CURRENT_USER")

        set_up_roles(urls.superuser, "shared=1")

        rows = await superuser.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relowner <> 'podwarden_audit_owner'::regrole"
        )
    assert rows == []


async def test_the_push_reads_the_log_as_the_audit_api_does(urls, tmp_path):
    entry = a_record()
    async with open_database(urls.superuser, application="test") as database:
        await Store(database).append([entry])
    settings = {
        "AUDIT_LOG_DATABASE_URL": urls.audit_api,
        "AUDIT_PUSH_OPS_PORT": "0",
        "AUDIT_PUSH_DIR": str(tmp_path / "marks"),
    }
    async with (
        receiving_logs() as receiver,
        running("deploy.console", settings | {"AUDIT_PUSH_OTLP_URL": receiver.url}, "push"),
    ):
        await receiver.until(lambda: receiver.ids == [str(entry.id)])
