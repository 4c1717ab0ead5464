"""The composition root: the parts of the sidecar, opened in this order and closed in reverse."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AsyncExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
)
from dataclasses import dataclass
from functools import partial
from typing import cast

import structlog
from aiohttp import web
from prometheus_client.registry import Collector
from yarl import URL

from audit_log.clock import DatabaseClock
from audit_log.postgres.database import open_database
from audit_log.postgres.token_table import TokenTable
from audit_log.process.clock_watch import ClockWatch
from audit_log.process.files import files_for_connections
from audit_log.process.ops import serving_ops
from audit_log.process.settings import AuditLogSettings
from audit_log.process.sockets import Address, listening
from audit_log.process.tls import KeyPair, ListenerTls, client_context, server_context
from proxy.admission import Admission, TokenPolicy
from proxy.audit.callers import Callers
from proxy.audit.identity import TokenRecogniser
from proxy.audit.tally import Tally
from proxy.http.forwarding import hub_request_lines, request_lines
from proxy.http.target import AuditedPaths
from proxy.hub.shapes import wanted_paths
from proxy.hub.tunnel import HubAdmission
from proxy.journal import Intake, Parts, taking_in
from proxy.mcp.agents.claims import Claims
from proxy.mcp.codings import MISSING, WHAT_IS_MISSING
from proxy.mcp.endpoint import McpAdmission
from proxy.mcp.in_flight import ToolCallsInFlight
from proxy.mcp.tool_calls import ToolCalls
from proxy.metrics import CallCollector, ClockCollector, KeeperCollector, McpCollector
from proxy.recorder.keeper import Keeper
from proxy.recorder.page import Page
from proxy.recorder.record_metrics import BothCollector
from proxy.recorder.recording import limits_of
from proxy.relay.client_limit import ClientLimit, most_idle
from proxy.relay.plan import Service
from proxy.relay.routes import Routes
from proxy.relay.server import RelayServer
from proxy.relay.upstream_pool import Upstream, UpstreamLimits
from proxy.settings import APPLICATION, ProxySettings
from proxy.telemetry.health import Health, Part, problem_of
from proxy.tokens.cache import TokenCache, TokenCacheLimits
from proxy.workers import Member, State

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the sidecar listens."""

    calls: Address
    ops: Address
    hub: Address | None


@asynccontextmanager
async def serving(
    shared: AuditLogSettings,
    settings: ProxySettings,
    parts: Parts,
    page: Page,
    member: Member | None = None,
    keeper: Keeper | None = None,
) -> AsyncIterator[Addresses]:
    """Take calls; yield where. PostgreSQL and the upstream may be away.

    Records go into the journal of *parts*, for a recorder that says on *page* how it is. *member*
    is this worker among several. *keeper* keeps the recorder running, if that is another process.

    Raises CannotListenError and TlsFilesError.
    """
    health, tally = _health(member, page), Tally()
    instance = settings.instance_name
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        tokens = await _tokens(stack, shared, settings, health)
        details = sealed_details(shared, settings) | parts.log_details
        intake = await enter(
            taking_in(parts, instance, limits_of(settings), health.tasks, details)
        )
        clients = ClientLimit(files_for_connections(), tally.oddities)
        parts_that_tell: list[Part] = [intake, tokens.cache, tokens.clock, clients]
        health.problems = [partial(problem_of, part) for part in parts_that_tell]
        calls = _tool_calls(settings, intake, member)
        own: list[Collector] = [
            McpCollector(calls.durations),
            CallCollector(tally, intake, tokens.cache, health),
            ClockCollector(tokens.clock),
        ]
        if keeper is not None:
            health.problems.append(partial(problem_of, keeper))
            own.append(KeeperCollector(keeper))
        ops_address = await _ops(stack, settings, health, page, keeper, BothCollector(own, page))
        hub_address = await _hub(stack, settings, clients, calls, tally)
        admission = _admission(settings, tokens, intake, calls, tally)
        address = await _calls(stack, settings, clients, admission, health)
        with _accepting(health, member):
            yield Addresses(address, ops_address, hub_address)


