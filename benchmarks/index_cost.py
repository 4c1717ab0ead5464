"""What the indexes cost the writer: the same records appended with and without them."""

import secrets
import tempfile
import time
from collections.abc import Mapping
from datetime import timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from audit_log.postgres.database import Database, open_database
from audit_log.postgres.store import Store
from audit_log.record import AuditRecord
from benchmarks.query_data import ENDED, fill
from benchmarks.records import records
from benchmarks.results import table
from deploy.local.postgres import running_postgres

INDEXED_ROWS: Final = 500_000
"""How long the log is before."""
APPENDED: Final = 60_000
BATCH: Final = 1_000
ROUNDS: Final = 3
_FIRST: Final = ("token_name", "method", "status", "outcome", "tool", "client_ip", "path")
"""Of migrations 0007 and 0010."""
_QUESTIONS: Final = (
    *("request", "instance", "user_agent", "encoded_path"),
    *("duration", "failure", "refusal"),
)
"""Of migrations 0021 and 0024."""
_ALL: Final = "all indexes"
_WITHOUT_QUESTIONS: Final = "without those of the questions"
_NONE: Final = "without that of arrival as well"
_WITHOUT: Final[Mapping[str, tuple[str, ...]]] = {
    _ALL: (),
    "without that of request ids": ("request",),
    _WITHOUT_QUESTIONS: _QUESTIONS,
    "without those of the filters as well": (*_QUESTIONS, *_FIRST),
    _NONE: (*_QUESTIONS, *_FIRST, "arrival"),
}
MAX_COST: Final = 0.05
"""How much of its rate the writer may lose to the indexes of the questions."""


async def index_costs(settings: Mapping[str, str], *, rows: int) -> tuple[str, str]:
    """Return what the questions cost, and a table of records a second beside *rows*.

    Each way is measured in turns.
    """
    rates: dict[str, list[float]] = {way: [] for way in _WITHOUT}
    for _ in range(ROUNDS):
        for way, dropped in _WITHOUT.items():
            with (
                tempfile.TemporaryDirectory(prefix="index-cost-") as directory,
                running_postgres(Path(directory) / "postgres", settings=settings) as server,
            ):
                async with open_database(server.url(), application="benchmark") as database:
                    await fill(database, rows)
                    for name in dropped:
                        await database.execute(f"DROP INDEX mcp_audit_log_by_{name}")
                    rates[way].append(await _append(database))
    rate = {way: median(found) for way, found in rates.items()}
    cost = 1 - rate[_ALL] / rate[_WITHOUT_QUESTIONS]
    rows_of_table = [
        [way, f"{found:,.0f}", f"{found / rate[_NONE]:.2f}"] for way, found in rate.items()
    ]
    told = (
        f"The indexes of the questions (migrations 0021 and 0024) cost the writer {cost:.0%} "
        f"({MAX_COST:.0%} at most wanted)."
    )
    return told, (
        "What the writer pays (`Store.append`, 1,000 a call, each with its own request id):\n\n"
        + table(["indexes", "records/s", "of the last row"], rows_of_table)
    )


async def _append(database: Database) -> float:
    store = Store(database)
    made = map(_with_request_id, records(ENDED - timedelta(hours=1)))
    batches = [list(islice(made, BATCH)) for _ in range(APPENDED // BATCH)]
    began = time.perf_counter()
    for batch in batches:
        await store.append(batch)
    return APPENDED / (time.perf_counter() - began)


def _with_request_id(record: AuditRecord) -> AuditRecord:
    return msgspec.structs.replace(record, request_id=secrets.token_hex(16))
