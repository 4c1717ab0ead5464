"""`python -m benchmarks.growth`: whether a call costs more as there is more of something."""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Final

from benchmarks.calm import Patience
from benchmarks.load import Target, closed_loop
from benchmarks.many_tokens import tokens_in_files
from benchmarks.options import parser
from benchmarks.process import BOTH_CORES, free_port
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others
from benchmarks.sidecar import Sidecar
from benchmarks.stage import Stage, open_stage

_CONNECTIONS: Final = (1, 2, 4, 8)
_TOKENS: Final = (10, 100, 1_000, 10_000, 100_000)
_PATH_LENGTHS: Final = (10, 100, 500, 1_000, 2_000)
_AT_ONCE: Final = 32
"""Connections, where their number is not what grows."""
_PER_SECOND: Final = 4_000
"""Requests on few connections that a sidecar answers at least once it knows their tokens."""
_LEARN_SECONDS: Final = 75
"""How long a sidecar may take to learn its tokens; it learns each from the database."""
_ROUNDS: Final = 3
_STEP: Final = 1.25
"""How much more a request may cost at the next value before that is a step."""
_NOTES: Final = """
What is compared is the *CPU* that a request takes, of all processes of the sidecar: the load
bounds the requests a second, and the machine's moods touch it least. A step is a value at which
a request costs more than at the value before. Two workers have both cores, on which the load,
the upstream and PostgreSQL run as well: compare them with each other alone.
Tokens are used in turn, each before the first round, unless the table says that some were not.
"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=int, default=2)
    chosen = options.parse_args()
    rounds = 1 if chosen.short else _ROUNDS
    seconds = 1 if chosen.short else chosen.seconds
    numbers = _TOKENS[:3] if chosen.short else _TOKENS
    patience = Patience(0 if chosen.short else chosen.patience)
    measure = partial(
        interleaved,
        load=partial(closed_loop, connections=_AT_ONCE, seconds=seconds),
        rounds=rounds,
        patience=patience,
    )
    with open_stage() as stage:
        found = {
            what: measure(contestants)
            for what, contestants in _contestants(stage, numbers, seconds).items()
        }
    publish(
        "Growth",
        f"python -m benchmarks.growth --seconds {seconds}",
        _steps(found),
        chosen.results,
        details="\n\n".join([*(_table(*each) for each in found.items()), _NOTES.strip()]),
    )


def _contestants(
    stage: Stage, numbers: tuple[int, ...], seconds: float
) -> dict[str, list[Contestant]]:
    """Return what is to be compared, by what grows."""
    database = stage.database("database")
    one = stage.sidecar("one", database.url)
    shared = {"PROXY_WORKERS": "2", "PROXY_PORT": str(free_port())}
    two = stage.sidecar("two", database.url, core=BOTH_CORES, **shared)
    single = _contestant(one, Target(one.origin, database.token))
    double = _contestant(two, Target(two.origin, database.token))
    for contestant in (single, double):  # tokens are learned, connections made
        closed_loop(contestant.target, connections=_AT_ONCE, seconds=1)
    return {
        "connections, one worker": _by_connections(single, seconds, cores=1),
        "connections per core, two workers": _by_connections(double, seconds, cores=2),
        "characters of the path": [
            replace(single, name=f"{length:,}", target=replace(single.target, path=_path(length)))
            for length in _PATH_LENGTHS
        ],
        "tokens in the token cache": _by_tokens(stage, numbers, database.url),
    }


def _contestant(sidecar: Sidecar, target: Target, name: str = "") -> Contestant:
    return Contestant(name, target, sidecar.process, settle=sidecar.settle)


def _by_connections(contestant: Contestant, seconds: float, cores: int) -> list[Contestant]:
    return [
        replace(
            contestant,
            name=f"{each}",
            load=partial(closed_loop, connections=each * cores, seconds=seconds),
        )
        for each in _CONNECTIONS
    ]


def _by_tokens(stage: Stage, numbers: tuple[int, ...], url: str) -> list[Contestant]:
    """Start a sidecar for each number of tokens, and let it learn them."""
    contestants = []
    for number, file in tokens_in_files(url, stage.place, numbers).items():
        sidecar = stage.sidecar(f"with-{number}", url)
        target = Target(sidecar.origin, tokens=file)
        # Not on more connections than a sidecar looks up tokens at once.
        learn = partial(closed_loop, target, connections=4, seconds=1 + number // _PER_SECOND)
        deadline = time.monotonic() + _LEARN_SECONDS
        knows_all = False
        while not knows_all and time.monotonic() < deadline:
            knows_all = learn().requests >= number  # each time from the first token on
        name = f"{number:,}" if knows_all else f"{number:,}, not all known yet"
        contestants.append(_contestant(sidecar, target, name))
    return contestants


def _path(length: int) -> str:
    start = "/api/v1/"
    return start + "x" * (length - len(start))


def _steps(found: Mapping[str, Mapping[str, Series]]) -> str:
    """Return a line on the biggest step of each kind."""
    rows = []
    for what, series in found.items():
        step, before, after = max(
            (after.cpu_us / before.cpu_us, before.name, after.name)
            for before, after in pairwise(series.values())
        )
        word = "**a step**" if step > _STEP else "no step"
        rows.append((what, f"{step:.2f}", f"{before} to {after}", word))
    return table(("the biggest rise of CPU for", "times", "from", f"above {_STEP:g}?"), rows)


def _table(what: str, series: Mapping[str, Series]) -> str:
    rows = [
        (
            each.name,
            f"{each.per_second:,.0f}",
            f"{each.spread:.0%}",
            f"{each.cpu_us:.0f}",
            f"{each.p50_ms:.2f}",
            f"{each.p99_ms:.2f}",
            f"{each.memory_mib:.0f}",
        )
        for each in series.values()
    ]
    head = (what, "requests/s", "spread", "CPU µs", "p50 ms", "p99 ms", "MiB (PSS)")
    return f"### By {what}\n\n{table(head, rows)}\n\n{others(series.values())}"


if __name__ == "__main__":
    main()
