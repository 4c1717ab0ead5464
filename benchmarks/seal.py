"""`python -m benchmarks.seal`: what the seal costs the recorder and the database, and a verifier.

Two sidecars drain the same outages in turns, one of them without the seal. Then the log of the
other is verified as an operator does it.
"""

import asyncio
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any, Final

import asyncpg

from benchmarks.calm import Patience
from benchmarks.database import Database
from benchmarks.environments import as_shipped
from benchmarks.options import parser
from benchmarks.ours import HEADS, contestant
from benchmarks.plain_copy import PlainCopy
from benchmarks.process import CHECKOUT, PROXY_CORE
from benchmarks.recorders import Bench, Recorder
from benchmarks.records import Passage
from benchmarks.results import publish, table
from benchmarks.rounds import warm_up
from benchmarks.stage import Stage, open_stage
from benchmarks.verdict import Goal, verdict

_SEALED: Final = "sealed"
_UNSEALED: Final = "not sealed"
_NOTES: Final = f"""
*CPU* is that of the recorder for a record of an outage, up to PostgreSQL. A record's tiles, notes
and checkpoints are all that the tables of the seal hold. A run of `verify` counts from the start
of its process to its end, on one core; PostgreSQL has the other one.
{HEADS}"""
_ROWS: Final = """
SELECT
    (SELECT count(*) FROM mcp_audit_log) AS rows,
    (SELECT sum(pg_relation_size(relid))::bigint
     FROM pg_partition_tree('mcp_audit_log')) AS bytes,
    (SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
     WHERE relkind = 'r' AND relname LIKE 'mcp_audit_seal_%') AS seal_bytes
"""


_AGED: Final = "UPDATE mcp_audit_log SET arrived_at = arrived_at - interval '2 hours'"
"""A later run reads again what had arrived in the hour before the one before it."""
_VACUUM: Final = "VACUUM ANALYZE mcp_audit_log"
"""What that UPDATE leaves behind is in no log whose rows arrive two hours before."""


@dataclass(frozen=True, slots=True)
class _Side:
    """A sidecar with a database of its own."""

    bench: Bench
    recorder: Recorder
    database: Database
    journal: Path


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a database has."""

    rows: int
    bytes_per_row: float
    seal_bytes_per_row: float


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--records", type=int, default=200_000, help="in each round")
    chosen = options.parse_args()
    rounds, records = (1, 5_000) if chosen.short else (chosen.rounds, chosen.records)
    patience = Patience(0 if chosen.short else chosen.patience)
    with open_stage() as stage:
        sides = {name: _side(stage, name, patience) for name in (_SEALED, _UNSEALED)}
        warm_up(
            contestant(name, side.recorder.sidecar, side.database) for name, side in sides.items()
        )
        found: dict[str, list[Passage]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                found[name].append(side.bench.drained(side.recorder, records))
        stored = {name: asyncio.run(_stored(side.database.url)) for name, side in sides.items()}
        verifying = _Verifying(sides[_SEALED], stage.place)
        whole = verifying.run()
        for statement in (_AGED, _VACUUM):
            asyncio.run(_executed(sides[_SEALED].database.url, statement))
        sides[_SEALED].bench.live(sides[_SEALED].recorder, records // 10)
        later = verifying.run()
    publish(
        "What the seal costs",
        f"python -m benchmarks.seal --rounds {rounds} --records {records}",
        verdict(_goals(found, stored, whole)),
        chosen.results,
        details=f"{_table(found, stored)}\n\n{_told(whole, later)}\n{_NOTES}",
    )


def _side(stage: Stage, name: str, patience: Patience) -> _Side:
    directory = name.replace(" ", "-")
    database = stage.database(f"{directory}-database")
    plain = PlainCopy(database.server, stage.place / f"{directory}-rows")
    is_on = "true" if name == _SEALED else "false"
    sidecar = stage.sidecar(directory, database.url, PROXY_SEAL=is_on)
    recorder = Recorder(name, sidecar, database.target(sidecar.origin), sidecar.keeper)
    journal = stage.place / directory / "journal"
    return _Side(Bench(database, plain, patience), recorder, database, journal)


async def _executed(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def _stored(url: str) -> _Stored:
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(_ROWS)
    finally:
        await connection.close()
    assert row is not None
    return _Stored(row["rows"], row["bytes"] / row["rows"], row["seal_bytes"] / row["rows"])


@dataclass(frozen=True, slots=True)
class _Verified:
    """A run of `verify`."""

    rows: int
    seconds: float


class _Verifying:
    """Verifies the log of a sidecar, each run from where the one before ended."""

    def __init__(self, side: _Side, place: Path) -> None:
        self._environment = {
            "PYTHONPATH": str(CHECKOUT),
            "AUDIT_LOG_DATABASE_URL": side.database.url,
            "PROXY_UPSTREAM_URL": "http://127.0.0.1:9",
            "PROXY_JOURNAL_DIR": str(side.journal),
        }
        self._anchor = side.journal / "anchors"
        self._policy, self._since = place / "policy", place / "since"
        self._policy.write_text(self._said("seal", "policy"))

    def run(self) -> _Verified:
        """Verify; the log must be genuine."""
        files = ("--policy", self._policy, "--anchor", self._anchor, "--since", self._since)
        began = monotonic()
        told: dict[str, Any] = json.loads(self._said("verify", *map(str, files), "--json"))
        seconds = monotonic() - began
        return _Verified(sum(log["rows"] for log in told["logs"]), seconds)

    def _said(self, *words: str) -> str:
        python = as_shipped() / "bin" / "python"
        return subprocess.run(
            ["taskset", "-c", str(PROXY_CORE), python, "-m", "deploy.console", *words],
            env=self._environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=600,
        ).stdout


def _cpu_us(passages: list[Passage]) -> float:
    return median(each.cpu_seconds / each.records for each in passages) * 1e6


def _goals(
    found: dict[str, list[Passage]], stored: dict[str, _Stored], whole: _Verified
) -> list[Goal]:
    sealed, unsealed = stored[_SEALED], stored[_UNSEALED]
    return [
        Goal(
            "recorder: CPU of a record, above one that is not sealed",
            1.5,
            _cpu_us(found[_SEALED]) - _cpu_us(found[_UNSEALED]),
            is_limit=True,
            unit=" µs",
        ),
        Goal("a row", 15, sealed.bytes_per_row - unsealed.bytes_per_row, is_limit=True, unit=" B"),
        Goal(
            "the seal's tables, a record", 45, sealed.seal_bytes_per_row, is_limit=True, unit=" B"
        ),
        Goal("verify", 50_000, whole.rows / whole.seconds, unit=" rows/s"),
    ]


def _table(found: dict[str, list[Passage]], stored: dict[str, _Stored]) -> str:
    return table(
        ("", "records/s", "CPU µs a record", "bytes a row", "bytes of the seal a record"),
        [
            (
                name,
                f"{median(each.per_second for each in passages):,.0f}",
                f"{_cpu_us(passages):.1f}",
                f"{stored[name].bytes_per_row:.1f}",
                f"{stored[name].seal_bytes_per_row:.1f}",
            )
            for name, passages in found.items()
        ],
    )


def _told(whole: _Verified, later: _Verified) -> str:
    return (
        f"`verify` read {whole.rows:,} rows in {whole.seconds:.1f} s. The next run, by `--since`,"
        f" read {later.rows:,} rows in {later.seconds:.1f} s."
    )


if __name__ == "__main__":
    main()
