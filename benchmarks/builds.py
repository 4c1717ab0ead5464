"""`python -m benchmarks.builds`: what a call costs in this build and in an older one, in turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from benchmarks.calm import Patience
from benchmarks.load import Target, closed_loop
from benchmarks.older_build import OLD, THIS, checked_out
from benchmarks.options import parser
from benchmarks.ours import contestant
from benchmarks.process import CHECKOUT
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others, warm_up
from benchmarks.stage import Stage, open_stage
from benchmarks.verdict import Goal, memory_goal, verdict

_BODY_BYTES: Final = 100_000
_MANY: Final = 256
_BODY_PATH: Final = "/api/v1/body"
_DIFFER: Final = "GET, heads that differ"
_AT_MANY: Final = f"{_DIFFER}, {_MANY} connections"
_WANTED: Final[Mapping[str, float]] = {
    _DIFFER: 1 / 2.3,
    "POST of 100 kB": 0.6,
    "POST of 100 kB in chunks": 0.7,
}
"""Processor time per call, as a share of the older build's."""
_NOTES: Final = """
Each call is audited and written to PostgreSQL. *CPU* is the processor time per call of all
processes of the sidecar, recorder and writer included; both builds run on the same core, in turns,
on the same lock file.
"""

_Request = Callable[[Target], Target]
"""Makes of what a contestant is asked what it is to be asked."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--revision", default=OLD, help="the older build")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=float, default=2)
    chosen = options.parse_args()
    rounds, seconds = (1, 1) if chosen.short else (chosen.rounds, chosen.seconds)
    patience = Patience(0 if chosen.short else chosen.patience)
    requests: Mapping[str, _Request] = {
        _DIFFER: lambda target: target,
        "GET, the same head": lambda target: target.repeated,
        "POST of 100 kB": partial(_with_body, "sized"),
        "POST of 100 kB in chunks": partial(_with_body, "chunked"),
    }
    with open_stage(gives_way=not chosen.short) as stage:
        contestants = _contestants(stage, chosen.revision)
        in_turn = partial(interleaved, patience=patience)
        load = partial(closed_loop, connections=32, seconds=seconds)
        measured = {
            name: in_turn(_asked(contestants, request), load, rounds=rounds)
            for name, request in requests.items()
        }
        load = partial(closed_loop, connections=_MANY, seconds=seconds)
        measured[_AT_MANY] = in_turn(contestants, load, rounds=min(rounds, 3))
    publish(
        "Beside an older build",
        f"python -m benchmarks.builds --revision {chosen.revision} --rounds {rounds}"
        f" --seconds {seconds:g}",
        _verdict(measured, chosen.revision),
        chosen.results,
        details=f"{_table(measured)}\n{_NOTES}"
        f"{others(series for each in measured.values() for series in each.values())}",
    )


def _contestants(stage: Stage, revision: str) -> list[Contestant]:
    """Start a sidecar of each build, each with a database of its own."""
    old = checked_out(revision, stage.place / "old-build")
    contestants = []
    for number, (name, build) in enumerate({revision: old, THIS: CHECKOUT}.items()):
        database = stage.database(f"database-{number}")
        sidecar = stage.sidecar(f"sidecar-{number}", database.url, build=build)
        contestants.append(contestant(name, sidecar, database))
    warm_up(contestants)
    return contestants


def _asked(contestants: Sequence[Contestant], request: _Request) -> list[Contestant]:
    return [replace(each, target=request(each.target)) for each in contestants]


def _with_body(kind: str, target: Target) -> Target:
    return replace(target.repeated, path=_BODY_PATH, body=f"{kind}:{_BODY_BYTES}")


def _ratio(series: Mapping[str, Series]) -> float:
    """Return the processor time per call of this build as a share of the other's."""
    [old] = [each for name, each in series.items() if name != THIS]
    return series[THIS].cpu_us / old.cpu_us


def _table(measured: Mapping[str, Mapping[str, Series]]) -> str:
    rows = [
        (
            what,
            name,
            f"{each.per_second:,.0f}",
            f"{each.cpu_us:.1f}",
            f"{_ratio(series):.2f}" if name == THIS else "1",
            f"{each.memory_mib:.0f}",
        )
        for what, series in measured.items()
        for name, each in series.items()
    ]
    return table(("calls", "build", "calls/s", "CPU µs", "ratio", "MiB"), rows)


def _verdict(measured: Mapping[str, Mapping[str, Series]], revision: str) -> str:
    goals = [
        Goal(
            f"CPU per call, {what}, of {revision}'s", wanted, _ratio(measured[what]), is_limit=True
        )
        for what, wanted in _WANTED.items()
    ]
    memory = memory_goal(f"memory at {_MANY} connections", measured[_AT_MANY][THIS].memory_mib)
    return verdict([*goals, memory])


if __name__ == "__main__":
    main()
