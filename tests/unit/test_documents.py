"""The documents are held to the code: every setting is there, and nothing that is none."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from audit_api.settings import AuditApiSettings
from audit_log.settings import AuditLogSettings, IngestSettings, NatsSettings
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
