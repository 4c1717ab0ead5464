"""Health endpoints for operators. They need no credentials, so they disclose no details."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiohttp import web

from audit_api.reads.read_log import ReadLog
from audit_api.responses import json_response
from audit_log.errors import StoreError, StoreUnavailableError
from audit_log.postgres.database import Database
from audit_log.postgres.replica import OpenTransaction, replica_lag
from audit_log.postgres.unavailability import why_unusable
from audit_log.process.background import BackgroundTasks
from audit_log.process.ops import vitality
from audit_log.schema.migrate import is_current
from audit_log.schema.subscription import Subscription

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Replica:
    """The database that queries read, if it is not the primary."""

    database: Database
    max_lag_seconds: float


class Part(Protocol):
    """A part of the service that says what is wrong with it."""

    @property
    def problem(self) -> str | None:
        """What the operator should look at, or None."""


@dataclass(frozen=True, slots=True)
class Health:
    """Liveness (`/healthz`) and readiness (`/readyz`)."""

    database: Database
    token_database: Database
    """The database of the token table; usually the same object as `database`."""
    tasks: BackgroundTasks
    open_transaction: OpenTransaction
    subscription: Subscription
    reads: ReadLog
    parts: Sequence[Part]
    """Clock, certificate, witness: what works on with a problem."""
    replica: Replica | None = None

    async def alive(self, _request: web.Request) -> web.Response:
        """Respond 200 while all background tasks can live, otherwise 503."""
        body, status = vitality(self.tasks.dead)
        return json_response(body, status=status)

    async def ready(self, _request: web.Request) -> web.Response:
        """Respond 200 if queries can be served, otherwise 503; with the reasons in the body.

        A lagging replica, a certificate that could not be reloaded, a transaction for which
        streams wait, a logical replication that keeps records away, a clock that differs from
        PostgreSQL's and a witness that cannot sign give the status `degraded` with 200: responses
        are still useful.
        """
        reasons = await self._reasons()
        body: dict[str, object] = {"status": "not ready" if reasons else "ready"}
        degraded = [*self.tasks.problems]
        if not reasons:
            degraded += await self._of_readers()
        if self.replica is not None and not reasons:
            body["replica_lag_seconds"], reasons = await self._lag(self.replica)
            if reasons:
                body["status"] = "not ready" if body["replica_lag_seconds"] is None else "degraded"
        degraded += filter(None, (part.problem for part in (self.reads, *self.parts)))
        if degraded and body["status"] == "ready":
            body["status"] = "degraded"
        reasons = [*reasons, *degraded]
        return json_response(
            body | {"reasons": reasons}, status=503 if body["status"] == "not ready" else 200
        )

    @asynccontextmanager
    async def told_at_start(self) -> AsyncIterator[None]:
        """Log beside the block what is missing now. The service has started without it."""
        look = asyncio.create_task(self._log_reasons(), name="look-at-start")
        try:
            yield
        finally:
            look.cancel()
            with suppress(asyncio.CancelledError):
                await look

    async def _log_reasons(self) -> None:
        reasons = await self._reasons()
        if self.replica is not None and not reasons:
            _, reasons = await self._lag(self.replica)
        for reason in [*reasons, *await self._of_readers()]:
            log.warning("service.not_ready", reason=reason)

    async def _reasons(self) -> list[str]:
        reasons = []
        try:
            if not await is_current(self.database):
                reasons.append(
                    "the schema is missing or out of date: run `podwarden-audit migrate`"
                )
            if (missing := await self.reads.missing_right()) is not None:
                reasons.append(missing)
        except StoreUnavailableError as error:
            reasons.append(f"the database {why_unusable(error)}")
        if self.token_database is not self.database:
            try:
                await self.token_database.fetch_row("SELECT 1")
            except StoreUnavailableError as error:
                reasons.append(f"the token database {why_unusable(error)}")
        return reasons

    async def _of_readers(self) -> list[str]:
        """Return for what streams and exports wait, and what keeps records away from readers."""
        try:
            waiting = await self.open_transaction.problem()
            kept_away = (await self.subscription.findings()).all
        except StoreError:
            return []  # told by the other checks
        return [*([waiting] if waiting else []), *kept_away]

    async def _lag(self, replica: Replica) -> tuple[float | None, list[str]]:
        """Return the lag of *replica* in seconds, None if unknown, and the reasons to complain."""
        try:
            seconds = await replica_lag(self.database, replica.database)
        except StoreUnavailableError as error:
            return None, [f"the replica {why_unusable(error)}"]
        if seconds is None:
            return None, ["the lag of the replica is unknown"]
        too_far = seconds > replica.max_lag_seconds
        return seconds, [f"the replica is {seconds:.0f} s behind"] if too_far else []
