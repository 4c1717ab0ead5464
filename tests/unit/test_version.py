"""One version, in the project and in the changelog; test_wheel.py holds what is built to it."""

import re
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def test_the_changelog_begins_with_the_version_of_the_project():
    changelog = (CHECKOUT / "CHANGELOG.md").read_text()
    [newest, *_] = re.findall(
        r"^## (\S+) \((unreleased|\d{4}-\d\d-\d\d)\)$", changelog, re.MULTILINE
    )

    assert newest[0] == PROJECT["version"]
