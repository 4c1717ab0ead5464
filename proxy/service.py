"""The sidecar put together: what it consists of, opened in this order, closed in reverse."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from audit_log.database import Database, open_database
from audit_log.settings import AuditLogSettings
from audit_log.store import Store
from audit_log.tokens import TokenTable
from proxy.admission import Admission
from proxy.directory import TokenDirectory
from proxy.exchange import Tally
from proxy.handler import GeneralLane
from proxy.health import Health
from proxy.identity import AuditedPaths, TokenRecogniser
from proxy.journal import Limits, open_journal
from proxy.listener import Listeners
from proxy.mcp.admission import McpAdmission
from proxy.mcp.in_flight import ToolCallsInFlight
from proxy.mcp.tool_calls import ToolCalls
from proxy.metrics import SidecarCollector, registry_of
from proxy.ops import ops_app
from proxy.routes import Routes
from proxy.settings import ProxySettings
from proxy.upstream import UpstreamLimits, open_upstream
from proxy.writer import Writer, writing

APPLICATION = "podwarden-audit-proxy"


class CannotListenError(Exception):
    """The address is taken, or not ours to listen on. The message says which and why."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the sidecar listens."""

    host: str
    port: int
    ops_host: str
    ops_port: int


@asynccontextmanager
async def serving(shared: AuditLogSettings, settings: ProxySettings) -> AsyncIterator[Addresses]:
    """Run the sidecar; yield where it listens. PostgreSQL and the upstream may be away."""
    instance = settings.instance or socket.gethostname()
    health, tally = Health(), Tally()
    async with AsyncExitStack() as stack:
        database, token_database = await _databases(stack, shared, settings)
        tokens = TokenTable(token_database, settings.token_query)
        directory = TokenDirectory(tokens.find)
        await stack.enter_async_context(
            health.watched(directory.run(tokens.changes), "token-directory")
        )
        journal = await stack.enter_async_context(
            open_journal(
                settings.journal_dir,
                instance=instance,
                head_directory=settings.journal_head_dir,
                limits=Limits(
                    head_bytes=settings.journal_head_bytes, max_bytes=settings.journal_max_bytes
                ),
                close_seconds=settings.stop_seconds,
            )
        )
        writer = Writer(journal, Store(database), directory.identify)
        _ = await stack.enter_async_context(writing(writer, drain_seconds=settings.stop_seconds))
        routes = await _routes(stack, settings)
        health.problems = [
            lambda: writer.problem,
            lambda: journal.problem,
            lambda: None if directory.is_reachable else "the token directory is out of reach",
        ]
        collector = SidecarCollector(tally, journal, writer, directory)
        ops = web.AppRunner(ops_app(health, registry_of(collector)), access_log=None)
        ops_host, ops_port = await stack.enter_async_context(
            _listening(ops, settings.ops_host, settings.ops_port, "PROXY_OPS_PORT")
        )
        recogniser = TokenRecogniser(settings.token_prefix)
        mcp = McpAdmission(
            path=settings.mcp_path.rstrip("/").encode(),
            tokens=recogniser,
            hub_keys=TokenRecogniser(settings.hub_key_prefix),
            directory=directory,
            calls=ToolCalls(ToolCallsInFlight(), journal, instance),
            tally=tally,
        )
        admission = Admission(
            recogniser=recogniser,
            audited_paths=AuditedPaths(settings.audited_paths),
            policy=settings.token_policy,
            directory=directory,
            recorder=journal,
            tally=tally,
            instance=instance,
            trusted=settings.trusted_proxies,
            mcp=mcp,
        )
        listeners = web.ServerRunner(
            Listeners(
                GeneralLane(admission, routes).handle,
                settings.trusted_proxies,
                idle_seconds=settings.client_idle_seconds,
            ),
            shutdown_timeout=settings.stop_seconds,
        )
        host, port = await stack.enter_async_context(
            _listening(listeners, settings.host, settings.port, "PROXY_PORT")
        )
        health.is_accepting = True
        try:
            yield Addresses(host, port, ops_host, ops_port)
        finally:
            health.is_accepting = False


async def _databases(
    stack: AsyncExitStack, shared: AuditLogSettings, settings: ProxySettings
) -> tuple[Database, Database]:
    """Open the audit log's database and the tokens', which may be the same one."""
    url = shared.database_url.get_secret_value()
    database = await stack.enter_async_context(open_database(url, application=APPLICATION))
    if settings.token_database_url is None:
        return database, database
    url = settings.token_database_url.get_secret_value()
    return database, await stack.enter_async_context(open_database(url, application=APPLICATION))


async def _routes(stack: AsyncExitStack, settings: ProxySettings) -> Routes:
    limits = UpstreamLimits(
        connect_timeout_seconds=settings.connect_timeout_seconds,
        answer_timeout_seconds=settings.answer_timeout_seconds,
        idle_seconds=settings.upstream_idle_seconds,
    )
    api = await stack.enter_async_context(
        open_upstream(settings.upstream_url, limits, ca_file=settings.upstream_ca_file)
    )
    if settings.audit_api_url is None:
        return Routes(api, None)
    return Routes(
        api, await stack.enter_async_context(open_upstream(settings.audit_api_url, limits))
    )


@asynccontextmanager
async def _listening(
    runner: web.BaseRunner, host: str, port: int, setting: str
) -> AsyncIterator[tuple[str, int]]:
    """Listen; on leaving stop accepting and wait for the calls in flight."""
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise CannotListenError(
                f"{setting}: cannot listen on {host}:{port}: {error.strerror}"
            ) from error
        address = runner.addresses[0]
        yield address[0], address[1]
    finally:
        await runner.cleanup()
