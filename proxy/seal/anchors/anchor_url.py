"""The setting `PROXY_SEAL_ANCHORS`: URLs of anchors, separated by spaces.

What concerns the anchor and not the place it is at stands in the fragment, `#name=value&…`:
`every` (seconds between two checkpoints), `ca`, `certificate` and `key` (PEM files for TLS), and
what the kind of anchor has besides. A witness's key comes first and has no name:
`witness+https://host/prefix#vkey&every=5`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from yarl import URL

from audit_log.process.tls import KeyPair, key_pair

EVERY_SECONDS: Final = {"s3": 60.0, "tsa+https": 600.0, "tsa+http": 600.0}
"""Those that cost money, or are shared with strangers, get fewer checkpoints."""
_EVERY_SECONDS: Final = 10.0
_COMMON: Final = frozenset({"every"})
_TLS: Final = frozenset({"ca", "certificate", "key"})
_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "file": frozenset(),
    "https": _TLS,
    "witness+https": _TLS | {"vkey"},
    "witness+http": frozenset({"vkey"}),
    "s3": _TLS | {"region", "endpoint", "retain_days", "lock"},
    "tsa+https": _TLS,
    "tsa+http": frozenset(),
    "syslog+tls": _TLS,
}
"""The kinds of anchors, and what may stand in the fragment of each."""


@dataclass(frozen=True, slots=True)
class AnchorUrl:
    """One anchor of the setting. Its parts may hold a password: only `name` is ever shown."""

    scheme: str
    place: URL
    """Without the fragment, and without the kind in the scheme: `https://…` of `tsa+https://…`."""
    options: Mapping[str, str]
    name: str
    """What logs, metrics and receipts call it. It holds no secret."""

    @property
    def every_seconds(self) -> float:
        """How long after a checkpoint the next one is sent at the earliest."""
        default = EVERY_SECONDS.get(self.scheme, _EVERY_SECONDS)
        return float(self.options.get("every", default))

    @property
    def authorities(self) -> Path | None:
        """The certificates to verify the anchor's server with; None for the system's."""
        return self._path("ca")

    @property
    def client(self) -> KeyPair | None:
        """What is shown to a server that asks for a client certificate. Raises TlsFilesError."""
        return key_pair(self._path("certificate"), self._path("key"), "")

    def _path(self, option: str) -> Path | None:
        return Path(self.options[option]) if option in self.options else None


def read_urls(text: str) -> tuple[AnchorUrl, ...]:
    """Return the anchors of the setting; raise ValueError, which says which of them is wrong."""
    found: list[AnchorUrl] = []
    for number, url in enumerate(text.split(), start=1):
        try:
            found.append(_read(url))
        except ValueError as error:
            raise ValueError(f"anchor {number}: {error}") from None
    names = [anchor.name for anchor in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two anchors at one place: {', '.join(twice)}")
    return tuple(found)


def _read(text: str) -> AnchorUrl:
    address, _, fragment = text.partition("#")
    scheme, separator, rest = address.partition("://")
    if not separator or scheme not in _OPTIONS:
        raise ValueError(f"must begin with one of {', '.join(f'{kind}://' for kind in _OPTIONS)}")
    options = _options(scheme, fragment)
    try:
        place = URL(f"{scheme.rpartition('+')[2]}://{rest}", encoded=True)
        _ = place.port
    except ValueError:
        raise ValueError("is no URL") from None
    if scheme == "file":
        if place.host or not place.path.startswith("/"):
            raise ValueError("must name a folder by its full path: file:///…")
    elif not place.host:
        raise ValueError("names no host" if scheme != "s3" else "names no bucket")
    return AnchorUrl(scheme, place, options, _name(scheme, place))


def _options(scheme: str, fragment: str) -> Mapping[str, str]:
    options: dict[str, str] = {}
    parts = fragment.split("&") if fragment else []
    if parts and "vkey" in _OPTIONS[scheme]:
        # Base64 may end in "=", so a key is told by its place and not by its form.
        options["vkey"] = parts.pop(0)
    for part in parts:
        name, _, value = part.partition("=")
        if name not in _OPTIONS[scheme] | _COMMON or name == "vkey":
            known = ", ".join(sorted((_OPTIONS[scheme] | _COMMON) - {"vkey"}))
            raise ValueError(f"knows no option {name!r} behind the #: there are {known}")
        if not value or name in options:
            raise ValueError(f"the option {name!r} must be given once, with a value")
        options[name] = unquote(value)
    if not _is_positive(options.get("every", "1")):
        raise ValueError("the option 'every' must be a number of seconds above 0")
    if ("certificate" in options) != ("key" in options):
        raise ValueError("the options 'certificate' and 'key' belong together")
    return options


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False


def _name(scheme: str, place: URL) -> str:
    if scheme == "file":
        return f"file://{place.path}"
    if scheme == "s3":
        return f"s3://{place.host}{place.path.rstrip('/')}"
    port = f":{place.explicit_port}" if place.explicit_port else ""
    # An address that takes checkpoints may hold a secret in its path; a witness's does not.
    path = place.path.rstrip("/") if scheme.startswith("witness+") else ""
    return f"{scheme}://{place.host}{port}{path}"
