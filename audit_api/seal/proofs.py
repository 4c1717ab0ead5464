"""Responds with the proof of one entry or tool call."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final
from uuid import UUID

import structlog
from aiohttp import hdrs, web

from audit_api.errors import ApiError, NotFoundError
from audit_api.formats.seals import ProofFormat, SealOfItem
from audit_api.query.endpoint import Asked
from audit_api.query.params import EntryPath, InvocationPath, ProofParams
from audit_api.responses import json_response, whole_response
from audit_log.errors import SealError
from audit_log.postgres.database import Database
from audit_log.postgres.seal.proving import NotSealed, Proven, Prover
from audit_log.postgres.seal.sealed_rows import FoundRow, find_call, find_entry

PLAIN: Final = "text/plain"
log: structlog.stdlib.BoundLogger = structlog.get_logger("audit_api")

_VARY: Final = MappingProxyType({"Vary": "Accept"})
Find = Callable[[Database, UUID], Awaitable[FoundRow | None]]


class NoProofError(ApiError):
    """There is no proof of it, and nothing is wrong. The message says why."""

    status = HTTPStatus.NOT_FOUND


class NoProofYetError(NoProofError):
    """There will be a proof of it soon."""

    fields = MappingProxyType({"Retry-After": "1"})


class ContradictionError(ApiError):
    """What is stored is not what was sealed."""

    status = HTTPStatus.CONFLICT


@dataclass(frozen=True, slots=True)
class Proofs:
    """One method for each endpoint. What is sent was verified before."""

    database: Database
    prover: Prover

    async def of_entry(self, asked: Asked[ProofParams, EntryPath]) -> web.Response:
        """Respond with the proof of an entry; NotFoundError if there is no such entry."""
        return await self._respond(asked, asked.place.entry_id, find_entry, "entry")

    async def of_tool_call(self, asked: Asked[ProofParams, InvocationPath]) -> web.Response:
        """Respond with the proof of a tool call; NotFoundError if there is no such tool call."""
        return await self._respond(asked, asked.place.invocation_id, find_call, "tool call")

    async def _respond(
        self,
        asked: Asked[ProofParams, EntryPath] | Asked[ProofParams, InvocationPath],
        id_: UUID,
        find: Find,
        what: str,
    ) -> web.Response:
        row = await find(self.database, id_)
        if row is None:
            raise NotFoundError(f"There is no such {what}")
        asked.reading.tell(1)
        proven = await self._proven(row, id_, what)
        if _wants_json(asked.request, asked.query):
            return json_response(SealOfItem.of(id_, proven), fields=_VARY)
        if isinstance(proven, NotSealed):
            is_soon = proven.state == "not_yet"
            raise (NoProofYetError if is_soon else NoProofError)(proven.detail)
        name = f"{what.replace(' ', '-')}-{id_}.tlog-proof"
        fields = {"Content-Disposition": f'attachment; filename="{name}"', **_VARY}
        return whole_response(str(proven.proof).encode(), PLAIN, fields)

    async def _proven(self, row: FoundRow, id_: UUID, what: str) -> Proven | NotSealed:
        try:
            return await self.prover.prove(row)
        except SealError as error:
            log.warning("proof.contradicted", id=str(id_), log=row.log, place=row.place)
            raise ContradictionError(
                f"What is stored of this {what} is not what was sealed: {error}."
                " `podwarden-audit verify` tells what else was altered."
            ) from error


def _wants_json(request: web.Request, query: ProofParams) -> bool:
    """Say whether JSON is asked for; `format` goes before the field `Accept`."""
    if query.format is not None:
        return query.format is ProofFormat.JSON
    accepted = request.headers.get(hdrs.ACCEPT, "").lower()
    return "application/json" in accepted and "text/" not in accepted
