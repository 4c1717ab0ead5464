"""`python -m benchmarks.queries`: how long the first page takes, by filter, as the log grows.

Also what the indexes cost the writer: they are there for the filters, and each append pays.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from audit_log.filters import StoredFilter
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.reading.facet_statements import FacetBy, FacetQuery
from audit_log.postgres.reading.facets import facets_of
from audit_log.postgres.search import COSTS, RecordQuery, search, search_statement
from benchmarks.calm import Patience
from benchmarks.index_cost import INDEXED_ROWS, index_costs
from benchmarks.options import parser
from benchmarks.query_cases import CASES, DOCUMENTED, UNINDEXED
from benchmarks.query_data import ENDED, LIMIT, fill
from benchmarks.query_views import COUNTED, VIEWS
from benchmarks.results import publish, table
from deploy.local.postgres import running_postgres

ROWS: Final = (10_000, 1_000_000, 10_000_000)
ROUNDS: Final = 2
ASKED: Final = 200
"""Or as often as fits into `ROUND_SECONDS`."""
ROUND_SECONDS: Final = 4.0
MAX_GROWTH: Final = 1.5
MAX_MS: Final = 50.0
FACET_DAYS: Final = 7
ASKED_OF_FACETS: Final = 5
MAX_FACET_MS: Final = 300.0
SETTINGS: Final = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
"""What an installation of this size would have. All else is as PostgreSQL comes."""

Times = Mapping[str, Sequence[float]]
"""In ms: of each filter, and of each value by which is counted."""
_Measured = Mapping[int, Times]
Question = Callable[[Database], Awaitable[object]]


def main() -> None:
    """Measure, and publish the table."""
    options = parser(__doc__)
    options.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    chosen = options.parse_args()
    sizes = ROWS[:1] if chosen.short else chosen.rows
    patience = Patience(0 if chosen.short else chosen.patience)
    measured, plans, (cost, costs) = asyncio.run(_run(sizes, patience))
    publish(
        "How long a question takes",
        f"python -m benchmarks.queries --rows {' '.join(map(str, sizes))}",
        f"{_verdict(measured)}\n{cost}",
        chosen.results,
        details="\n\n".join([_times_table(measured), costs, _plans(plans)]),
    )


async def _run(
    sizes: Sequence[int], patience: Patience
) -> tuple[_Measured, list[str], tuple[str, str]]:
    plans: list[str] = []
    measured = {rows: await _measured(rows, plans, patience) for rows in sizes}
    return measured, plans, await index_costs(SETTINGS, rows=min(INDEXED_ROWS, max(sizes)))


async def _measured(rows: int, plans: list[str], patience: Patience) -> Times:
    """Return the times over a log of *rows*; leave the plans of the longest one in *plans*."""
    with (
        tempfile.TemporaryDirectory(prefix="queries-") as directory,
        running_postgres(Path(directory) / "postgres", settings=SETTINGS) as server,
    ):
        async with open_database(server.url(), application="benchmark") as database:
            print(f"{rows:,} rows made in {await fill(database, rows):.0f} s", flush=True)
            times = {
                name: await _times(database, ask, patience)
                for name, ask in {**{case: _first_page(case) for case in CASES}, **VIEWS}.items()
            }
            times |= {_by(by): await _facet_times(database, by, patience) for by in FacetBy}
            plans[:] = [await _plan(database, case) for case in CASES]
            return times


def _first_page(case: str) -> Question:
    query = RecordQuery(limit=LIMIT, filter=CASES[case])
    return partial(search, query=query)


async def _times(database: Database, ask: Question, patience: Patience) -> Sequence[float]:
    """Return the times of the calmer of two rounds: others use this machine too."""
    await ask(database)  # what was just asked for is in memory
    rounds = []
    for _ in range(ROUNDS):
        patience.wait_for_calm()
        times: list[float] = []
        while len(times) < ASKED and sum(times) < ROUND_SECONDS * 1_000:
            began = time.perf_counter()
            await ask(database)
            times.append((time.perf_counter() - began) * 1_000)
        rounds.append(times)
    return min(rounds, key=_p99)


async def _facet_times(database: Database, by: FacetBy, patience: Patience) -> Sequence[float]:
    since = ENDED - timedelta(days=FACET_DAYS)
    query = FacetQuery(
        by=by, filter=StoredFilter(), earliest=since, since=since, until=ENDED, limit=10
    )
    await facets_of(database, query)
    patience.wait_for_calm()
    times = []
    for _ in range(ASKED_OF_FACETS):
        began = time.perf_counter()
        await facets_of(database, query)
        times.append((time.perf_counter() - began) * 1_000)
    return times


def _by(by: FacetBy) -> str:
    return f"by {by}"


async def _plan(database: Database, case: str) -> str:
    sql, arguments = search_statement(RecordQuery(limit=LIMIT, filter=CASES[case]))
    async with database.transaction() as transaction:
        await transaction.execute(COSTS)
        rows = await transaction.fetch(f"EXPLAIN (COSTS OFF) {sql}", *arguments)
    return "\n".join([f"-- {case}", *(row[0] for row in rows)])


def _times_table(measured: _Measured) -> str:
    return (
        "Median / 99th percentile of the first page of 100, in ms; the calmer of two rounds:\n\n"
        + table(
            ["filter", *(f"{rows:,} rows" for rows in measured)],
            [[case, *(_shown(times[case]) for times in measured.values())] for case in CASES],
        )
        + "\n\nOther questions, likewise; all statements of the audit API for one answer:\n\n"
        + table(
            ["question", *(f"{rows:,} rows" for rows in measured)],
            [[view, *(_shown(times[view]) for times in measured.values())] for view in VIEWS],
        )
        + f"\n\nMedian / longest of the 10 commonest values in {FACET_DAYS} of 90 days, in ms:\n\n"
        + table(
            ["by", *(f"{rows:,} rows" for rows in measured)],
            [[by, *(_shown(times[_by(by)]) for times in measured.values())] for by in FacetBy],
        )
    )


def _shown(times: Sequence[float]) -> str:
    return f"{median(times):.1f} / {_p99(times):.1f}"


def _p99(times: Sequence[float]) -> float:
    return max(times) if len(times) < ASKED else quantiles(times, n=100)[98]


def _verdict(measured: _Measured) -> str:
    smallest, largest = measured[min(measured)], measured[max(measured)]
    growth = [
        f"{case} {median(largest[case]) / median(smallest[case]):.2f}" for case in DOCUMENTED
    ]
    slow = [
        f"{case} ({rows:,} rows)"
        for rows, times in measured.items()
        for case in (*CASES, *VIEWS)
        if case not in (*UNINDEXED, *COUNTED) and _p99(times[case]) >= MAX_MS
    ]
    counts = [by for by in FacetBy if median(largest[_by(by)]) >= MAX_FACET_MS]
    return (
        f"From the shortest log to the longest (times {MAX_GROWTH} at most wanted): "
        f"{', '.join(growth)}.\n"
        f"Questions over {MAX_MS:.0f} ms: {', '.join(slow) or 'none'}; "
        "a path pattern whose beginning says little reads the log, and a token's page counts its "
        "calls: neither is meant.\n"
        f"Commonest values of {FACET_DAYS} days over {MAX_FACET_MS:.0f} ms: "
        f"{', '.join(counts) or 'none'}."
    )


def _plans(plans: Sequence[str]) -> str:
    text = "\n\n".join(plans)
    return f"<details><summary>Plans at the longest</summary>\n\n```\n{text}\n```\n\n</details>"


if __name__ == "__main__":
    main()
