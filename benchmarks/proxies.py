"""`python -m benchmarks.proxies`: this sidecar beside other reverse proxies, each with its log."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from benchmarks.calm import Patience
from benchmarks.contestants import PROXIES, RunningProxy
from benchmarks.load import Target, closed_loop
from benchmarks.options import parser
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others
from benchmarks.stage import AUDIT_OFF, Stage, open_stage
from benchmarks.verdict import Goal, verdict
from benchmarks.versions import versions

JUDGED: Final = 32
"""The number of connections for which issue 6 says what is to be reached."""
_ROUNDS: Final = {1: 3, JUDGED: 5, 256: 3}
"""How many rounds for how many connections."""
_MIB_WANTED: Final = 120e6 / 2**20
_OURS: Final = ("audit on", "audit off")
_NOTES: Final = """
*CPU* is that of all processes of a contestant, for one request, while the load lasts; the writer
that brings the records to PostgreSQL is part of it. *MiB* is the most that was ever resident.
Every proxy has one thread, kept connections on both sides, and its access log in a file on disk;
*audit on* keeps a journal on the same disk and PostgreSQL beside it.
"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=int, default=2)
    options.add_argument("--only", help="names of other proxies, separated by commas")
    chosen = options.parse_args()
    seconds = 1 if chosen.short else chosen.seconds
    patience = Patience(0 if chosen.short else chosen.patience)
    names = chosen.only.split(",") if chosen.only else list(PROXIES)
    with open_stage() as stage:
        proxies = {name: stage.proxy(name, PROXIES[name]) for name in names}
        contestants = _contestants(stage, proxies)
        measured = {}
        for connections, rounds in ({JUDGED: 1} if chosen.short else _ROUNDS).items():
            load = partial(closed_loop, connections=connections, seconds=seconds)
            measured[connections] = interleaved(
                contestants, load, rounds=rounds, patience=patience
            )
        logs = _logs(proxies, measured)
        line = versions(proxies)
    parts = [f"### {number} connections\n\n{_table(each)}" for number, each in measured.items()]
    publish(
        "Beside other proxies",
        f"python -m benchmarks.proxies --seconds {seconds:g}",
        "\n\n".join([_verdict(measured), *parts, f"{line}\n\n{logs}\n{_NOTES}"]),
        chosen.results,
    )


def _contestants(stage: Stage, proxies: Mapping[str, RunningProxy]) -> list[Contestant]:
    database = stage.database("database")
    on = stage.sidecar("on", database.url)
    off = stage.sidecar("off", database.url, **AUDIT_OFF)
    token = database.token
    contestants = [
        Contestant("direct", Target(stage.upstream, token)),
        *(Contestant(name, Target(it.origin, token), it.process) for name, it in proxies.items()),
        Contestant("audit on", Target(on.origin, token), on.process, settle=on.settle),
        Contestant("audit off", Target(off.origin, token), off.process),
    ]
    for contestant in contestants:  # tokens are learned, connections made
        closed_loop(contestant.target, connections=8, seconds=1)
    return contestants


def _table(series: Mapping[str, Series]) -> str:
    best = series["nginx"].per_second if "nginx" in series else 0
    head = ("", "requests/s", "spread", "of nginx", "p50 ms", "p99 ms", "CPU µs", "MiB")
    rows = [
        (
            each.name,
            f"{each.per_second:,.0f}",
            f"{each.spread:.0%}",
            f"{each.per_second / best:.2f}" if best else "",
            f"{each.p50_ms:.2f}",
            f"{each.p99_ms:.2f}",
            f"{each.cpu_us:.0f}" if each.cpu_us else "",
            f"{each.memory_mib:.0f}" if each.memory_mib else "",
        )
        for each in series.values()
    ]
    return f"{table(head, rows)}\n\n{others(series.values())}"


def _verdict(measured: Mapping[int, Mapping[str, Series]]) -> str:
    """Compare with what issue 6 wants; a ratio is that of the medians."""
    series = measured[JUDGED]
    on = series["audit on"].per_second
    wanted = {"nginx": 0.75, "envoy": 1.5, "caddy": 3.0, "audit off": 0.95}
    ratios = [
        Goal(f"requests/s of {name}, {JUDGED} connections", ratio, on / series[name].per_second)
        for name, ratio in wanted.items()
        if name in series
    ]
    most = max(each[name].memory_mib for each in measured.values() for name in _OURS)
    memory = Goal("memory of the sidecar", _MIB_WANTED, most, is_limit=True, unit=" MiB")
    return verdict([*ratios, memory])


def _logs(
    proxies: Mapping[str, RunningProxy], measured: Mapping[int, Mapping[str, Series]]
) -> str:
    """Return whether each proxy has logged its responses."""
    shares = []
    for name, proxy in proxies.items():
        answered = sum(
            answers.requests for series in measured.values() for answers in series[name].rounds
        )
        shares.append(f"{name} {min(1, proxy.logged() / answered):.1%}")
    return f"Of the requests counted here, these are in the logs: {', '.join(shares)}."


if __name__ == "__main__":
    main()
