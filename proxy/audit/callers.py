"""What the records of all calls of one caller have in common: made once, not for each call."""

from typing import Final

from audit_log.tokens import Token
from proxy.audit.identity import Caller, Credentials
from proxy.audit.record_text import CallerFacts, caller_members
from proxy.tokens.memory import Missing

MAX_REMEMBERED: Final = 2_048
MAX_REMEMBERED_BYTES: Final = 256
"""Longest User-Agent of a caller that is remembered: invented ones must not fill the memory."""


class _Remembered:
    def __init__(self, token: Token | Missing | None, members: bytes) -> None:
        self.token: Final = token
        self.members: Final = members


class Callers:
    """The end of the text of each record, by token, address and User-Agent. Bounded."""

    def __init__(self, instance: str) -> None:
        """Make records of *instance*."""
        self._instance = instance
        self._remembered: dict[tuple[str | Credentials, str, bytes | None], _Remembered] = {}

    def members(
        self,
        token_hash: str | Credentials,
        token: Token | Missing | None,
        client_ip: str,
        user_agent: bytes | None,
    ) -> bytes:
        """Return what the records say of a caller with *token*: see `Caller.of`."""
        key = (token_hash, client_ip, user_agent)
        known = self._remembered.get(key)
        if known is not None and known.token is token:
            return known.members
        members = self._made(token_hash, token, client_ip, user_agent)
        if user_agent is None or len(user_agent) <= MAX_REMEMBERED_BYTES:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = _Remembered(token, members)
        return members

    def _made(
        self,
        token_hash: str | Credentials,
        token: Token | Missing | None,
        client_ip: str,
        user_agent: bytes | None,
    ) -> bytes:
        caller = Caller.of(token_hash, token)
        facts = CallerFacts(
            instance=self._instance,
            client_ip=client_ip,
            token_id=caller.token_id,
            token_name=caller.token_name,
            token_hash=caller.token_hash,
        )
        return caller_members(facts, user_agent)
