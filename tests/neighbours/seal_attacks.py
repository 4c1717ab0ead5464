"""Ways to tamper with sealed logs in the database, and what has to be found of each."""

from collections.abc import Awaitable, Callable, Iterable
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from audit_log.postgres.store import Store
from audit_log.record import Event, new_record_id
from audit_log.seal.keys import SignerKey
from audit_log.seal.leaf import event_leaf, quarantined_leaf
from audit_log.seal.stored import SealCheckpoint, SealNote
from audit_log.seal.tree import leaf_hash
from audit_log.verify.stored.stored_rows import Table, rows_at
from tests.neighbours.fleet import Fleet
from tests.neighbours.records import a_record
from tests.neighbours.sealed_logs import SealedLog

ROWS_OF_A_LOG: Final = ("mcp_audit_log", "mcp_tool_invocation", "mcp_audit_gap")
SEAL_OF_A_LOG: Final = tuple(
    f"mcp_audit_seal_{table}" for table in ("log", "checkpoint", "tile", "note")
)


@dataclass(frozen=True)
class Traces:
    """What has to be found of an attack."""

    log: SealedLog
    places: tuple[int, ...]
    kinds: frozenset[str]
    """Each place is covered by a finding of one of these kinds, and by no other."""
    status: int = 1


Attack = Callable[[Fleet], Awaitable[Traces]]
ATTACKS: Final[dict[str, Attack]] = {}


def attack(function: Attack) -> Attack:
    """Add *function* to the attacks."""
    ATTACKS[function.__name__] = function
    return function


def traces(log: SealedLog, places: Iterable[int], *kinds: str) -> Traces:
    return Traces(log, tuple(places), frozenset(kinds))


async def entry_at(fleet: Fleet, log: SealedLog, place: int) -> tuple[int, UUID]:
    """Return the first place from *place* on of an entry with all values, and its id."""
    [[seq, id_]] = await fleet.database.fetch(
        "SELECT seq, id FROM mcp_audit_log WHERE log = $1 AND seq >= $2 AND tool IS NOT NULL"
        " ORDER BY seq LIMIT 1",
        log.log,
        place,
    )
    return seq, id_


