"""RESULTS.md: one section a benchmark, each replaced as a whole by the run that measured it."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
_DETAILS: Final = "details"
"""The folder beside it for what is long."""
_SECTION: Final = re.compile(r"^## (.*?)$.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_INTRODUCTION: Final = """\
# Results

Each section was written by the program named in it; `make bench` runs all and begins with none.
What is compared was measured in turns within one run (A B C, A B C, …): compare within a table,
by the ratios; not between tables, whose runs met the machine in other moods.
The proxy has one core for itself. The load, the upstream (nginx, one fixed JSON answer)
and PostgreSQL share the other one. All traffic stays on loopback.
*Spread* is the distance of the highest from the lowest round, as a part of the median.
"""


def begin_anew(results: Path) -> None:
    """Leave nothing of an earlier run: no section, and no file beside."""
    for file in (results.parent / _DETAILS).glob("*.md"):
        file.unlink()
    results.write_text(_INTRODUCTION)


def publish(
    title: str, command: str, text: str, results: Path = RESULTS, *, details: str = ""
) -> None:
    """Write the section *title*, measured by *command*, in place of the one from before.

    *Details* go into a file beside *results*.
    """
    source = f"`{command}`, {_circumstances()}"
    if details:
        name = f"{_DETAILS}/{re.sub('[^a-z0-9]+', '-', title.lower())}.md"
        _write(results.parent / name, f"# {title}\n\n{source}\n\n{details.strip()}\n")
        source += f" · [details]({name})"
    section = f"## {title}\n{source}\n\n{text.strip()}\n"
    before = results.read_text() if results.exists() else ""
    sections = {found[1]: found[0] for found in _SECTION.finditer(before)}
    sections[title] = section
    _write(results, "\n".join([_INTRODUCTION, *(it.strip() + "\n" for it in sections.values())]))
    print(f"{section}\n{details}")


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table: the first column text, the others numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _circumstances() -> str:
    load = os.getloadavg()[2]
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {_processor()}, Linux {platform.release()},"
        f" Python {platform.python_version()}, uvloop {version('uvloop')},"
        f" {_nginx()}; load over the last quarter of an hour, our own included: {load:.1f}"
    )


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} cores of {found[1] if found else platform.machine()}"


def _nginx() -> str:
    said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)
    return said.stderr.strip().removeprefix("nginx version: ")
