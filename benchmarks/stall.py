"""`python -m benchmarks.stall`: calls at a fixed rate while the journal's disk stands still."""

import argparse
from dataclasses import replace
from functools import partial
from typing import Final

from benchmarks.calm import Patience
from benchmarks.load import Target, open_loop
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others
from benchmarks.stage import Stage, open_stage

_NOTES: Final = """
Times count from when a request was due. The kernel holds up all writes to the journal's file
system from before the first request until after the last answer. Promised: less than 5 ms more
at the 99th percentile.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--patience", type=float, default=600, help="seconds to wait for calm")
    options = parser.parse_args()
    patience = Patience(options.patience)
    load = partial(open_loop, per_second=options.rate, seconds=options.seconds)
    with open_stage() as stage:
        series = interleaved(_contestants(stage), load, rounds=options.rounds, patience=patience)
    publish(
        "Calls while the journal's disk stands still",
        f"python -m benchmarks.stall --rounds {options.rounds} --seconds {options.seconds:g}"
        f" --rate {options.rate:g}",
        f"{_table(series)}\n{_NOTES}{others(series.values())}",
    )


def _contestants(stage: Stage) -> list[Contestant]:
    database, disk = stage.database("database"), stage.disk()
    sidecar = stage.sidecar("sidecar", database.url, PROXY_JOURNAL_DIR=str(disk.path))
    target = Target(sidecar.origin, database.token)
    undisturbed = Contestant("undisturbed", target, sidecar.process, settle=sidecar.settle)
    return [
        Contestant("upstream alone", Target(stage.upstream, database.token)),
        undisturbed,
        replace(undisturbed, name="disk stalled", disturbance=disk.stalled),
    ]


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
