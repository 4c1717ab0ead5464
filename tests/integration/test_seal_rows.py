"""A row gives its leaf again: whatever its line says, however it is written, in every table."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv6Address
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from audit_log.delivery_loop import AnyItem
from audit_log.errors import RecordRefusedError
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.store import Store
from audit_log.record import Attribution, Gap, Origin, Outcome, ToolOutcome, new_record_id
from audit_log.schema.migrate import migrate
from audit_log.seal.places import Sealing
from audit_log.seal.tree import leaf_hash, leaf_hashes
from audit_log.verify.stored.stored_rows import Sealed, Table, sealed_rows
from proxy.delivery.quarantine import Quarantine
from proxy.delivery.quarantined import replay_quarantined
from proxy.journal.batch import Assembly, Batch
from proxy.journal.line_text import gap_line, record_line
from proxy.journal.ring_header import Place
from tests.neighbours.postgres import fresh_database
from tests.neighbours.records import ARRIVAL, a_record, a_tool_call

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST: Final = 10
SEALING: Final = Sealing(-7, FIRST)
ADOPTED: Final = """
CREATE TABLE mcp_audit_log (
    created_at timestamptz(3) NOT NULL, id uuid UNIQUE, token_name varchar NOT NULL,
    method varchar NOT NULL, path varchar NOT NULL, status_code integer NOT NULL,
    token_id uuid, outcome varchar, duration_ms double precision, user_agent varchar,
    extra text DEFAULT 'theirs')
"""

tables = st.sampled_from(["ours", "adopted"])
# All that a JSON text can hold but NUL, which PostgreSQL refuses.
texts = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=20)
plain = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
moments = st.datetimes(
    datetime(1, 1, 3),  # noqa: DTZ001
    datetime(9999, 12, 28),  # noqa: DTZ001
    timezones=st.timezones(),
)
addresses = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded.upper()),
    st.ip_addresses(v=4).map(lambda address: f"::ffff:{address}"),
    st.ip_addresses(v=4).map(lambda address: f"::{address}"),
    st.ip_addresses(v=4).map(lambda address: str(IPv6Address((0xFFFF << 32) + int(address)))),
    st.just("::"),
)
durations = st.one_of(
    st.integers(0, 10**9).map(lambda tenths: tenths / 10_000),
    st.floats(1e-37, 3.4028234e38),
    # Half-way between two of PostgreSQL's `real`s.
    st.integers(0, 2**23 - 1).map(lambda bits: 1 + (2 * bits + 1) / 2**24),
    st.integers(0, 2**23 - 1).map(lambda bits: (2**24 + 2 * bits + 1) * 2.0**40),
    st.sampled_from([0.0, 1.4012985e-45, 1e-40, 1.1754942e-38, 16777217.0]),
)
identifiers = st.uuids()
claims = st.dictionaries(
    plain,
    plain
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([-0.0, 1e16, 1e-7, 5e-324, 1.0, "1.0"]),
    max_size=4,
)
some: Final = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def each(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=20)


def of_records(text: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, list[Any]]]:
    """Values for each member of a record."""
    members = {
        **dict.fromkeys(("method", "path", "instance", "token_name"), text),
        **dict.fromkeys(("user_agent", "tool", "request_id"), text | st.none()),
        **dict.fromkeys(("token_id", "invocation_id"), identifiers | st.none()),
        "id": identifiers,
        "created_at": moments,
        "status_code": st.integers(-32768, 32767),
        "outcome": st.sampled_from(Outcome),
        "duration_ms": durations | st.none(),
        "client_ip": addresses | st.none(),
        "attribution": st.sampled_from(Attribution) | st.none(),
    }
    return st.fixed_dictionaries({name: each(values) for name, values in members.items()})


OF_TOOL_CALLS: Final = {
    **dict.fromkeys(("tool", "instance", "token_name"), texts),
    **dict.fromkeys(("request_id", "protocol_version", "client_name"), texts | st.none()),
    **dict.fromkeys(("client_version", "user_agent", "principal"), texts | st.none()),
    **dict.fromkeys(("token_id", "session"), identifiers | st.none()),
    "id": identifiers,
    "created_at": moments,
    "outcome": st.sampled_from(ToolOutcome),
    "status_code": st.integers(0, 999),
    "origin": st.sampled_from(Origin),
    "duration_ms": durations | st.none(),
    "api_calls": st.integers(0, 1000),
    "error_code": st.integers(-(2**31), 2**31 - 1) | st.none(),
    "rounds": st.integers(1, 100),
    "client_ip": addresses | st.none(),
    "claims": claims | st.none(),
}
of_tool_calls = st.fixed_dictionaries(
    {name: each(values) for name, values in OF_TOOL_CALLS.items()}
)
of_gaps = st.fixed_dictionaries(
    {
        "id": each(identifiers),
        "started_at": each(moments),
        "ended_at": each(moments),
        "count": each(st.integers(0, 2**63 - 1) | st.none()),
        "reason": each(texts),
        "instance": each(texts),
    }
)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def databases(postgres, migrated_template) -> AsyncIterator[dict[str, Database]]:
    async with (
        fresh_database(postgres, template=migrated_template) as ours,
        fresh_database(postgres, template="template0") as adopted,
        open_database(ours, application="test") as database,
        open_database(adopted, application="test") as other,
    ):
        await other.execute(ADOPTED)
        await migrate(other)
        yield {"ours": database, "adopted": other}


def varied(make: Callable[..., Any], members: Mapping[str, Sequence[Any]]) -> list[Any]:
    """Return what *make* makes: each value of each member is in one of them."""
    columns = [[(name, value) for value in values] for name, values in members.items()]
    return [make(**dict(filter(None, row))) for row in zip_longest(*columns)]


def lines_of(items: Sequence[Any]) -> list[bytes]:
    return [record_line(number, item) for number, item in enumerate(items, start=FIRST)]


def sealed(lines: list[bytes]) -> Batch:
    return Assembly("here", SEALING).batch(b"".join(lines), Place(0, FIRST, None), 100_000)


async def rows_in(database: Database, table: Table) -> list[Sealed]:
    """Return the rows in the order of their places, then empty the table."""
    async with database.transaction() as transaction:
        found = [row async for rows in sealed_rows(transaction, table, None) for row in rows]
        await transaction.execute(f"DELETE FROM {table}")
    return sorted(found, key=lambda row: row.place or 0)


def assert_given_again(batch: Batch, rows: list[Sealed]) -> None:
    places = [SEALING.place(FIRST + number) for number in range(len(batch.leaves.hashes))]
    assert [(row.place, row.log) for row in rows] == [(place, SEALING.log) for place in places]
    assert leaf_hashes(row.data for row in rows) == batch.leaves.hashes


@some
@given(table=tables, members=of_records(plain))
async def test_copy_gives_each_leaf_again(databases, table, members):
    batch = sealed(lines_of(varied(a_record, members)))
    await Store(databases[table]).append(batch.records)

    rows = await rows_in(databases[table], Table.ENTRIES)
    assert_given_again(batch, rows)


@some
@given(table=tables, members=of_records(texts))
async def test_insert_gives_each_leaf_again(databases, table, members):
    # COPY takes no control characters.
    batch = sealed(lines_of([*varied(a_record, members), a_record(path="/\x01")]))
    await Store(databases[table]).append(batch.records)

    rows = await rows_in(databases[table], Table.ENTRIES)
    assert_given_again(batch, rows)


@some
@given(members=of_tool_calls)
async def test_tool_calls_give_their_leaves_again(databases, members):
    batch = sealed(lines_of(varied(a_tool_call, members)))
    await Store(databases["ours"]).append_invocations(batch.invocations)

    rows = await rows_in(databases["ours"], Table.TOOL_CALLS)
    assert_given_again(batch, rows)


@some
@given(members=of_gaps)
async def test_gaps_give_their_leaves_again(databases, members):
    written = varied(a_gap, members)
    batch = sealed([gap_line(number, gap) for number, gap in enumerate(written, start=FIRST)])
    await Store(databases["ours"]).append_gaps(batch.gaps)

    rows = await rows_in(databases["ours"], Table.GAPS)
    assert_given_again(batch, rows)


def a_gap(**values: Any) -> Gap:
    known = {"started_at": ARRIVAL, "ended_at": ARRIVAL, "count": 1, "reason": "x"}
    return Gap(**{"id": new_record_id(), **known, "instance": "here", **values})


class Quarantining:
    """The quarantine file of a journal."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def quarantine(self, line: bytes) -> Path:
        with self._path.open("ab") as file:
            file.write(line)
        return self._path


