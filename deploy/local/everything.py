"""Everything on one machine: what is started, in which order, and with what settings.

The operator's environment wins. What it leaves open is filled in there, and the services inherit
it: they are started here exactly as anywhere else, from the environment alone.
"""

import asyncio
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from audit_api.client.audit_client import open_client
from audit_api.client.refusals import AuditApiError
from audit_api.settings import AuditApiSettings
from audit_log.process.reading import SettingsReading, stop
from audit_log.process.settings import AuditLogSettings
from audit_log.tokens import DEFAULT_TOKEN_QUERY
from deploy.local.addresses import DEMO_PORT, demo_listener, require_free, url
from deploy.local.data import DataDirectory, open_data
from deploy.local.database import embedded_database, prepare, remembered_tokens
from deploy.local.demo_tokens import DemoToken
from deploy.local.errors import CannotRunError
from deploy.local.guide import Places, SignInLink, guide
from deploy.local.sample.sample_day import sample_day
from deploy.local.service import Service, running
from proxy.settings import ProxySettings


@dataclass(frozen=True, slots=True)
class Plan:
    """What is settled before anything is started."""

    data: DataDirectory
    proxy: ProxySettings
    demo: socket.socket | None
    """Where the demo PodWarden will listen; None when there is an upstream already."""
    with_sample: bool = False
    """Whether to make up a day of traffic."""


@contextmanager
def settled(directory: Path, *, with_sample: bool = False) -> Iterator[Plan]:
    """Fill in what the operator left open, and keep *directory* and the demo's port for us.

    Wrong settings, taken ports and an unusable directory are told here.
    """
    if with_sample:
        _require_log_of_the_demo()
    with ExitStack() as stack:
        data = stack.enter_context(open_data(directory))
        os.environ["AUDIT_LOG_LOG_FORMAT"] = "json"  # Service reads it and shows what matters
        os.environ.setdefault("PROXY_JOURNAL_DIR", str(data.journal))
        with_demo = "PROXY_UPSTREAM_URL" not in os.environ
        if with_demo:
            os.environ["PROXY_UPSTREAM_URL"] = url("127.0.0.1", DEMO_PORT)
        reading = SettingsReading()
        if "AUDIT_LOG_DATABASE_URL" in os.environ:
            reading.read(AuditLogSettings)
        proxy, audit_api = reading.read(ProxySettings), reading.read(AuditApiSettings)
        if proxy is None or audit_api is None or reading.complaints():
            stop(reading.complaints())
        require_free(proxy.host, proxy.port, "PROXY_PORT")
        require_free(proxy.ops_host, proxy.ops_port, "PROXY_OPS_PORT")
        require_free(audit_api.host, audit_api.port, "AUDIT_API_PORT")
        demo = None
        if with_demo:
            ours = {proxy.port, proxy.ops_port, audit_api.port}
            demo = stack.enter_context(demo_listener(0 if DEMO_PORT in ours else DEMO_PORT))
            os.environ["PROXY_UPSTREAM_URL"] = url(*demo.getsockname())
        yield Plan(data, proxy, demo, with_sample)


def _require_log_of_the_demo() -> None:
    """Raise CannotRunError if made-up calls would stand beside those of a real PodWarden."""
    for variable in ("AUDIT_LOG_DATABASE_URL", "PROXY_UPSTREAM_URL"):
        if variable in os.environ:
            raise CannotRunError(f"a sample is for the demo alone: unset {variable}")


async def run(plan: Plan) -> None:
    """Start everything, top to bottom; stop it, bottom to top, when cancelled or when one dies."""
    async with AsyncExitStack() as stack:
        own = None
        if "AUDIT_LOG_DATABASE_URL" not in os.environ:
            own = stack.enter_context(embedded_database(plan.data.postgres))
            os.environ["AUDIT_LOG_DATABASE_URL"] = own
        database_url = os.environ["AUDIT_LOG_DATABASE_URL"]
        try:
            await prepare(database_url)
            tokens = await _tokens(plan, database_url)
        except CannotRunError as error:
            if own is not None:
                raise
            # An earlier run may have printed it: its database ended with it.
            raise CannotRunError(
                f"{error} (AUDIT_LOG_DATABASE_URL of this shell names it: unset it for one of"
                " its own)"
            ) from None
        services = await _start_services(stack, plan)
        if plan.with_sample:
            print(await sample_day(database_url, services["proxy"].url, tokens), flush=True)
        link = await _sign_in_link(services["audit-api"].url, tokens)
        print(guide(_places(plan, services, own), tokens, link), flush=True)
        raise CannotRunError(await _first_obituary(services.values()))


async def _tokens(plan: Plan, database_url: str) -> dict[str, DemoToken]:
    """Return the demo tokens; none where the sidecar looks tokens up in another table."""
    if plan.proxy.token_query != DEFAULT_TOKEN_QUERY or plan.proxy.token_database_url:
        return {}
    return await remembered_tokens(database_url, plan.data.tokens)


async def _sign_in_link(url: str, tokens: Mapping[str, DemoToken]) -> SignInLink | None:
    """Return a link to the page; None where no demo token may read."""
    if "admin" not in tokens:
        return None
    async with open_client(url, tokens["admin"].secret) as client:
        try:
            return SignInLink(*await client.sign_in_link())
        except AuditApiError:  # other roles read, or TLS is on: the token signs in by hand
            return None


async def _start_services(stack: AsyncExitStack, plan: Plan) -> dict[str, Service]:
    """Start the services that are wanted; each is told where those before it listen."""

    async def start(name: str, module: str, *inherited: int) -> Service:
        held = (plan.data.services_lock, *inherited)
        service = running(name, module, plan.data.log(name), held)
        return await stack.enter_async_context(service)

    os.environ.setdefault("AUDIT_API_TRUSTED_PROXIES", "127.0.0.1")
    services = {"audit-api": await start("audit-api", "audit_api")}
    os.environ.setdefault("PROXY_AUDIT_API_URL", services["audit-api"].url)
    services["proxy"] = await start("proxy", "proxy")
    if plan.demo:
        os.environ["DEMO_API_URL"] = services["proxy"].url
        os.environ["DEMO_LISTENER"] = str(plan.demo.fileno())
        services["demo"] = await start("demo", "deploy.local.demo", plan.demo.fileno())
        plan.demo.close()  # an open copy would accept connections after the demo has ended
    return services


def _places(plan: Plan, services: Mapping[str, Service], database: str | None) -> Places:
    proxy = services["proxy"]
    return Places(
        proxy=proxy.url,
        ops=url(plan.proxy.ops_host, proxy.announcement["ops_port"]),
        audit_api=services["audit-api"].url,
        upstream=os.environ["PROXY_UPSTREAM_URL"] + (" (the demo)" if plan.demo else ""),
        data=plan.data.path,
        database=database,
    )


async def _first_obituary(services: Iterable[Service]) -> str:
    """Wait until one of *services* has ended by itself, and say so."""
    ended, _ = await asyncio.wait(
        [service.ended for service in services], return_when=asyncio.FIRST_COMPLETED
    )
    return next(service.obituary for service in services if service.ended in ended)
