"""Objects of the API, by their paths: which one a call is about, and what calls are alike.

All of this is told by the path alone. Its segments are words of the API (`clusters`, `nodes`) or
ids (`12`, `prod-eu-1`, a UUID). A name without a digit (`clusters/production`) looks like a word:
such an object can be asked for, and is not told apart from a word.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

API_ROOT: Final = "/api/v1/"
"""Where the paths of objects begin. `/api/v2/clusters/12` is named with its root."""
ID: Final = "{id}"
MOST_CHARACTERS: Final = 256
"""The longest name of an object."""

_ROOT: Final = re.compile(r"/api/(?:v[0-9]+/)?")
_WORDS_WITH_DIGITS: Final = frozenset(
    {"2fa", "amd64", "arm64", "base64", "e2e", "http2", "http3", "i18n", "ipv4", "ipv6", "k3s"}
    | {"k8s", "l10n", "md5", "oauth2", "p2p", "rke2", "s3", "sha1", "sha256", "sha512", "utf8"}
    | {"x509", "x86", "x86_64"}
)
_NO_ID: Final = re.compile(
    r"v[0-9]+(?:(?:alpha|beta)[0-9]+)?"  # a version
    r"|\.?[a-zA-Z_-]+\.(?:css|csv|html|js|json|tar|txt|xml|yaml|yml|zip)"  # a file
    r"|\.[a-zA-Z_-]+"  # such as `.well-known`
)
_HEX: Final = re.compile(r"(?:[0-9a-f]{8,}|[0-9A-F]{8,})")
_NO_WORD: Final = re.compile(r"[^a-zA-Z_:-]")
"""Not a colon: `workloads:search` is how some APIs name an action."""
_REMEMBERED: Final = 4_096
_LONG: Final = 24
"""A segment this long in both cases of letters is random."""


def is_id(segment: str) -> bool:
    """Say whether a decoded *segment* of a path names one thing of many, rather than a kind."""
    return segment.isdecimal() or _is_other_id(segment)  # most ids are numbers


@lru_cache(maxsize=_REMEMBERED)
def _is_other_id(segment: str) -> bool:
    if _NO_WORD.search(segment):
        return not (segment in _WORDS_WITH_DIGITS or _NO_ID.fullmatch(segment))
    if _HEX.fullmatch(segment):
        return True
    return len(segment) >= _LONG and segment not in (segment.lower(), segment.upper())


def template_of(path: str) -> str:
    """Return *path* with `{id}` for each id: `/api/v1/clusters/{id}/nodes`."""
    return "/".join(ID if is_id(part) else part for part in unquote(path).split("/"))


def object_of(path: str) -> str | None:
    """Return the outermost object that *path* leads to or through, as `object` filters name it.

    None if no segment is an id: a call of `/api/v1/clusters` is about no object.
    """
    plain = unquote(path) if "%" in path else path
    if plain.startswith(API_ROOT):
        begins = named_from = len(API_ROOT)
    elif (root := _ROOT.match(plain)) is not None:
        begins, named_from = root.end(), 0
    else:
        return None
    ends = begins
    for part in plain[begins:].split("/"):
        ends += len(part)
        if is_id(part):
            return plain[named_from:ends]
        ends += 1
    return None


def path_of(name: str) -> str:
    """Return the path of the object *name*: below the API's root unless it begins with a slash."""
    plain = name.rstrip("/")
    return plain if plain.startswith("/") else API_ROOT + plain


def is_within(path: str, name: str) -> bool:
    """Say whether *path* is that of the object *name*, or below it; `%31` in a path means `1`."""
    wanted = path_of(name).encode()
    found = unquote_to_bytes(path)
    return found == wanted or found.startswith(wanted + b"/")


def encoded(path: str) -> str:
    """Return a regular expression for *path* and what is below it, percent-encoded or not."""
    return "^" + "".join(map(_either, path)) + "(/|%2[fF]|$)"


def _either(character: str) -> str:
    if character == "%":
        # One that begins the code of an octet stands for that octet.
        return "(%25|%(?![0-9a-fA-F]{2}))"
    plain = character if character.isalnum() else f"\\{character}"
    octets = "".join(f"%{octet:02x}" for octet in character.encode())
    # RFC 3986, section 2.1: the digits are of either case.
    return f"({plain}|{re.sub('[a-f]', lambda digit: f'[{digit[0]}{digit[0].upper()}]', octets)})"
