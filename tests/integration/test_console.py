"""`podwarden-audit`: its commands, and what `python -m` goes on doing under it."""

import asyncio
import os
import re
import sys

from deploy.console import COMMANDS
from tests.neighbours.certificates import LOOPBACK, key_pair_of
from tests.neighbours.console import console
from tests.neighbours.program import CHECKOUT
from tests.neighbours.services import running

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


# One process for several commands: starting one costs more than all that they do.
IN_TURN = """
import sys
from deploy.console import main
for words in sys.argv[1:]:
    try:
        code = main(words.split())
    except SystemExit as stop:
        code = stop.code
    print(f"=> {code}", flush=True)
"""


async def in_turn(*commands, directory):
    """Run *commands*, without any setting; return of each what it said and its exit code."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", IN_TURN, *commands),
        cwd=directory,
        env={"PATH": os.defpath, "PYTHONPATH": str(CHECKOUT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    found = re.findall(r"(.*?)=> (.*?)\n", output.decode(), re.DOTALL)
    assert len(found) == len(commands), output.decode()
    return found


async def test_each_command_has_help(tmp_path):
    helps = await in_turn(*(f"{command} --help" for command in COMMANDS), directory=tmp_path)

    for command, (said, code) in zip(COMMANDS, helps, strict=True):
        assert code == "0"
        usage, _, description, *_ = said.splitlines()
        assert usage.startswith(f"usage: podwarden-audit {command} [-h]")
        assert description


async def test_help_names_each_command_and_where_settings_come_from(tmp_path):
    done = await console("--help", directory=tmp_path)

    assert done.code == 0
    for name, command in COMMANDS.items():
        assert f"{name} " in done.output
        assert command.summary in done.output
    assert "Settings are environment variables" in done.output


async def test_the_program_alone_says_how_it_is_used(tmp_path):
    done = await console(directory=tmp_path)

    assert (done.code, done.output) == (2, "")
    assert done.complaints.startswith("usage: podwarden-audit")


async def test_a_command_that_there_is_not_is_told_with_those_that_there_are(tmp_path):
    done = await console("migrat", directory=tmp_path)

    assert done.code == 2
    assert "'migrat'" in done.complaints
    assert all(name in done.complaints for name in COMMANDS)


async def test_a_command_names_the_settings_that_it_misses(tmp_path):
    log, upstream, nats = "AUDIT_LOG_DATABASE_URL", "PROXY_UPSTREAM_URL", "AUDIT_LOG_NATS_URLS"
    missing = {
        "proxy": [log, upstream],
        "api": [log],
        "ingest": [log, nats],
        "migrate": [log],
        "purge": [log],
        "convert": [log],
        "token list": [log],
        "health proxy": [upstream],
        "check": [log, upstream],
        "check api": [log],
        "check ingest": [log, nats],
    }

    told = await in_turn(*missing, directory=tmp_path)

    assert dict(zip(missing, told, strict=True)) == {
        command: ("".join(f"{name} is not set\n" for name in names), "78")
        for command, names in missing.items()
    }


async def test_arguments_are_passed_on(database_url, empty_database_url, tmp_path):
    migrated = await console(
        "migrate", directory=tmp_path, AUDIT_LOG_DATABASE_URL=empty_database_url
    )
    made = await console(
        *("token", "create", "ci", "--role", "viewer"),
        directory=tmp_path,
        AUDIT_LOG_DATABASE_URL=database_url,
    )
    journal = await console("journal", "list", "nowhere", directory=tmp_path)

    assert (migrated.code, migrated.lines[0]) == (0, "applied 0001_audit_log.sql")
    assert made.code == 0
    assert "secret  pwm_" in made.output
    assert (journal.code, journal.complaints) == (1, "nowhere is not a directory\n")


async def test_the_services_run_and_are_asked_for_their_health(tmp_path, upstream):
    pair = key_pair_of(LOOPBACK, tmp_path)
    sidecar = {
        "AUDIT_LOG_DATABASE_URL": NOWHERE,
        "PROXY_UPSTREAM_URL": upstream.url,
        "PROXY_PORT": "0",
        "PROXY_OPS_PORT": "0",
        "PROXY_JOURNAL_DIR": str(tmp_path / "journal"),
    }
    audit_api = {
        "AUDIT_LOG_DATABASE_URL": NOWHERE,
        "AUDIT_API_PORT": "0",
        "AUDIT_API_TLS_CERTIFICATE_FILE": str(pair.certificate),
        "AUDIT_API_TLS_KEY_FILE": str(pair.key),
    }
    async with (
        running("deploy.console", sidecar, "proxy") as proxy,
        running("deploy.console", audit_api, "api") as api,
    ):
        ports = {"PROXY_OPS_PORT": str(proxy.ops_port), "AUDIT_API_PORT": str(api.port)}
        for service in ("proxy", "api"):
            asked = await console(
                "health", service, directory=tmp_path, **(sidecar | audit_api | ports)
            )
            assert (asked.code, asked.complaints) == (0, "")
    asked = await console("health", "api", directory=tmp_path, **(audit_api | ports))
    assert asked.code == 1
    assert "refused" in asked.complaints


async def test_a_reader_that_has_seen_enough_is_no_reason_to_complain(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.console", "check"),
        cwd=tmp_path,
        env={
            "PATH": os.defpath,
            "PYTHONPATH": str(CHECKOUT),
            "AUDIT_LOG_DATABASE_URL": NOWHERE,
            "PROXY_UPSTREAM_URL": "http://127.0.0.1:1",
        },
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    async with asyncio.timeout(60):
        _, complaints = await process.communicate()

    assert (process.returncode, complaints) == (141, b"")


# Python drops an exception that comes while it removes an object, KeyboardInterrupt too.
INTERRUPTED_IN_AN_IMPORT = """
import os, signal, sys
from deploy.console import main

class Removed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "audit_api.terminal.main":
            Removed()

sys.meta_path.insert(0, Finder())
sys.exit(main(["query", "--help"]))
"""


async def test_an_interrupt_while_a_command_is_loaded_ends_it_without_a_word(tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", INTERRUPTED_IN_AN_IMPORT),
        cwd=tmp_path,
        env={"PATH": os.defpath, "PYTHONPATH": str(CHECKOUT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert (said, process.returncode) == (b"", 130)


async def test_a_command_whose_streams_are_closed_says_how_it_went_by_its_status(tmp_path):
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", f'exec "$0" -m deploy.console query {closed}', sys.executable),
            cwd=tmp_path,
            env={"PATH": os.defpath, "PYTHONPATH": str(CHECKOUT)},
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            _, complaints = await process.communicate()
        assert process.returncode == 78, complaints.decode()
