"""Words that agree with a count: "1 row is", "2 rows are"."""

import re
from typing import Final

_FORMS: Final = re.compile(r"\[([^\[\]|]*)\|([^\[\]|]*)\]")


def agreeing(count: int, text: str) -> str:
    """Return *text* with the first of each `[one|several]` if *count* is 1, else the second."""
    return _FORMS.sub(r"\1" if count == 1 else r"\2", text)


def counted(count: int, one: str, several: str = "") -> str:
    """Return *count*, in groups of three digits, with its noun; *several* is *one* and an s."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
