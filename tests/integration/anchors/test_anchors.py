"""Anchors with real receivers: a folder, an https endpoint; and what happens while one is away."""

import asyncio
import os
import shutil
import stat
from contextlib import suppress

from tests.neighbours.anchoring import anchoring
from tests.neighbours.certificates import LOOPBACK, self_signed
from tests.neighbours.ports import free_port
from tests.neighbours.receiver import receiving
from tests.neighbours.sealed_log import SealedLog

LOG = SealedLog()
QUICK = "every=0.01"


async def test_a_folder_has_the_newest_checkpoint_and_one_of_each_hour(tmp_path):
    folder = tmp_path / "other volume"
    async with anchoring(f"{folder.as_uri()}#{QUICK}") as running:
        receipt = await running.receipt_of(LOG.offer(3))
        assert receipt.size == 3
        await running.receipt_of(LOG.offer(9))

    newest = folder / "podwarden-audit_edge_0123456789abcdef.checkpoint"
    history = newest.with_suffix(".history")
    assert receipt.receipt == str(newest)
    assert newest.read_text() == str(LOG.offer(9).note)
    assert history.read_text() == f"{LOG.offer(3).note}\n"
    assert sorted(folder.iterdir()) == [newest, history], "no file is left beside them"

    an_hour_ago = history.stat().st_mtime - 3600
    os.utime(history, (an_hour_ago, an_hour_ago))
    async with anchoring(f"{folder.as_uri()}#{QUICK}") as running:
        await running.receipt_of(LOG.offer(10))
    assert history.read_text() == f"{LOG.offer(3).note}\n{LOG.offer(10).note}\n"


async def test_without_a_setting_the_journal_folder_has_them(tmp_path):
    async with anchoring(None, tmp_path) as running:
        receipt = await running.receipt_of(LOG.offer(1))
    assert receipt.receipt.startswith(str(tmp_path / "anchors"))


async def test_a_folder_tells_a_log_that_went_back_or_was_forked(tmp_path):
    url = f"{tmp_path.as_uri()}#{QUICK}"
    async with anchoring(url) as running:
        await running.receipt_of(LOG.offer(9))
    async with anchoring(url) as running:
        running.anchors.offer(LOG.offer(8))
        assert "has a checkpoint of 9 leaves, and the log now has 8" in await running.problem()
    async with anchoring(url) as running:
        running.anchors.offer(SealedLog(fork="other").offer(9))
        assert "a fork" in await running.problem()
    [file] = tmp_path.glob("*.checkpoint")
    assert file.read_text() == str(LOG.offer(9).note)


async def test_a_folder_with_a_damaged_checkpoint_gets_a_new_one(tmp_path):
    async with anchoring(f"{tmp_path.as_uri()}#{QUICK}") as running:
        await running.receipt_of(LOG.offer(1))
        [file] = tmp_path.glob("*.checkpoint")
        file.write_text("torn")
        await running.receipt_of(LOG.offer(2))
    assert file.read_text() == str(LOG.offer(2).note)


async def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    async with anchoring((tmp_path / "file" / "folder").as_uri()) as running:
        running.anchors.offer(LOG.offer(1))
        assert "cannot be written: Not a directory" in await running.reason()


async def test_a_folder_is_made_again_and_a_place_that_is_not_mounted_is_not(tmp_path):
    folder = tmp_path / "volume" / "anchors"
    async with anchoring(f"{folder.as_uri()}#{QUICK}") as running:
        running.anchors.offer(LOG.offer(1))
        assert "cannot be written: No such file or directory" in await running.reason()
        folder.parent.mkdir()
        assert (await running.receipt()).size == 1
        shutil.rmtree(folder)
        assert (await running.receipt_of(LOG.offer(2))).size == 2


async def test_what_is_kept_in_a_folder_can_be_read_by_an_auditor(tmp_path):
    async with anchoring(tmp_path.as_uri()) as running:
        await running.receipt_of(LOG.offer(1))
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o644 & ~_umask()


