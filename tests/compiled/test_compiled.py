"""`make test-compiled` runs this beside the other tests: what they have imported is compiled."""

import tomllib
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from tests.neighbours.program import CHECKOUT, run

WHEEL = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
MODULES = WHEEL["targets"]["wheel"]["hooks"]["custom"]["modules"]


@pytest.mark.parametrize("source", MODULES)
def test_the_module_that_is_imported_is_compiled_and_of_this_tree(source):
    module = import_module(source.removesuffix(".py").replace("/", "."))

    assert module.__file__ is not None
    file = Path(module.__file__)
    assert file.parent == (CHECKOUT / source).parent
    assert file.name == Path(source).stem + EXTENSION_SUFFIXES[0]


def test_a_service_runs_compiled():
    code, said, complaints = run("deploy.console", "--version", environment={}, seconds=60)

    assert (code, complaints) == (0, "")
    assert said.endswith(" (compiled)\n")
