"""`python -m benchmarks.exports`: how fast the whole log is exported, beside COPY of its columns.

The audit API has one core, PostgreSQL and the client share the other one.
"""

import asyncio
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final
from urllib.request import Request, urlopen

import asyncpg

from audit_log.postgres.database import open_database
from benchmarks.calm import Patience
from benchmarks.database import Database, running_database
from benchmarks.environments import as_shipped
from benchmarks.options import parser
from benchmarks.process import CHECKOUT, PROXY_CORE, Process, end_in_order, free_port, running
from benchmarks.query_data import fill
from benchmarks.results import publish, table
from benchmarks.verdict import Goal, verdict

_COPY: Final = "COPY of the same columns"
_FORMATS: Final = ("ndjson", "csv", "ocsf")
_PIECE_BYTES: Final = 1 << 20
_RECORDS_PER_SECOND: Final = 150_000
_TIMES_COPY: Final = 1.5
_COLUMNS: Final = """id, token_id, token_name, method, path, status_code, created_at, arrived_at,
    outcome, duration_ms, client_ip, user_agent, tool, invocation_id, attribution, request_id,
    instance"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    rounds, rows = (1, 10_000) if chosen.short else (chosen.rounds, chosen.rows)
    patience = Patience(0 if chosen.short else chosen.patience)
    end_in_order()
    seconds = defaultdict[str, list[float]](list)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as made:
        place = Path(made)
        place.chmod(0o711)  # PostgreSQL's account must enter it
        with running_database(place / "database") as database:
            asyncio.run(_filled(database, rows))
            with _audit_api(place / "api", database) as (url, process):
                before = process.memory_bytes
                for _ in range(rounds):
                    patience.wait_for_calm()
                    seconds[_COPY].append(asyncio.run(_copied(database)))
                    for format_ in _FORMATS:
                        seconds[format_].append(_exported(f"{url}?format={format_}", database))
                grown = process.memory_bytes - before
    publish(
        "How fast the log is exported",
        f"python -m benchmarks.exports --rows {rows} --rounds {rounds}",
        verdict([_goal(seconds, rows)]),
        chosen.results,
        details=f"{_table(seconds, rows)}\n\n"
        f"The audit API took {grown / 2**20:.0f} MiB more after {rounds * len(_FORMATS)} exports"
        f" of {rows:,} records.",
    )


async def _filled(database: Database, rows: int) -> None:
    async with open_database(database.url, application="benchmark") as opened:
        await fill(opened, rows)


@contextmanager
def _audit_api(directory: Path, database: Database) -> Iterator[tuple[str, Process]]:
    """Run the audit API; yield the URL of its exports."""
    port = free_port()
    environment = {
        "PYTHONPATH": str(CHECKOUT),
        "AUDIT_LOG_DATABASE_URL": database.url,
        "AUDIT_API_PORT": str(port),
    }
    command: list[str | Path] = [as_shipped() / "bin" / "python", "-m", "audit_api"]
    with running(
        command, core=PROXY_CORE, directory=directory, environment=environment
    ) as process:
        process.wait_until(lambda: b"service.started" in process.log.read_bytes())
        yield f"http://127.0.0.1:{port}/api/v1/settings/mcp-audit/export", process


def _exported(url: str, database: Database) -> float:
    """Return how many seconds an export took, to its last byte."""
    request = Request(url, headers={"Authorization": f"Bearer {database.token}"})  # noqa: S310  ours
    began = time.monotonic()
    with urlopen(request, timeout=600) as response:  # noqa: S310  ours
        while response.read(_PIECE_BYTES):
            pass
    return time.monotonic() - began


async def _copied(database: Database) -> float:
    """Return how many seconds COPY takes in the order of an export."""
    connection = await asyncpg.connect(database.url)
    try:
        began = time.monotonic()
        await connection.copy_from_query(
            f"SELECT {_COLUMNS} FROM mcp_audit_log ORDER BY created_at, id",  # noqa: S608  ours
            output=Path(os.devnull),
        )
        return time.monotonic() - began
    finally:
        await connection.close()


def _goal(seconds: dict[str, list[float]], rows: int) -> Goal:
    """Return what is to be reached: one of the two, for machines are not alike."""
    ndjson, copied = median(seconds["ndjson"]), median(seconds[_COPY])
    name = f"NDJSON, {_RECORDS_PER_SECOND:,} records/s or {_TIMES_COPY} of COPY's time"
    beside_copy = Goal(f"{name}: times COPY", _TIMES_COPY, ndjson / copied, is_limit=True)
    if beside_copy.missed_by <= 0:
        return beside_copy
    return Goal(name, _RECORDS_PER_SECOND, rows / ndjson, unit=" records/s")


def _table(seconds: dict[str, list[float]], rows: int) -> str:
    return table(
        ("", "records/s", "times COPY"),
        [
            (name, f"{rows / median(each):,.0f}", f"{median(each) / median(seconds[_COPY]):.2f}")
            for name, each in seconds.items()
        ],
    )


if __name__ == "__main__":
    main()