async def _ops(
    stack: AsyncExitStack,
    settings: ProxySettings,
    health: Health,
    page: Page,
    keeper: Keeper | None,
    collector: Collector,
) -> Address:
    def dead() -> list[str]:
        return [*health.tasks.dead, *page.dead(), *(keeper.dead if keeper else [])]

    return await stack.enter_async_context(
        serving_ops(
            health.report,
            dead,
            collector,
            wanted=Address(settings.ops_host, settings.ops_port),
            setting="PROXY_OPS_HOST, PROXY_OPS_PORT",
            refresh=page.refresh,
        )
    )


def _tool_calls(settings: ProxySettings, intake: Intake, member: Member | None) -> ToolCalls:
    if MISSING:
        log.warning("mcp.codings_missing", reason=WHAT_IS_MISSING)
    others = None if member is None else member.other_workers
    return ToolCalls(
        ToolCallsInFlight(others),
        intake,
        settings.instance_name,
        Claims(settings.mcp_claims),
        is_traced=settings.tracing,
    )


def _health(member: Member | None, page: Page) -> Health:
    health = Health(recorder=page.problems)
    if member is not None:
        health.others = member.problems
        member.state = lambda: State(health.is_accepting, health.own_reasons())
    return health


@contextmanager
def _accepting(health: Health, member: Member | None) -> Iterator[None]:
    health.is_accepting = True
    if member is not None:
        member.show()
    try:
        yield
    finally:
        health.is_accepting = False


def sealed_details(shared: AuditLogSettings, settings: ProxySettings) -> dict[str, str]:
    """Return those of the settings that the seal tells of: what a verifier should know."""
    retention = shared.retention
    known = {
        "sink": settings.sink.value,
        "retention_days": retention.days,
        "retention_bytes": retention.max_bytes,
    }
    return {name: "" if value is None else str(value) for name, value in known.items()}


def check_tls_files(settings: ProxySettings) -> None:
    """Raise TlsFilesError if the sidecar could not start for a certificate or key."""
    if settings.tls is not None:
        _ = server_context(settings.tls)
    authorities, shown = settings.upstream_ca_file, settings.upstream_client
    if authorities is not None or shown is not None:  # the system's alone take 70 ms to load
        _ = client_context(authorities, shown, "PROXY_UPSTREAM_CA_FILE")


@dataclass(frozen=True, slots=True)
class _Tokens:
    table: TokenTable
    cache: TokenCache
    clock: DatabaseClock
    """That of the token database: tokens expire by it."""


async def _tokens(
    stack: AsyncExitStack, shared: AuditLogSettings, settings: ProxySettings, health: Health
) -> _Tokens:
    # A connection of its own: a long batch of the writer must not delay a look-up.
    url = settings.token_database_url or shared.database_url
    database = await stack.enter_async_context(
        open_database(url.get_secret_value(), connections=1, application=APPLICATION)
    )
    table = TokenTable(database, settings.token_query)
    limits = TokenCacheLimits()
    if settings.token_policy is TokenPolicy.OBSERVE:
        # The API judges: a call waits for its name no longer than a look-up takes.
        limits = TokenCacheLimits(turn_seconds=limits.lookup_seconds)
    cache, clock = TokenCache(table, limits=limits), DatabaseClock()
    watch = ClockWatch(database, clock)
    _ = await stack.enter_async_context(
        health.tasks.running(partial(cache.run, table.changes, watch.look), "token-cache")
    )
    return _Tokens(table, cache, clock)


