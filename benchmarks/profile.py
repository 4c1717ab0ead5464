"""`python -m benchmarks.profile`: where the time of a call goes."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from benchmarks.calm import Patience
from benchmarks.load import closed_loop
from benchmarks.options import parser
from benchmarks.ours import HEADS, OFF, contestant
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others, repeated, warm_up
from benchmarks.stacks import Stack
from benchmarks.stage import AUDIT_OFF, Stage, open_stage
from benchmarks.watched import Watched, watched

_CONNECTIONS: Final = 32
_ROUNDS: Final = 3
_FUNCTIONS: Final = 25
_PARTS: Final = 3
_SMALLEST: Final = 0.005
_THREADS: Final = "the recorder, and other threads"
_ON: Final = "audit on"
_SAME: Final = "the same head"
_NOTES: Final = f"""
The time of a request was measured without the profiler. How it is shared out was seen by py-spy,
which stops the sidecar 100 times a second and follows its Python and C stacks: so the shares are
right to about a percent, small ones less so. C code counts for the function of ours that called
it, but for uvloop and system calls. Waiting for events (`epoll_pwait`) is left out.
`write` and `read` are those of the sockets and take in the kernel's whole way to the other end,
which a loopback does at once. The recorder, which shares the core with the calls, and the kernel's
work for it are a row of their own.
{HEADS}"""

Shares = Mapping[str, float]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=int, default=20, help="to watch each")
    chosen = options.parse_args()
    seconds = 3 if chosen.short else chosen.seconds
    patience = Patience(0 if chosen.short else chosen.patience)
    with open_stage() as stage:
        contestants = _contestants(stage)
        series = interleaved(
            contestants,
            partial(closed_loop, connections=_CONNECTIONS, seconds=1 if chosen.short else 3),
            rounds=1 if chosen.short else _ROUNDS,
            patience=patience,
        )
        seen = {each.name: watched(each, _CONNECTIONS, seconds) for each in contestants}
    cost, on = series[_ON], seen[_ON]
    publish(
        "Where the time of a call goes",
        f"python -m benchmarks.profile --seconds {seconds}",
        _by_part(series, seen, most=_PARTS),
        chosen.results,
        details=f"### By part\n\n{_by_part(series, seen)}\n\n"
        f"### By function, {_ON}\n\n{_by_function(cost, on.loop, on.part)}\n\n"
        f"### By function, the recorder\n\n{_by_function(cost, on.recorder, 1 - on.part)}\n\n"
        f"{others(series.values())}\n{_NOTES}",
    )


def _contestants(stage: Stage) -> list[Contestant]:
    """Start one that audits and one that does not; each takes part with heads of both kinds."""
    database = stage.database("database")
    on = contestant(_ON, stage.sidecar("on", database.url), database)
    off = contestant(OFF, stage.sidecar("off", database.url, **AUDIT_OFF), database)
    same = [replace(each, name=f"{each.name}, {_SAME}") for each in repeated([on, off])]
    contestants = [on, off, *same]
    warm_up(contestants, connections=_CONNECTIONS)
    return contestants


def _by_part(
    series: Mapping[str, Series],
    seen: Mapping[str, Watched],
    most: int | None = None,
) -> str:
    shares = {}
    for name, each in seen.items():
        found = _shares(each.loop, each.part, lambda stack: stack.part)
        shares[name] = {**found, _THREADS: 1 - each.part}
    names = list(series)
    parts = sorted(
        {part for each in shares.values() for part, share in each.items() if share > _SMALLEST},
        key=lambda part: -sum(each.get(part, 0) for each in shares.values()),
    )
    rows = [
        (part, *(_cell(shares[name].get(part, 0), series[name].cpu_us) for name in names))
        for part in parts[:most]
    ]
    whole = [("**all**", *(f"{series[name].cpu_us:.1f} µs" for name in names))]
    return table(("part", *names), [*whole, *rows])


def _by_function(series: Series, found: list[Stack], part: float) -> str:
    shares = _shares(found, part, lambda stack: stack.function or "none of ours")
    most = sorted(shares.items(), key=lambda each: -each[1])[:_FUNCTIONS]
    return table(
        ("function, with all that it calls outside our code", "of a call"),
        [(f"`{function}`", _cell(share, series.cpu_us)) for function, share in most],
    )


def _shares(found: list[Stack], loop: float, name: Callable[[Stack], str]) -> Shares:
    """Return which part of a call's time goes to what, by *name*."""
    seen = Counter[str]()
    for stack in found:
        seen[name(stack)] += stack.seen
    return {each: loop * number / seen.total() for each, number in seen.items()}


def _cell(share: float, whole_us: float) -> str:
    return f"{share * whole_us:.1f} µs, {share:.1%}" if share else ""


if __name__ == "__main__":
    main()
