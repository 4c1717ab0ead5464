"""`python -m benchmarks.gateways`: MCP tool calls of one client, beside an MCP gateway.

ContextForge speaks MCP itself and relays no other request, so it cannot stand among the proxies.
"""

from functools import partial

from benchmarks.calm import Patience
from benchmarks.contextforge import PREFIX, REQUIREMENT, running_contextforge
from benchmarks.load import Target, called
from benchmarks.mcp_upstream import TOOL, running_mcp_upstream
from benchmarks.options import parser
from benchmarks.results import publish, table
from benchmarks.rounds import Contestant, Series, interleaved, others
from benchmarks.stage import open_stage


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=6)
    chosen = options.parse_args()
    seconds = 2 if chosen.short else chosen.seconds
    with open_stage(running_mcp_upstream) as stage:
        database = stage.database("database")
        on = stage.sidecar("on", database.url)
        with running_contextforge(stage.place / "contextforge", stage.upstream) as gateway:
            load = partial(called, tool=TOOL, seconds=seconds)
            contestants = [
                Contestant("direct", Target(stage.upstream, database.token)),
                Contestant("audit on", Target(on.origin, database.token), on.process),
                Contestant(
                    "ContextForge",
                    Target(gateway.origin, gateway.token),
                    gateway.process,
                    load=partial(called, tool=f"{PREFIX}-{TOOL}", seconds=seconds),
                ),
            ]
            series = interleaved(
                contestants,
                load,
                rounds=1 if chosen.short else 3,
                patience=Patience(0 if chosen.short else chosen.patience),
            )
    publish(
        "MCP tool calls beside a gateway",
        f"python -m benchmarks.gateways --seconds {seconds:g}",
        f"Calls/s: {', '.join(f'{it.name} {it.per_second:,.0f}' for it in series.values())}.",
        chosen.results,
        details=f"{_table(series)}\n\nOne client, one call after the other; the server's tool"
        f" does nothing. `{REQUIREMENT}` with SQLite, without its limit of 100 calls a minute."
        f" {others(series.values())}",
    )


def _table(series: dict[str, Series]) -> str:
    rows = [
        (
            each.name,
            f"{each.per_second:,.0f}",
            f"{each.spread:.0%}",
            f"{each.per_second / series['direct'].per_second:.2f}",
            f"{each.p50_ms:.1f}",
            f"{each.p99_ms:.1f}",
            f"{each.memory_mib:.0f}" if each.memory_mib else "",
        )
        for each in series.values()
    ]
    return table(("", "calls/s", "spread", "of direct", "p50 ms", "p99 ms", "MiB (PSS)"), rows)


if __name__ == "__main__":
    main()
