import sys
from pathlib import Path

import pytest

from tests.neighbours.program import CHECKOUT
from tests.system.debian import need, run

UNITS = sorted((CHECKOUT / "deploy" / "systemd").glob("*.service"))
INSTALLED = "/opt/podwarden-audit/.venv/bin/python"


@pytest.fixture(autouse=True)
def systemd() -> None:
    need("systemd-analyze")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_every_line_of_a_unit(unit, tmp_path):
    # It also looks for the program, which is not installed there on this machine.
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(INSTALLED, str(Path(sys.executable).resolve())))

    said = run("systemd-analyze", "verify", copy)

    assert unit.name not in said


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_calls_a_unit_well_confined(unit):
    # In tenths of its "exposure", from 0.0 to 10.0; below 2.0 it says OK.
    run("systemd-analyze", "security", "--offline=true", "--threshold=15", unit)
