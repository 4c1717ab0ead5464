"""An evidence bundle, checked as a stranger does: unpacked, and without any package of ours."""

import asyncio
import gzip
import json
import random
import sys
import tarfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audit_log.seal.checkpoint import Checkpoint, sign_checkpoint
from audit_log.seal.cosignature import cosign
from audit_log.seal.keys import COSIGNATURE, SignerKey
from audit_log.seal.note import Note
from audit_log.seal.policy_file import parse_policy
from tests.neighbours.archives import unpacked
from tests.neighbours.audit_api import ALL, asking_as_admin, record
from tests.neighbours.sealed_logs import SealedLog

EVIDENCE = f"{ALL}/evidence"
ANCHOR = """
INSERT INTO mcp_audit_seal_anchor (log, size, anchor, receipt, anchored_at)
VALUES ($1, $2, $3, $4, now())
"""


@pytest.fixture
async def api(database, database_url):
    async with asking_as_admin(database, database_url) as client:
        yield client


async def bundle(api, home: Path, **question: str) -> Path:
    """Return the folder of a bundle that is unpacked in *home*."""
    async with api.get(EVIDENCE, params=question) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "application/gzip"
        data = await response.read()
    await asyncio.to_thread(unpacked, gzip.decompress(data), home)
    with tarfile.open(fileobj=BytesIO(data)) as tar:
        [name] = {member.name.partition("/")[0] for member in tar}
    return home / name


