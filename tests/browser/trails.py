"""Audit logs to look at: single calls, and a day of them as an operator knows it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from random import Random
from typing import Any, Final
from uuid import UUID

from audit_log.postgres.store import Store
from audit_log.record import (
    Attribution,
    AuditRecord,
    Gap,
    Invocation,
    Origin,
    Outcome,
    ToolOutcome,
    new_record_id,
)

CLAUDE: Final = {"token_name": "claude-desktop", "token_id": UUID(int=0xC1)}
CI: Final = {"token_name": "ci-pipeline", "token_id": UUID(int=0xC2)}

_AGENTS: Final[dict[Any, dict[str, Any]]] = {
    "claude-desktop": {
        "session": UUID(int=0x5E551),
        "client_name": "claude-code",
        "client_version": "2.1.7",
        "protocol_version": "2025-11-25",
        "user_agent": "claude-code/2.1.7 (cli)",
    },
    "ci-pipeline": {
        "client_name": "deploy-bot",
        "client_version": "0.9.0",
        "protocol_version": "2026-07-28",
        "user_agent": "python-httpx2/2.16.2",
    },
}
"""By token. The one speaks of sessions, the other a version of MCP that has none."""
_TOOLS: Final = {
    "list_clusters": ["/api/v1/clusters"],
    "deploy_workload": ["/api/v1/workloads/deploy"],
    "troubleshoot_workload": [
        "/api/v1/assignments/412",
        "/api/v1/workloads/7f3c/definition",
        "/api/v1/clusters/prod-eu-1",
        "/api/v1/assignments/412/logs",
    ],
}
_PATHS: Final = (
    "/api/v1/hosts",
    "/api/v1/clusters",
    "/api/v1/clusters/prod-eu-1/nodes",
    "/api/v1/workloads",
    "/api/v1/assignments/412/logs",
    "/api/v1/settings/mcp-tokens",
)
_ENDINGS: Final = (
    (200, Outcome.COMPLETED, 45),
    (201, Outcome.COMPLETED, 5),
    (304, Outcome.COMPLETED, 2),
    (401, Outcome.REFUSED, 4),
    (404, Outcome.COMPLETED, 5),
    (429, Outcome.COMPLETED, 3),
    (499, Outcome.CLIENT_CLOSED, 1),
    (502, Outcome.UPSTREAM_UNREACHABLE, 5),
    (504, Outcome.UPSTREAM_TIMED_OUT, 3),
    (0, Outcome.INTERRUPTED, 1),
)

_METHODS: Final = ("GET", "POST", "PATCH", "DELETE")
_TOOL_ENDINGS: Final = (
    (ToolOutcome.OK, 200),
    (ToolOutcome.TOOL_ERROR, 500),
    (ToolOutcome.CANCELLED, 499),
)
_ATTRIBUTIONS: Final = (Attribution.EXACT, Attribution.INFERRED)


def ago(**span: float) -> datetime:
    """Return the moment that lies *span* back."""
    return datetime.now(UTC) - timedelta(**span)


def a_call(**values: Any) -> AuditRecord:
    """Return a record of a call that just arrived, save for *values*."""
    ordinary: dict[str, Any] = {
        "id": new_record_id(),
        "created_at": ago(seconds=1),
        "method": "GET",
        "path": "/api/v1/clusters",
        "status_code": 200,
        "outcome": Outcome.COMPLETED,
        "instance": "sidecar-1",
        "duration_ms": 12.5,
        "client_ip": "10.4.0.17",
        "user_agent": "claude-ai/2.1",
        **CLAUDE,
    }
    return AuditRecord(**(ordinary | values))


def a_tool_call(tool: str, **values: Any) -> Invocation:
    """Return a tool call that just arrived and went well, save for *values*."""
    ordinary: dict[str, Any] = {
        "id": new_record_id(),
        "created_at": ago(seconds=2),
        "tool": tool,
        "outcome": ToolOutcome.OK,
        "status_code": 200,
        "origin": Origin.MCP,
        "instance": "sidecar-1",
        "duration_ms": 80.0,
        **CLAUDE,
    }
    return Invocation(**(ordinary | values))


def calls_of(invocation: Invocation, *paths: str, **values: Any) -> list[AuditRecord]:
    """Return the API calls to *paths* that *invocation* caused, one after the other."""
    return [
        a_call(
            **{
                "created_at": invocation.created_at + timedelta(milliseconds=15 * (number + 1)),
                "path": path,
                "tool": invocation.tool,
                "invocation_id": invocation.id,
                "attribution": Attribution.EXACT,
                "token_id": invocation.token_id,
                "token_name": invocation.token_name,
                **values,
            }
        )
        for number, path in enumerate(paths)
    ]


def a_gap(start: datetime, end: datetime, **values: Any) -> Gap:
    """Return a gap of 37 records, save for *values*."""
    ordinary: dict[str, Any] = {
        "id": new_record_id(),
        "started_at": start,
        "ended_at": end,
        "count": 37,
        "reason": "journal_full",
        "instance": "sidecar-1",
    }
    return Gap(**(ordinary | values))


@dataclass(slots=True)
class Trail:
    """What an audit log holds."""

    records: list[AuditRecord] = field(default_factory=list)
    invocations: list[Invocation] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    async def append_to(self, store: Store) -> None:
        await store.append_invocations(self.invocations)
        await store.append_gaps(self.gaps)
        await store.append(self.records)


def a_day(now: datetime) -> Trail:
    """Return a day as an operator knows it; the same but for the ids."""
    dice = Random(5)
    trail = Trail()
    moment = now - timedelta(seconds=7)
    while moment > now - timedelta(hours=23):
        busy = 1.6 if 7 <= moment.hour <= 18 else 0.6
        moment -= timedelta(seconds=dice.expovariate(busy / 75))
        token = dice.choices((CLAUDE, CI), (3, 2))[0]
        if dice.random() < 0.4:
            tool = dice.choice(list(_TOOLS))
            ending = dice.choices(_TOOL_ENDINGS, (12, 2, 1))[0]
            attribution = dice.choices(_ATTRIBUTIONS, (3, 1))[0]
            _add_tool_call(trail, dice, moment, token, tool, ending, attribution)
        else:
            trail.records.append(_any_call(dice, moment, token))
    trail.gaps.append(_a_short_gap(now))
    return trail


def one_of_each(now: datetime) -> Trail:
    """Return a call of each kind, tool calls of each outcome and attribution, and a gap.

    For checks whose cost grows with the rows, and whose result depends on the kinds alone.
    """
    dice = Random(5)
    moments = (now - timedelta(seconds=20 * number) for number in count(1))
    trail = Trail(gaps=[_a_short_gap(now)])
    methods, tokens = cycle(_METHODS), cycle((CLAUDE, CI))
    for (status, outcome, _), path in zip(_ENDINGS, cycle(_PATHS), strict=False):
        trail.records.append(
            a_call(
                created_at=next(moments),
                method=next(methods),
                path=path,
                status_code=status,
                outcome=outcome,
                duration_ms=None if status == 0 else 12.5,
                **next(tokens),
            )
        )
    trail.records += [_hub_call(next(moments)), _call_of_unknown_token(next(moments))]
    for ending, tool, attribution in zip(
        _TOOL_ENDINGS, _TOOLS, cycle(_ATTRIBUTIONS), strict=False
    ):
        _add_tool_call(trail, dice, next(moments), next(tokens), tool, ending, attribution)
    return trail


def _a_short_gap(now: datetime) -> Gap:
    start = now - timedelta(minutes=6)
    return a_gap(start, start + timedelta(seconds=6))


def _any_call(dice: Random, moment: datetime, token: dict[str, Any]) -> AuditRecord:
    kind = dice.random()
    if kind < 0.04:
        return _hub_call(moment)
    if kind < 0.06:
        return _call_of_unknown_token(moment)
    status, outcome, _ = dice.choices(_ENDINGS, [weight for *_, weight in _ENDINGS])[0]
    return a_call(
        created_at=moment,
        method=dice.choices(_METHODS, (8, 3, 1, 1))[0],
        path=dice.choice(_PATHS),
        status_code=status,
        outcome=outcome,
        duration_ms=None if status == 0 else round(dice.expovariate(1 / 60) + 2, 1),
        **token,
    )


def _hub_call(moment: datetime) -> AuditRecord:
    return a_call(
        created_at=moment,
        token_name="Hub Tunnel (hub)",
        token_id=None,
        method="TOOL",
        path="/mcp/tool/list_clusters",
    )


def _call_of_unknown_token(moment: datetime) -> AuditRecord:
    return a_call(
        created_at=moment,
        token_name="Unknown token (1a2b3c4d)",
        token_id=None,
        status_code=401,
        outcome=Outcome.REFUSED,
        duration_ms=0.4,
    )


def _add_tool_call(
    trail: Trail,
    dice: Random,
    moment: datetime,
    token: dict[str, Any],
    tool: str,
    ending: tuple[ToolOutcome, int],
    attribution: Attribution,
) -> None:
    outcome, status = ending
    invocation = a_tool_call(
        tool,
        created_at=moment,
        outcome=outcome,
        status_code=status,
        api_calls=len(_TOOLS[tool]),
        duration_ms=round(dice.expovariate(1 / 150) + 20, 1),
        **token,
        **_AGENTS[token["token_name"]],
    )
    trail.invocations.append(invocation)
    trail.records += calls_of(
        invocation,
        *_TOOLS[tool],
        attribution=attribution,
        duration_ms=round(dice.expovariate(1 / 40) + 2, 1),
    )