async def test_an_https_endpoint_gets_the_signed_note_and_the_password(tmp_path):
    tls, authority = self_signed(LOOPBACK, tmp_path)
    async with receiving(tls) as receiver:
        place = receiver.url.replace("https://", "https://sidecar:pass%20word@")
        async with anchoring(f"{place}?box=7#ca={authority}&{QUICK}") as running:
            receipt = await running.receipt_of(LOG.offer(5))

    [sent] = receiver.sent
    assert sent.body == str(LOG.offer(5).note).encode()
    assert sent.fields["Content-Type"] == "text/plain; charset=utf-8"
    assert sent.fields["Authorization"] == "Basic c2lkZWNhcjpwYXNzIHdvcmQ="
    assert (receipt.log, receipt.size, receipt.receipt) == (7, 5, "/elsewhere")
    assert "pass" not in receipt.anchor


async def test_an_https_endpoint_that_nobody_vouches_for_gets_nothing(tmp_path):
    tls, _ = self_signed(LOOPBACK, tmp_path)
    async with receiving(tls) as receiver, anchoring(receiver.url) as running:
        running.anchors.offer(LOG.offer(5))
        assert "self-signed certificate" in await running.reason()
    assert receiver.sent == []


async def test_certificates_that_cannot_be_read_are_named(tmp_path):
    url = f"https://127.0.0.1:{free_port()}#ca={tmp_path}/none.pem"
    async with anchoring(url) as running:
        running.anchors.offer(LOG.offer(5))
        assert f"{tmp_path}/none.pem cannot be read" in await running.reason()


async def test_a_status_that_refuses_is_told_at_once(tmp_path):
    tls, authority = self_signed(LOOPBACK, tmp_path)
    async with receiving(tls) as receiver:
        receiver.statuses[0] = 302
        async with anchoring(f"{receiver.url}#ca={authority}") as running:
            running.anchors.offer(LOG.offer(5))
            assert "refuses a checkpoint: it responded 302" in await running.problem()
    assert len(receiver.sent) == 1, "a redirect is not followed"


async def test_an_anchor_that_is_away_gets_the_newest_when_it_is_back(tmp_path):
    tls, authority = self_signed(LOOPBACK, tmp_path)
    async with receiving(tls) as receiver:
        receiver.statuses.extendleft([503, 503])
        async with anchoring(f"{receiver.url}#ca={authority}&{QUICK}") as running:
            [task] = running.anchors.tasks
            running.anchors.offer(LOG.offer(1))
            assert await running.reason() == "it responded 503"
            for size in range(2, 6):
                running.anchors.offer(LOG.offer(size))
            assert task.lag_seconds > 0
            assert running.anchors.problem is None, "a short absence is no problem"

            receipt = await running.receipt()

            assert (receipt.size, task.lag_seconds, task.reason) == (5, 0, None)
            assert (task.anchored, task.failed) == (1, 2)
    bodies = [sent.body for sent in receiver.sent]
    assert bodies[-1] == str(LOG.offer(5).note).encode()
    assert len(bodies) == 3, "those between were replaced"


async def test_an_anchor_that_never_responds_holds_up_no_other(tmp_path):
    tls, authority = self_signed(LOOPBACK, tmp_path)
    async with receiving(tls) as receiver:
        receiver.responding.clear()
        urls = f"{receiver.url}#ca={authority} {(tmp_path / 'a').as_uri()}#{QUICK}"
        async with anchoring(urls) as running:
            for size in (1, 2):
                receipt = await running.receipt_of(LOG.offer(size))
                assert (receipt.size, receipt.anchor[:4]) == (size, "file")


async def test_each_log_of_a_sidecar_is_anchored(tmp_path):
    other = SealedLog("podwarden-audit/edge/fedcba9876543210")
    async with anchoring(f"{tmp_path.as_uri()}#every=60") as running:
        await running.receipt_of(LOG.offer(1))
        assert (await running.receipt_of(other.offer(4))).size == 4
    assert len(list(tmp_path.glob("*.checkpoint"))) == 2


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


async def test_an_end_in_haste_leaves_no_checkpoint_behind(tmp_path):
    async def run() -> None:
        async with anchoring(f"{tmp_path.as_uri()}#every=3600") as running:
            await running.receipt_of(LOG.offer(3))
            running.anchors.offer(LOG.offer(9))
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    while not list(tmp_path.glob("*.checkpoint")):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

    [file] = tmp_path.glob("*.checkpoint")
    assert file.read_text() == str(LOG.offer(9).note)