async def checked(folder: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run the check that is in the bundle, with the standard library alone."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "check.py", *arguments),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in said, said.decode()
    return process.returncode, [json.loads(line) for line in out.splitlines()], said.decode()


async def test_a_stranger_checks_all_that_matches(api, database, store, tmp_path):
    random.seed(2)
    logs = [SealedLog("sidecar-1"), SealedLog("sidecar-2")]
    for log in logs:
        log.many(600)
    unnamed = logs[0].entry(token_hash="ab" * 32, token_name=None)
    calls = [*logs[0].invocations, *logs[1].invocations]
    entries = {str(one.id): one for log in logs for one in log.records}
    gaps = sum(len(log.gaps) for log in logs)
    for log in logs:
        log.checkpoint()
        await log.store(database)
    await database.execute("UPDATE mcp_audit_log SET token_name = 'x' WHERE id = $1", unnamed.id)
    logs[0].full_entry()  # no checkpoint covers it yet
    await store.append([record(instance="sidecar-1")])
    await logs[0].store(database)

    folder = await bundle(api, tmp_path)
    keys = [log.vkey for log in logs]
    status, told, said = await checked(folder, "--print", *keys)
    assert status == 0, said
    assert f"{len(entries) + len(calls) + gaps} rows: verified" in said
    assert "1 row: not sealed" in said
    assert "1 row: newer than the checkpoint" in said
    by_id = {one["id"]: one for one in told}
    assert len(by_id) == len(entries) + len(calls) + gaps
    for id_, entry in entries.items():
        one = by_id[id_]
        assert (one["path"], one["status_code"]) == (entry.path, entry.status_code)
        assert one["duration_ms"] == pytest.approx(entry.duration_ms)
    assert by_id[str(unnamed.id)]["token_name"] == "x"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["rows"] == {
        "entries": len(entries) + 2,
        "tool_calls": len(calls),
        "gaps": gaps,
    }
    assert manifest["without_proof"] == {"entries": 2, "tool_calls": 0, "gaps": 0}
    assert (await checked(folder))[0] == 0


async def test_a_row_that_was_refused_at_first_and_named_later_is_verified(
    api, database, store, tmp_path
):
    log = SealedLog()
    log.many(20)
    refused = record(token_name=None, token_hash="cd" * 32, log=log.log, seq=log.size)
    log.note_refused(refused)
    log.quarantine(refused)
    log.checkpoint()
    await log.store(database)
    await store.append([msgspec.structs.replace(refused, token_name="laptop", token_hash=None)])

    status, told, said = await checked(await bundle(api, tmp_path), "--print", log.vkey)

    assert (status, "21 rows: verified" in said) == (0, True), said
    [name] = [one["token_name"] for one in told if one["id"] == str(refused.id)]
    assert name == "laptop"


async def test_a_question_gets_its_rows_with_the_tiles_that_prove_them(api, database, tmp_path):
    log = SealedLog(begun=datetime(2026, 5, 1, tzinfo=UTC))
    log.many(300)
    early = log.now
    log.now += timedelta(days=1)
    mine = [log.entry(token_name="laptop", path="/api/v1/mine") for _ in range(3)]
    log.tool_call(token_name="laptop")
    log.tool_call(token_name="other")
    until = log.now
    log.many(900)
    log.checkpoint()
    await log.store(database)

    since = early + timedelta(hours=1)
    question = {"token_name": "laptop", "since": since.isoformat(), "until": until.isoformat()}
    folder = await bundle(api, tmp_path, **question)
    status, told, said = await checked(folder, "--print", log.vkey)
    assert status == 0, said
    assert [one["kind"] for one in told] == ["entry"] * 3 + ["tool_call"]
    assert {one["id"] for one in told} >= {str(one.id) for one in mine}
    assert json.loads((folder / "manifest.json").read_text())["question"] == question
    tiles = sorted(path.name for path in folder.glob("logs/*/tile/0/*"))
    # That of the rows, and the open one at the edge.
    assert tiles == ["001", f"{log.size // 256:03}.p"]


async def test_anchored_checkpoints_are_in_it_and_lead_to_the_same_log(api, database, tmp_path):
    witness = SignerKey.new("witness.example/w", COSIGNATURE)
    log = SealedLog()
    log.many(270)
    filed, filed_note = log.size, log.checkpoint()
    log.many(20)
    size, note = log.size, log.checkpoint()
    log.full_entry()
    log.checkpoint()
    await log.store(database)
    line = str(cosign(Note.parse(note), witness, 1_780_000_000))
    await database.execute(ANCHOR, log.log, filed, "folder", "/backup")
    await database.execute(ANCHOR, log.log, size, "witness", line)

    folder = await bundle(api, tmp_path / "good")
    status, _, said = await checked(folder, log.vkey)
    assert status == 0, said
    [home] = folder.glob("logs/*")
    assert (home / "checkpoint").read_text() == note + line
    assert (home / "anchored" / str(filed)).read_text() == filed_note
    told = json.loads((home / "anchors.json").read_text())
    assert {one["anchor"]: one["size"] for one in told} == {"folder": filed, "witness": size}
    policy = parse_policy((home / "policy").read_bytes())
    assert policy.open(Note.parse((home / "checkpoint").read_bytes())).checkpoint.size == size


async def test_the_check_finds_what_was_altered(api, database, tmp_path):
    log = SealedLog()
    log.many(300)
    log.checkpoint()
    await log.store(database)
    other = SealedLog()

    folder = await bundle(api, tmp_path)
    assert (await checked(folder, log.vkey))[0] == 0
    [home] = folder.glob("logs/*")
    rows = folder / "entries" / "000001.ndjson"
    lines = rows.read_text()
    alterations = {
        rows: [lines.replace("/api/v1/", "/api/v2/", 1), lines.partition("\n")[2], lines + lines],
        home / "checkpoint": [log.checkpoint(SignerKey.new(log.origin)), other.checkpoint()],
        home / "key": [other.vkey],
        home / "tile" / "0" / "000": ["x" * 256 * 32],
        folder / "manifest.json": ['{"logs": [], "rows": {"entries": 1}}'],
    }
    for file, texts in alterations.items():
        before = file.read_bytes()
        for text in texts:
            file.write_text(text)
            status, _, said = await checked(folder, log.vkey)
            assert (status, "WRONG" in said) == (1, True), (file, text[:100], said)
        file.write_bytes(before)
    assert (await checked(folder, other.vkey))[0] == 1

    await database.execute("UPDATE mcp_audit_log SET status_code = 418 WHERE seq = 40")
    assert (await checked(await bundle(api, tmp_path / "altered"), log.vkey))[0] == 1


async def test_the_check_prints_nothing_that_was_not_verified(api, database, tmp_path):
    log = SealedLog()
    log.many(20)
    log.checkpoint()
    await log.store(database)
    [event] = await database.fetch("SELECT data FROM mcp_audit_seal_note WHERE seq = 0")
    folder = await bundle(api, tmp_path)
    file = folder / "entries" / "000001.ndjson"
    first, second, *others = file.read_text().splitlines()
    of_log = {"log": json.loads(first)["log"]}
    renamed = "a name that was sealed otherwise"
    lies = [
        (renamed, {**json.loads(first), "named": {"path": "/other"}}),
        (renamed, {**json.loads(first), "named": {"token_name": "/other"}}),
        ("is told twice", json.loads(second)),
        ("is no row of a bundle", {**of_log, "place": 0, "leaf": event["data"]}),
    ]
    for complaint, lie in lies:
        file.write_text("\n".join([json.dumps(lie), second, *others, ""]))

        status, told, said = await checked(folder, "--print", log.vkey)

        assert (status, said.count("WRONG"), complaint in said) == (1, 1, True), said
        assert len(told) == 20 - 1
        assert "/other" not in json.dumps(told)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", b"{"),
        ("manifest.json", b"[]"),
        ("manifest.json", b'{"logs": 7, "rows": {}}'),
        ("manifest.json", b'{"logs": [7], "rows": {"entries": 20}}'),
        ("entries/000001.ndjson", b"\xff\xfe"),
        ("entries/000001.ndjson", b"[" * 100_000),
        ("logs/*/checkpoint", b"a\n0\n\n"),
        ("logs/*/checkpoint", b"\xff"),
        ("logs/*/key", b"\xff"),
    ],
)
async def test_a_file_that_is_none_of_a_bundle_is_wrong(api, database, tmp_path, name, content):
    log = SealedLog()
    log.many(20)
    log.checkpoint()
    await log.store(database)
    folder = await bundle(api, tmp_path)
    [file] = folder.glob(name)
    file.write_bytes(content)

    status, _, said = await checked(folder, log.vkey)

    assert (status, "WRONG: " in said) == (1, True), said


