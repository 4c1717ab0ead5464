"""The documents are held to the code: every setting is there, and nothing that is none."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from audit_api.settings import AuditApiSettings
from audit_log.process.settings import AuditLogSettings, IngestSettings, NatsSettings
from proxy.settings import ProxySettings

CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text()
EXAMPLE = (CHECKOUT / "deploy" / ".env.example").read_text()
KINDS: tuple[type[BaseSettings], ...] = (
    AuditLogSettings,
    NatsSettings,
    IngestSettings,
    ProxySettings,
    AuditApiSettings,
)

DOCUMENTS = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")])
TO_BE_MADE = {"deploy/.env", "deploy/podwarden.env"}
LINK = re.compile(r"\]\(([^)\s:#]*)(?:#([\w-]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FILE = re.compile(
    r"\b((?:audit_api|audit_log|benchmarks|deploy|proxy|tests)/[\w./-]*\w)(?:::(\w+))?"
)

ROW = re.compile(
    r"^\| `((?:AUDIT_LOG|PROXY|AUDIT_API)_[A-Z_]+)` \| (.+?) \| (.+) \|$", re.MULTILINE
)
REQUIRED = re.compile(r"^([A-Z_]+)=(.+)$", re.MULTILINE)
DEFAULTED = re.compile(r"^# ([A-Z_]+)=(.+)$", re.MULTILINE)
ILLUSTRATED = re.compile(r"^# Example: ([A-Z_]+)=(.+)$", re.MULTILINE)


def settings() -> dict[str, FieldInfo]:
    return {
        f"{kind.model_config.get('env_prefix', '')}{name}".upper(): field
        for kind in KINDS
        for name, field in kind.model_fields.items()
    }


def has_default(field: FieldInfo) -> bool:
    return not field.is_required() and field.default not in (None, ())


def read(kind: type[BaseSettings], monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> Any:
    for name in settings():
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return kind()


def test_the_readme_has_a_row_for_each_setting_and_no_other_in_the_words_of_the_code():
    rows = {name: purpose for name, _, purpose in ROW.findall(README)}

    assert rows == {name: field.description for name, field in settings().items()}


def test_the_readme_says_which_settings_are_required():
    required = {name for name, default, _ in ROW.findall(README) if default == "required"}

    assert required == {name for name, field in settings().items() if field.is_required()}


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
    document = (CHECKOUT / "docs" / "reliability.md").read_text()
    faults = (CHECKOUT / "tests" / "integration" / "test_fault_database_away.py").read_text()

    assert set(re.findall(r"`(test_\w+)`", document)) == set(re.findall(r"def (test_\w+)", faults))


def test_each_benchmark_is_told_with_its_section():
    document = (CHECKOUT / "docs" / "performance.md").read_text()
    told = dict(
        re.findall(r"^\| `python -m benchmarks\.(\w+)` \| ([^|]+) \|", document, re.MULTILINE)
    )
    programs = {path.stem: path.read_text() for path in (CHECKOUT / "benchmarks").glob("*.py")}

    assert set(told) == {name for name, code in programs.items() if "    publish(" in code}
    assert [name for name, title in told.items() if f'"{title}"' not in programs[name]] == []
