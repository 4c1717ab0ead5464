"""Records of a day that never was, as a sidecar would have made them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final
from uuid import UUID

from audit_log.record import (
    AuditRecord,
    Gap,
    Invocation,
    Origin,
    Outcome,
    ToolOutcome,
    new_record_id,
    unknown_token_name,
)
from deploy.local.sample.cast import INSTANCE, Agent, Tool

_HUB: Final = "Hub Tunnel (hub)"
_OK: Final = 200
_REFUSAL_MS: Final = 0.4
_SERVER: Final = "podwarden-mcp/1.4"
"""What PodWarden's MCP server calls itself when it calls the API."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a tool call ends, or what it waits for."""

    outcome: ToolOutcome
    status: int
    api_status: int | None = None
    """The API's status for its last call, if it is not the tool's usual one."""
    reaches_api: bool = True
    rounds: int = 1
    waits: timedelta = timedelta(0)
    """For its client, or for the task that it became."""


OK: Final = Ending(ToolOutcome.OK, 200)
CONFIRMED: Final = Ending(ToolOutcome.OK, 200, rounds=2, waits=timedelta(seconds=14))
DECLINED: Final = Ending(
    ToolOutcome.DECLINED, 403, reaches_api=False, rounds=2, waits=timedelta(seconds=9)
)
ABANDONED: Final = Ending(
    ToolOutcome.ABANDONED, 499, reaches_api=False, waits=timedelta(minutes=10)
)
TASK: Final = Ending(ToolOutcome.OK, 200, waits=timedelta(minutes=2))
WORKING: Final = Ending(ToolOutcome.WORKING, 202)
FORBIDDEN: Final = Ending(ToolOutcome.TOOL_ERROR, 500, api_status=403)
OFFLINE: Final = Ending(ToolOutcome.TOOL_ERROR, 500, api_status=409)
UNREACHABLE: Final = Ending(ToolOutcome.TOOL_ERROR, 500, api_status=502)
GONE: Final = Ending(ToolOutcome.CANCELLED, 499)
NO_SUCH_TOOL: Final = Ending(ToolOutcome.PROTOCOL_ERROR, 404, reaches_api=False)


@dataclass(slots=True)
class MadeUp:
    """What is made up, and the dice that vary it."""

    dice: Random
    entries: list[AuditRecord] = field(default_factory=list)
    tool_calls: list[Invocation] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def call(
        self,
        agent: Agent,
        moment: datetime,
        request: tuple[str, str],
        status: int = 200,
        outcome: Outcome = Outcome.COMPLETED,
    ) -> None:
        """Add a call of the API that no tool made."""
        self._add(agent, moment, request, status, outcome)

    def unknown(self, moment: datetime, token_hash: str, client_ip: str) -> None:
        """Add a call with a token that the sidecar does not know, and refuses."""
        self.entries.append(
            AuditRecord(
                id=new_record_id(),
                created_at=moment,
                method="GET",
                path="/api/v1/clusters",
                status_code=401,
                outcome=Outcome.REFUSED,
                instance=INSTANCE,
                token_name=unknown_token_name(token_hash),
                duration_ms=_REFUSAL_MS,
                client_ip=client_ip,
                user_agent="python-requests/2.34.0",
            )
        )

    def through_hub(self, moment: datetime, tool: str) -> None:
        """Add a tool call that came through the Hub's tunnel: an entry and a tool call."""
        taken, invocation_id = self._milliseconds(90), new_record_id()
        self.tool_calls.append(
            Invocation(
                id=invocation_id,
                created_at=moment,
                tool=tool,
                outcome=ToolOutcome.OK,
                status_code=200,
                origin=Origin.HUB,
                instance=INSTANCE,
                token_name=_HUB,
                duration_ms=taken,
            )
        )
        self.entries.append(
            AuditRecord(
                id=new_record_id(),
                created_at=moment,
                method="TOOL",
                path=f"/mcp/tool/{tool}",
                status_code=200,
                outcome=Outcome.COMPLETED,
                instance=INSTANCE,
                token_name=_HUB,
                duration_ms=taken,
                tool=tool,
                invocation_id=invocation_id,
            )
        )

    def tool_call(
        self,
        agent: Agent,
        moment: datetime,
        tool: Tool,
        ending: Ending = OK,
        session: UUID | None = None,
    ) -> None:
        """Add a tool call with the API calls that it made, which come before its end."""
        id_, wanted = new_record_id(), self.dice.choice(tool.objects)
        at, calls = moment, tool.calls if ending.reaches_api else ()
        for number, (method, path) in enumerate(calls):
            at += timedelta(milliseconds=self._milliseconds(25))
            is_last = number == len(calls) - 1
            status = (ending.api_status or tool.answer) if is_last else _OK
            self._add(agent, at, (method, path.format(wanted)), status, of=(tool.name, id_))
        at += timedelta(milliseconds=self._milliseconds(30)) + ending.waits
        self.tool_calls.append(
            Invocation(
                id=id_,
                created_at=moment,
                tool=tool.name,
                outcome=ending.outcome,
                status_code=ending.status,
                origin=Origin.MCP,
                instance=INSTANCE,
                token_id=agent.token_id,
                token_name=agent.token_name,
                duration_ms=_between(moment, at) if ending.outcome.is_ending else None,
                api_calls=len(calls),
                rounds=ending.rounds,
                client_ip=agent.client_ip,
                user_agent=agent.user_agent,
                session=session,
                protocol_version=agent.protocol_version,
                client_name=agent.client_name,
                client_version=agent.client_version,
            )
        )

    def gap(self, start: datetime, seconds: float, count: int | None, reason: str) -> None:
        """Add a gap of *count* records, unknown if None."""
        self.gaps.append(
            Gap(
                id=new_record_id(),
                started_at=start,
                ended_at=start + timedelta(seconds=seconds),
                count=count,
                reason=reason,
                instance=INSTANCE,
            )
        )

    def _add(
        self,
        agent: Agent,
        moment: datetime,
        request: tuple[str, str],
        status: int,
        outcome: Outcome = Outcome.COMPLETED,
        *,
        of: tuple[str, UUID] | None = None,
    ) -> None:
        tool, invocation_id = of or (None, None)
        self.entries.append(
            AuditRecord(
                id=new_record_id(),
                created_at=moment,
                method=request[0],
                path=request[1],
                status_code=status,
                outcome=outcome,
                instance=INSTANCE,
                token_id=agent.token_id,
                token_name=agent.token_name,
                duration_ms=self._milliseconds(20),
                client_ip=agent.client_ip,
                user_agent=agent.user_agent if of is None else _SERVER,
                tool=tool,
                invocation_id=invocation_id,
                attribution=agent.attribution if of else None,
            )
        )

    def _milliseconds(self, mean: float) -> float:
        return round(self.dice.expovariate(1 / mean) + 2, 1)


def _between(start: datetime, end: datetime) -> float:
    return round((end - start).total_seconds() * 1_000, 1)
