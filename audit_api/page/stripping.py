"""Scripts and styles without comments, indentation and spare spaces: readers load a quarter less.

Each line keeps its number, so that a place that a browser complains of is one of the source.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_COMMENT: Final = re.compile(
    r"^[ \t]*(?:/\*(?:(?!\*/).)*\*/|//[^\n]*)[ \t]*$", re.MULTILINE | re.DOTALL
)
"""A comment that has its lines for itself. One behind code stays: it may be within a text."""
_BLANKS: Final = re.compile(r"^[ \t]+|[ \t]+$", re.MULTILINE)
_TEXT: Final = r'"(?:\\.|[^"\\\n])*"|' + r"'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\\n])*`"
# A slash behind one of these begins a regular expression, and behind all else divides.
_REGEX: Final = (
    r" *(?P<before>[(,=:?&|!{;\[]|\breturn ) *"
    r"(?P<regex>/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/)"
)
_SPARE: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        # `+`, `-` and `/` keep their spaces: `a + +b` and `a / b` are no `a++b` and no comment.
        ".js": re.compile(rf"(?P<kept>{_TEXT})|{_REGEX}| *(?P<sign>[=(){{}}\[\];,<>?:&|]) *"),
        # A blank before a colon is a part of a selector, and one before a bracket of a query.
        ".css": re.compile(rf"(?P<kept>{_TEXT})| *(?P<sign>[{{}};,>]|(?<! ):(?= )) *"),
    }
)


def stripped(source: str, kind: str) -> str:
    """Return *source* as it is served; *kind* is `.js` or `.css`.

    Raises ValueError if a template literal goes over the end of a line: its blanks are a value.
    """
    bare = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), source)
    for line in bare.splitlines():
        if line.count("`") % 2:
            raise ValueError(f"a template literal goes over the end of this line: {line}")
    return _SPARE[kind].sub(
        lambda found: "".join(part or "" for part in found.groups()), _BLANKS.sub("", bare)
    )
