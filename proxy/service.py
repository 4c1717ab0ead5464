"""The composition root: the parts of the sidecar, opened in this order and closed in reverse."""

import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import (
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

from aiohttp import web
from prometheus_client.registry import Collector
from yarl import URL

from audit_log.clock import DatabaseClock
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from audit_log.process.clock_watch import ClockWatch
from audit_log.process.disk_thread import in_disk_thread
from audit_log.process.files import files_for_connections
from audit_log.process.ops import serving_ops
from audit_log.process.settings import AuditLogSettings, NatsSettings
from audit_log.process.sockets import Address, listening
from audit_log.process.tls import KeyPair, ListenerTls, client_context, server_context
from audit_log.schema.partitions import PartitionUpkeep
from proxy.admission import Admission, TokenPolicy
from proxy.audit.identity import TokenRecogniser
from proxy.audit.tally import Tally
from proxy.delivery.orphaned import draining_orphaned
from proxy.delivery.replaced_store import Destination, ReplacedStore
from proxy.delivery.retention import RetentionUpkeep
from proxy.delivery.writer import Writer, writing
from proxy.http.forwarding import hub_request_lines, request_lines
from proxy.http.target import AuditedPaths
from proxy.hub.shapes import wanted_paths
from proxy.hub.tunnel import HubAdmission
from proxy.journal import Journal, Limits, open_journal
from proxy.journal.placement import ring_directories
from proxy.journal.rings.orphaned_rings import name_orphaned_rings
from proxy.mcp.endpoint import McpAdmission
from proxy.mcp.in_flight import ToolCallsInFlight
from proxy.mcp.tool_calls import ToolCalls
from proxy.metrics import (
    ClockCollector,
    ForecastCollector,
    PartitionCollector,
    SidecarCollector,
)
from proxy.relay.client_limit import ClientLimit, most_idle
from proxy.relay.plan import Service
from proxy.relay.routes import Routes
from proxy.relay.server import RelayServer
from proxy.relay.upstream_pool import Upstream, UpstreamLimits, open_upstream
from proxy.settings import ProxySettings
from proxy.telemetry.health import Health, Problem
from proxy.telemetry.observers import Observers, observing
from proxy.tokens.cache import TokenCache, TokenCacheLimits
from proxy.workers import Member, State

APPLICATION = "podwarden-audit-proxy"


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
    nats: NatsSettings | None = None,
    member: Member | None = None,
) -> AsyncIterator[Addresses]:
    """Run the sidecar; yield where it listens. PostgreSQL and the upstream may be away.

    Records go to PostgreSQL, or to the stream of *nats* if given. *member* is this worker among
    several.

    Raises CannotListenError, JournalError, TlsFilesError and TracingUnavailableError.
    """
    health, tally = _health(member), Tally()
    instance = instance_of(settings)
    async with AsyncExitStack() as stack:
        tokens = await _tokens(stack, shared, settings, health)
        journal = await _journal(stack, settings, instance)
        observers = await stack.enter_async_context(observing(settings, instance, tally, health))
        database, partitions = await _database(stack, shared, health)
        retention = await _retention(stack, shared, database, observers, health)
        sink: Destination = Store(database) if nats is None else await _publisher(stack, nats)
        # With NATS the ingest resolves names: it can wait for the token table.
        find = tokens.table.find_together if nats is None else None
        replaced = ReplacedStore(sink, journal)
        writer = Writer(journal, sink, find, observers.gap_found, replaced)
        _ = await stack.enter_async_context(
            writing(writer, health.tasks, drain_seconds=settings.stop_seconds)
        )
        health.problems = _problems(
            writer, journal, tokens.cache, tokens.clock, retention, partitions
        )
        collectors = (
            SidecarCollector(tally, journal, writer, tokens.cache, health),
            ClockCollector(tokens.clock),
            ForecastCollector(retention),
            PartitionCollector(partitions),
        )
        ops_address = await _ops(stack, settings, health, journal, collectors)
        calls = _tool_calls(journal, instance, member)
        clients = ClientLimit(files_for_connections(), tally.oddities)
        health.problems.append(lambda: clients.problem)
        hub_address = await _hub(stack, settings, clients, calls, tally)
        admission = _admission(settings, tokens, journal, calls, tally, observers)
        address = await _calls(stack, settings, clients, admission, health)
        await _orphaned(stack, shared, settings, observers, health)
        with _accepting(health, member):
            yield Addresses(address, ops_address, hub_address)


async def _ops(
    stack: AsyncExitStack,
    settings: ProxySettings,
    health: Health,
    journal: Journal,
    collectors: Sequence[Collector],
) -> Address:
    return await stack.enter_async_context(
        serving_ops(
            health.report,
            lambda: [*health.tasks.dead, *journal.dead],
            *collectors,
            wanted=Address(settings.ops_host, settings.ops_port),
            setting="PROXY_OPS_HOST, PROXY_OPS_PORT",
        )
    )


def _tool_calls(journal: Journal, instance: str, member: Member | None) -> ToolCalls:
    elsewhere = None if member is None else member.elsewhere
    return ToolCalls(ToolCallsInFlight(elsewhere), journal, instance)


