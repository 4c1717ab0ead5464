"""`python -m benchmarks.auditing`: what auditing costs a call, when all is well and when not."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from benchmarks.calm import Patience
from benchmarks.load import Target, closed_loop, open_loop
from benchmarks.options import parser
from benchmarks.process import free_port
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others
from benchmarks.stage import AUDIT_OFF, Stage, open_stage

_RATE: Final = 2_000
_VARIES: Final = "on, no two heads alike"
_NOTES: Final = """
*Database dead*: PostgreSQL was killed with SIGKILL after the first calls, when the sidecar knew
the token. *Never there*: it was away when the sidecar started, which thus knows no token.
*Disk stalled*: the kernel holds up every write to the journal's file system while it is measured.
*No two heads alike*: a field that changes with each request, so that nothing is remembered.
While PostgreSQL is alive the recorder, with its writer, shares the proxy's core with the calls.
At the fixed rate times count from when a request was due, so that waiting is counted; PostgreSQL
shares a core with the generator and the upstream, so that a part of what is added is theirs.
"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--connections", type=int, default=32)
    chosen = options.parse_args()
    rounds, seconds = (1, 1) if chosen.short else (chosen.rounds, chosen.seconds)
    patience = Patience(0 if chosen.short else chosen.patience)
    measured = partial(interleaved, rounds=rounds, patience=patience)
    with open_stage() as stage:
        contestants = _contestants(stage)
        full = measured(
            contestants, partial(closed_loop, connections=chosen.connections, seconds=seconds)
        )
        steady = measured(
            [each for each in contestants if each.name != _VARIES],
            partial(open_loop, per_second=_RATE, seconds=seconds),
        )
    publish(
        "What auditing costs a call",
        f"python -m benchmarks.auditing --rounds {rounds} --seconds {seconds:g}"
        f" --connections {chosen.connections}",
        f"### As fast as it goes, {chosen.connections} connections\n\n{_saturated(full)}\n\n"
        f"### {_RATE:,} requests a second\n\n{_at_a_fixed_rate(steady)}\n{_NOTES}"
        f"{others([*full.values(), *steady.values()])}",
        chosen.results,
    )


def _contestants(stage: Stage) -> Sequence[Contestant]:
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
        Contestant(_VARIES, Target(on.origin, token, varies=True), on.process),
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


def _saturated(series: Mapping[str, Series]) -> str:
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


def _at_a_fixed_rate(series: Mapping[str, Series]) -> str:
    off = series["off"]
    return table(
        ("auditing", "p50 ms", "of off", "p99 ms", "of off", "p99, lowest to highest"),
        [
            (
                each.name,
                *(f"{each.p50_ms:.2f}", f"{each.p50_ms / off.p50_ms:.2f}"),
                *(f"{each.p99_ms:.2f}", f"{each.p99_ms / off.p99_ms:.2f}"),
                each.range(lambda answers: answers.p99_ms),
            )
            for each in series.values()
        ],
    )


if __name__ == "__main__":
    main()
