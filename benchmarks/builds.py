"""`python -m benchmarks.builds`: what a call costs in this build and in an older one, in turns."""

import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Final

from benchmarks.calm import Patience
from benchmarks.load import Target, closed_loop
from benchmarks.options import parser
from benchmarks.process import CHECKOUT
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others
from benchmarks.sidecar import Sidecar
from benchmarks.stage import Stage, open_stage
from benchmarks.verdict import Goal, verdict

OLD: Final = "b1612d3"
THIS: Final = "this build"
_BODY_BYTES: Final = 100_000
_MANY: Final = 256
_BODY_PATH: Final = "/api/v1/body"
_WANTED: Final[Mapping[str, float]] = {
    "GET": 1.05,
    "GET, no two heads alike": 1.05,
    "POST of 100 kB": 0.6,
    "POST of 100 kB in chunks": 0.7,
}
"""Processor time per call, as a share of the older build's."""
_NOTES: Final = """
Each call is audited and written to PostgreSQL. *CPU* is the processor time of the sidecar process
per call, writer included; both builds run on the same core, in turns, on the same lock file.
"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--revision", default=OLD, help="the older build")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=float, default=2)
    chosen = options.parse_args()
    rounds, seconds = (1, 1) if chosen.short else (chosen.rounds, chosen.seconds)
    patience = Patience(0 if chosen.short else chosen.patience)
    with open_stage() as stage:
        sidecars = _sidecars(stage, chosen.revision)
        load = partial(closed_loop, connections=32, seconds=seconds)
        in_turn = partial(interleaved, patience=patience)
        measured = {
            name: in_turn(_contestants(sidecars, target), load, rounds=rounds)
            for name, target in _targets().items()
        }
        many = in_turn(
            _contestants(sidecars, _targets()["GET"]),
            partial(closed_loop, connections=_MANY, seconds=seconds),
            rounds=min(rounds, 3),
        )
    measured[f"GET, {_MANY} connections"] = many
    publish(
        "Beside an older build",
        f"python -m benchmarks.builds --revision {chosen.revision} --rounds {rounds}"
        f" --seconds {seconds:g}",
        f"{_verdict(measured, chosen.revision)}\n\n{_table(measured)}\n{_NOTES}"
        f"{others(series for each in measured.values() for series in each.values())}",
        chosen.results,
    )


def _targets() -> Mapping[str, Target]:
    get = Target("")
    return {
        "GET": get,
        "GET, no two heads alike": replace(get, varies=True),
        "POST of 100 kB": replace(get, path=_BODY_PATH, body=f"sized:{_BODY_BYTES}"),
        "POST of 100 kB in chunks": replace(get, path=_BODY_PATH, body=f"chunked:{_BODY_BYTES}"),
    }


def _sidecars(stage: Stage, revision: str) -> Mapping[str, tuple[Sidecar, str]]:
    """Start a sidecar of each build, each with a database of its own; return them with a token."""
    old = checked_out(revision, stage.place / "old-build")
    builds = {revision: old, THIS: CHECKOUT}
    sidecars = {}
    for number, (name, build) in enumerate(builds.items()):
        database = stage.database(f"database-{number}")
        sidecar = stage.sidecar(f"sidecar-{number}", database.url, build=build)
        sidecars[name] = sidecar, database.token
    return sidecars


def checked_out(revision: str, place: Path) -> Path:
    packages = ("audit_log", "proxy")
    archive = subprocess.run(
        ["git", "archive", revision, *packages], cwd=CHECKOUT, check=True, stdout=subprocess.PIPE
    )
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(place, filter="data")
    return place


def _contestants(
    sidecars: Mapping[str, tuple[Sidecar, str]], target: Target
) -> Sequence[Contestant]:
    contestants = [
        Contestant(
            name,
            replace(target, origin=sidecar.origin, token=token),
            sidecar.process,
            settle=sidecar.settle,
        )
        for name, (sidecar, token) in sidecars.items()
    ]
    for contestant in contestants:  # tokens are learned, connections made
        closed_loop(contestant.target, connections=8, seconds=1)
    return contestants


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
    many = measured[f"GET, {_MANY} connections"]
    memory = Goal(
        f"memory at {_MANY} connections",
        many[revision].memory_mib,
        many[THIS].memory_mib,
        is_limit=True,
        unit=" MiB",
    )
    return verdict([*goals, memory])


if __name__ == "__main__":
    main()
