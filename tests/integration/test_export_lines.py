"""A whole file is made of COPY's text, and has the bytes of its parts, which are not."""

import random
import struct
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from audit_log.postgres.database import open_database
from audit_log.record import Attribution
from audit_log.schema.migrate import migrate
from tests.neighbours.audit_api import ALL, asking_as_admin, record

EXPORT = ALL + "/export"
PLAIN = ["claude", "", "null", "/api/v1/clusters/12", "/api/v1/hosts", "NULL", " ", "a,b", "ü🚀"]
ODD = [
    '"',
    "\\",
    "\\N",
    "\\\\N",
    "\\.",
    "a\tb",
    "\n",
    "\r\n",
    "\b\f\v",
    "\x01",
    "\x1f\x7f",
    "\u2028",
    "/api/v1/%22x1%22/%5C",
    "=1+1",
    "\u00a0=1",
    "\uff1d1",
    "'",
]
MOMENTS = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1, 1, 2, tzinfo=UTC),
    datetime(2026, 2, 28, 3, 42, tzinfo=UTC),
    datetime(2026, 2, 28, 3, 42, 0, 500_000, tzinfo=UTC),
    datetime(2026, 2, 28, 3, 42, 0, 1, tzinfo=UTC),
    datetime(9999, 12, 1, 23, 59, 59, 999_999, tzinfo=UTC),
]
DURATIONS = [None, 0.0, 0.0005, 0.0025, 3.0, 12.25, 1e-9, 3.069_075_3, 1e10, 3e38]
COUNT = 100
ADOPTED = """
CREATE TABLE mcp_audit_log (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_name varchar(255), method varchar(16), path text, status_code bigint,
    created_at timestamptz, outcome varchar(20), duration_ms double precision, instance text)
"""
ADOPT = """
INSERT INTO mcp_audit_log
    (token_name, method, path, status_code, created_at, outcome, duration_ms, instance)
VALUES ('a', 'GET', '/api/v1/clusters/12', {status}, '{moment}', {outcome}, {ms}, {instance})
"""


def any_records(odd="", instance="sidecar"):
    """Return records of *instance* with all kinds of values, among them *odd*."""
    chosen = random.Random(instance)

    def text():
        return "".join(chosen.choices([*PLAIN, odd], k=chosen.randint(1, 3)))

    def text_or_none():
        return chosen.choice([None, text()])

    for number in range(COUNT):
        single = chosen.choice(DURATIONS)
        yield record(
            created_at=chosen.choice(MOMENTS) + timedelta(hours=number),
            token_id=chosen.choice([None, uuid4()]),
            token_name=text(),
            method=chosen.choice(["GET", "TOOL", text()]),
            path=chosen.choice(["/api/v1/clusters/12/nodes", "/", text()]),
            status_code=chosen.choice([0, 200, 599]),
            duration_ms=single and struct.unpack("f", struct.pack("f", single))[0],
            client_ip=chosen.choice([None, "127.0.0.1", "2001:db8::7", "::ffff:10.0.0.1"]),
            user_agent=text_or_none(),
            tool=text_or_none(),
            invocation_id=chosen.choice([None, uuid4()]),
            attribution=chosen.choice([None, *Attribution]),
            request_id=text_or_none(),
            instance=instance,
        )


@pytest.fixture
async def api(database_url, database):
    async with asking_as_admin(database, database_url) as client:
        yield client


async def exported(api, query) -> bytes:
    async with api.get(EXPORT + query) as response:
        assert response.status == 200, await response.text()
        body: bytes = await response.read()
        return body


