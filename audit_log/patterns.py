"""Patterns of text: a prefix, or with a `*` (any text) a pattern for the whole."""

from typing import Final

WILDCARD: Final = "*"


def is_like(text: str | None, wanted: str) -> bool:
    """Say whether *text* is as *wanted*; the time is linear for every pattern."""
    if text is None:
        return False
    if WILDCARD not in wanted:
        return text.startswith(wanted)
    first, *between, last = wanted.split(WILDCARD)
    if not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in between:
        found = text.find(part, at, max(at, end))
        if found < 0:
            return False
        at = found + len(part)
    return at <= end