async def test_a_checkpoint_of_no_leaves_proves_no_row(api, database, tmp_path):
    log = SealedLog()
    log.many(20)
    log.checkpoint()
    await log.store(database)
    folder = await bundle(api, tmp_path)
    [file] = folder.glob("logs/*/checkpoint")
    file.write_text(str(sign_checkpoint(Checkpoint(log.origin, 0, bytes(32)), log.key)))

    status, _, said = await checked(folder, log.vkey)

    assert (status, "WRONG: " in said) == (1, True), said


@pytest.mark.parametrize(
    "line",
    [
        *("{", "[]", "7", "{}", '{"log": []}', '{"log": null}'),
        '{"log": LOG, "place": -1, "leaf": ""}',
        '{"log": LOG, "place": "1", "leaf": ""}',
    ],
)
async def test_a_line_that_is_no_row_is_said_in_one_line(api, database, tmp_path, line):
    log = SealedLog()
    log.many(20)
    log.checkpoint()
    await log.store(database)
    folder = await bundle(api, tmp_path)
    file = folder / "entries" / "000001.ndjson"
    first, _, others = file.read_text().partition("\n")
    line = line.replace("LOG", json.dumps(json.loads(first)["log"]))
    file.write_text(f"{line}\n{others}")

    status, _, said = await checked(folder, log.vkey)

    assert (status, said.count("WRONG")) == (1, 1), said
    assert "WRONG: line 1 of entries is no row of a bundle" in said


async def test_openssl_finds_the_signature_as_the_readme_tells(api, database, tmp_path):
    log = SealedLog()
    while "+" not in log.vkey.split("+", 2)[2]:  # base64 has the separator of the key's fields too
        log = SealedLog()
    log.many(20)
    log.checkpoint()
    await log.store(database)
    folder = await bundle(api, tmp_path)
    [name] = (file.name for file in (folder / "logs").iterdir())
    _, _, told = (folder / "README.txt").read_text().partition("    sed ")
    commands = told.partition("\n\n")[0]
    script = f"sed {commands}".replace("logs/NAME", f"logs/{name}")

    process = await asyncio.create_subprocess_exec(
        *("sh", "-ec", script), cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()

    assert (process.returncode, b"Verified Successfully" in out) == (0, True)


async def test_evidence_of_an_empty_log_is_whole(api, tmp_path):
    folder = await bundle(api, tmp_path)
    assert await checked(folder) == (0, [], "")
    assert {file.name for file in folder.iterdir()} == {"README.txt", "check.py", "manifest.json"}
