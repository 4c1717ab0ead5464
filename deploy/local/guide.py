"""What is printed once everything runs: where it is, and what to try."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.demo_tokens import DemoToken

_YOURS: Final = DemoToken(id="YOUR_TOKEN_ID", role="", secret="pwm_YOUR_TOKEN")


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything is."""

    proxy: str
    ops: str
    audit_api: str
    upstream: str
    data: Path


def guide(places: Places, tokens: Mapping[str, DemoToken]) -> str:
    """Return the text. The lines that begin with `curl` can be copied as they are.

    No *tokens*: those of PodWarden's own table are used, and the person has to fill one in.
    """
    caller, reader = tokens.get("viewer", _YOURS), tokens.get("admin", _YOURS)
    return f"""
Everything runs; Ctrl-C stops it.

  proxy       {places.proxy}  (MCP at {places.proxy}/mcp, health at {places.ops}/healthz)
  audit API   {places.audit_api}
  page        {places.audit_api}/settings/mcp/activity  (sign in with an admin's token)
  upstream    {places.upstream}
  data        {places.data}  (the services' own words in logs/)

{_token_lines(tokens)}

A call through the proxy:
{_curl(caller, f"{places.proxy}/api/v1/clusters")}

The entry it left, among the newest of all tokens:
{_curl(reader, f"{places.proxy}/api/v1/settings/mcp-audit?limit=5")}

The log of that token alone:
{_curl(reader, f"{places.proxy}/api/v1/settings/mcp-tokens/{caller.id}/audit?limit=100")}
"""


def _token_lines(tokens: Mapping[str, DemoToken]) -> str:
    if not tokens:
        return "  tokens      those of PodWarden, as PROXY_TOKEN_QUERY finds them"
    lines = [f"    {token.role:<9} {token.secret}" for token in tokens.values()]
    return "\n".join(["  demo tokens", *lines])


def _curl(token: DemoToken, url: str) -> str:
    return f"curl -sS -H 'Authorization: Bearer {token.secret}' '{url}'"
