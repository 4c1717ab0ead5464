"""Health, for whoever runs the service: asked without credentials, so it tells no particulars."""

from dataclasses import dataclass

import msgspec
from aiohttp import web

from audit_api.answers import json_answer
from audit_api.tail import Tail
from audit_log.database import Database
from audit_log.errors import StoreUnavailableError
from audit_log.schema import is_current


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the service lives, and whether it can answer."""

    database: Database
    token_database: Database
    """Where tokens are looked up: mostly the same one."""
    tail: Tail

    async def alive(self, _request: web.Request) -> web.Response:
        """Answer 200 as long as anything is answered at all."""
        return json_answer(msgspec.json.encode({"status": "alive"}))

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer 200 when questions can be answered, 503 with the reasons when not."""
        reasons = await self._reasons()
        if reasons:
            body = msgspec.json.encode({"status": "not ready", "reasons": reasons})
            return json_answer(body, status=503)
        return json_answer(msgspec.json.encode({"status": "ready", "reasons": []}))

    async def _reasons(self) -> list[str]:
        reasons = []
        try:
            if not await is_current(self.database):
                reasons.append(
                    "the schema is missing or out of date: run `python -m audit_log migrate`"
                )
        except StoreUnavailableError:
            reasons.append("the database is out of reach")
        if self.token_database is not self.database:
            try:
                await self.token_database.fetch_row("SELECT 1")
            except StoreUnavailableError:
                reasons.append("the token database is out of reach")
        if self.tail.has_died:
            reasons.append("the live tail has died")
        return reasons
