"""`python -m benchmarks.bodies`: large bodies, idle event streams, and WebSocket messages."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.calm import Patience
from benchmarks.contestants import NGINX_FOR_STREAMS, PROXIES
from benchmarks.file_upstream import FILES, large_file, running_file_upstream
from benchmarks.idle_streams import Held, idle_streams, stream_table
from benchmarks.load import downloaded, echoed, uploaded
from benchmarks.options import parser
from benchmarks.ours import BOTH_CORES, ONE_CORE, PLACES, ours
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others, repeated
from benchmarks.stage import Stage, open_stage
from benchmarks.stream_upstream import running_stream_upstream
from benchmarks.verdict import Goal, memory_goal, verdict

_ROUNDS: Final = 5
_MESSAGE_BYTES: Final = (64, 16_384)
_OF_NGINX: Final = 0.7
_PROXIES: Final = {"nginx": NGINX_FOR_STREAMS, "haproxy": PROXIES["haproxy"]}
_NOTES: Final = """
Every head is the same here. The upstream of the bodies is nginx, which sends from a tmpfs and
takes what is uploaded into it; curl asks, once a round. The nginx that is measured passes uploads
on as they come (`proxy_request_buffering off`), and answers through 16 buffers of 64 KiB and no
file (`proxy_max_temp_file_size 0`).
The upstream of streams and messages is a small program on plain sockets. Messages go to and fro
on 32 WebSockets, one under way on each. Client and upstream share a core, which *direct* shows
the limit of: where a proxy comes near it, *CPU* tells more than the messages.
"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--mebibytes", type=int, default=1_024, help="of a large body")
    options.add_argument("--streams", type=int, default=1_000)
    options.add_argument("--seconds", type=float, default=3, help="of messages, a round")
    chosen = options.parse_args()
    patience = Patience(0 if chosen.short else chosen.patience)
    rounds = 1 if chosen.short else _ROUNDS
    seconds = 0.5 if chosen.short else chosen.seconds
    size = 64 if chosen.short else chosen.mebibytes
    with (
        large_file(size) as file,
        open_stage(partial(running_file_upstream, file=file)) as stage,
    ):
        down, up = _transfers(stage, file, rounds, patience)
    with open_stage(running_stream_upstream) as stage:
        contestants = _contestants(stage)
        streams = idle_streams(contestants, chosen.streams)
        echoes = {
            length: interleaved(
                contestants,
                partial(echoed, size=length, seconds=seconds),
                rounds=rounds,
                patience=patience,
            )
            for length in _MESSAGE_BYTES
        }
    parts = [
        f"### Download of {size:,} MiB\n\n{_table(down, 'MB/s', 'CPU µs a MB')}",
        f"### Upload of {size:,} MiB\n\n{_table(up, 'MB/s', 'CPU µs a MB')}",
        f"### {chosen.streams:,} idle event streams\n\n{stream_table(streams, chosen.streams)}",
        *(
            f"### WebSocket messages of {length:,} bytes\n\n"
            + _table(series, "messages/s", "CPU µs")
            for length, series in echoes.items()
        ),
    ]
    publish(
        "Large bodies, streams and messages",
        f"python -m benchmarks.bodies --mebibytes {size} --streams {chosen.streams}",
        _verdict(down, up, streams),
        chosen.results,
        details="\n\n".join([*parts, f"{_NOTES.strip()}\n{PLACES}"]),
    )


def _transfers(
    stage: Stage, file: Path, rounds: int, patience: Patience
) -> tuple[dict[str, Series], dict[str, Series]]:
    contestants = _contestants(stage)
    down = [_at(each, f"{FILES}/{file.name}") for each in contestants]
    up = [_at(each, f"{FILES}/uploaded") for each in contestants]
    return (
        interleaved(down, downloaded, rounds=rounds, patience=patience),
        interleaved(up, partial(uploaded, file=file), rounds=rounds, patience=patience),
    )


def _at(contestant: Contestant, path: str) -> Contestant:
    return replace(contestant, target=replace(contestant.target, path=path))


def _contestants(stage: Stage) -> list[Contestant]:
    database = stage.database("database")
    proxies = {name: stage.proxy(name, proxy) for name, proxy in _PROXIES.items()}
    return repeated(
        [
            Contestant("direct", database.target(stage.upstream)),
            *(
                Contestant(name, database.target(it.origin), it.process)
                for name, it in proxies.items()
            ),
            *ours(stage, database),
        ]
    )


def _table(series: Mapping[str, Series], rate: str, cost: str) -> str:
    nginx = series["nginx"].per_second
    rows = [
        (
            each.name,
            f"{each.per_second:,.0f}",
            f"{each.spread:.0%}",
            f"{each.per_second / nginx:.2f}",
            f"{each.cpu_us:,.0f}" if each.cpu_us else "",
            f"{each.memory_mib:.0f}" if each.memory_mib else "",
        )
        for each in series.values()
    ]
    head = ("", rate, "spread", "of nginx", cost, "MiB (PSS)")
    return f"{table(head, rows)}\n\n{others(series.values())}"


def _verdict(down: Mapping[str, Series], up: Mapping[str, Series], streams: list[Held]) -> str:
    goals = [
        Goal(
            f"{name}, {ONE_CORE}: times nginx",
            _OF_NGINX,
            series[ONE_CORE].per_second / series["nginx"].per_second,
        )
        for name, series in {"download": down, "upload": up}.items()
    ]
    audited = (ONE_CORE, BOTH_CORES)
    memory = {
        "large bodies": max(it[place].memory_mib for it in (down, up) for place in audited),
        "idle streams": max(it.with_bytes for it in streams if it.name in audited) / 2**20,
    }
    limits = [memory_goal(f"memory with {what}", mib) for what, mib in memory.items()]
    return verdict([*goals, *limits])


if __name__ == "__main__":
    main()