def _admission(
    settings: ProxySettings,
    tokens: _Tokens,
    intake: Intake,
    calls: ToolCalls,
    tally: Tally,
) -> Admission:
    recogniser = TokenRecogniser(settings.token_prefix)
    return Admission(
        recogniser=recogniser,
        audited_paths=AuditedPaths(settings.audited_paths),
        policy=settings.token_policy,
        cache=tokens.cache,
        recorder=intake,
        tally=tally,
        callers=Callers(calls.instance),
        trusted=settings.trusted_proxies,
        mcp=McpAdmission(
            path=settings.mcp_path.rstrip("/").encode(),
            tokens=recogniser,
            hub_keys=TokenRecogniser(settings.hub_key_prefix),
            token_cache=tokens.cache,
            calls=calls,
            tally=tally,
            now=tokens.clock.now,
            with_traceparent=settings.mcp_traceparent,
        ),
        now=tokens.clock.now,
        is_traced=settings.tracing,
        principal_field=(settings.principal_header or "").lower().encode() or None,
    )


def _routes(stack: AsyncExitStack, settings: ProxySettings) -> Routes:
    # Only the API is shown our client certificate; it is not meant for the other upstreams.
    api = _upstream(stack, settings, settings.upstream_url, shown=settings.upstream_client)
    if settings.audit_api_url is None:
        return Routes(api, None)
    return Routes(api, _upstream(stack, settings, settings.audit_api_url))


def _upstream(
    stack: AsyncExitStack, settings: ProxySettings, url: str, *, shown: KeyPair | None = None
) -> Upstream:
    limits = UpstreamLimits(
        connect_timeout_seconds=settings.connect_timeout_seconds,
        response_timeout_seconds=settings.response_timeout_seconds,
        idle_seconds=settings.upstream_idle_seconds,
        max_idle=most_idle(files_for_connections()),
    )
    is_secure = url.startswith("https:")
    tls = client_context(settings.upstream_ca_file, shown) if is_secure else None
    return stack.enter_context(closing(Upstream(url, limits, tls)))


async def _tls(
    stack: AsyncExitStack, settings: ProxySettings, health: Health
) -> ssl.SSLContext | None:
    if settings.tls is None:
        return None
    tls = ListenerTls(settings.tls)
    await stack.enter_async_context(tls.following(health.tasks))
    health.problems.append(lambda: tls.problem)
    return tls.context


async def _hub(
    stack: AsyncExitStack,
    settings: ProxySettings,
    clients: ClientLimit,
    calls: ToolCalls,
    tally: Tally,
) -> Address | None:
    """Listen in place of the Hub, if there is one; nothing else depends on it."""
    if settings.hub_url is None:
        return None
    authority = URL(settings.hub_url).authority.encode()
    service = Service(
        HubAdmission(wanted_paths(settings.hub_envelope_field, calls.claims.paths), calls, tally),
        Routes(_upstream(stack, settings, settings.hub_url), None),
        lambda fields, _peer: hub_request_lines(fields, authority),
        body_patience_seconds=settings.body_timeout_seconds,
    )
    return await stack.enter_async_context(
        listening(
            _runner(service, settings, clients),
            Address(settings.hub_host, settings.hub_port),
            "PROXY_HUB_HOST, PROXY_HUB_PORT",
            is_shared=settings.shares_port,
        )
    )


async def _calls(
    stack: AsyncExitStack,
    settings: ProxySettings,
    clients: ClientLimit,
    admission: Admission,
    health: Health,
) -> Address:
    """Listen for calls, last of all: what they need is there."""
    service = Service(
        admission,
        _routes(stack, settings),
        request_lines,
        body_patience_seconds=settings.body_timeout_seconds,
        trusted=settings.trusted_proxies,
    )
    return await stack.enter_async_context(
        listening(
            _runner(service, settings, clients, await _tls(stack, settings, health)),
            Address(settings.host, settings.port),
            "PROXY_HOST, PROXY_PORT",
            is_shared=settings.shares_port,
        )
    )


def _runner(
    service: Service,
    settings: ProxySettings,
    clients: ClientLimit,
    tls: ssl.SSLContext | None = None,
) -> web.ServerRunner:
    """Return what aiohttp runs: it asks the server for a protocol per connection, and to stop."""
    server = RelayServer(service, clients, idle_seconds=settings.client_idle_seconds, tls=tls)
    return web.ServerRunner(cast("web.Server", server), shutdown_timeout=settings.stop_seconds)