async def test_a_quarantined_item_is_replayed_into_its_place(databases, tmp_path):
    items = [a_record(), a_tool_call()]
    batch = sealed([*lines_of(items), gap_line(FIRST + 2, a_gap())])
    file = tmp_path / "records.ndjson"
    quarantine = Quarantine(Quarantining(file))
    refused: list[AnyItem] = [*batch.records, *batch.invocations, *batch.gaps]
    for item in refused:
        await quarantine.take(item, RecordRefusedError("for a test"))

    replayed = await replay_quarantined(file, Store(databases["ours"]))
    assert (replayed.written, replayed.refused, replayed.unreadable) == (3, 0, 0)
    rows = [row for table in Table for row in await rows_in(databases["ours"], table)]
    assert_given_again(batch, rows)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("is_call", [False, True])
async def test_each_leaf_of_one_id_is_given_by_the_row_or_by_a_note(databases, size, is_call):
    """A call that ended is found in its slot after a kill, and is recorded as interrupted too."""
    ended: Any = a_tool_call() if is_call else a_record()
    kept = {"status_code": 0, "outcome": (ToolOutcome if is_call else Outcome).INTERRUPTED}
    lines = lines_of([ended, msgspec.structs.replace(ended, **kept)])
    given, wanted = set(), []
    for start in range(0, 2, size):
        batch = Assembly("here", SEALING).batch(
            b"".join(lines[start : start + size]), Place(0, FIRST + start, None), 10
        )
        store = Store(databases["ours"])
        await store.append(batch.records)
        await store.append_invocations(batch.invocations)
        wanted += batch.leaves.hashes
        given |= {leaf_hash(note.data) for note in batch.leaves.notes}

    table = Table.TOOL_CALLS if is_call else Table.ENTRIES
    [row] = await rows_in(databases["ours"], table)
    assert row.place == SEALING.place(FIRST)
    assert {*given, leaf_hash(row.data)} >= set(wanted)
