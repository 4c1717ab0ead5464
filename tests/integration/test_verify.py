"""`verify` on real tables: what is genuine passes, and what was tampered with is found."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit_log.postgres.database import Database, open_database
from audit_log.verify import command
from tests.neighbours.postgres import fresh_database
from tests.neighbours.sealed_logs import SealedLog, write_anchor, write_policy

ROWS = 1_200


@dataclass
class Fleet:
    """Three sidecars in one database, with a policy and an anchor."""

    url: str
    database: Database
    logs: list[SealedLog]
    policy: Path
    anchor: Path
    options: list[str] = field(default_factory=list)

    async def verify(self, *options: str) -> "Verdict":
        return await verify(
            self.url, "--policy", str(self.policy), "--anchor", str(self.anchor), *options
        )


@dataclass
class Verdict:
    status: int
    told: dict[str, Any]

    @property
    def kinds(self) -> list[str]:
        return sorted({finding["kind"] for finding in self.findings})

    @property
    def findings(self) -> list[dict[str, Any]]:
        of_logs = [finding for log in self.told["logs"] for finding in log["findings"]]
        return [*self.told["findings"], *of_logs]

    @property
    def remarks(self) -> dict[str, int]:
        said: dict[str, int] = {}
        for part in (self.told, *self.told["logs"]):
            for remark in part["remarks"]:
                said[remark["kind"]] = said.get(remark["kind"], 0) + remark["count"]
        return said

    def places(self, kind: str) -> list[tuple[int, int]]:
        return [(one["first"], one["last"]) for one in self.findings if one["kind"] == kind]


async def verify(url: str, *options: str) -> Verdict:
    """Run the command in a thread with a loop of its own, and read its JSON."""
    import io
    from contextlib import redirect_stderr, redirect_stdout

    out, err = io.StringIO(), io.StringIO()

    def run() -> int:
        with redirect_stdout(out), redirect_stderr(err):
            return command.main(["--json", "--database-url", url, *options])

    status = await asyncio.to_thread(run)
    assert out.getvalue(), err.getvalue()
    told = json.loads(out.getvalue())
    assert told["exit_status"] == status
    return Verdict(status, told)


@pytest.fixture(scope="module")
def sealed_logs() -> list[SealedLog]:
    return []


@pytest.fixture
async def fleet(postgres, migrated_template, tmp_path):
    async with (
        fresh_database(postgres, template=migrated_template) as url,
        open_database(url, application="test") as database,
    ):
        logs = [SealedLog(f"sidecar-{number}") for number in range(3)]
        for log in logs:
            log.many(ROWS)
            log.checkpoint()
            await log.store(database)
        policy = write_policy(tmp_path / "policy", logs)
        yield Fleet(url, database, logs, policy, write_anchor(tmp_path / "anchor", logs))


async def test_what_is_intact_is_genuine_and_complete(fleet):
    found = await fleet.verify()

    assert (found.status, found.findings) == (0, [])
    assert [log["proved"] for log in found.told["logs"]] == [
        log.size for log in sorted(fleet.logs, key=lambda log: log.origin)
    ]
