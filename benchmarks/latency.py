"""`python -m benchmarks.latency`: what a proxy adds to a call at a fixed rate of calls."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from benchmarks.calm import CALM_SHARE, Patience
from benchmarks.contestants import PROXIES
from benchmarks.load import open_loop
from benchmarks.options import parser
from benchmarks.ours import BOTH_CORES, GIVING_WAY, HEADS, OFF, ONE_CORE, PLACES, ours
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, above, interleaved, others, warm_up
from benchmarks.stage import Stage, open_stage
from benchmarks.verdict import Goal, verdict

_RATES: Final = (500, 2_000)
_JUDGED: Final = 2_000
_ROUNDS: Final = 5
_WITHIN_MS: Final = {"nginx": 0.7, OFF: 0.2}
_PROXIES: Final = ("nginx", "haproxy", "envoy")
_NOTES: Final = f"""
Times count from when a request was due, so that waiting is counted. Each figure is the median of
the rounds; the verdict compares medians of the calm rounds, those in which others used at most
{CALM_SHARE:.0%} of the machine. *Added* is what it is above that of the upstream alone.
The generator shares its core with the upstream, so that a part of what is added is theirs.
PostgreSQL has that core only while they leave it idle: on a machine of its own it would not hold
them up either.
{PLACES}{GIVING_WAY}{HEADS}"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=7)
    chosen = options.parse_args()
    seconds = 1 if chosen.short else chosen.seconds
    patience = Patience(0 if chosen.short else chosen.patience)
    with open_stage(gives_way=not chosen.short) as stage:
        contestants = _contestants(stage)
        measured = {}
        for rate in _RATES:
            load = partial(open_loop, per_second=rate, seconds=seconds)
            measured[rate] = interleaved(
                contestants, load, rounds=1 if chosen.short else _ROUNDS, patience=patience
            )
    parts = [f"### {rate:,} requests a second\n\n{_table(it)}" for rate, it in measured.items()]
    publish(
        "Added latency at a fixed rate",
        f"python -m benchmarks.latency --seconds {seconds:g}",
        verdict(_goals(measured[_JUDGED])),
        chosen.results,
        details="\n\n".join([*parts, _NOTES.strip()]),
    )


def _contestants(stage: Stage) -> list[Contestant]:
    database = stage.database("database")
    proxies = {name: stage.proxy(name, PROXIES[name]) for name in _PROXIES}
    contestants = [
        Contestant("direct", database.target(stage.upstream)),
        *(
            Contestant(name, database.target(it.origin), it.process)
            for name, it in proxies.items()
        ),
        *ours(stage, database),
    ]
    warm_up(contestants, connections=64)
    return contestants


def _table(series: Mapping[str, Series]) -> str:
    direct = series["direct"]
    head = (
        "",
        "p50 ms",
        "added",
        "p99 ms",
        "added",
        "p99.9 ms",
        "added",
        "p99, lowest to highest",
        "calm rounds",
    )
    rows = [
        (
            each.name,
            *(f"{each.p50_ms:.2f}", f"{each.p50_ms - direct.p50_ms:.2f}"),
            *(f"{each.p99_ms:.2f}", f"{each.p99_ms - direct.p99_ms:.2f}"),
            *(f"{each.p999_ms:.2f}", f"{each.p999_ms - direct.p999_ms:.2f}"),
            each.range(lambda answers: answers.p99_ms),
            f"{len(each.calm)} of {len(each.rounds)}",
        )
        for each in series.values()
    ]
    return f"{table(head, rows)}\n\n{others(series.values())}"


def _goals(series: Mapping[str, Series]) -> Iterator[Goal]:
    for place in (BOTH_CORES, ONE_CORE):
        for other, wanted in _WITHIN_MS.items():
            name = f"p99 at {_JUDGED:,} calls/s, {place}: above {other}"
            more = above(series[place], series[other])
            yield Goal(name, wanted, more, is_limit=True, unit=" ms")


if __name__ == "__main__":
    main()
