"""Parameter values: parsed strictly, and described for OpenAPI.

Each type below holds both its parser and its schema. Parsers raise PydanticCustomError.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from functools import partial
from math import isfinite
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from audit_log.addresses import Network, read_network
from audit_log.objects import MOST_CHARACTERS
from audit_log.postgres.rows import EARLIEST, LATEST
from audit_log.postgres.search import DEFAULT_LIMIT
from audit_log.reads import ReadKind
from audit_log.record import Outcome, ToolOutcome

Value = TypeVar("Value")
Word = TypeVar("Word", bound=StrEnum)

MAX_LIMIT: Final = 500
MAX_PART: Final = 10_000
"""How many entries a part of an export holds at most: they are kept in memory."""
MAX_FACETS: Final = 100
"""How many values are counted at most."""
MAX_TEXT_CHARACTERS: Final = 2_048

_INTEGER: Final = re.compile(r"(?P<minus>-?)0*(?P<digits>[0-9]+)", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}(-?)(?:[0-9a-f]{4}\1){3}[0-9a-f]{12}", re.IGNORECASE)
_STATUS: Final = r"(?:0|[1-9][0-9]{2}|[1-5]xx)"
# IPv4 only: a pattern for IPv6 would be a page long.
_OCTET: Final = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_CIDR: Final = rf"{_OCTET}(\.{_OCTET}){{3}}/(3[0-2]|[12]?[0-9])"
_UUIDS: Final = "[0-9a-fA-F]{8}(?:[0-9a-fA-F]{24}|(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
# A comma separates values; a backslash before it makes it part of one.
_COMMA: Final = re.compile(r"(?<!\\),")
_ONE_TEXT: Final = r"(?:\\,|[^\x00,])+"
_MILLISECONDS: Final = r"(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,20})?"
# A query string can contain NUL and lone surrogates; PostgreSQL's text cannot.
_NOT_STORABLE: Final = re.compile("[\x00\ud800-\udfff]")
# An unescaped `+` arrives as a space.
_OFFSET: Final = re.compile(r"(?P<sign>[-+ ])(?P<hours>0[0-9]|1[0-4]):?(?P<minutes>[0-5][0-9])")
# An unescaped `+` arrives as a space: "…T03:42:00 00:00" is unambiguous.
_LOST_PLUS: Final = re.compile(r" (?=[0-9]{2}:?[0-9]{2}$)")


def read_limit(text: str, most: int = MAX_LIMIT) -> int:
    """Return the limit in *text*; more than *most* means *most*.

    Less than 1 and anything but an integer is refused, with pydantic's messages.
    """
    number = _INTEGER.fullmatch(text)
    if number is None:
        raise PydanticCustomError("int_parsing", "This should be a whole number, such as 100")
    # Nine digits decide. int() refuses more than 4,300 digits, and a caller may send 8,000.
    limit = int(number["digits"][:9])
    if number["minus"] or limit < 1:
        raise PydanticCustomError("greater_than_equal", "This should be 1 or more")
    return min(limit, most)


def read_uuid(text: str) -> UUID:
    """Return the UUID in *text*: in either case, with all its hyphens or without.

    `UUID()` alone would accept hyphens anywhere.
    """
    if _UUID.fullmatch(text) is None:
        raise PydanticCustomError(
            "uuid_parsing", "This should be a UUID: 32 hexadecimal digits, with hyphens or without"
        )
    return UUID(text)


def read_status(text: str) -> range:
    """Return the status codes in *text*: `401` is one code, `4xx` a hundred."""
    if re.fullmatch(_STATUS, text) is None:
        raise PydanticCustomError(
            "status", "This should be a status code like 401, or a class like 4xx"
        )
    if text.endswith("xx"):
        return range(int(text[0]) * 100, int(text[0]) * 100 + 100)
    return range(int(text), int(text) + 1)


def read_client_network(text: str) -> Network:
    """Return the network in *text*: an address as it stands in a log, or CIDR notation."""
    try:
        return read_network(text)
    except ValueError:
        raise PydanticCustomError(
            "network", "This should be an IP address or a network like 10.0.0.0/8"
        ) from None


def read_moment(text: str) -> datetime:
    """Return the moment in *text*, in ISO 8601; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(_LOST_PLUS.sub("+", text))
    except ValueError:
        raise PydanticCustomError(
            "datetime_parsing", "This should be a moment like 2026-02-28T03:42:00+00:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment, EARLIEST), LATEST)


def read_flag(text: str) -> bool:
    """Return whether *text* is `true`; anything but `true` and `false` is refused."""
    if text not in {"true", "false"}:
        raise PydanticCustomError("bool_parsing", "This should be `true` or `false`")
    return text == "true"


def read_text(text: str) -> str:
    """Return *text* if a record can contain it."""
    if not text or len(text) > MAX_TEXT_CHARACTERS or _NOT_STORABLE.search(text):
        raise PydanticCustomError(
            "text", f"This should be 1 to {MAX_TEXT_CHARACTERS} characters of UTF-8 without NUL"
        )
    return text


def read_milliseconds(text: str) -> float:
    """Return the number of milliseconds in *text*."""
    if re.fullmatch(_MILLISECONDS, text) is None or not isfinite(float(text)):
        raise PydanticCustomError(
            "milliseconds", "This should be a number of milliseconds, such as 1500"
        )
    return float(text)


def read_object(text: str) -> str:
    """Return the name of an object in *text*: a path, below `/api/v1` or from the root."""
    if not text.strip("/") or len(text) > MOST_CHARACTERS:
        raise PydanticCustomError(
            "object",
            f"This should be the path of an object, such as clusters/12: at most "
            f"{MOST_CHARACTERS} characters",
        )
    return text


def read_several(read: Callable[[str], Value], text: str) -> tuple[Value, ...]:
    """Return the values in *text*, separated by commas; after a backslash one is no separator."""
    return tuple(read(part.replace("\\,", ",")) for part in _COMMA.split(read_text(text)))


def read_word(kind: type[Word], text: str) -> Word:
    """Return *text* as a member of *kind*."""
    try:
        return kind(text)
    except ValueError:
        raise PydanticCustomError("enum", f"This should be one of: {', '.join(kind)}") from None


def read_zone(text: str) -> tzinfo:
    """Return the time zone in *text*: a name of the tz database, or an offset from UTC."""
    offset = _OFFSET.fullmatch(text)
    if offset is not None:
        span = timedelta(hours=int(offset["hours"]), minutes=int(offset["minutes"]))
        return timezone(-span if offset["sign"] == "-" else span)
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):  # what ZoneInfo raises for names that are none
        raise PydanticCustomError(
            "zone", "This should be a time zone like Europe/Berlin, or an offset like +05:30"
        ) from None


