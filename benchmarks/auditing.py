"""`python -m benchmarks.auditing`: what auditing costs a call, when all is well and when not."""

import argparse
from functools import partial
from typing import Final

from benchmarks.calm import Patience
from benchmarks.load import Target, closed_loop
from benchmarks.process import free_port
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others
from benchmarks.stage import AUDIT_OFF, Stage, open_stage

_NOTES: Final = """
*Database dead*: PostgreSQL was killed with SIGKILL after the first calls, when the sidecar knew
the token. *Never there*: it was away when the sidecar started, which thus knows no token.
*Disk stalled*: the kernel holds up every write to the journal's file system while it is measured.
*No two heads alike*: a field that changes with each request, so that nothing is remembered.
While PostgreSQL is alive the writer shares the proxy's core with the calls.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--patience", type=float, default=600, help="seconds to wait for calm")
    options = parser.parse_args()
    patience = Patience(options.patience)
    load = partial(closed_loop, connections=options.connections, seconds=options.seconds)
    with open_stage() as stage:
        series = interleaved(_contestants(stage), load, rounds=options.rounds, patience=patience)
    publish(
        "What auditing costs a call",
        f"python -m benchmarks.auditing --rounds {options.rounds}"
        f" --seconds {options.seconds:g} --connections {options.connections}",
        f"{_table(series)}\n{_NOTES}{others(series.values())}",
    )


def _contestants(stage: Stage) -> list[Contestant]:
    alive, doomed = stage.database("alive"), stage.database("doomed")
    disk = stage.disk()
    off = stage.sidecar("off", alive.url, **AUDIT_OFF)
    on = stage.sidecar("on", alive.url)
    stalled = stage.sidecar("stalled", alive.url, PROXY_JOURNAL_DIR=str(disk.path))
    orphan = stage.sidecar("orphan", doomed.url)
    lonely = stage.sidecar("lonely", f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    token = alive.token
    contestants = [
        Contestant("upstream alone", Target(stage.upstream, token)),
        Contestant("off", Target(off.origin, token), off.process),
        Contestant("on", Target(on.origin, token), on.process, settle=on.settle),
        Contestant("on, no two heads alike", Target(on.origin, token, varies=True), on.process),
        Contestant("on, database dead", Target(orphan.origin, doomed.token), orphan.process),
        Contestant("on, database never there", Target(lonely.origin, token), lonely.process),
        Contestant(
            "on, disk stalled",
            Target(stalled.origin, token),
            stalled.process,
            disturbance=disk.stalled,
            settle=stalled.settle,
        ),
    ]
    for contestant in contestants:  # tokens are learned, connections made
        closed_loop(contestant.target, connections=8, seconds=1)
    orphan.settle()
    doomed.server.kill()
    return contestants


def _table(series: dict[str, Series]) -> str:
    off, on = series["off"].per_second, series["on"].per_second
    return table(
        ("auditing", "requests/s", "spread", "of off", "of on", "p50 ms", "p99 ms", "CPU µs"),
        [
            (
                each.name,
                f"{each.per_second:,.0f}",
                f"{each.spread:.0%}",
                f"{each.per_second / off:.2f}",
                f"{each.per_second / on:.2f}",
                f"{each.p50_ms:.2f}",
                f"{each.p99_ms:.2f}",
                f"{each.cpu_us:.0f}",
            )
            for each in series.values()
        ],
    )


if __name__ == "__main__":
    main()
