"""`python -m benchmarks.latency`: what a proxy adds to a call at a fixed rate of calls."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from benchmarks.calm import Patience
from benchmarks.contestants import PROXIES
from benchmarks.load import Target, closed_loop, open_loop
from benchmarks.options import parser
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others
from benchmarks.stage import AUDIT_OFF, Stage, open_stage
from benchmarks.verdict import Goal, verdict

_RATES: Final = (500, 2_000)
_JUDGED: Final = 2_000
_ROUNDS: Final = 3
_WITHIN_MS: Final = 1.0
_PROXIES: Final = ("nginx", "haproxy", "envoy")
_NOTES: Final = """
Times count from when a request was due, so that waiting is counted. Each figure is the median of
the rounds, the verdict goes by the best: a host that stops the machine for milliseconds raises a
99th percentile, and nothing lowers one; *added* is what it is above that of the upstream alone.
The generator shares its core with the upstream, so that a part of what is added is theirs.
PostgreSQL has that core only while they leave it idle: on a machine of its own it would not hold
them up either.
"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=7)
    chosen = options.parse_args()
    seconds = 1 if chosen.short else chosen.seconds
    patience = Patience(0 if chosen.short else chosen.patience)
    with open_stage() as stage:
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
        "\n\n".join([_verdict(measured[_JUDGED]), *parts, _NOTES.strip()]),
        chosen.results,
    )


def _contestants(stage: Stage) -> list[Contestant]:
    database = stage.database("database", gives_way=True)
    on = stage.sidecar("on", database.url)
    off = stage.sidecar("off", database.url, **AUDIT_OFF)
    token = database.token
    proxies = {name: stage.proxy(name, PROXIES[name]) for name in _PROXIES}
    contestants = [
        Contestant("direct", Target(stage.upstream, token)),
        *(Contestant(name, Target(it.origin, token), it.process) for name, it in proxies.items()),
        Contestant("audit on", Target(on.origin, token), on.process, settle=on.settle),
        Contestant("audit off", Target(off.origin, token), off.process),
    ]
    for contestant in contestants:  # tokens are learned, connections made
        closed_loop(contestant.target, connections=64, seconds=1)
        contestant.settle()
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
    )
    rows = [
        (
            each.name,
            *(f"{each.p50_ms:.2f}", f"{each.p50_ms - direct.p50_ms:.2f}"),
            *(f"{each.p99_ms:.2f}", f"{each.p99_ms - direct.p99_ms:.2f}"),
            *(f"{each.p999_ms:.2f}", f"{each.p999_ms - direct.p999_ms:.2f}"),
            each.range(lambda answers: answers.p99_ms),
        )
        for each in series.values()
    ]
    return f"{table(head, rows)}\n\n{others(series.values())}"


def _verdict(series: Mapping[str, Series]) -> str:
    direct, nginx, ours = (_calmest(series[each]) for each in ("direct", "nginx", "audit on"))
    if nginx - direct > _WITHIN_MS:
        return (
            f"**Not decided.** nginx's own 99th percentile is {nginx - direct:.2f} ms above that"
            f" of the upstream alone, in the best round of each: the host stopped the machine."
            f" In calm it is a tenth of a millisecond. (*audit on*: {ours - direct:.2f} ms.)"
        )
    name = f"p99 at {_JUDGED:,} requests/s above nginx's, best round of each"
    return verdict([Goal(name, _WITHIN_MS, ours - nginx, is_limit=True, unit=" ms")])


def _calmest(series: Series) -> float:
    """Return the lowest 99th percentile: a host that stops us raises it, and nothing lowers it."""
    return min(answers.p99_ms for answers in series.rounds)


if __name__ == "__main__":
    main()