def _described(**schema: Any) -> WithJsonSchema:
    return WithJsonSchema(schema)


def _each(one: str) -> WithJsonSchema:
    return _described(
        type="string",
        minLength=1,
        maxLength=MAX_TEXT_CHARACTERS,
        pattern=f"^(?:{one})(?:,(?:{one}))*$",
    )


def _several(read: Callable[[str], Any]) -> PlainValidator:
    return PlainValidator(partial(read_several, read))


Limit = Annotated[
    int,
    PlainValidator(read_limit),
    _described(type="integer", minimum=1, default=DEFAULT_LIMIT),
    Field(description=f"how many at most; more than {MAX_LIMIT} means {MAX_LIMIT}"),
]
FacetLimit = Annotated[
    int,
    PlainValidator(partial(read_limit, most=MAX_FACETS)),
    _described(type="integer", minimum=1),
]
PartLimit = Annotated[
    int,
    PlainValidator(partial(read_limit, most=MAX_PART)),
    _described(type="integer", minimum=1),
]
Id = Annotated[UUID, PlainValidator(read_uuid), _described(type="string", format="uuid")]
Ids = Annotated[tuple[UUID, ...], _several(read_uuid), _each(_UUIDS)]
Statuses = Annotated[tuple[range, ...], _several(read_status), _each(_STATUS)]
ClientNetworks = Annotated[
    tuple[Network, ...],
    _several(read_client_network),
    _described(
        type="string",
        anyOf=[
            {"format": "ipv4"},
            {"format": "ipv6"},
            {"pattern": f"^{_CIDR}(,{_CIDR})*$"},
        ],
        examples=["10.0.0.0/8", "192.0.2.7"],
    ),
]
Moment = Annotated[
    datetime, PlainValidator(read_moment), _described(type="string", format="date-time")
]
Zone = Annotated[
    tzinfo,
    PlainValidator(read_zone),
    _described(
        type="string",
        pattern=r"^(?:UTC|Europe/Berlin|[-+](?:0[0-9]|1[0-4]):[0-5][0-9])$",
    ),
]
Flag = Annotated[bool, PlainValidator(read_flag), _described(type="boolean")]
Milliseconds = Annotated[
    float,
    PlainValidator(read_milliseconds),
    _described(type="string", pattern=f"^{_MILLISECONDS}$"),
]
Text = Annotated[
    str,
    PlainValidator(read_text),
    _described(type="string", minLength=1, maxLength=MAX_TEXT_CHARACTERS, pattern=r"^[^\x00]+$"),
]
Texts = Annotated[tuple[str, ...], _several(read_text), _each(_ONE_TEXT)]
TokenRef = Annotated[
    str,
    PlainValidator(read_text),
    _described(
        type="string", minLength=1, maxLength=MAX_TEXT_CHARACTERS, pattern="^[A-Za-z0-9 ._-]+$"
    ),
]
# A path and a User-Agent may contain commas: one of them is one value.
Pattern = Annotated[
    tuple[str, ...],
    PlainValidator(lambda text: (read_text(text),)),
    _described(type="string", minLength=1, maxLength=MAX_TEXT_CHARACTERS, pattern=r"^[^\x00]+$"),
]
Objects = Annotated[
    tuple[str, ...],
    _several(read_object),
    _described(type="string", pattern=r"^[a-z0-9]{1,20}(/[a-z0-9-]{1,20}){1,3}$"),
]
Outcomes = Annotated[
    tuple[Outcome, ...], _several(partial(read_word, Outcome)), _each("|".join(Outcome))
]
ToolOutcomes = Annotated[
    tuple[ToolOutcome, ...],
    _several(partial(read_word, ToolOutcome)),
    _each("|".join(ToolOutcome)),
]
ReadKinds = Annotated[
    tuple[ReadKind, ...], _several(partial(read_word, ReadKind)), _each("|".join(ReadKind))
]
