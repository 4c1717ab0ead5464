"""The seal in the details of a call: what is proven, what is not, and the proof as a file."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect

from audit_log.seal.policy import Log, Policy
from audit_log.seal.tlog_proof import TlogProof
from tests.browser.activity import Activity
from tests.browser.test_page_for_everyone import complaints_of_axe
from tests.browser.trails import a_call
from tests.neighbours.sealed_logs import SealedLog

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANCHOR = """
INSERT INTO mcp_audit_seal_anchor (log, size, anchor, receipt, anchored_at)
VALUES ($1, $2, $3, 'there', $4)
"""


async def test_the_details_tell_of_the_seal_and_lead_to_the_proof(activity: Activity) -> None:
    log = SealedLog(begun=datetime.now(UTC) - timedelta(minutes=2))
    entry, call = log.full_entry(), log.tool_call()
    log.checkpoint()
    await log.store(activity.database)
    since = datetime.now(UTC) - timedelta(seconds=65)
    await activity.database.execute(ANCHOR, log.log, log.size, "folder\u202e", since)
    later = since + timedelta(seconds=1)
    await activity.database.execute(ANCHOR, log.log, log.size, "witness", later)

    page = await activity.open(f"?entry={entry.id}")
    seal = page.locator("#details .detail-seal")
    await expect(seal).to_contain_text(
        "Sealed, anchored 1 min ago by folder\\u202e, and by 1 more"
    )
    assert await complaints_of_axe(page) == []
    async with page.expect_download() as downloading:
        await seal.get_by_role("link", name="Download its proof").click()
    download = await downloading.value
    assert download.suggested_filename == f"entry-{entry.id}.tlog-proof"
    proof = TlogProof.parse(await asyncio.to_thread(Path(await download.path()).read_bytes))
    assert proof.extra is not None
    assert proof.verify(proof.extra, Policy((Log(log.key.verifier),))).checkpoint.size == log.size

    await page.goto(f"{activity.url}?show=tools&entry={call.id}")
    await expect(seal).to_contain_text("Sealed, anchored")


async def test_the_details_say_so_where_a_call_is_not_sealed_or_was_altered(
    activity: Activity,
) -> None:
    log = SealedLog(begun=datetime.now(UTC) - timedelta(minutes=2))
    entry = log.full_entry()
    log.checkpoint()
    late, plain = log.full_entry(), a_call(path="/plain")
    await log.store(activity.database)
    await activity.store.append([plain])

    page = await activity.open(f"?entry={plain.id}")
    seal = page.locator("#details .detail-seal")
    await expect(seal).to_have_text("Not sealed")
    await page.goto(f"{activity.url}?entry={late.id}")
    await expect(seal).to_contain_text("Not sealed yet")
    log.checkpoint()
    await log.store(activity.database)
    await expect(seal).to_contain_text("Sealed, not anchored yet")
    await activity.database.execute(
        "UPDATE mcp_audit_log SET path = '/altered' WHERE id = $1", entry.id
    )
    await page.goto(f"{activity.url}?entry={entry.id}")
    await expect(seal.get_by_role("alert")).to_contain_text("is not what was sealed")
    assert await complaints_of_axe(page) == []


async def test_the_details_say_of_what_was_replayed_that_it_was_refused_at_first(
    activity: Activity,
) -> None:
    log = SealedLog(begun=datetime.now(UTC) - timedelta(minutes=2))
    refused = log.quarantine()
    log.checkpoint()
    await log.store(activity.database)
    await activity.store.append([refused])

    page = await activity.open(f"?entry={refused.id}")
    seal = page.locator("#details .detail-seal")
    await expect(seal).to_contain_text("Sealed, not anchored yet")
    await expect(seal).to_contain_text("PostgreSQL refused it at first: its leaf is quarantined")
    assert await seal.evaluate("part => part.scrollWidth <= part.clientWidth")
    await expect(seal.get_by_role("link", name="Download its proof")).to_be_visible()
    assert await complaints_of_axe(page) == []
