"""What every benchmark can be told: to be short, how patient to be, and where to write."""

import argparse
from pathlib import Path

from benchmarks.results import RESULTS


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of `--short`, `--patience` and `--results`."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--short", action="store_true", help="see that it runs; no figures")
    options.add_argument("--patience", type=float, default=60, help="seconds to wait for calm")
    options.add_argument("--results", type=Path, default=RESULTS, help="the file to write to")
    return options
