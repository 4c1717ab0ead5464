"""`verify` on what real sidecars have sealed."""

import pytest

from tests.neighbours.arrivals import arrived
from tests.neighbours.fleet import Fleet
from tests.neighbours.journal_files import empty


@pytest.fixture
def fleet(database, database_url, tmp_path, capsys):
    return Fleet(database_url, database, [], tmp_path / "policy", tmp_path / "anchor", capsys)


async def test_what_a_sidecar_has_sealed_is_genuine_until_it_is_changed(
    home, upstream, callers, database_url, fleet, tmp_path
):
    since = ["--since", str(tmp_path / "since")]
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 300)
        await arrived(fleet.database, 300)
        await fleet.has_signed(302)
        await fleet.trust()
        running = await fleet.verify(*since)
    stopped = await fleet.verify(*since)
    await fleet.keep_newest()
    anchored = await fleet.verify("--silent-minutes", "1")
    await fleet.database.execute("UPDATE mcp_audit_log SET status_code = 418 WHERE seq = 77")
    changed = await fleet.verify()

    assert [found.findings for found in (running, stopped, anchored)] == [[], [], []]
    assert stopped.remarks == {"not_anchored_yet": 1}
    assert stopped.told["logs"][0]["rows"] == 0
    assert anchored.told["logs"][0]["rows"] == 300
    assert (changed.status, changed.kinds) == (1, {"altered"})
    assert changed.findings[0]["first"] <= 77 <= changed.findings[0]["last"]


async def test_after_a_power_cut_and_without_the_seal_for_a_while_it_is_genuine(
    home, upstream, callers, database_url, fleet
):
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 50)
        await arrived(fleet.database, 50)
        await fleet.has_signed(51)
        await callers.make(sidecar.port, 50)
        await sidecar.kill()
    empty(home.ring)  # What a power cut does to a tmpfs.
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 10)
    async with home.sidecar(upstream.url, database_url, PROXY_SEAL="no") as sidecar:
        await callers.make(sidecar.port, 20)
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 10)
    await fleet.trust()

    found = await fleet.verify()

    assert (found.status, found.findings) == (0, [])
    assert found.remarks["void"] > 60_000
    assert found.remarks["unsealed"] == found.remarks["while_unsealed"] == 20


async def test_logs_that_share_a_key_need_one_line_in_the_policy(
    home, upstream, callers, database_url, fleet
):
    async with home.sidecar(upstream.url, database_url, PROXY_INSTANCE="one/0") as sidecar:
        await callers.make(sidecar.port, 20)
    for file in home.journal.glob("seal.state*"):
        file.unlink()
    async with home.sidecar(upstream.url, database_url, PROXY_INSTANCE="one/0") as sidecar:
        await callers.make(sidecar.port, 20)
    await fleet.trust()

    found = await fleet.verify()

    assert (found.status, found.findings) == (0, [])
    assert len(found.told["logs"]) == 2
    assert {log["instance"] for log in found.told["logs"]} == {"one/0"}
