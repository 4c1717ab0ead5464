"""Questions as text: in one order, with a bound, and without what looks like a secret."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode

from audit_log.reads import MOST_CHARACTERS

_PLACES: Final = frozenset({"cursor", "after"})
"""Long values that say only where a list goes on."""
_READABLE: Final = "/:,*!<>@+"
_OTHER_SECRETS: Final = ("pwm_", "pwc_")
_NOT_STORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def question_text(path: str, pairs: Iterable[tuple[str, str]], token_prefix: str) -> str:
    """Return *path* and its parameters in the order of their names, as in a URL.

    A token that was typed where a value belongs is left out; so is where a page begins.
    """
    shown = [(name, "..." if name in _PLACES else value) for name, value in sorted(pairs)]
    text = _NOT_STORABLE.sub("?", path)
    if shown:
        text += "?" + urlencode(shown, safe=_READABLE, errors="replace")
    prefixes = "|".join(map(re.escape, {token_prefix, *_OTHER_SECRETS}))
    text = re.sub(rf"({prefixes})[A-Za-z0-9_-]+", r"\1...", text)
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 3] + "..."
