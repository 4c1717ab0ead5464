"""`python -m benchmarks.proxies`: this sidecar beside other reverse proxies, each with its log."""

import argparse
from functools import partial

from benchmarks.calm import Patience
from benchmarks.contestants import PROXIES
from benchmarks.load import Target, closed_loop, open_loop
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others
from benchmarks.stage import AUDIT_OFF, GENERAL_LANE, Stage, open_stage

_CONNECTIONS = (1, 32, 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rate", type=float, action="append", help="for the open loop")
    parser.add_argument("--only", help="names of other proxies, separated by commas")
    parser.add_argument("--patience", type=float, default=600, help="seconds to wait for calm")
    options = parser.parse_args()
    patience = Patience(options.patience)
    names = options.only.split(",") if options.only else list(PROXIES)
    with open_stage() as stage:
        contestants = _contestants(stage, names)
        parts = []
        for connections in _CONNECTIONS:
            load = partial(closed_loop, connections=connections, seconds=options.seconds)
            series = interleaved(contestants, load, rounds=options.rounds, patience=patience)
            parts.append(f"### {connections} connections\n\n{_throughput(series)}")
        for rate in options.rate or (500, 2_000):
            load = partial(open_loop, per_second=rate, seconds=options.seconds)
            series = interleaved(contestants, load, rounds=options.rounds, patience=patience)
            parts.append(f"### {rate:,.0f} requests a second, open loop\n\n{_latency(series)}")
    publish(
        "Beside other proxies",
        f"python -m benchmarks.proxies --rounds {options.rounds} --seconds {options.seconds:g}",
        "\n\n".join(parts),
    )


def _contestants(stage: Stage, names: list[str]) -> list[Contestant]:
    database = stage.database("database")
    on = stage.sidecar("on", database.url)
    off = stage.sidecar("off", database.url, **AUDIT_OFF)
    general = stage.sidecar("general", database.url, **GENERAL_LANE)
    token = database.token
    proxies = {name: stage.proxy(name, PROXIES[name]) for name in names}
    contestants = [
        Contestant("upstream alone", Target(stage.upstream, token)),
        *(Contestant(name, Target(it.origin, token), it.process) for name, it in proxies.items()),
        Contestant("audit on", Target(on.origin, token), on.process, settle=on.settle),
        Contestant("audit off", Target(off.origin, token), off.process),
        Contestant(
            "audit on, general lane",
            Target(general.origin, token),
            general.process,
            settle=general.settle,
        ),
    ]
    for contestant in contestants:  # tokens are learned, connections made
        closed_loop(contestant.target, connections=8, seconds=1)
    return contestants


def _throughput(series: dict[str, Series]) -> str:
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
            f"{each.cpu_us:.0f}",
            f"{each.memory_mib:.0f}",
        )
        for each in series.values()
    ]
    return f"{table(head, rows)}\n\n{others(series.values())}"


def _latency(series: dict[str, Series]) -> str:
    head = ("", "answered/s", "p50 ms", "p99 ms", "lowest to highest p99", "CPU µs")
    rows = [
        (
            each.name,
            f"{each.per_second:,.0f}",
            f"{each.p50_ms:.2f}",
            f"{each.p99_ms:.2f}",
            each.range(lambda answers: answers.p99_ms),
            f"{each.cpu_us:.0f}",
        )
        for each in series.values()
    ]
    return f"{table(head, rows)}\n\n{others(series.values())}"


if __name__ == "__main__":
    main()
