"""The door: admits readers, and has recorded what they read and who was refused."""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from aiohttp import hdrs, web

from audit_api.access.credentials import Credentials, credentials_of
from audit_api.access.gate import Gate, Reader
from audit_api.errors import ReaderRefusedError
from audit_api.reads.one_read import Reading, Recorder
from audit_api.reads.page_views import filters_of
from audit_api.reads.question_text import question_text
from audit_api.reads.refused_readers import Refusals
from audit_log.addresses import Network, client_behind, lies_in, read_address
from audit_log.reads import Read, ReadKind
from audit_log.record import new_record_id

_FORWARDED: Final = "Forwarded"
SIGN_IN: Final = "sign-in"
"""The question of a sign-in."""


class Door:
    """The gate, and the record of who came to it."""

    def __init__(
        self,
        gate: Gate,
        recorder: Recorder,
        refusals: Refusals,
        *,
        instance: str,
        trusted: Sequence[Network],
    ) -> None:
        """Admit by *gate*; reads are told with the name *instance*.

        The address of a reader is what *trusted* proxies say.
        """
        self.gate = gate
        self._trusted = trusted
        self.recorder = recorder
        self._refusals = refusals
        self._instance = instance
        self._key = secrets.token_bytes(32)

    async def admit(self, request: web.Request, question: str) -> tuple[Credentials, Reader]:
        """Return the credentials of *request*, and the reader that has them.

        Raises what `Gate.admit` raises, and notes a refusal.
        """
        with self.noting_refusal(request, question):
            credentials = credentials_of(request)
            return credentials, await self.gate.admit(credentials)

    async def sign_in(self, request: web.Request, token_hash: str) -> str:
        """Return a new session for the token with *token_hash*, when the sign-in is recorded.

        Raises what `Gate.sign_in` raises, or ReadNotRecordedError.
        """
        with self.noting_refusal(request, SIGN_IN):
            session, reader = await self.gate.sign_in(token_hash)
        read = self._read(request, ReadKind.SIGN_IN, SIGN_IN, reader)
        await self.recorder.reads.append(read)
        self.recorder.metrics.recorded(read)
        return session

    @contextmanager
    def noting_refusal(self, request: web.Request, question: str) -> Iterator[None]:
        """Take in that the caller of *request* is refused, if the block raises that."""
        try:
            yield
        except ReaderRefusedError as error:
            reader = Reader(error.token_name)
            read = self._read(request, ReadKind.REFUSED, question, reader, int(error.status))
            self._refusals.note(read, str(error), is_stranger=shows_nothing(request))
            raise

    def reading(
        self,
        request: web.Request,
        admitted: tuple[Credentials, Reader],
        kind: ReadKind,
        path: str,
        subject: str | None,
    ) -> Reading:
        """Return the reading of *request*, whose *path* is below the settings.

        A *subject* says what the page shows: its requests with the same filters are one view.
        """
        credentials, reader = admitted
        pairs = list(request.query.items())
        question = question_text(path, pairs, self.gate.token_prefix)
        read = self._read(request, kind, question, reader)
        owner = self._owner(credentials, reader)
        is_head = request.method == hdrs.METH_HEAD
        view: bytes | None = None
        if owner is not None and kind in {ReadKind.QUESTION, ReadKind.STREAM}:
            filters = sorted(filters_of(pairs))
            asked = (owner, read.client_ip, is_head, subject or path, filters)
            view = self._digest(repr(asked))  # however long it is
        return Reading(self.recorder, read, view=view, is_head=is_head)

    def _owner(self, credentials: Credentials, reader: Reader) -> object:
        """Return what is the same for all requests of one session of a browser, or None.

        A program shows its token: each of its requests is a question of its own.
        """
        if credentials.authorization is not None:
            return None
        if reader.session is not None:
            return reader.session
        return self._digest(repr(credentials.cookies))

    def _digest(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(), key=self._key, digest_size=16).digest()

    def _read(
        self,
        request: web.Request,
        kind: ReadKind,
        question: str,
        reader: Reader,
        status: int | None = None,
    ) -> Read:
        return Read(
            id=new_record_id(),
            created_at=self.recorder.now(),
            kind=kind,
            question=question,
            instance=self._instance,
            reader=reader.name,
            role=reader.role,
            token_id=reader.token_id,
            session=reader.session,
            client_ip=_address_of(request, self._trusted),
            status_code=status,
        )


def shows_nothing(request: web.Request) -> bool:
    """Say whether *request* carries no credentials at all, not even wrong ones."""
    return not {hdrs.AUTHORIZATION, hdrs.COOKIE} & set(request.headers)


def _address_of(request: web.Request, trusted: Sequence[Network]) -> str | None:
    try:
        peer = read_address(request.remote or "")
    except ValueError:
        return None
    if not lies_in(peer, trusted):
        return str(peer)
    said, named = (request.headers.getall(name, ()) for name in (hdrs.X_FORWARDED_FOR, _FORWARDED))
    return client_behind(str(peer), said, named, trusted)
