"""`python -m benchmarks.stall`: calls at a fixed rate while the journal's disk stands still."""

from dataclasses import replace
from functools import partial
from typing import Final

from benchmarks.calm import Patience
from benchmarks.load import open_loop
from benchmarks.options import parser
from benchmarks.ours import HEADS, contestant
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others, warm_up
from benchmarks.stage import Stage, open_stage

_NOTES: Final = """
Times count from when a request was due. The kernel holds up all writes to the journal's file
system from before the first request until after the last answer. Promised: less than 5 ms more
at the 99th percentile.
"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--rate", type=float, default=500)
    chosen = options.parse_args()
    rounds, seconds = (1, 2) if chosen.short else (chosen.rounds, chosen.seconds)
    patience = Patience(0 if chosen.short else chosen.patience)
    load = partial(open_loop, per_second=chosen.rate, seconds=seconds)
    with open_stage() as stage:
        series = interleaved(_contestants(stage), load, rounds=rounds, patience=patience)
    publish(
        "Calls while the journal's disk stands still",
        f"python -m benchmarks.stall --rounds {rounds} --seconds {seconds:g}"
        f" --rate {chosen.rate:g}",
        _table(series),
        chosen.results,
        details=f"{_table(series)}\n{_NOTES}{HEADS}{others(series.values())}",
    )


def _contestants(stage: Stage) -> list[Contestant]:
    database, disk = stage.database("database"), stage.disk()
    sidecar = stage.sidecar("sidecar", database.url, PROXY_JOURNAL_DIR=str(disk.path))
    undisturbed = contestant("undisturbed", sidecar, database)
    contestants = [
        Contestant("upstream alone", database.target(stage.upstream)),
        undisturbed,
        replace(undisturbed, name="disk stalled", disturbance=disk.stalled),
    ]
    warm_up(contestants[:2])
    return contestants


def _table(series: dict[str, Series]) -> str:
    return table(
        ("calls", "answered/s", "p50 ms", "p99 ms", "lowest to highest p99", "longest ms"),
        [
            (
                each.name,
                f"{each.per_second:,.0f}",
                f"{each.p50_ms:.2f}",
                f"{each.p99_ms:.2f}",
                each.range(lambda answers: answers.p99_ms),
                f"{max(answers.max_ms for answers in each.rounds):.1f}",
            )
            for each in series.values()
        ],
    )


if __name__ == "__main__":
    main()
