"""What a sidecar seals: each line of its journal, and nothing that is not stored."""

import asyncio
import os
from collections import Counter
from functools import partial
from signal import SIGKILL

import msgspec
import pytest

from audit_log.record import RecordRow
from audit_log.seal.leaf import entry_leaves, quarantined_leaf
from audit_log.seal.tree import leaf_hash
from tests.neighbours.arrivals import arrived
from tests.neighbours.journal_files import empty, remove
from tests.neighbours.ops import degraded, metric_becomes, recovered
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port
from tests.neighbours.processes import recorder_of
from tests.neighbours.program import run
from tests.neighbours.sealed_trail import sealed_logs
from tests.neighbours.sidecar import serving_sidecar


async def the_log(database):
    [log] = await sealed_logs(database)
    return log


async def has_signed(database, size):
    """Say whether a checkpoint of so many leaves, or of more, is stored."""
    [row] = await database.fetch("SELECT max(size) AS size FROM mcp_audit_seal_checkpoint")
    return (row["size"] or 0) >= size


async def signed(database, size):
    await eventually(partial(has_signed, database, size))


def kinds(log):
    return Counter(data.split(b'"')[1].decode() for data in log.leaves)


async def test_each_call_and_start_and_stop_have_a_leaf(upstream, callers, database, database_url):
    async with serving_sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 300)
        await arrived(database, 300)
        await signed(database, 302)
        await metric_becomes(sidecar, 302, "seal_signed_leaves")

    log = await the_log(database)
    assert kinds(log) == {"entry": 300, "event": 2, "times": 1}
    assert [b'"start"' in log.leaves[0], b'"stop"' in log.leaves[-1]] == [True, True]
    assert (log.unsealed_rows, len(log.rows)) == ([], 300)


async def test_a_log_goes_on_after_a_stop(home, upstream, callers, database, database_url):
    for _ in range(3):
        async with home.sidecar(upstream.url, database_url) as sidecar:
            await callers.make(sidecar.port, 100)

    log = await the_log(database)
    assert kinds(log) == {"entry": 300, "event": 6, "times": 1}
    assert log.unsealed_rows == []
    assert [path.name for path in home.ring.iterdir()] == []


@pytest.mark.parametrize("has_mark", [True, False])
async def test_after_a_power_cut_no_place_is_used_again(
    has_mark, home, upstream, callers, database, database_url
):
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 50)
        await arrived(database, 50)
        await signed(database, 51)
        await callers.make(sidecar.port, 50)
        await sidecar.kill()
    empty(home.ring)  # What a power cut does to a tmpfs.
    if not has_mark:  # the disk did not take it
        (home.journal / "running").unlink()
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 10)

    log = await the_log(database)
    assert log.count("void") > 60_000
    gaps = await database.fetch("SELECT reason, seq FROM mcp_audit_gap")
    assert [gap["reason"] for gap in gaps] == ["head_lost"]
    # Of the last second before the cut some are stored, and nothing is known to have sealed them.
    assert len(log.rows) - len(log.unsealed_rows) >= 61
    places = sorted(log.rows)
    assert places[places.index(gaps[0]["seq"]) - 1] < 101


async def test_what_was_written_without_a_seal_is_said_to_be_unsealed(
    home, upstream, callers, database, database_url
):
    for is_on in ("no", "yes", "no", "yes"):
        async with home.sidecar(upstream.url, database_url, PROXY_SEAL=is_on) as sidecar:
            await callers.make(sidecar.port, 20)
            await arrived(database, len(callers.sent))
            if is_on == "no":
                await sidecar.kill()

    log = await the_log(database)
    assert log.first_line > 20
    assert kinds(log) == {"entry": 40, "event": 4, "unsealed": 20}
    assert (len(log.rows), log.unsealed_rows) == (40, [])


async def test_each_worker_has_a_log_and_they_share_a_key(
    home, upstream, callers, database, database_url
):
    workers = {"PROXY_WORKERS": "2", "PROXY_PORT": str(free_port())}
    async with home.sidecar(upstream.url, database_url, **workers) as supervisor:
        for _ in range(8):
            await callers.make(int(workers["PROXY_PORT"]), 10)
        await arrived(database, 80)
        assert supervisor.is_running

    logs = await sealed_logs(database)
    assert len(logs) == 2
    assert sum(log.count("entry") for log in logs) == 80
    keys = await database.fetch("SELECT DISTINCT right(key, 44) FROM mcp_audit_seal_log")
    assert len(keys) == 1


