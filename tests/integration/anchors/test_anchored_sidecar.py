"""A sidecar with anchors: what it publishes is anchored, and an anchor that is away is told."""

from audit_log.process.sealing.key_file import read_or_make_key
from audit_log.seal.checkpoint import Checkpoint
from audit_log.seal.cosignature import cosignatures
from audit_log.seal.keys import VerifierKey
from audit_log.seal.note import Note, parse_signatures
from tests.neighbours.arrivals import arrived
from tests.neighbours.certificates import LOOPBACK, self_signed
from tests.neighbours.ops import degraded, metric
from tests.neighbours.patience import eventually
from tests.neighbours.receiver import receiving
from tests.neighbours.sealed_trail import sealed_logs
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.witness import witness_of


async def receipts_of(database, anchor):
    return await database.fetch(
        "SELECT size, receipt FROM mcp_audit_seal_anchor WHERE anchor LIKE $1 ORDER BY size",
        f"{anchor}%",
    )


async def anchored(database, sidecar, anchor, size):
    async def look():
        return [row for row in await receipts_of(database, anchor) if row["size"] >= size]

    return (await eventually(look, sidecar.report))[-1]


async def test_checkpoints_come_to_all_anchors_and_their_receipts_into_the_store(
    tmp_path, upstream, callers, database, database_url
):
    key = read_or_make_key(tmp_path / "seal.key")
    trusted = str(key.named("podwarden-audit/sidecar/*").verifier)
    async with witness_of(tmp_path / "witness", trusted) as witness:
        await witness.opened()
        urls = f"{(tmp_path / 'volume').as_uri()}#every=0.1 {witness.anchor}"
        settings = {"seal_key_file": tmp_path / "seal.key"}
        async with serving_sidecar(
            upstream.url, database_url, seal_anchors=urls, **settings
        ) as sidecar:
            for calls in (300, 600):
                await callers.make(sidecar.port, 300)
                await arrived(database, calls)
                await anchored(database, sidecar, "file://", calls)
                cosigned = await anchored(database, sidecar, "witness", calls)
            name = f"file://{tmp_path / 'volume'}"
            assert await metric(sidecar, "seal_anchor_lag_seconds", anchor=name) < 5
            assert await metric(sidecar, "seal_anchor_every_seconds", anchor=name) == 0.1

    [log] = await sealed_logs(database)
    [file] = (tmp_path / "volume").glob("*.checkpoint")
    newest = Checkpoint.parse(Note.parse(file.read_text()).text)
    assert newest.size == len(log.leaves), "the last one of the stop, too"
    [stored, *_] = await database.fetch(
        "SELECT note FROM mcp_audit_seal_checkpoint WHERE size = $1", cosigned["size"]
    )
    note = Note(Note.parse(stored["note"]).text, parse_signatures(cosigned["receipt"]))
    assert len(cosignatures(note, [VerifierKey.parse(witness.vkey)])) == 1


async def test_an_anchor_that_refuses_makes_a_sidecar_degraded(
    tmp_path, upstream, callers, database, database_url
):
    tls, authority = self_signed(LOOPBACK, tmp_path)
    async with receiving(tls) as receiver:
        receiver.statuses[0] = 403
        urls = f"{receiver.url}#ca={authority}"
        async with serving_sidecar(upstream.url, database_url, seal_anchors=urls) as sidecar:
            await callers.make(sidecar.port, 1)
            await degraded(sidecar, "refuses a checkpoint: it responded 403")
            labels = {"anchor": receiver.url.removesuffix("/hook"), "fate": "failed"}
            assert await metric(sidecar, "seal_anchor_attempts_total", **labels) >= 1


async def test_without_anchors_a_sidecar_says_what_that_does_not_protect_from(upstream):
    async with serving_sidecar(upstream.url) as sidecar:
        assert "rewrite both" in next(
            event["reason"]
            for event in sidecar.log
            if event["event"] == "seal.anchored_beside_the_journal"
        )
