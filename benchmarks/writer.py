"""`python -m benchmarks.writer`: what a recorder needs for a record, and how fast it is.

PostgreSQL is stopped while calls are recorded, and started again; then the same rows go into it by
plain COPY.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from benchmarks.calm import Patience
from benchmarks.database import Database
from benchmarks.older_build import OLD, THIS, checked_out
from benchmarks.options import parser
from benchmarks.ours import HEADS, contestant
from benchmarks.plain_copy import PlainCopy
from benchmarks.process import CHECKOUT
from benchmarks.recorders import Bench, Recorder
from benchmarks.records import Passage
from benchmarks.results import publish, table
from benchmarks.rounds import warm_up
from benchmarks.stage import Stage, open_stage
from benchmarks.verdict import Goal, verdict

_COPY: Final = "COPY of the same rows"
_LIVE: Final = "written while calls come"
_CPU_US: Final = 4
_OF_COPY: Final = 0.85
_TIMES_COPY: Final = 1.25
_NOTES: Final = f"""
*Drained*: the records of an outage, from the first batch on. *CPU* is that of the recorder, in
{OLD} that of the whole sidecar; while calls come it covers everything up to PostgreSQL. Recorder
and COPY have the proxy's core, PostgreSQL the other one.
{HEADS}"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--records", type=int, default=200_000, help="in each round")
    options.add_argument("--drain", type=int, default=1_000_000, help="records to drain at last")
    chosen = options.parse_args()
    rounds, records = (1, 5_000) if chosen.short else (chosen.rounds, chosen.records)
    drain = 10_000 if chosen.short else chosen.drain
    found = defaultdict[str, list[Passage]](list)
    with open_stage() as stage:
        database = stage.database("database")
        plain = PlainCopy(database.server, stage.place / "rows")
        bench = Bench(database, plain, Patience(0 if chosen.short else chosen.patience))
        recorders = _recorders(stage, database)
        for _ in range(rounds):
            found[_LIVE].append(bench.live(recorders[0], records))
            bench.copied()
            for each in recorders:
                found[_drained(each.name)].append(bench.drained(each, records))
                found[_COPY].append(bench.copied())
        longest = {each.name: (bench.drained(each, drain), bench.copied()) for each in recorders}
    publish(
        "How fast records get into PostgreSQL",
        f"python -m benchmarks.writer --rounds {rounds} --records {records} --drain {drain}",
        verdict(_goals(found, longest[THIS])),
        chosen.results,
        details=f"{_table(found)}\n\n"
        + "\n".join(_told(name, *each) for name, each in longest.items())
        + f"\n{_NOTES}Others used {median(bench.shares):.0%} of the machine in the median"
        f" measurement, {max(bench.shares):.0%} in the worst.",
    )


def _recorders(stage: Stage, database: Database) -> list[Recorder]:
    """Start this build, and an older one that has no recorder of its own."""
    builds = {THIS: CHECKOUT, OLD: checked_out(OLD, stage.place / "old-build")}
    recorders = []
    for number, (name, build) in enumerate(builds.items()):
        sidecar = stage.sidecar(f"sidecar-{number}", database.url, build=build)
        pid = sidecar.keeper if name == THIS else sidecar.process.pid
        recorders.append(Recorder(name, sidecar, database.target(sidecar.origin), pid))
    warm_up(contestant(each.name, each.sidecar, database) for each in recorders)
    return recorders


def _drained(name: str) -> str:
    return f"{name}, drained"


def _rate(passages: Sequence[Passage]) -> float:
    return median(each.per_second for each in passages)


def _cpu_us(passages: Sequence[Passage]) -> float:
    return median(each.cpu_seconds / each.records for each in passages) * 1e6


def _goals(found: Mapping[str, Sequence[Passage]], longest: tuple[Passage, Passage]) -> list[Goal]:
    drained, copied = longest
    return [
        *(
            Goal(
                f"recorder: CPU of a record, {name}",
                _CPU_US,
                _cpu_us(found[name]),
                is_limit=True,
                unit=" µs",
            )
            for name in (_LIVE, _drained(THIS))
        ),
        Goal(
            "drained: of plain COPY", _OF_COPY, _rate(found[_drained(THIS)]) / _rate(found[_COPY])
        ),
        Goal(
            f"{drained.records:,} records drained: times COPY",
            _TIMES_COPY,
            drained.seconds / copied.seconds,
            is_limit=True,
        ),
    ]


def _table(found: Mapping[str, Sequence[Passage]]) -> str:
    return table(
        ("", "records/s", "spread", "of COPY", "CPU µs a record"),
        [
            (
                name,
                f"{_rate(passages):,.0f}",
                f"{_spread([each.per_second for each in passages]):.0%}",
                "" if name == _LIVE else f"{_rate(passages) / _rate(found[_COPY]):.2f}",
                f"{_cpu_us(passages):.1f}",
            )
            for name, passages in found.items()
        ],
    )


def _spread(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / median(values)


def _told(name: str, drained: Passage, copied: Passage) -> str:
    return (
        f"{drained.records:,} records were drained by {name} in {drained.seconds:.1f} s,"
        f" {drained.seconds / copied.seconds:.2f} times the {copied.seconds:.1f} s of COPY."
    )


if __name__ == "__main__":
    main()
