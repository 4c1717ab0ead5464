"""Reads the policy files of c2sp.org/tlog-policy, strictly: a slip there would be a hole."""

import re
from collections.abc import Sequence
from typing import Final

from audit_log.errors import SealFormatError
from audit_log.seal.encoding import number
from audit_log.seal.keys import COSIGNATURE, NOTE, VerifierKey
from audit_log.seal.policy import NO_QUORUM, Group, Log, Policy, Witness

_ODD: Final = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")
_BLANKS: Final = re.compile(r"[ \t]+")
_FORMS: Final = {
    "log": "log <vkey> [<url>]",
    "witness": "witness <name> <vkey> [<url>]",
    "group": "group <name> all|any|<number> <name>...",
    "quorum": "quorum <name>|none",
}


def parse_policy(raw: bytes) -> Policy:
    """Return the policy of a file's bytes; raise SealFormatError, which names the line."""
    *lines, rest = raw.split(b"\n")
    if rest:
        raise SealFormatError(
            f"line {len(lines) + 1} of the policy does not end in a newline: add it, unless the "
            "file was cut"
        )
    reader = _Reader()
    for place, line in enumerate(lines, 1):
        try:
            reader.take(line)
        except SealFormatError as error:
            raise SealFormatError(f"line {place} of the policy: {error}") from error
    return reader.policy()


class _Reader:
    """What the lines so far have defined."""

    def __init__(self) -> None:
        self._logs: list[Log] = []
        self._witnesses: list[Witness] = []
        self._groups: list[Group] = []
        self._free: dict[str, bool] = {}
        """Of each name whether it can still become a member: it can be of one group."""
        self._quorum: str | None = None

    def take(self, line: bytes) -> None:
        """Take one line without its newline; raise SealFormatError when it cannot be."""
        if odd := _ODD.search(line):
            raise SealFormatError(
                f"the byte {odd[0][0]:#04x} is not allowed; lines end in a newline alone"
            )
        # Names are octets to compare, not characters: what is not UTF-8 stays what it is.
        text = line.decode("utf-8", "surrogateescape").strip(" \t")
        if not text or text.startswith("#"):
            return
        match _BLANKS.split(text):
            case ["log", vkey, *url] if len(url) <= 1:
                self._take_log(vkey, *url)
            case ["witness", name, vkey, *url] if len(url) <= 1:
                self._take_witness(name, vkey, *url)
            case ["group", name, threshold, *members] if members:
                self._take_group(name, threshold, members)
            case ["quorum", name]:
                self._take_quorum(name)
            case [keyword, *_]:
                form = _FORMS.get(keyword, f"one of {', '.join(_FORMS)} at the beginning")
                raise SealFormatError(f"{text[:100]!r} is not of the form: {form}")

    def policy(self) -> Policy:
        """Return what all lines define together."""
        if self._quorum is None:
            raise SealFormatError(
                "the policy has no quorum line: add `quorum NAME` with a witness or group, or "
                "`quorum none` to believe the logs without a witness"
            )
        return Policy(tuple(self._logs), tuple(self._witnesses), tuple(self._groups), self._quorum)

    def _take_log(self, vkey: str, url: str | None = None) -> None:
        key = _key(vkey, NOTE, "a log", [log.key for log in self._logs])
        self._logs.append(Log(key, url))

    def _take_witness(self, name: str, vkey: str, url: str | None = None) -> None:
        known = [witness.key for witness in self._witnesses]
        self._witnesses.append(Witness(name, _key(vkey, COSIGNATURE, "a witness", known), url))
        self._define(name)

    def _take_group(self, name: str, threshold: str, members: Sequence[str]) -> None:
        for member in members:
            if not self._free.get(member):
                raise SealFormatError(
                    f"{member!r} is in a group already: a name can be a member once"
                    if member in self._free
                    else f"no line before defines the member {member!r}"
                )
            self._free[member] = False
        count = {"any": 1, "all": len(members)}.get(threshold)
        if count is None:
            count = number(threshold, "the number of members that a group needs")
        if not 1 <= count <= len(members):
            raise SealFormatError(f"a group of {len(members)} cannot need {count} of them")
        self._define(name)
        self._groups.append(Group(name, count, tuple(members)))

    def _take_quorum(self, name: str) -> None:
        if self._quorum is not None:
            raise SealFormatError("there is a quorum line already: only one can count")
        if name != NO_QUORUM and name not in self._free:
            raise SealFormatError(f"no line before defines the quorum {name!r}")
        self._quorum = name

    def _define(self, name: str) -> None:
        if name == NO_QUORUM or name in self._free:
            raise SealFormatError(f"the name {name!r} is taken: choose another")
        self._free[name] = True


def _key(vkey: str, type_: int, whose: str, known: Sequence[VerifierKey]) -> VerifierKey:
    """Return the key of *vkey*, which must be of *type_* and none of those *known*."""
    key = VerifierKey.parse(vkey)
    if key.type != type_:
        raise SealFormatError(
            f"the key of {key.name} is of type {key.type:#04x}; {whose} has one of {type_:#04x}"
        )
    if any(other.public == key.public for other in known):
        raise SealFormatError(f"the key of {key.name} is in the policy already")
    return key