async def test_a_key_that_cannot_be_read_costs_no_record(
    home, upstream, callers, database, database_url, tmp_path
):
    key_file = tmp_path / "seal.key"
    key_file.write_text("no key")
    key = {"PROXY_SEAL_KEY_FILE": str(key_file)}
    async with home.sidecar(upstream.url, database_url, **key) as sidecar:
        await callers.make(sidecar.port, 10)
        await arrived(database, 10)
        await degraded(sidecar, "holds no key of Ed25519")
        key_file.unlink()  # and one is made
        await recovered(sidecar)
        await signed(database, 11)

    assert kinds(await the_log(database)) == {"entry": 10, "event": 2}


@pytest.mark.parametrize("lost", ["seal.state", "seal.key"])
async def test_a_log_that_cannot_go_on_is_followed_by_a_new_one(
    lost, home, upstream, callers, database, database_url
):
    for event in (None, "seal.state_lost" if lost == "seal.state" else "seal.key_changed"):
        async with home.sidecar(upstream.url, database_url) as sidecar:
            await callers.make(sidecar.port, 10)
            if event is not None:
                await sidecar.logged(event)
        (home.journal / lost).unlink()

    logs = await sealed_logs(database)
    assert [log.count("entry") for log in logs] == [10, 10]


async def test_nothing_is_signed_that_the_disk_does_not_have(
    home, upstream, callers, database, database_url
):
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 10)
        await signed(database, 11)
        state = home.journal / "seal.state"
        state.unlink()
        state.mkdir()  # no longer a file: each attempt fails
        await callers.make(sidecar.port, 10)
        await arrived(database, 20)
        await degraded(sidecar, "the seal signs nothing: the journal's disk")
        assert not await has_signed(database, 12)
        state.rmdir()
        await recovered(sidecar)
        await signed(database, 21)

    assert kinds(await the_log(database)) == {"entry": 20, "event": 2}


async def test_a_recorder_that_is_killed_goes_on_with_the_log(
    home, upstream, callers, database, database_url
):
    async with home.sidecar(upstream.url, database_url) as sidecar:
        for number in range(3):
            await callers.make(sidecar.port, 100)
            os.kill(await recorder_of(sidecar), SIGKILL)
            await arrived(database, 100 * (number + 1))
        remove(home.journal)
        await sidecar.logged("journal.folder_replaced")
        await callers.make(sidecar.port, 10)
        await signed(database, 312)

    assert kinds(await the_log(database)) == {"entry": 310, "event": 2, "times": 1}


async def test_a_record_that_the_store_refuses_leaves_its_hash_and_is_no_hole(
    home, upstream, callers, database, database_url
):
    await database.execute(
        "ALTER TABLE mcp_audit_log ADD CONSTRAINT odd CHECK (path NOT LIKE '%/hosts/7/')"
    )
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 20)
        await arrived(database, 19)
        await signed(database, 21)
    kept = (home.journal / "set_aside" / "records.ndjson").read_bytes()

    log = await the_log(database)
    assert kinds(log) == {"entry": 19, "quarantined": 1, "event": 2}
    [row] = [msgspec.json.decode(line)["record"] for line in kept.splitlines()]
    sealed = entry_leaves([msgspec.convert(row, RecordRow)])[0]
    [said] = [data for data in log.leaves if data.startswith(b'["quarantined"')]
    assert said == quarantined_leaf(leaf_hash(sealed))
    assert row["seq"] == log.leaves.index(said)


async def test_what_a_command_has_written_from_the_journal_has_its_place(
    home, upstream, callers, database, database_url
):
    async with home.sidecar(upstream.url) as sidecar:
        await callers.make(sidecar.port, 10)
    arguments = ("replay", str(home.journal), "--to", database_url)
    environment = {"PATH": os.environ["PATH"]}
    code, _, said = await asyncio.to_thread(
        run, "proxy.journal", *arguments, environment=environment, seconds=60
    )
    assert code == 0, said
    async with home.sidecar(upstream.url, database_url):
        await signed(database, 12)

    log = await the_log(database)
    assert kinds(log) == {"entry": 10, "event": 4}
    assert (len(log.rows), log.unsealed_rows) == (10, [])
