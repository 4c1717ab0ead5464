"""The size of the house: no room, class or function grows past what is read in one sitting."""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

CHECKOUT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("proxy", "audit_log", "audit_api", "deploy")
MAX_MODULES: Final = 20
MAX_METHODS: Final = 20
MAX_ATTRIBUTES: Final = 12
MAX_LINES: Final = 46
Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(package: str) -> list[Path]:
    return sorted((CHECKOUT / package).rglob("*.py"))


@cache
def nodes(module: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(module.read_text())))


def classes(package: str) -> Iterator[tuple[str, ast.ClassDef]]:
    for module in modules(package):
        for node in nodes(module):
            if isinstance(node, ast.ClassDef):
                yield f"{module.relative_to(CHECKOUT)}:{node.name}", node


def attributes(node: ast.ClassDef) -> set[str]:
    """Return the names that instances hold: fields of the class, and what is set on self."""
    fields = {
        item.target.id
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    set_on_self = {
        inner.attr
        for inner in ast.walk(node)
        if isinstance(inner, ast.Attribute)
        and isinstance(inner.ctx, ast.Store)
        and isinstance(inner.value, ast.Name)
        and inner.value.id == "self"
    }
    return fields | set_on_self


def is_table(node: ast.ClassDef) -> bool:
    """Say whether the class lists values: settings, rows and parameters are as long as they are.

    A class that does something, which is one with more than properties and validators, is none.
    """
    return not any(
        isinstance(item, Function) and not item.decorator_list and item.name != "__post_init__"
        for item in node.body
    )


def is_listing(function: Function) -> bool:
    """Say whether *function* only returns a table, which is as long as it has rows."""
    *docstring, last = function.body
    is_alone = all(isinstance(node, ast.Expr) for node in docstring)
    return is_alone and isinstance(last, ast.Return) and isinstance(last.value, ast.Tuple)


def code_lines(function: Function, source: list[str]) -> int:
    """Return how many lines of *function* are neither blank, nor comment, nor docstring."""
    skipped: set[int] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = range(function.lineno, (function.end_lineno or function.lineno) + 1)
    return sum(
        number not in skipped
        and bool(text := source[number - 1].strip())
        and not text.startswith("#")
        for number in lines
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_has_more_modules_than_one_remembers(package):
    count = Counter(
        path.parent for path in modules(package) if path.stem not in {"__init__", "__main__"}
    )

    assert {str(folder): n for folder, n in count.items() if n > MAX_MODULES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_modules_of_a_package_have_one_name(package):
    """A name alone says which module is meant."""
    names = Counter(path.stem for path in modules(package))
    del names["__init__"], names["__main__"]

    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_class_has_too_many_methods(package):
    methods = {
        name: sum(isinstance(item, Function) for item in node.body)
        for name, node in classes(package)
    }

    assert {name: count for name, count in methods.items() if count > MAX_METHODS} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_class_holds_too_many_attributes(package):
    held = {name: len(attributes(node)) for name, node in classes(package) if not is_table(node)}

    assert {name: count for name, count in held.items() if count > MAX_ATTRIBUTES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_function_is_longer_than_a_screen(package):
    long = {}
    for module in modules(package):
        source = module.read_text().splitlines()
        for node in nodes(module):
            if not isinstance(node, Function) or is_listing(node):
                continue
            if (lines := code_lines(node, source)) > MAX_LINES:
                long[f"{module.relative_to(CHECKOUT)}:{node.name}"] = lines

    assert long == {}
