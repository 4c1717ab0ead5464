"""Sealed sidecars in one database, and what `verify` says of them."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audit_log.postgres.database import Database
from audit_log.verify import command
from tests.neighbours.patience import eventually
from tests.neighbours.sealed_logs import SealedLog


@dataclass(frozen=True)
class Verdict:
    """What one run of `verify --json` has said."""

    status: int
    told: dict[str, Any]

    @property
    def findings(self) -> list[dict[str, Any]]:
        of_logs = [finding for log in self.told["logs"] for finding in log["findings"]]
        return [*self.told["findings"], *of_logs]

    @property
    def kinds(self) -> set[str]:
        return {finding["kind"] for finding in self.findings}

    @property
    def remarks(self) -> dict[str, int]:
        said: dict[str, int] = {}
        for part in (self.told, *self.told["logs"]):
            for remark in part["remarks"]:
                said[remark["kind"]] = said.get(remark["kind"], 0) + remark["count"]
        return said

    def of(self, log: SealedLog) -> dict[str, Any]:
        [told] = [one for one in self.told["logs"] if one["origin"] == log.origin]
        return dict(told)

    def covers(self, log: SealedLog, place: int) -> set[str]:
        """Return the kinds of findings of *log* that name *place*."""
        return {
            one["kind"]
            for one in self.of(log)["findings"]
            if one["first"] is not None and one["first"] <= place <= one["last"]
        }


@dataclass
class Fleet:
    """Sidecars whose logs are in one database, with a policy, and a folder of checkpoints."""

    url: str
    database: Database
    logs: Sequence[SealedLog]
    policy: Path
    anchor: Path
    capsys: pytest.CaptureFixture[str]

    async def trust(self) -> None:
        """Trust the keys that are there now, as an operator does who reads them at the sidecar.

        And keep the newest checkpoint of each log elsewhere.
        """
        logs = await self.database.fetch(
            "SELECT DISTINCT key FROM mcp_audit_seal_log ORDER BY key"
        )
        by_key = {row["key"].rpartition("+")[2]: row["key"] for row in logs}
        lines = "".join(f"log {key}\n" for key in by_key.values())
        self.policy.write_text(f"{lines}quorum none\n")
        await self.keep_newest()

    async def keep_newest(self) -> None:
        """Keep the newest checkpoint of each log elsewhere."""
        notes = await self.database.fetch(
            "SELECT DISTINCT ON (log) note FROM mcp_audit_seal_checkpoint ORDER BY log, size DESC"
        )
        self.anchor.write_text("\n".join(row["note"] for row in notes))

    async def has_signed(self, size: int) -> None:
        """Wait until a checkpoint of so many leaves, or of more, is stored."""

        async def is_stored() -> bool:
            [row] = await self.database.fetch("SELECT max(size) FROM mcp_audit_seal_checkpoint")
            return (row[0] or 0) >= size

        await eventually(is_stored)

    async def verify(self, *options: str) -> Verdict:
        status, out, err = await self.run("--anchor", str(self.anchor), "--json", *options)
        assert out, err
        told = json.loads(out)
        assert told["exit_status"] == status
        return Verdict(status, told)

    async def run(self, *options: str) -> tuple[int, str, str]:
        """Run the command in a thread, which has a loop of its own."""
        self.capsys.readouterr()
        given = ["--database-url", self.url, "--policy", str(self.policy), *options]
        status = await asyncio.to_thread(command.main, given)
        out, err = self.capsys.readouterr()
        return status, out, err