class _Part(Protocol):
    """A part of the sidecar that says what is wrong with it."""

    @property
    def problem(self) -> str | None:
        """What the operator should look at, or None."""


def _problems(*parts: _Part) -> list[Problem]:
    return [partial(_problem_of, part) for part in parts]


def _problem_of(part: _Part) -> str | None:
    return part.problem


def _health(member: Member | None) -> Health:
    health = Health()
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


def instance_of(settings: ProxySettings) -> str:
    """Return what this sidecar is called in its records."""
    return settings.instance or socket.gethostname()


def check_tls_files(settings: ProxySettings) -> None:
    """Raise TlsFilesError if the sidecar could not start for a certificate or key."""
    if settings.tls is not None:
        _ = server_context(settings.tls)
    _ = client_context(settings.upstream_ca_file, settings.upstream_client)


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


async def _journal(stack: AsyncExitStack, settings: ProxySettings, instance: str) -> Journal:
    journal = await stack.enter_async_context(
        open_journal(
            settings.journal_dir,
            instance=instance,
            ring_directory=settings.journal_ring_dir,
            limits=Limits(
                ring_bytes=settings.journal_ring_bytes,
                max_bytes=settings.journal_max_bytes,
                kept_seconds=settings.journal_kept_seconds,
            ),
            close_seconds=settings.stop_seconds,
        )
    )
    places = ring_directories(settings.journal_dir, settings.journal_ring_dir)
    # Not awaited: a folder that a ring names may lie on a disk that hangs.
    _ = in_disk_thread("orphaned-rings", name_orphaned_rings, places[:1])
    return journal


async def _database(
    stack: AsyncExitStack, shared: AuditLogSettings, health: Health
) -> tuple[Database, PartitionUpkeep]:
    url = shared.database_url.get_secret_value()
    database = await stack.enter_async_context(
        open_database(url, connections=1, application=APPLICATION)
    )
    partitions = PartitionUpkeep(database)
    _ = await stack.enter_async_context(health.tasks.running(partitions.run, "partitions"))
    return database, partitions


async def _retention(
    stack: AsyncExitStack,
    shared: AuditLogSettings,
    database: Database,
    observers: Observers,
    health: Health,
) -> RetentionUpkeep:
    upkeep = RetentionUpkeep(
        database,
        shared.retention,
        may_cut_short=shared.shorten_retention,
        budget_nears=observers.announcer.budget_nears if observers.announcer else None,
    )
    _ = await stack.enter_async_context(health.tasks.running(upkeep.run, "retention"))
    return upkeep


async def _publisher(stack: AsyncExitStack, nats: NatsSettings) -> Destination:
    # Imported late: nats-py takes 2 MiB, and most sidecars do without.
    from audit_log.nats.jetstream import open_jetstream  # noqa: PLC0415
    from audit_log.nats.publisher import Publisher  # noqa: PLC0415

    jetstream = await stack.enter_async_context(open_jetstream(nats, application=APPLICATION))
    return Publisher(jetstream)


def _admission(
    settings: ProxySettings,
    tokens: _Tokens,
    journal: Journal,
    calls: ToolCalls,
    tally: Tally,
    observers: Observers,
) -> Admission:
    recogniser = TokenRecogniser(settings.token_prefix)
    return Admission(
        recogniser=recogniser,
        audited_paths=AuditedPaths(settings.audited_paths),
        policy=settings.token_policy,
        cache=tokens.cache,
        recorder=journal,
        tally=tally,
        instance=calls.instance,
        trusted=settings.trusted_proxies,
        mcp=McpAdmission(
            path=settings.mcp_path.rstrip("/").encode(),
            tokens=recogniser,
            hub_keys=TokenRecogniser(settings.hub_key_prefix),
            token_cache=tokens.cache,
            calls=calls,
            tally=tally,
            now=tokens.clock.now,
        ),
        now=tokens.clock.now,
        observers=observers.call_ended,
    )


async def _routes(stack: AsyncExitStack, settings: ProxySettings) -> Routes:
    # Only the API is shown our client certificate; it is not meant for the other upstreams.
    api = await _upstream(stack, settings, settings.upstream_url, shown=settings.upstream_client)
    if settings.audit_api_url is None:
        return Routes(api, None)
    return Routes(api, await _upstream(stack, settings, settings.audit_api_url))


async def _upstream(
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
    return await stack.enter_async_context(open_upstream(url, limits, tls))


async def _orphaned(
    stack: AsyncExitStack,
    shared: AuditLogSettings,
    settings: ProxySettings,
    observers: Observers,
    health: Health,
) -> None:
    orphaned = await stack.enter_async_context(
        draining_orphaned(
            shared, settings, instance_of(settings), health.tasks, observers.gap_found
        )
    )
    health.problems.append(lambda: orphaned.problem)


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
        HubAdmission(wanted_paths(settings.hub_envelope_field), calls, tally),
        Routes(await _upstream(stack, settings, settings.hub_url), None),
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
        await _routes(stack, settings),
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
