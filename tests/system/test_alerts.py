"""The alert rules, checked and tested by promtool (Debian: apt-get install prometheus)."""

import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "rules", "deploy/prometheus/alerts.yaml"],
        ["test", "rules", "tests/system/alerts.test.yaml"],
    ],
)
def test_promtool_finds_nothing_wrong_with_the_alert_rules(arguments):
    said = subprocess.run(
        ["promtool", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert said.returncode == 0, said.stdout + said.stderr
