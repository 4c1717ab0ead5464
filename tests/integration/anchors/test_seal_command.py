"""`podwarden-audit seal`: keys and policy, as the operator of a sidecar or a witness asks."""

import shutil
from pathlib import Path

from audit_log.seal.keys import VerifierKey
from audit_log.seal.note import Note
from audit_log.seal.policy_file import parse_policy
from tests.neighbours.console import console
from tests.neighbours.journal_home import JournalHome
from tests.neighbours.sealed_log import SealedLog
from tests.neighbours.witness import witness_of


async def test_the_keys_of_a_sidecar_are_those_that_a_witness_is_told(
    tmp_path: Path, home: JournalHome, upstream, callers, database, database_url
):
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 3)
    settings = {"PROXY_UPSTREAM_URL": upstream.url, "PROXY_JOURNAL_DIR": str(home.journal)}
    done = await console("seal", "key", directory=tmp_path, **settings)
    assert done.code == 0, done.complaints
    wide, narrow = (VerifierKey.parse(line.split()[-1]) for line in done.lines)
    assert wide.name == f"podwarden-audit/{home.instance}/*"
    assert narrow.name.startswith(f"podwarden-audit/{home.instance}/")
    assert narrow.public == wide.public
    async with witness_of(tmp_path / "witness", str(wide)) as witness:
        await witness.opened()
        anchors = f"file:///mnt/a {witness.anchor}"

    done = await console(
        "seal", "policy", directory=tmp_path, PROXY_SEAL_ANCHORS=anchors, **settings
    )
    assert done.code == 0, done.complaints
    policy = parse_policy(done.output.encode())
    assert [log.key for log in policy.logs] == [narrow]
    assert [(one.name, str(one.key), one.url) for one in policy.witnesses] == [
        ("w1", witness.vkey, witness.url)
    ]
    assert policy.quorum == "w1"


async def test_a_key_that_workers_share_is_in_the_policy_once(
    tmp_path: Path, home: JournalHome, upstream, database_url
):
    async with home.sidecar(upstream.url, database_url):
        pass
    worker = home.journal / "worker-0"
    worker.mkdir()
    shutil.copy(home.journal / "seal.state", worker)
    settings = {"PROXY_UPSTREAM_URL": upstream.url, "PROXY_JOURNAL_DIR": str(home.journal)}

    done = await console("seal", "policy", directory=tmp_path, **settings)

    assert done.code == 0, done.complaints
    assert len(parse_policy(done.output.encode()).logs) == 1


async def test_the_key_of_a_witness_is_shown_where_it_runs(tmp_path):
    folder = tmp_path / "witness"
    settings = {"AUDIT_API_WITNESS_DIR": str(folder)}
    done = await console("seal", "key", directory=tmp_path, **settings)
    assert (done.code, done.complaints) == (
        1,
        f"{folder}/witness.key is not there: start the audit API first\n",
    )
    async with witness_of(folder, SealedLog().vkey) as witness:
        await witness.opened()
        done = await console("seal", "key", directory=tmp_path, **settings)
        assert done.output == f"witness         {witness.vkey}\n"


async def test_before_the_first_start_there_is_no_key_to_show(tmp_path):
    settings = {"PROXY_UPSTREAM_URL": "http://api", "PROXY_JOURNAL_DIR": str(tmp_path / "none")}
    done = await console("seal", "policy", directory=tmp_path, **settings)
    assert done.code == 1
    assert "start the sidecar first" in done.complaints


async def test_a_key_is_changed_without_a_new_log_and_both_sign_meanwhile(
    tmp_path: Path, home: JournalHome, upstream, callers, database, database_url
):
    async def run():
        async with home.sidecar(upstream.url, database_url) as sidecar:
            await callers.make(sidecar.port, 3)

    async def seal(*arguments: str, code: int = 0):
        done = await console("seal", *arguments, directory=tmp_path, **settings)
        assert done.code == code, done.complaints
        return done

    settings = {"PROXY_UPSTREAM_URL": upstream.url, "PROXY_JOURNAL_DIR": str(home.journal)}
    await run()
    [old] = parse_policy((await seal("policy")).output.encode()).logs
    await seal("rotate")
    assert "two keys already" in (await seal("rotate", code=1)).complaints
    assert "restart the sidecar" in (await seal("rotate", "--finish", code=1)).complaints
    await run()
    both = parse_policy((await seal("policy")).output.encode()).logs
    assert both[0] == old
    await seal("rotate", "--finish")
    assert home.journal.joinpath("seal.key").stat().st_mode & 0o777 == 0o600
    await run()
    assert parse_policy((await seal("policy")).output.encode()).logs == both[1:]

    notes = [
        Note.parse(row["note"])
        for row in await database.fetch("SELECT note FROM mcp_audit_seal_checkpoint ORDER BY size")
    ]
    signers = [
        [one.key in note.signed_by([one.key for one in both]) for one in both] for note in notes
    ]
    assert signers[0] == [True, False]
    assert [True, True] in signers
    assert signers[-1] == [False, True]
    told = "SELECT seq FROM mcp_audit_seal_note WHERE strpos(data, $1) > 0"
    assert len(await database.fetch(told, str(both[1].key))) == 1, "a leaf tells the new key"
    assert len(await database.fetch("SELECT DISTINCT log FROM mcp_audit_seal_log")) == 1
