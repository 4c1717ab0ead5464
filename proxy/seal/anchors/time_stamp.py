"""Requests and responses of RFC 3161, as far as who asks for a time stamp needs them.

Whether the token's signature is right is for `verify`, with the certificates of the authority:
here it is enough to notice a response to another request, or one that is no time stamp.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Self

from proxy.seal.anchors.der import (
    BOOLEAN,
    CONTEXT_0,
    GENERALIZED_TIME,
    INTEGER,
    NULL,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    DerError,
    Value,
    encoded,
    encoded_number,
    values,
)

REQUEST_TYPE: Final = "application/timestamp-query"
_SHA256: Final = bytes.fromhex("608648016503040201")
_TST_INFO: Final = bytes.fromhex("2a864886f70d0109100104")
_GRANTED: Final = frozenset({0, 1})
_NONCE_BITS: Final = 63


class NoTimeStampError(Exception):
    """The response holds no time stamp for the request. The message says why."""


@dataclass(frozen=True, slots=True)
class TimeStampRequest:
    """A request for a time stamp of a SHA-256 hash."""

    hashed: bytes
    nonce: int

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return a request for *data*, with a nonce."""
        return cls(sha256(data).digest(), secrets.randbits(_NONCE_BITS))

    def encode(self) -> bytes:
        """Return a TimeStampReq, which asks for the authority's certificate too."""
        algorithm = encoded(SEQUENCE, encoded(OBJECT_IDENTIFIER, _SHA256), encoded(NULL))
        return encoded(
            SEQUENCE,
            encoded_number(1),
            encoded(SEQUENCE, algorithm, encoded(OCTET_STRING, self.hashed)),
            encoded_number(self.nonce),
            encoded(BOOLEAN, b"\xff"),
        )

    def read(self, response: bytes) -> tuple[bytes, datetime]:
        """Return the token of a TimeStampResp and the time that it states.

        Raise NoTimeStampError when it holds none, or one for another request.
        """
        try:
            [whole] = values(response)
            status, *token = whole.inside(SEQUENCE)
            code, *texts = status.inside(SEQUENCE)
            if code.number not in _GRANTED or not token:
                raise NoTimeStampError(f"status {code.number}{_said(texts)}")
            content = encoded(SEQUENCE, token[0].of(SEQUENCE))
            return content, self._time_of(token[0])
        except (DerError, ValueError) as error:
            raise NoTimeStampError(f"the response is no time stamp: {error}") from None

    def _time_of(self, token: Value) -> datetime:
        _, signed = token.inside(SEQUENCE)
        [signed_data] = signed.inside(CONTEXT_0)
        encapsulated = signed_data.inside(SEQUENCE)[2]
        kind, content = encapsulated.inside(SEQUENCE)
        if kind.of(OBJECT_IDENTIFIER) != _TST_INFO:
            raise NoTimeStampError("the token states something else than a time")
        [octets] = content.inside(CONTEXT_0)
        [info] = values(octets.of(OCTET_STRING))
        _, _, imprint, _, time, *rest = info.inside(SEQUENCE)
        if imprint.inside(SEQUENCE)[1].of(OCTET_STRING) != self.hashed:
            raise NoTimeStampError("the token is of other data")
        if self.nonce not in {value.number for value in rest if value.tag == INTEGER}:
            raise NoTimeStampError("the token is of another request")
        return _time(time.of(GENERALIZED_TIME))


def _said(texts: list[Value]) -> str:
    """Return the first text of PKIFreeText, for an operator."""
    for value in texts:
        if value.tag == SEQUENCE:
            for text in value.inside(SEQUENCE):
                said = text.content.decode(errors="replace")[:120]
                return ": " + "".join(char if char.isprintable() else "?" for char in said)
    return ""


def _time(text: bytes) -> datetime:
    """Return the time of a GeneralizedTime in UTC, as RFC 3161 has it: with a fraction or not."""
    digits, _, fraction = text.decode("ascii").removesuffix("Z").partition(".")
    time = datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return time.replace(microsecond=int(f"{fraction:0<6}"[:6]))
