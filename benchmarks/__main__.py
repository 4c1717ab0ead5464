"""`python -m benchmarks`: every benchmark in turn, into a RESULTS.md that begins empty."""

import subprocess
import sys
from typing import Final

from benchmarks.options import parser
from benchmarks.process import CHECKOUT
from benchmarks.results import begin_anew

PROGRAMS: Final = (
    *("proxies", "auditing", "latency", "builds", "recorder_faults", "writer", "seal", "stall"),
    *("outage", "nats", "bodies", "costly_bodies", "strangers", "growth", "profile", "gateways"),
    *("queries", "exports"),
)
"""In the order in which their sections are to be read."""


def main() -> None:
    chosen = parser(__doc__).parse_args()
    begin_anew(chosen.results)
    passed_on = ["--results", str(chosen.results.resolve()), "--patience", str(chosen.patience)]
    passed_on += ["--short"] if chosen.short else []
    failed = []
    for name in PROGRAMS:
        print(f"benchmarks.{name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *passed_on]
        if subprocess.run(command, cwd=CHECKOUT, check=False).returncode:
            failed.append(name)
    if failed:
        raise SystemExit(f"Without results: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
