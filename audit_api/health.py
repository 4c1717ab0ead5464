"""Health endpoints for operators. They need no credentials, so they disclose no details."""

from dataclasses import dataclass

from aiohttp import web

from audit_api.responses import json_response
from audit_api.stream.tail import Tail
from audit_log.errors import StoreError, StoreUnavailableError
from audit_log.postgres.database import Database
from audit_log.postgres.replica import OpenTransaction, replica_lag
from audit_log.process.tls import ListenerTls
from audit_log.schema.migrate import is_current


@dataclass(frozen=True, slots=True)
class Replica:
    """The database that queries read, if it is not the primary."""

    database: Database
    max_lag_seconds: float


@dataclass(frozen=True, slots=True)
class Health:
    """Liveness (`/healthz`) and readiness (`/readyz`)."""

    database: Database
    token_database: Database
    """The database of the token table; usually the same object as `database`."""
    tail: Tail
    open_transaction: OpenTransaction
    replica: Replica | None = None
    tls: ListenerTls | None = None

    async def alive(self, _request: web.Request) -> web.Response:
        """Respond 200 while the event loop runs."""
        return json_response({"status": "alive"})

    async def ready(self, _request: web.Request) -> web.Response:
        """Respond 200 if queries can be served, otherwise 503; with the reasons in the body.

        A lagging replica, a certificate that could not be reloaded and a transaction for which
        streams wait give the status `degraded` with 200: responses are still useful.
        """
        reasons = await self._reasons()
        body: dict[str, object] = {"status": "not ready" if reasons else "ready"}
        if self.replica is not None and not reasons:
            body["replica_lag_seconds"], reasons = await self._lag(self.replica)
            if reasons:
                body["status"] = "not ready" if body["replica_lag_seconds"] is None else "degraded"
        lesser = [self.tls.problem if self.tls else None]
        if body["status"] != "not ready":
            lesser.append(await self._waiting_for())
        if any(lesser):
            reasons = [*reasons, *filter(None, lesser)]
            if body["status"] == "ready":
                body["status"] = "degraded"
        return json_response(
            body | {"reasons": reasons}, status=503 if body["status"] == "not ready" else 200
        )

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

    async def _waiting_for(self) -> str | None:
        try:
            return await self.open_transaction.problem()
        except StoreError:
            return None  # told by the other checks

    async def _lag(self, replica: Replica) -> tuple[float | None, list[str]]:
        """Return the lag of *replica* in seconds, None if unknown, and the reasons to complain."""
        try:
            seconds = await replica_lag(self.database, replica.database)
        except StoreUnavailableError:
            return None, ["the replica is out of reach"]
        if seconds is None:
            return None, ["the lag of the replica is unknown"]
        too_far = seconds > replica.max_lag_seconds
        return seconds, [f"the replica is {seconds:.0f} s behind"] if too_far else []
