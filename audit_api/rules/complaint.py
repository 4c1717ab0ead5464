"""What is wrong with a rule, said in one line that names what to do."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any


class RuleError(ValueError):
    """A rule makes no sense. The message says why, and what to write."""

    def __init__(self, message: str, name: str | None = None) -> None:
        """Say *message*; the line that begins with *name* is to blame, if that is known."""
        super().__init__(message)
        self.name = name


class RulesFileError(Exception):
    """The file of the rules cannot be used. The message is one line, with the place."""


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Let errors of the block say that they are about what is called *name*."""
    try:
        yield
    except RuleError as error:
        raise RuleError(f"{name}: {error}", name) from None


def check_names(given: Mapping[str, Any], known: Iterable[str], of: str) -> None:
    """Raise RuleError for a name in *given*, a table that is called *of*, that is not *known*."""
    names = list(known)
    for name in given:
        if name not in names:
            close = get_close_matches(name, names, 1)
            meant = f"is `{close[0]}` meant?" if close else f"there are {', '.join(names)}"
            raise RuleError(f"{of} has no `{name}`: {meant}", name)


def text_of(given: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """Return the text that is called *name*. Raises RuleError if it is missing or no text."""
    value = given.get(name, default)
    if value is None:
        raise RuleError(f"`{name}` is missing")
    if not isinstance(value, str):
        raise RuleError(f"`{name}` should be text in quotes", name)
    return value
