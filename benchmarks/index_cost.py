"""What the indexes cost the writer: the same records appended with and without them."""

import tempfile
import time
from collections.abc import Mapping
from datetime import timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final

from audit_log.postgres.database import Database, open_database
from audit_log.postgres.store import Store
from benchmarks.query_data import ENDED, fill
from benchmarks.records import records
from benchmarks.results import table
from deploy.local.postgres import running_postgres

INDEXED_ROWS: Final = 500_000
"""How long the log is before."""
APPENDED: Final = 60_000
BATCH: Final = 1_000
ROUNDS: Final = 3
_FILTERS: Final = ("token_name", "method", "status", "outcome", "tool", "client_ip", "path")
_WITHOUT: Final[Mapping[str, tuple[str, ...]]] = {
    "all indexes": (),
    "without those of the filters": _FILTERS,
    "without that of arrival as well": (*_FILTERS, "arrival"),
}


async def index_costs(settings: Mapping[str, str], *, rows: int) -> str:
    """Return a table of records a second beside *rows*, each way measured in turns."""
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
    first = median(rates["without that of arrival as well"])
    return "What the writer pays (`Store.append`, 1,000 a call):\n\n" + table(
        ["indexes", "records/s", "of the last row"],
        [
            [way, f"{median(found):,.0f}", f"{median(found) / first:.2f}"]
            for way, found in rates.items()
        ],
    )


async def _append(database: Database) -> float:
    store = Store(database)
    made = records(ENDED - timedelta(hours=1))
    batches = [list(islice(made, BATCH)) for _ in range(APPENDED // BATCH)]
    began = time.perf_counter()
    for batch in batches:
        await store.append(batch)
    return APPENDED / (time.perf_counter() - began)
