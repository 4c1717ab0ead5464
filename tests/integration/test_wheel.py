"""What is installed: a wheel with all that runs and nothing else, and its program."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PACKAGES = ("audit_log", "proxy", "audit_api", "deploy")
PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
COMPILED = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
SECRETS = ("deploy/.env", "deploy/podwarden.env", "deploy/push.env")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built as the Dockerfile builds it: from a copy without a .gitignore."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, tree)
    for package in PACKAGES:
        shutil.copytree(CHECKOUT / package, tree / package)
    for secret in SECRETS:
        (tree / secret).write_text("PASSWORD=x")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--wheel-dir", tree / "dist", tree),
        ],
        check=True,
        env=os.environ | {"PODWARDEN_AUDIT_COMPILE": "no"},
    )
    [built] = (tree / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files(package, pattern):
    found = (CHECKOUT / package).rglob(pattern)
    return {str(path.relative_to(CHECKOUT)) for path in found if path.is_file()}


def test_the_wheel_is_of_the_version_of_the_project(wheel):
    assert wheel.name == f"podwarden_audit_sidecar-{PROJECT['version']}-py3-none-any.whl"


@pytest.mark.parametrize(
    ("package", "pattern"),
    [
        ("audit_log", "*.sql"),
        ("audit_api", "*.html"),
        ("audit_api", "*.js"),
        ("audit_api", "*.css"),
        ("audit_api", "*.svg"),
        ("audit_log", "*.py"),
        ("audit_api", "*.py"),
        ("proxy", "*.py"),
        ("deploy", "*.sql"),
        ("deploy", "*.y*ml"),
        ("deploy", "*.service"),
        ("deploy", "*.example"),
    ],
)
def test_the_wheel_has_every_file_that_is_needed(package, pattern, names):
    wanted = files(package, pattern)

    assert wanted
    assert wanted <= names


def test_the_modules_that_are_compiled_where_that_can_be_done_are_there(names):
    assert set(COMPILED) <= names


def test_the_packages_say_that_they_are_typed(names):
    assert {f"{package}/py.typed" for package in ("audit_log", "proxy", "audit_api")} <= names


def test_the_wheel_has_nothing_else(names):
    tops = {name.split("/")[0] for name in names}
    information = f"podwarden_audit_sidecar-{PROJECT['version']}.dist-info"

    assert tops == {*PACKAGES, information}
    assert names.isdisjoint(SECRETS)
    assert not [name for name in names if name.startswith("deploy/local/") or "pycache" in name]


def test_the_program_is_there_and_speaks_before_anything_else_is_installed(wheel, tmp_path):
    """It imports what a command needs, and `--help` and `--version` need nothing."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check"),
            *("--python", tmp_path / "bin" / "python"),
            *("install", "--quiet", "--no-deps", "--no-index", wheel),
        ],
        check=True,
    )

    def said(*words):
        program = tmp_path / "bin" / "podwarden-audit"
        environment = {"PATH": os.defpath}
        return subprocess.run(
            [program, *words], env=environment, check=True, capture_output=True, text=True
        ).stdout

    assert said("--version") == f"podwarden-audit {PROJECT['version']}\n"
    assert said("--help").startswith("usage: podwarden-audit")
