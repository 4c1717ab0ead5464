"""What is printed once everything runs: where it is, and what to try."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from deploy.local.demo_tokens import DemoToken

_YOURS: Final = DemoToken(id="YOUR_TOKEN_ID", role="", secret="pwm_YOUR_TOKEN")

_ALTER: Final = """\
psql "$DB" -c "UPDATE mcp_audit_log SET path = '/altered' \\
  WHERE id = (SELECT id FROM mcp_audit_log WHERE seq IS NOT NULL ORDER BY created_at LIMIT 1)"\
"""


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything is."""

    proxy: str
    ops: str
    audit_api: str
    upstream: str
    data: Path
    database: str | None
    """The URL of the database if it is ours, with its password; None if it was given."""


class SignInLink(NamedTuple):
    """What signs a browser in, once."""

    address: str
    expires_at: datetime


def guide(places: Places, tokens: Mapping[str, DemoToken], link: SignInLink | None = None) -> str:
    """Return the text. The lines that begin with `curl` can be copied as they are.

    No *tokens*: those of PodWarden's own table are used, and the person has to fill one in.
    """
    caller, reader = tokens.get("viewer", _YOURS), tokens.get("admin", _YOURS)
    return f"""
Everything runs; Ctrl-C stops it.

  proxy       {places.proxy}  (MCP at {places.proxy}/mcp, health at {places.ops}/healthz)
  audit API   {places.audit_api}
  page        {places.audit_api}/settings/mcp/activity
  upstream    {places.upstream}
  data        {places.data}  (the services' own words in logs/)
  database    {_database(places)}

{_token_lines(tokens)}

{_page_lines(places, reader, link)}

A call through the proxy:
{_curl(caller, f"{places.proxy}/api/v1/clusters")}

The entry it left, among the newest of all tokens:
{_curl(reader, f"{places.proxy}/api/v1/settings/mcp-audit?limit=5")}

The log of that token alone:
{_curl(reader, f"{places.proxy}/api/v1/settings/mcp-tokens/{caller.id}/audit?limit=100")}
{_seal_lines(places)}
A tool call, as an assistant makes it; it appears under "Tool calls" while you look:
{_tool_call(caller, places.proxy, "list_clusters")}

An assistant of your own, here Claude Code:
claude mcp add --transport http podwarden {places.proxy}/mcp \\
  --header 'Authorization: Bearer {caller.secret}'

Or the MCP SDK for Python:
{_sdk_call(caller, places.proxy)}
"""


def _page_lines(places: Places, reader: DemoToken, link: SignInLink | None) -> str:
    if link is None:
        return "Open the page and sign in with the token of a role that may read."
    another = f"PODWARDEN_AUDIT_URL={places.audit_api} PODWARDEN_AUDIT_TOKEN={reader.secret}"
    return f"""\
Open the page and leave it open: calls appear as they are made. This link signs you in, once and
until {link.expires_at.astimezone():%H:%M:%S}:
{link.address}
Another link (or sign in with the admin's token):
{another} {_program()} sign-in-link"""


def _sdk_call(token: DemoToken, proxy: str) -> str:
    return f"""\
{sys.executable} -c '
import asyncio, httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

async def main():
    async with httpx2.AsyncClient(headers={{"Authorization": "Bearer {token.secret}"}}) as http:
        async with Client(streamable_http_client("{proxy}/mcp", http_client=http)) as podwarden:
            workload = {{"assignment_id": "gitea-edge"}}
            result = await podwarden.call_tool("troubleshoot_workload", workload)
            print(result.content[0].text)

asyncio.run(main())'"""


def _program() -> Path:
    return Path(sys.executable).with_name("podwarden-audit")


def _database(places: Places) -> str:
    if places.database is not None:
        return f"{places.data / 'postgres'}, while this runs"
    return "the one that AUDIT_LOG_DATABASE_URL names in this shell; unset it for one of its own"


def _seal_lines(places: Places) -> str:
    if places.database is None:
        return ""
    program = _program()
    policy, journal = places.data / "policy", places.data / "journal"
    verify = f'{program} verify --database-url "$DB" --policy {policy}'
    verify = f"{verify} --anchor {journal / 'anchors'}"
    settings = f'AUDIT_LOG_DATABASE_URL="$DB" PROXY_UPSTREAM_URL={places.proxy}'
    return f"""
Is the log what was sealed? Yes, about ten seconds after a call; and no, once a row was changed:
DB='{places.database}'
{settings} PROXY_JOURNAL_DIR={journal} {program} seal policy > {policy}
{verify}
{_ALTER}
{verify}
"""


def _token_lines(tokens: Mapping[str, DemoToken]) -> str:
    if not tokens:
        return "  tokens      those of PodWarden, as PROXY_TOKEN_QUERY finds them"
    lines = [f"    {token.role:<9} {token.secret}" for token in tokens.values()]
    return "\n".join(["  demo tokens", *lines])


def _tool_call(token: DemoToken, proxy: str, tool: str) -> str:
    """Return a `tools/call` that needs no session (MCP 2026-07-28, transports)."""
    version, prefix = "2026-07-28", "io.modelcontextprotocol/"
    meta = {
        f"{prefix}protocolVersion": version,
        f"{prefix}clientInfo": {"name": "curl", "version": "1"},
        f"{prefix}clientCapabilities": {},
    }
    params = {"name": tool, "arguments": {}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    fields = (
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"MCP-Protocol-Version: {version}",
        "Mcp-Method: tools/call",
        f"Mcp-Name: {tool}",
    )
    given = " ".join(f"-H '{field}'" for field in fields)
    return f"{_curl(token, f'{proxy}/mcp')} {given} -d '{body}'"


def _curl(token: DemoToken, url: str) -> str:
    return f"curl -sS -H 'Authorization: Bearer {token.secret}' '{url}'"
