"""Exchanges with an MCP server, without the server."""

import json
from itertools import count

from audit_log.record import Invocation, Origin, Outcome
from proxy.audit.identity import Caller
from proxy.audit.tally import Tally
from proxy.mcp.call_record import HUB, Source
from proxy.mcp.in_flight import ToolCallsInFlight
from proxy.mcp.resumption import Resumption
from proxy.mcp.tool_calls import ToolCalls
from proxy.mcp.tool_exchange import McpExchange
from proxy.mcp.trace import travel_ids_of
from tests.unit.heads import head_with, response_with

MODERN = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call"}
SESSION = {"Mcp-Session-Id": "s1"}
OK = {"jsonrpc": "2.0", "id": 1, "result": {}}


class Recorded:
    """What was begun and not ended, and what was recorded."""

    def __init__(self):
        self.begun = {}
        self.numbers = count()
        self.ended = []
        self.offered = []

    def miss(self):
        self.missed = True

    def begin(self, record, _share):
        slot = next(self.numbers)
        self.begun[slot] = record
        return slot

    def end(self, slot, record, _share):
        del self.begun[slot]
        self.ended.append(record)
        return True

    def withdraw(self, slot):
        del self.begun[slot]

    def change(self, slot, record):
        assert slot in self.begun
        self.begun[slot] = record

    def offer(self, record, _share):
        self.offered.append(record)
        return True

    @property
    def invocations(self):
        return [record for record in self.ended if isinstance(record, Invocation)]


class Timers:
    """Timers of which a test says when their time has come."""

    def __init__(self):
        self.set = []

    def __call__(self, seconds, then):
        timer = Timer(self, seconds, then)
        self.set.append(timer)
        return timer

    def expire(self):
        """Let all that are set fire, and return their seconds."""
        fired, self.set = self.set, []
        for timer in fired:
            timer.then()
        return [timer.seconds for timer in fired]


class Timer:
    def __init__(self, timers, seconds, then):
        self.timers, self.seconds, self.then = timers, seconds, then

    def cancel(self):
        if self in self.timers.set:
            self.timers.set.remove(self)


class Bench:
    """Exchanges with an MCP server, without the server."""

    def __init__(self):
        self.recorded = Recorded()
        self.tally = Tally()
        self.timers = Timers()
        self.calls = ToolCalls(ToolCallsInFlight(), self.recorded, "here", later=self.timers)

    def source(self, key="anna", origin=Origin.MCP, session="s1"):
        caller = HUB if origin is Origin.HUB else Caller(token_name=key)
        return Source(origin, caller, key, "127.0.0.1", session=session)

    def post(self, *messages, fields=None, source=None, raw=None):
        """Return the exchange of a request whose body has been sent."""
        head = head_with(**(fields or {}))
        exchange = McpExchange(head, source or self.source(), self.calls, self.tally)
        exchange.begin()
        for message in messages:
            exchange.request_content(json.dumps(message).encode())
        if raw is not None:
            exchange.request_content(raw)
        return exchange

    def get(self, key="anna", session="s1"):
        return Resumption((key, session), self.calls, self.tally)

    def outcomes(self):
        return [(record.outcome, record.status_code) for record in self.recorded.invocations]


def calling(name="x", rpc_id=1, **params):
    params = {"name": name, **params}
    return {"jsonrpc": "2.0", "id": rpc_id, "method": "tools/call", "params": params}


def respond(exchange, *messages, status=200, fields=None, raw=None):
    feed = exchange.response_opened(response_with(status, **(fields or {})))
    if feed is not None:
        feed(raw if raw is not None else b"".join(json.dumps(each).encode() for each in messages))
    exchange.end(Outcome.COMPLETED, status)


def streamed(exchange, *messages, ids=False, outcome=Outcome.COMPLETED):
    feed = exchange.response_opened(response_with(200, **{"Content-Type": "text/event-stream"}))
    exchange.end(Outcome.STREAMING, 200)
    for number, message in enumerate(messages):
        event_id = f"id: {number}\n" if ids else ""
        feed(f"{event_id}data: {json.dumps(message)}\n\n".encode())
    exchange.end(outcome, 200)


def ids_sent_with(exchange):
    """Return the ids that the MCP server was sent with the request of *exchange*."""
    fields = {name.decode(): value.decode() for name, value in exchange.added_fields}
    return travel_ids_of(head_with(**fields))
