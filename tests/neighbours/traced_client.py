"""One run of an agent: a client of the official SDK that calls tools, traced or not.

`traced_client.py URL SECRET CALLS LANES HOW…` runs in an environment of its own. `header` sends
the run's trace as a field, `meta` has the SDK send it in `_meta`, `own` makes API calls inside the
run, to `/api/v1/own/0`, and `later` has tools call the API after their response.
"""

import asyncio
import random
import secrets
import sys

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from opentelemetry import context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider


class Run:
    """CALLS tool calls with one token and one trace."""

    def __init__(self, url: str, secret: str, calls: int, how: set[str]) -> None:
        self._url = url
        self._how = how
        self._waiting = [f"t{number}" for number in range(calls)]
        self._chance = random.Random(4)
        self._fields = {"Authorization": f"Bearer {secret}"}
        self._trace = {}
        if how & {"header", "meta"}:
            trace_id = secrets.token_hex(16)
            self._trace = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
        if "meta" in how:
            trace.set_tracer_provider(TracerProvider())
            context.attach(propagate.extract(self._trace))

    async def call_all(self, lanes: int) -> None:
        """Make the calls, *lanes* at a time."""
        eras = [("legacy", "2026-07-28")[number % 2] for number in range(lanes)]
        own = [self._call_api()] if "own" in self._how else []
        await asyncio.gather(*map(self._call_tools, eras), *own)

    async def _call_tools(self, era: str) -> None:
        fields = self._fields | (self._trace if "header" in self._how else {})
        async with (
            httpx2.AsyncClient(headers=fields, timeout=60) as http,
            Client(
                streamable_http_client(f"{self._url}/mcp", http_client=http), mode=era
            ) as client,
        ):
            while self._waiting:
                is_later = "later" in self._how and self._chance.random() < 0.3
                given = {"calls": self._chance.randint(1, 2), "later": is_later}
                await client.call_tool(self._waiting.pop(), given)

    async def _call_api(self) -> None:
        async with httpx2.AsyncClient(headers=self._fields | self._trace, timeout=60) as http:
            while self._waiting:
                await asyncio.sleep(self._chance.uniform(0.01, 0.05))
                await http.get(f"{self._url}/api/v1/own/0")


if __name__ == "__main__":
    url, secret, calls, lanes, *how = sys.argv[1:]
    asyncio.run(Run(url, secret, int(calls), set(how)).call_all(int(lanes)))
