"""The file of the rules: TOML, with a table `[[rule]]` for each."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from audit_api.rules.complaint import RuleError, RulesFileError
from audit_api.rules.rule import Rule

_HEAD: Final = re.compile(r"\s*\[\[\s*rule\s*\]\]")
_MOST_BYTES: Final = 1_000_000


def read_rules(path: Path) -> list[Rule]:
    """Return the rules in the file at *path*, in their order. Raises RulesFileError."""
    text = _text_of(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesFileError(f"{path}: this is no TOML: {error}") from None
    given = document.pop("rule", [])
    if document:
        raise RulesFileError(f"{path}: `{next(iter(document))}` is no part of it: write [[rule]]")
    if not isinstance(given, list) or not given:
        raise RulesFileError(f"{path} has no rule: begin one with [[rule]]")
    rules: dict[str, Rule] = {}
    for number, table in enumerate(given):
        try:
            _add(Rule.read(table), rules)
        except RuleError as error:
            place = _place(text, number, len(given), error.name)
            raise RulesFileError(f"{path}{place}: {_called(table, number)}{error}") from None
    return [*rules.values()]


def _add(rule: Rule, rules: dict[str, Rule]) -> None:
    if rule.name in rules:
        raise RuleError(f"name: there are two rules `{rule.name}`", "name")
    rules[rule.name] = rule


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise RulesFileError(f"{path} has over {_MOST_BYTES:,} bytes: is it a file of rules?")
        return content.decode()
    except UnicodeDecodeError:
        raise RulesFileError(f"{path} is not written in UTF-8") from None
    except OSError as error:
        raise RulesFileError(f"{path} cannot be read: {error.strerror}") from None


def _called(table: Any, number: int) -> str:
    name = table.get("name") if isinstance(table, dict) else None
    known = f" `{name}`" if isinstance(name, str) and name.isprintable() else ""
    return f"rule {number + 1}{known}: "


def _place(text: str, number: int, count: int, name: str | None) -> str:
    """Return the line of the rule, or of what is called *name* in it, as `:12`.

    Empty if it cannot be told: TOML has more ways to write a table than heads.
    """
    lines = text.splitlines()
    heads: Sequence[int] = [at for at, line in enumerate(lines) if _HEAD.match(line)]
    if len(heads) != count:
        return ""
    begin, end = heads[number], [*heads, len(lines)][number + 1]
    if name is not None:
        named = re.compile(rf"""\s*["']?{re.escape(name)}["']?\s*=""")
        begin = next((at for at in range(begin, end) if named.match(lines[at])), begin)
    return f":{begin + 1}"
