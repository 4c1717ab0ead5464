"""Assembles the audit API: opens its parts in order and closes them in reverse."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from audit_api.access.door import Door
from audit_api.access.gate import Gate
from audit_api.access.looked_up_together import LookedUpTogether
from audit_api.access.podwarden import open_podwarden
from audit_api.access.sessions import Sessions
from audit_api.access.sign_in import SignIn
from audit_api.access.sign_in_links import SignInLinks
from audit_api.endpoints import Services, endpoints
from audit_api.formats.export_formats import OF_ENTRIES, OF_TOOL_CALLS
from audit_api.health import Health, Replica
from audit_api.page.activity import ActivityPage
from audit_api.page.reference import Reference
from audit_api.query.counts import Counts
from audit_api.query.future import Future
from audit_api.query.questions import Questions
from audit_api.query.read_questions import ReadQuestions
from audit_api.query.session_questions import SessionQuestions
from audit_api.query.sql_questions import SqlQuestions
from audit_api.query.timeline_question import TimelineQuestion
from audit_api.query.token_questions import TokenQuestions
from audit_api.reads.one_read import Recorder
from audit_api.reads.page_views import PageViews
from audit_api.reads.read_log import recording
from audit_api.reads.read_metrics import ReadMetrics
from audit_api.reads.read_seal import sealing_reads
from audit_api.reads.refused_readers import Refusals, noting_refusals
from audit_api.seal.evidence import Evidence
from audit_api.seal.proofs import Proofs
from audit_api.server import runner_of
from audit_api.settings import AuditApiSettings
from audit_api.stream.exports import AT_ONCE, Exports
from audit_api.stream.live import Live
from audit_api.stream.tail import Tail, tailing
from audit_api.witness.witness_routes import WitnessRoutes, witnessing
from audit_log.clock import DatabaseClock
from audit_log.postgres.agents.token_details import TokenDirectory
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.reading.sources import RECORDS, TOOL_CALLS
from audit_log.postgres.replica import OpenTransaction
from audit_log.postgres.seal.proving import Prover
from audit_log.postgres.token_table import TokenTable
from audit_log.process.background import BackgroundTasks
from audit_log.process.clock_watch import ClockWatch
from audit_log.process.settings import AuditLogSettings
from audit_log.process.sockets import Address, listening
from audit_log.process.tls import ListenerTls
from audit_log.record import AuditRecord, Invocation
from audit_log.schema.subscription import Subscription

_APPLICATION = "audit_api"


@asynccontextmanager
async def serving(
    shared: AuditLogSettings, settings: AuditApiSettings, *, records_reads: bool = True
) -> AsyncIterator[Address]:
    """Run the service beside the block; yield the address it listens on.

    Starts also while PostgreSQL is unavailable. Raises CannotListenError or TlsFilesError.
    """
    tasks = BackgroundTasks()
    async with AsyncExitStack() as stack:
        open_ = stack.enter_async_context
        databases = await _databases(stack, shared, settings)
        database, token_database = databases.for_questions, databases.of_tokens
        # Tokens expire by the clock of their own database.
        clock = DatabaseClock()
        _ = await open_(tasks.running(ClockWatch(token_database, clock).run, "clock"))
        gate = await _gate(stack, settings, token_database, clock)
        reads_in = databases.for_reads if records_reads else None
        door = await open_(_door(gate, reads_in, tasks, settings))
        tails = await _tails(stack, tasks, databases.for_tail)
        open_transaction = OpenTransaction(databases.for_tail)
        subscription = Subscription(databases.for_tail, databases.for_gate)
        services = Services(
            *_questions(databases, clock, settings),
            *_files(databases.for_exports, subscription),
            Live(RECORDS, database, tails[0], gate, open_transaction, subscription),
            Live(TOOL_CALLS, database, tails[1], gate, open_transaction, subscription),
        )
        replica = Replica(database, settings.max_lag_seconds) if settings.database_url else None
        tls = await _tls(stack, settings, tasks)
        witness = await _witness(stack, settings)
        parts = [part for part in (clock, tls, witness) if part is not None]
        health = Health(
            databases.for_gate,
            token_database,
            tasks,
            open_transaction,
            subscription,
            door.recorder.reads,
            parts,
            replica,
        )
        app = make_app(door, services, health, witness)
        end_streams_first(app, tails)
        runner = runner_of(app, door.recorder.metrics.measured)
        address = await open_(_listening(runner, settings, tls))
        await open_(health.told_at_start())
        yield address


@dataclass(frozen=True, slots=True)
class _Databases:
    """Pools of connections, each for what must not wait for the others."""

    for_questions: Database
    for_exports: Database
    """An export holds a connection for minutes."""
    for_tail: Database
    """The tail holds one always."""
    for_gate: Database
    """Always on the primary: a revoked token must not stay valid while a replica lags."""
    of_tokens: Database
    for_reads: Database
    """On the primary, too: what readers ask is recorded there."""


async def _databases(
    stack: AsyncExitStack, shared: AuditLogSettings, settings: AuditApiSettings
) -> _Databases:
    async def opened(url: str, connections: int) -> Database:
        return await stack.enter_async_context(
            open_database(url, connections=connections, application=_APPLICATION)
        )

    primary = shared.database_url.get_secret_value()
    url = (settings.database_url or shared.database_url).get_secret_value()
    for_gate = tokens = await opened(primary, 2)
    if settings.token_database_url is not None:
        tokens = await opened(settings.token_database_url.get_secret_value(), 2)
    return _Databases(
        for_questions=await opened(url, 4),
        for_exports=await opened(url, AT_ONCE + 1),
        for_tail=await opened(url, 5),
        for_gate=for_gate,
        of_tokens=tokens,
        for_reads=await opened(primary, 3),
    )


@asynccontextmanager
async def _door(
    gate: Gate, database: Database | None, tasks: BackgroundTasks, settings: AuditApiSettings
) -> AsyncIterator[Door]:
    metrics = ReadMetrics()
    instance = f"audit-api/{socket.gethostname()}"  # never that of a sidecar on this host
    async with AsyncExitStack() as stack:
        open_, seal = stack.enter_async_context, None
        if database is not None and settings.seal_dir is not None:
            seal = await open_(sealing_reads(database, settings.seal_dir, instance, tasks))
        reads = await open_(recording(database, metrics, tasks, seal))
        recorder = Recorder(reads, PageViews(), metrics, gate.now)
        refusals = await open_(noting_refusals(Refusals(reads, metrics, gate.now), tasks))
        trusted = settings.trusted_proxies
        yield Door(gate, recorder, refusals, instance=instance, trusted=trusted)


def _listening(
    runner: web.BaseRunner, settings: AuditApiSettings, tls: ListenerTls | None
) -> AbstractAsyncContextManager[Address]:
    return listening(
        runner,
        Address(settings.host, settings.port),
        "AUDIT_API_HOST, AUDIT_API_PORT",
        tls=tls.context if tls else None,
    )


async def _tails(
    stack: AsyncExitStack, tasks: BackgroundTasks, database: Database
) -> tuple[Tail[AuditRecord], Tail[Invocation]]:
    open_ = stack.enter_async_context
    return (
        await open_(tailing(database, tasks, RECORDS, "audit-tail")),
        await open_(tailing(database, tasks, TOOL_CALLS, "audit-tool-tail")),
    )


def _questions(
    databases: _Databases, clock: DatabaseClock, settings: AuditApiSettings
) -> tuple[
    Questions,
    TimelineQuestion,
    SqlQuestions,
    SessionQuestions,
    Counts,
    TokenQuestions,
    ReadQuestions,
    Proofs,
]:
    """Return what answers by one whole response, in the order of `Services`."""
    database = databases.for_questions
    directory = TokenDirectory(databases.of_tokens, settings.token_query)
    counts, future = Counts(database, clock.now, directory), Future(clock.now)
    questions = Questions(database, future)
    return (
        questions,
        TimelineQuestion(database, future),
        SqlQuestions(questions),
        SessionQuestions(database),
        counts,
        TokenQuestions(database, clock.now, directory, counts.used_tokens),
        ReadQuestions(databases.for_reads),
        Proofs(database, Prover(database)),
    )


def _files(
    database: Database, subscription: Subscription
) -> tuple[Evidence, Exports[AuditRecord], Exports[Invocation]]:
    turns = asyncio.Semaphore(AT_ONCE)
    return (
        Evidence(database, turns),
        Exports(RECORDS, OF_ENTRIES, database, subscription, turns),
        Exports(TOOL_CALLS, OF_TOOL_CALLS, database, subscription, turns),
    )


async def _tls(
    stack: AsyncExitStack, settings: AuditApiSettings, tasks: BackgroundTasks
) -> ListenerTls | None:
    if settings.tls is None:
        return None
    tls = ListenerTls(settings.tls)
    await stack.enter_async_context(tls.following(tasks))
    return tls


async def _witness(stack: AsyncExitStack, settings: AuditApiSettings) -> WitnessRoutes | None:
    if settings.witness_dir is None or settings.witness_logs is None:
        return None
    return await stack.enter_async_context(witnessing(settings.witness_dir, settings.witness_logs))


async def _gate(
    stack: AsyncExitStack,
    settings: AuditApiSettings,
    token_database: Database,
    clock: DatabaseClock,
) -> Gate:
    judge = None
    if settings.auth_url is not None:
        judge = await stack.enter_async_context(open_podwarden(str(settings.auth_url)))
    secret = secrets.token_bytes(32)
    if settings.session_secret is not None:
        secret = settings.session_secret.get_secret_value().encode()
    return Gate(
        tokens=LookedUpTogether(TokenTable(token_database, settings.token_query)),
        judge=judge,
        sessions=Sessions(secret, clock.now),
        token_prefix=settings.token_prefix,
        reader_roles=settings.reader_roles,
        now=clock.now,
    )


def make_app(
    door: Door, services: Services, health: Health, witness: WitnessRoutes | None
) -> web.Application:
    """Return the application with all routes. aiohttp adds HEAD to each GET."""
    app = web.Application()
    app.router.add_get("/healthz", health.alive, name="healthz")
    app.router.add_get("/readyz", health.ready, name="readyz")
    app.router.add_get("/metrics", door.recorder.metrics.page, name="metrics")
    described = endpoints(services)
    for endpoint in (*described, *Reference.of(described).endpoints()):
        app.router.add_routes([endpoint.route(door)])
    app.router.add_routes(SignIn(door, SignInLinks(door.gate.now)).routes())
    app.router.add_routes(ActivityPage().routes())
    if witness is not None:
        app.router.add_routes(witness.routes())
    return app


def end_streams_first(app: web.Application, tails: Sequence[Tail[Any]]) -> None:
    """End the live streams at shutdown, before aiohttp waits for open requests.

    A live stream has no end of its own, so that wait would always run into its limit.
    """

    async def end(_app: web.Application) -> None:
        for tail in tails:
            tail.end()

    app.on_shutdown.append(end)
