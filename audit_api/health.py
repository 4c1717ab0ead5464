"""Health, for whoever runs the service: asked without credentials, so it tells no particulars."""

from dataclasses import dataclass

import msgspec
from aiohttp import web

from audit_api.responses import json_response
from audit_api.stream.tail import Tail
from audit_log.errors import StoreUnavailableError
from audit_log.postgres.database import Database
from audit_log.postgres.replica import replica_lag
from audit_log.process.tls import ListenerTls
from audit_log.schema.migrate import is_current


@dataclass(frozen=True, slots=True)
class Replica:
    """What questions are answered from, when that is not the primary."""

    database: Database
    max_lag_seconds: float


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the service lives, and whether it can answer."""

    database: Database
    token_database: Database
    """Where tokens are looked up: mostly the same one."""
    tail: Tail
    replica: Replica | None = None
    tls: ListenerTls | None = None

    async def alive(self, _request: web.Request) -> web.Response:
        """Answer 200 as long as anything is answered at all."""
        return json_response(msgspec.json.encode({"status": "alive"}))

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer 200 when questions can be answered, 503 with the reasons when not.

        A replica that is too far behind and a certificate that could not be renewed are reasons
        as well, but answers are still worth having.
        """
        reasons = await self._reasons()
        said: dict[str, object] = {"status": "not ready" if reasons else "ready"}
        if self.replica is not None and not reasons:
            said["replica_lag_seconds"], reasons = await self._lag(self.replica)
            if reasons:
                said["status"] = "not ready" if said["replica_lag_seconds"] is None else "degraded"
        if self.tls is not None and self.tls.problem is not None:
            reasons = [*reasons, self.tls.problem]
            if said["status"] == "ready":
                said["status"] = "degraded"
        body = msgspec.json.encode(said | {"reasons": reasons})
        return json_response(body, status=503 if said["status"] == "not ready" else 200)

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

    async def _lag(self, replica: Replica) -> tuple[float | None, list[str]]:
        """Return how far *replica* is behind, and what is wrong with that."""
        try:
            seconds = await replica_lag(self.database, replica.database)
        except StoreUnavailableError:
            return None, ["the replica is out of reach"]
        if seconds is None:
            return None, ["nobody can tell how far the replica is behind"]
        too_far = seconds > replica.max_lag_seconds
        return seconds, [f"the replica is {seconds:.0f} s behind"] if too_far else []
