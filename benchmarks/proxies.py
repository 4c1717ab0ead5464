"""`python -m benchmarks.proxies`: this sidecar beside other reverse proxies, each with its log."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from benchmarks.calm import Patience
from benchmarks.contestants import PROXIES, RunningProxy
from benchmarks.load import closed_loop
from benchmarks.older_build import OLD, checked_out
from benchmarks.options import parser
from benchmarks.ours import (
    BOTH_CORES,
    GIVING_WAY,
    HEADS,
    OFF,
    ONE_CORE,
    PLACES,
    contestant,
    ours,
)
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others, repeated, warm_up
from benchmarks.stage import Stage, open_stage
from benchmarks.verdict import Goal, memory_goal, verdict
from benchmarks.versions import versions

_JUDGED: Final = 32
_MANY: Final = 256
_ROUNDS: Final = {1: 3, _JUDGED: 5, _MANY: 3}
"""How many rounds for how many connections."""
_DIFFER: Final = "heads that differ"
_SAME: Final = "the same head"
_OF_NGINX: Final = {
    (BOTH_CORES, _DIFFER): 0.5,
    (BOTH_CORES, _SAME): 0.75,
    (ONE_CORE, _DIFFER): 0.4,
}
_OF_OTHERS: Final = {OFF: 0.85, "envoy": 2, "caddy": 4, OLD: 2.3}
"""What is to be reached with heads that differ."""
_NOTES: Final = f"""\
Every proxy has one thread, kept connections on both sides, and its access log in a file on disk;
a sidecar that audits keeps its journal on the same disk and PostgreSQL beside it. {OLD} is the
build before there was a recorder: it has one process, on one core. Those that are not measured are
idle on that core, of which an idle recorder takes about 2 %.
"""

Measured = Mapping[str, Mapping[str, Series]]
"""By heads, and by name."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=2)
    options.add_argument("--only", help="names of other proxies, separated by commas")
    chosen = options.parse_args()
    seconds = 1 if chosen.short else chosen.seconds
    patience = Patience(0 if chosen.short else chosen.patience)
    names = chosen.only.split(",") if chosen.only else list(PROXIES)
    with open_stage(gives_way=not chosen.short) as stage:
        proxies = {name: stage.proxy(name, PROXIES[name]) for name in names}
        contestants = _contestants(stage, proxies)
        measured = {}
        for connections, rounds in ({_JUDGED: 1, _MANY: 1} if chosen.short else _ROUNDS).items():
            load = partial(closed_loop, connections=connections, seconds=seconds)
            in_turn = partial(interleaved, load=load, rounds=rounds, patience=patience)
            measured[connections] = {_DIFFER: in_turn(contestants)}
            if connections == _JUDGED:
                measured[connections][_SAME] = in_turn(repeated(contestants))
        logs = _logs(proxies, measured)
        line = versions(proxies)
    publish(
        "Beside other proxies",
        f"python -m benchmarks.proxies --seconds {seconds:g}",
        f"{verdict(_goals(measured))}\n\n{_table(measured[_JUDGED])}",
        chosen.results,
        details="\n\n".join(
            [
                *(f"### {number} connections\n\n{_table(it)}" for number, it in measured.items()),
                others(
                    each
                    for it in measured.values()
                    for series in it.values()
                    for each in series.values()
                ),
                f"{line}\n\n{logs}\n\n{_NOTES}{PLACES}{GIVING_WAY}{HEADS}",
            ]
        ),
    )


def _contestants(stage: Stage, proxies: Mapping[str, RunningProxy]) -> list[Contestant]:
    database = stage.database("database")
    old = stage.sidecar("old", database.url, build=checked_out(OLD, stage.place / "old-build"))
    contestants = [
        Contestant("direct", database.target(stage.upstream)),
        *(
            Contestant(name, database.target(it.origin), it.process)
            for name, it in proxies.items()
        ),
        contestant(OLD, old, database),
        *ours(stage, database),
    ]
    warm_up(contestants)
    return contestants


def _table(measured: Measured) -> str:
    """Return a table with columns for each kind of head."""
    head = [""]
    rows = [[name] for name in measured[_DIFFER]]
    for heads, series in measured.items():
        head += [f"calls/s, {heads}", "spread", "of nginx", "p50 ms", "p99 ms", "CPU µs"]
        for row, each in zip(rows, series.values(), strict=True):
            row += [
                f"{each.per_second:,.0f}",
                f"{each.spread:.0%}",
                f"{_ratio(series, each.name, 'nginx'):.2f}" if "nginx" in series else "",
                f"{each.p50_ms:.2f}",
                f"{each.p99_ms:.2f}",
                f"{each.cpu_us:.0f}" if each.cpu_us else "",
            ]
    for row, each in zip(rows, measured[_DIFFER].values(), strict=True):
        row.append(f"{each.memory_mib:.0f}" if each.memory_mib else "")
    return table([*head, "MiB"], rows)


def _goals(measured: Mapping[int, Measured]) -> Iterator[Goal]:
    """Yield what is to be reached; a ratio is that of the medians."""
    judged = measured[_JUDGED]
    for (place, heads), wanted in _OF_NGINX.items():
        if "nginx" in judged[heads]:
            yield _goal(judged, heads, place, "nginx", wanted)
    for name, wanted in _OF_OTHERS.items():
        if name in judged[_DIFFER]:
            for place in (BOTH_CORES, ONE_CORE):
                yield _goal(judged, _DIFFER, place, name, wanted)
    many = max(measured[_MANY][_DIFFER][place].memory_mib for place in (BOTH_CORES, ONE_CORE))
    yield memory_goal(f"memory at {_MANY} connections", many)


def _goal(measured: Measured, heads: str, place: str, name: str, wanted: float) -> Goal:
    return Goal(f"{place}, {heads}: times {name}", wanted, _ratio(measured[heads], place, name))


def _ratio(series: Mapping[str, Series], name: str, other: str) -> float:
    return series[name].per_second / series[other].per_second


def _logs(proxies: Mapping[str, RunningProxy], measured: Mapping[int, Measured]) -> str:
    """Return whether each proxy has logged its responses."""
    shares = []
    for name, proxy in proxies.items():
        answered = sum(
            answers.requests
            for each in measured.values()
            for series in each.values()
            for answers in series[name].rounds
        )
        shares.append(f"{name} {min(1, proxy.logged() / answered):.1%}")
    return f"Of the requests counted here, these are in the logs: {', '.join(shares)}."


if __name__ == "__main__":
    main()
