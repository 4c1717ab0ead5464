"""The documents are held to the code: settings, files, tests and targets that they name."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from benchmarks.__main__ import PROGRAMS
from deploy.settings_table import KINDS as SECTIONS
from deploy.settings_table import document, old_names, variables

CHECKOUT = Path(__file__).parents[2]
SETTINGS = (CHECKOUT / "docs" / "settings.md").read_text()
EXAMPLE = (CHECKOUT / "deploy" / ".env.example").read_text()
KINDS = tuple(SECTIONS.values())

DOCUMENTS = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")])
TO_BE_MADE = {"deploy/.env", "deploy/podwarden.env", "deploy/push.env"}
LINK = re.compile(r"\]\(([^)\s:#]*)(?:#([\w-]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FILE = re.compile(
    r"\b((?:audit_api|audit_log|benchmarks|deploy|proxy|tests)/[\w./-]*\w)(?:::(\w+))?"
)

ROW = re.compile(
    r"^\|`((?:AUDIT_LOG|PROXY|AUDIT_API|AUDIT_PUSH)_[A-Z_]+)`\|(.+?)\|(.+)\|$", re.MULTILINE
)
REQUIRED = re.compile(r"^([A-Z_]+)=(.+)$", re.MULTILINE)
DEFAULTED = re.compile(r"^# ([A-Z_]+)=(.+)$", re.MULTILINE)
ILLUSTRATED = re.compile(r"^# Example: ([A-Z_]+)=(.+)$", re.MULTILINE)


def settings() -> dict[str, FieldInfo]:
    return {name: field for kind in KINDS for name, field in variables(kind).items()}


def has_default(field: FieldInfo) -> bool:
    return not field.is_required() and field.default not in (None, ())


def read(kind: type[BaseSettings], monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> Any:
    for name in settings():
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return kind()


def test_the_settings_page_is_what_make_settings_writes():
    assert document() == SETTINGS


def test_the_settings_page_has_a_row_for_each_setting_and_no_other_in_the_words_of_the_code():
    rows = {name: purpose for name, _, purpose in ROW.findall(SETTINGS)}

    assert rows == {name: field.description for name, field in settings().items()}


def test_the_settings_page_says_which_settings_are_required():
    required = {name for name, default, _ in ROW.findall(SETTINGS) if default == "required"}

    assert required == {name for name, field in settings().items() if field.is_required()}


def test_the_settings_page_lists_the_old_names_and_the_tables_do_not():
    old = {name for kind in KINDS for name in old_names(kind)}

    assert set(re.findall(r"^- `([A-Z_]+)`: ", SETTINGS, re.MULTILINE)) == old
    assert old.isdisjoint(settings())


def test_the_example_names_each_setting_and_no_other():
    named = [
        name for line in (REQUIRED, DEFAULTED, ILLUSTRATED) for name, _ in line.findall(EXAMPLE)
    ]

    assert sorted(named) == sorted(settings())


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_shows_the_defaults_that_the_code_has(kind, monkeypatch):
    required = dict(REQUIRED.findall(EXAMPLE))
    defaulted = dict(DEFAULTED.findall(EXAMPLE))

    assert set(defaulted) == {name for name, field in settings().items() if has_default(field)}
    assert read(kind, monkeypatch, required | defaulted) == read(kind, monkeypatch, required)


@pytest.mark.parametrize("kind", KINDS)
def test_the_examples_are_values_that_the_code_takes(kind, monkeypatch):
    taken = read(kind, monkeypatch, dict(REQUIRED.findall(EXAMPLE) + ILLUSTRATED.findall(EXAMPLE)))

    assert None not in taken.model_dump().values()


def anchors(document: Path) -> set[str]:
    """Return what a link can name in *document*, as GitHub makes it of the headings."""
    headings = HEADING.findall(document.read_text())
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document):
    for file, anchor in LINK.findall(document.read_text()):
        target = document.parent / file if file else document
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_files_and_tests_that_are_named_are_there(document):
    for file, test in FILE.findall(document.read_text()):
        if file not in TO_BE_MADE:
            assert (CHECKOUT / file).exists(), file
            assert not test or f"def {test}(" in (CHECKOUT / file).read_text(), f"{file}::{test}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_make_targets_that_are_named_are_there(document):
    targets = set(re.findall(r"^([\w-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"(?:^|`)make ([\w-]+)", document.read_text(), re.MULTILINE)) <= targets


def test_each_way_in_which_a_database_is_away_has_its_test():
    document = (CHECKOUT / "tests" / "FAULTS.md").read_text()
    faults = (CHECKOUT / "tests" / "integration" / "test_fault_database_away.py").read_text()

    assert set(re.findall(r"`(test_\w+)`", document)) == set(re.findall(r"def (test_\w+)", faults))


def test_each_benchmark_is_told_with_its_section():
    document = (CHECKOUT / "benchmarks" / "README.md").read_text()
    told = dict(re.findall(r"^\|`(\w+)`\|([^|]+)\|", document, re.MULTILINE))
    programs = {path.stem: path.read_text() for path in (CHECKOUT / "benchmarks").glob("*.py")}

    assert set(told) == {name for name, code in programs.items() if "    publish(" in code}
    assert set(told) == set(PROGRAMS)
    assert [name for name, title in told.items() if f'"{title}"' not in programs[name]] == []


def test_the_documents_stay_short():
    """README fits two screens, and all documents together can be read in an hour.

    The questions are not counted: lines to copy, looked up one at a time.
    """
    readme = (CHECKOUT / "README.md").read_text()
    told = [page for page in CHECKOUT.glob("docs/*.md") if page.name != "questions.md"]
    pages = [readme, *(page.read_text() for page in told)]

    assert len(readme.splitlines()) <= 120
    assert sum(len(page.split()) for page in pages) <= 13_000


@pytest.mark.parametrize("page", sorted(CHECKOUT.glob("docs/*.md")), ids=lambda page: page.name)
def test_each_page_begins_with_what_its_reader_can_do_afterwards(page):
    opening = page.read_text().split("\n\n")[1]

    assert opening.startswith("After reading this page you ")