async def middle(fleet: Fleet, log: SealedLog) -> tuple[int, UUID]:
    """Return place and id of an entry in the middle of a full tile."""
    return await entry_at(fleet, log, log.size // 512 * 256 + 44)


async def delete(fleet: Fleet, log: SealedLog, condition: str) -> list[int]:
    """Delete the entries of *log* that meet *condition*; return their places."""
    rows = await fleet.database.fetch(
        f"DELETE FROM mcp_audit_log WHERE log = $1 AND {condition} RETURNING seq", log.log
    )
    return sorted(row[0] for row in rows)


@attack
async def one_row_is_deleted(fleet: Fleet) -> Traces:
    log = fleet.logs[1]
    place, _ = await middle(fleet, log)
    return traces(log, await delete(fleet, log, f"seq = {place}"), "deleted")


_NEWEST: Final = "(SELECT max(seq) FROM mcp_audit_log WHERE log = $1)"


@attack
async def the_newest_row_is_deleted(fleet: Fleet) -> Traces:
    log = fleet.logs[2]
    return traces(log, await delete(fleet, log, f"seq = {_NEWEST}"), "deleted", "not_proved")


@attack
async def the_newest_500_rows_are_deleted(fleet: Fleet) -> Traces:
    log = fleet.logs[2]
    gone = await delete(fleet, log, f"seq > {_NEWEST} - 500")
    return traces(log, gone, "deleted", "not_proved")


@attack
async def all_rows_are_deleted(fleet: Fleet) -> Traces:
    log = fleet.logs[2]
    return traces(log, await delete(fleet, log, "true"), "deleted", "not_proved")


@attack
async def all_that_there_is_of_a_log_is_deleted(fleet: Fleet) -> Traces:
    log = fleet.logs[2]
    await remove(fleet, log)
    return traces(log, (0, log.size // 2, log.size - 1), "rolled_back")


async def remove(fleet: Fleet, log: SealedLog) -> None:
    for table in ROWS_OF_A_LOG + SEAL_OF_A_LOG:
        await fleet.database.execute(f"DELETE FROM {table} WHERE log = $1", log.log)


@attack
async def a_row_is_forged_at_a_place_that_is_taken(fleet: Fleet) -> Traces:
    log = fleet.logs[0]
    place, _ = await middle(fleet, log)
    await forge(fleet, log, place)
    return traces(log, [place], "taken_twice")


@attack
async def a_row_is_forged_at_the_place_of_a_note(fleet: Fleet) -> Traces:
    log = fleet.logs[0]
    await forge(fleet, log, 255)
    return traces(log, [255], "altered", "note_altered")


@attack
async def a_row_is_forged_at_a_place_in_the_open_tile(fleet: Fleet) -> Traces:
    log = fleet.logs[0]
    place, _ = await entry_at(fleet, log, log.size - 40)
    await forge(fleet, log, place)
    return traces(log, [place], "taken_twice")


@attack
async def a_row_is_forged_far_behind_the_log(fleet: Fleet) -> Traces:
    log = fleet.logs[0]
    await forge(fleet, log, 1 << 40)
    return traces(log, [1 << 40], "inserted")


async def forge(fleet: Fleet, log: SealedLog, place: int | None) -> UUID:
    made = log.now - timedelta(seconds=20)
    of = {} if place is None else {"log": log.log, "seq": place}
    forged = a_record(instance=log.instance, created_at=made, **of)
    await Store(fleet.database).append([forged])
    return forged.id


@attack
async def two_places_are_swapped(fleet: Fleet) -> Traces:
    log = fleet.logs[0]
    first = await middle(fleet, log)
    second = await entry_at(fleet, log, 20)
    await swap(fleet, first, second)
    return traces(log, (first[0], second[0]), "swapped")


@attack
async def two_places_are_swapped_in_the_open_tile(fleet: Fleet) -> Traces:
    log = fleet.logs[0]
    first = await entry_at(fleet, log, log.size - 30)
    second = await entry_at(fleet, log, first[0] + 1)
    await swap(fleet, first, second)
    return traces(log, (first[0], second[0]), "altered")


async def swap(fleet: Fleet, one: tuple[int, UUID], other: tuple[int, UUID]) -> None:
    for id_, place in ((one[1], -1), (other[1], one[0]), (one[1], other[0])):
        await fleet.database.execute("UPDATE mcp_audit_log SET seq = $2 WHERE id = $1", id_, place)


@attack
async def a_row_and_its_stored_hash_are_rewritten(fleet: Fleet) -> Traces:
    log = fleet.logs[0]
    place, id_ = await middle(fleet, log)
    await fleet.database.execute("UPDATE mcp_audit_log SET method = 'PUT' WHERE id = $1", id_)
    altered = await leaf_data_at(fleet, log, place)
    await fleet.database.execute(
        "UPDATE mcp_audit_seal_tile SET hashes = overlay(hashes PLACING $3 FROM $4)"
        " WHERE log = $1 AND level = 0 AND number = $2",
        log.log,
        place // 256,
        leaf_hash(altered),
        place % 256 * 32 + 1,
    )
    return traces(log, [place], "altered", "tile_altered")


@attack
async def a_whole_tile_is_replaced(fleet: Fleet) -> Traces:
    log = fleet.logs[0]
    await fleet.database.execute(
        "UPDATE mcp_audit_seal_tile SET hashes = (SELECT hashes FROM mcp_audit_seal_tile"
        " WHERE log = $1 AND number = 2 AND level = 0 AND length(hashes) = 8192)"
        " WHERE log = $1 AND number = 1 AND level = 0",
        log.log,
    )
    return traces(log, (256, 400, 511), "tile_altered")


@attack
async def a_note_is_altered(fleet: Fleet) -> Traces:
    log = fleet.logs[0]
    await fleet.database.execute(
        "UPDATE mcp_audit_seal_note SET data = replace(data, 'postgres', 'nats')"
        " WHERE log = $1 AND seq = 0",
        log.log,
    )
    return traces(log, [0], "note_altered")


@attack
async def a_row_is_said_to_be_void(fleet: Fleet) -> Traces:
    log = fleet.logs[0]
    place, _ = await middle(fleet, log)
    await delete(fleet, log, f"seq = {place}")
    await Store(fleet.database).append_sealed([SealNote(log.log, place, 1, '["void"]')])
    return traces(log, [place], "note_altered")


@attack
async def an_altered_row_is_said_to_be_a_quarantined_one(fleet: Fleet) -> Traces:
    """Notes give what was sealed, and say of the row that it was refused and replayed."""
    log = fleet.logs[0]
    place, id_ = await middle(fleet, log)
    said = [await leaf_data_at(fleet, log, place)]
    await fleet.database.execute("UPDATE mcp_audit_log SET method = 'PUT' WHERE id = $1", id_)
    said.append(await leaf_data_at(fleet, log, place))
    said.append(quarantined_leaf(leaf_hash(said[1])))
    notes = [SealNote(log.log, place, 1, data.decode()) for data in said]
    await Store(fleet.database).append_sealed(notes)
    return traces(log, [place], "altered")


async def leaf_data_at(fleet: Fleet, log: SealedLog, place: int) -> bytes:
    """Return the leaf data of the entry at *place*, as it is now."""
    async with fleet.database.transaction() as transaction:
        [sealed] = await rows_at(transaction, Table.ENTRIES, log.log, [place])
    return sealed.data


@attack
async def a_checkpoint_is_of_another_key(fleet: Fleet) -> Traces:
    log = fleet.logs[0]
    note = str(log.signed(SignerKey.new(log.origin)))
    await Store(fleet.database).append_sealed([SealCheckpoint(log.log, log.size, note)])
    return traces(log, [], "checkpoint_of_another_key")


@attack
async def a_log_signs_two_trees_of_one_size(fleet: Fleet) -> Traces:
    log = fleet.logs[0]
    one, other = copy(log), copy(log)
    one.tree, other.tree = log.tree.copy(), log.tree.copy()
    one.tree.append([leaf_hash(b"one")])
    other.tree.append([leaf_hash(b"another")])
    notes = [SealCheckpoint(log.log, one.size, str(signed.signed())) for signed in (one, other)]
    await Store(fleet.database).append_sealed(notes)
    return traces(log, [0], "forked", "deleted", "not_proved")


@attack
async def the_history_is_written_anew_with_the_stolen_key(fleet: Fleet) -> Traces:
    """Rows, tiles and checkpoints of the database agree; only the anchor has the old history."""
    log = fleet.logs[0]
    await remove(fleet, log)
    another = SealedLog(log.instance, begun=log.now - timedelta(hours=1))
    another.take_over(log)
    another.many(log.size + 300)
    another.checkpoint()
    await another.store(fleet.database)
    return traces(log, [0, log.size - 1], "forked")


@attack
async def the_database_is_put_back_to_an_older_state(fleet: Fleet) -> Traces:
    log = fleet.logs[0]
    size = log.size * 3 // 4
    for table in (*ROWS_OF_A_LOG, "mcp_audit_seal_note"):
        await fleet.database.execute(
            f"DELETE FROM {table} WHERE log = $1 AND seq >= $2", log.log, size
        )
    await fleet.database.execute(
        "DELETE FROM mcp_audit_seal_tile WHERE log = $1"
        " AND (number + 1) * 256::bigint ^ (level + 1) > $2",
        log.log,
        size,
    )
    await fleet.database.execute(
        "DELETE FROM mcp_audit_seal_checkpoint WHERE log = $1 AND size > $2", log.log, size
    )
    return traces(log, (size, log.size - 1), "rolled_back")


def columns() -> dict[str, Any]:
    """Return SQL for another value of each sealed column of an entry."""
    return {
        "created_at": "created_at - interval '1 second'",
        "method": "'PUT'",
        "path": "path || '/'",
        "status_code": "status_code + 1",
        "outcome": "'refused'",
        "instance": "instance || '2'",
        "token_id": "gen_random_uuid()",
        "token_name": "'somebody else'",
        "duration_ms": "duration_ms + 1",
        "client_ip": "'10.9.9.9'",
        "user_agent": "user_agent || ' '",
        "tool": "NULL",
        "invocation_id": "gen_random_uuid()",
        "attribution": "'inferred'",
        "request_id": "upper(request_id)",
        "id": "gen_random_uuid()",
    }


@attack
async def each_column_is_changed_in_some_row(fleet: Fleet) -> Traces:
    log = fleet.logs[1]
    places = []
    step = (log.size - 100) // len(columns())
    for number, (column, value) in enumerate(columns().items()):
        place, id_ = await entry_at(fleet, log, 20 + step * number)
        await fleet.database.execute(
            f"UPDATE mcp_audit_log SET {column} = {value} WHERE id = $1", id_
        )
        places.append(place)
    return traces(log, places, "altered")


@attack
async def a_row_is_altered_without_a_place_beside_a_note_of_what_was_sealed(
    fleet: Fleet,
) -> Traces:
    """The row keeps its id, and says that no sealed sidecar has written it."""
    log = fleet.logs[0]
    place, id_ = await middle(fleet, log)
    await note_what_is_at(fleet, log, place)
    await fleet.database.execute(
        "UPDATE mcp_audit_log SET log = NULL, seq = NULL, instance = '', method = 'PUT'"
        " WHERE id = $1",
        id_,
    )
    return traces(log, [place], "deleted")


async def note_what_is_at(fleet: Fleet, log: SealedLog, place: int) -> None:
    """Store a note of the entry at *place*, as a sidecar does where a row may differ."""
    said = (await leaf_data_at(fleet, log, place)).decode()
    await Store(fleet.database).append_sealed([SealNote(log.log, place, 1, said)])


@attack
async def an_older_state_is_said_to_wait_for_nats(fleet: Fleet) -> Traces:
    found = await the_database_is_put_back_to_an_older_state(fleet)
    log, (size, _) = found.log, found.places
    said = Event(id=new_record_id(), at=datetime.now(UTC), name="start", details={"sink": "nats"})
    note = SealNote(log.log, size, 1, event_leaf(said).decode())
    await Store(fleet.database).append_sealed([note])
    return traces(log, (size + 1, log.size - 1), "rolled_back", "note_altered")
