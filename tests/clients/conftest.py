"""What the clients' calls left, as a table at the end of the run."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

_LINES = pytest.StashKey[list[str]]()
Report = Callable[[str, Mapping[str, str], Mapping[str, str], Mapping[str, str]], None]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LINES] = []


@pytest.fixture
def report(pytestconfig: pytest.Config) -> Report:
    """Keeps what was wanted, what was recorded, and what the callers saw."""

    def keep(
        client: str,
        wanted: Mapping[str, str],
        recorded: Mapping[str, str],
        seen: Mapping[str, str],
    ) -> None:
        lines = pytestconfig.stash[_LINES]
        as_wanted = sum(recorded[kind] == row for kind, row in wanted.items())
        lines.append(f"{client}: {as_wanted} of {len(wanted)} as expected")
        lines += [
            f"  {kind:18}{recorded[kind]:28}"
            f"{'' if recorded[kind] == row else f'expected {row}; '}{seen.get(kind, '')[:160]}"
            for kind, row in wanted.items()
        ]

    return keep


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if lines := config.stash[_LINES]:
        terminalreporter.section("what was recorded, and what the caller saw")
        for line in lines:
            terminalreporter.write_line(line)