@pytest.mark.parametrize("name", ["ndjson", "csv"])
async def test_values_of_any_kind_come_byte_for_byte_as_in_parts(api, store, database, name):
    for number, odd in enumerate(["", *ODD]):
        await store.append(list(any_records(odd, f"sidecar-{number}")))
    await database.execute("UPDATE mcp_audit_log SET duration_ms = 'NaN' WHERE status_code = 0")
    await database.execute(
        "UPDATE mcp_audit_log SET client_ip = '10.0.0.0/8' WHERE status_code = 200"
    )
    await database.execute("UPDATE mcp_audit_log SET arrived_at = NULL WHERE status_code = 599")
    for number, odd in enumerate(["", *ODD]):
        of_one = f"?format={name}&instance=sidecar-{number}"
        file, part = await exported(api, of_one), await exported(api, of_one + "&limit=1000")
        assert file == part, odd
        assert file.count(b"\n") >= COUNT


@pytest.mark.parametrize(
    "setting",
    ["DateStyle TO 'SQL, DMY'", "TimeZone TO 'Asia/Kathmandu'", "extra_float_digits TO -3"],
)
async def test_defaults_of_the_database_change_no_byte(store, database, database_url, setting):
    await store.append(list(any_records()))
    async with asking_as_admin(database, database_url) as api:
        before = await exported(api, "")
    [name] = await database.fetch_row("SELECT current_database()")
    await database.execute(f"ALTER DATABASE {name} SET {setting}")
    async with asking_as_admin(database, database_url) as api:
        assert await exported(api, "") == before


@pytest.mark.parametrize(
    "query",
    [
        "?token_name=it's,\\N",
        "?path=/api/v1/*&method!=GET&status=2xx,4xx",
        "?object=clusters/12&since=2026-01-01T00:00:00Z",
        "?duration_ms>=3&client_ip=127.0.0.0/8,2001:db8::/32",
        "?changes=true&refused=false&unknown_tokens=false&user_agent=claude",
        "?token_name=$1&request_id=$2",
        "?session=0190a000-0000-7000-8000-000000000000",
    ],
)
async def test_a_filter_holds_alike_where_its_values_are_written_into_the_statement(
    api, store, query
):
    odd = record(token_name="it's"), record(token_name="$1", request_id="$2")
    await store.append([*any_records(), *odd])
    lines = (await exported(api, query)).count(b"\n")
    assert lines == (await exported(api, query + "&format=csv")).count(b"\r\n") - 1
    assert 0 < lines < COUNT or "session" in query


@pytest.fixture
async def adopted(empty_database_url):
    async with open_database(empty_database_url, application="test") as database:
        await database.execute(ADOPTED)
        await migrate(database)
        yield database


@pytest.mark.parametrize("name", ["ndjson", "csv"])
async def test_rows_of_an_adopted_table_come_byte_for_byte_as_in_parts(
    adopted, empty_database_url, name
):
    rows = (
        ("2026-01-01", "200", "NULL", "NULL", "NULL"),
        ("2026-01-02", "2147483648", "''", "'Infinity'", "''"),
        ("2026-01-03", "NULL", "'new'", "1e300", "'podwarden'"),
        ("0001-01-01", "NULL", "'completed'", "0.1::real", "'\\'"),
        ("infinity", "200", "'completed'", "-0.0", "'podwarden'"),
    )
    async with asking_as_admin(adopted, empty_database_url) as api:
        for moment, status, outcome, ms, instance in rows:
            await adopted.execute(
                "TRUNCATE mcp_audit_log;"
                + ADOPT.format(
                    moment=moment, status=status, outcome=outcome, ms=ms, instance=instance
                )
            )
            of_name = f"?format={name}"
            assert await exported(api, of_name) == await exported(api, of_name + "&limit=9")


@pytest.mark.parametrize(
    "moment", ["12026-01-01 00:00:00.12345+00", "0044-03-15 10:00:00.123+00 BC"]
)
async def test_a_year_that_no_list_can_tell_is_as_postgresql_writes_it(
    adopted, empty_database_url, moment
):
    odd = ADOPT.format(moment=moment, status=200, outcome="'completed'", ms=1, instance="'x'")
    await adopted.execute(odd)
    async with asking_as_admin(adopted, empty_database_url) as api:
        assert f'"created_at":"{moment}"'.encode() in await exported(api, "")
