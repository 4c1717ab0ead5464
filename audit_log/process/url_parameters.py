"""The parameters of a PostgreSQL URL: which the driver understands, and which it must not see.

The driver sends each parameter that it does not know to the server as a setting. The server then
refuses every connection, for as long as the service runs.
"""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

_VALUES: Final = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": (
        *("any", "primary", "standby", "read-write", "read-only", "prefer-standby"),
    ),
    "ssl_min_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "gsslib": ("gssapi", "sspi"),
}
"""Parameters of which the driver takes these values only."""
_UNDERSTOOD: Final = frozenset(
    [
        "host",
        "port",
        "dbname",
        "database",
        "user",
        "password",
        "passfile",
        "service",
        "krbsrvname",
        "sslcert",
        "sslkey",
        "sslrootcert",
        "sslcrl",
        "sslpassword",
        "options",
        "search_path",
        "timezone",
        "datestyle",
        "statement_timeout",
        "lock_timeout",
        "work_mem",
        "role",
        "jit",
        "idle_in_transaction_session_timeout",
        "default_transaction_isolation",
        "default_transaction_read_only",
        "synchronous_commit",
        "standard_conforming_strings",
        "extra_float_digits",
    ]
).union(_VALUES)
"""What the driver takes itself, and settings that the server takes at the start of a session."""
_WITHOUT_EFFECT: Final = frozenset(
    [
        "channel_binding",
        "gssencmode",
        "gssdelegation",
        "connect_timeout",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "client_encoding",
        "sslcompression",
        "sslsni",
        "application_name",
        "fallback_application_name",
        "load_balance_hosts",
        "sslcertmode",
        "max_protocol_version",
        "pgbouncer",
        "authtype",
        "tty",
        "connection_limit",
        "pool_timeout",
    ]
)
"""What libpq or a pool knows, and the service sets itself: its name, its limits, its encoding."""
_DEMANDS: Final = {"channel_binding": "require", "gssencmode": "require", "sslcertmode": "require"}
"""Values that demand a protection: to ignore them would weaken it."""
_REFUSED: Final = frozenset(
    [
        "hostaddr",
        "require_auth",
        "requirepeer",
        "replication",
        "servicefile",
        "sslcrldir",
        "sslkeylogfile",
        "min_protocol_version",
        "scram_client_key",
        "scram_server_key",
        "oauth_issuer",
        "oauth_client_id",
        "oauth_client_secret",
        "oauth_scope",
    ]
)
"""What libpq knows, the driver cannot do, and must not be ignored."""
_PORT: Final = re.compile("[0-9]{1,5}")
_HIGHEST_PORT: Final = 65_535
_STRICT_TLS: Final = ("require", "verify-ca", "verify-full")


def complaints_about(query: str) -> list[str]:
    """Return what is wrong with the parameters in *query*: names, and no value that was given."""
    if not query:
        return []
    try:
        pairs = parse_qsl(query, strict_parsing=True)
    except ValueError:
        return ["has a parameter without a value"]
    given = dict(pairs)
    if twice := sorted({name for name, _ in pairs if [n for n, _ in pairs].count(name) > 1}):
        return [f"gives {', '.join(twice)} more than once"]
    if len(given) < len({part.partition("=")[0] for part in query.split("&")}):
        return ["has a parameter without a value"]
    found = [said for name, value in given.items() if (said := _complaint(name, value))]
    if given.get("sslnegotiation") == "direct" and given.get("sslmode") not in _STRICT_TLS:
        found.append(f"sslnegotiation=direct needs sslmode={', '.join(_STRICT_TLS)}")
    ports = given.get("port", "").split(",")
    if len(ports) not in {1, len(given.get("host", "").split(","))}:
        found.append("port must be one number, or one for each host")
    return found


def is_port(text: str) -> bool:
    """Say whether *text* is the number of a TCP port."""
    return _PORT.fullmatch(text) is not None and 1 <= int(text) <= _HIGHEST_PORT


def for_driver(url: str) -> str:
    """Return *url* without the parameters that have no effect."""
    # Not urlsplit: it cannot read the ports of several hosts.
    place, _, query = url.partition("?")
    kept = "&".join(part for part in query.split("&") if _name(part) not in _WITHOUT_EFFECT)
    return f"{place}?{kept}" if kept else place


def without_effect(url: str) -> list[str]:
    """Return the names of the parameters of *url* that have no effect."""
    names = map(_name, url.partition("?")[2].split("&"))
    return sorted(_WITHOUT_EFFECT.intersection(names))


_LISTED: Final[Mapping[str, tuple[Callable[[str], bool], str]]] = {
    "port": (is_port, "a number"),
    "host": (bool, "a name or an address"),
}
"""Parameters with a value for each host."""


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])


def _complaint(name: str, value: str) -> str | None:
    if name in _REFUSED:
        return f"{name} is not supported: remove it"
    if _DEMANDS.get(name) == value:
        return f"{name}={value} is not supported: remove it; sslmode=verify-full protects as well"
    if name in _VALUES and value not in _VALUES[name]:
        return f"{name} must be one of {', '.join(_VALUES[name])}"
    if name in _LISTED and not all(map(_LISTED[name][0], value.split(","))):
        return f"{name} must be {_LISTED[name][1]}"
    if name in _UNDERSTOOD or name in _WITHOUT_EFFECT or "." in name:
        return None
    nearest = get_close_matches(name, _UNDERSTOOD, n=1)
    return f"has no parameter {name}" + (f": did you mean {nearest[0]}?" if nearest else "")
