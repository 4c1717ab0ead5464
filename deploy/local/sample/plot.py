"""What happens on a sample day: people and programs at their hours, and what goes wrong."""

from datetime import datetime, timedelta
from random import Random
from typing import Final
from uuid import UUID

from audit_log.record import Outcome
from deploy.local.sample import made_up
from deploy.local.sample.cast import (
    BACKUP,
    BOT,
    CLAUDE,
    DEPLOY,
    DRAIN,
    EDITOR,
    PANEL,
    READING,
    RESTART,
    SCALE,
    Agent,
    Tool,
)
from deploy.local.sample.made_up import Ending, MadeUp

_HOURS: Final = 24
_SEED: Final = 5
_SESSIONS: Final = (
    *((1.2, CLAUDE), (1.6, EDITOR), (2.1, CLAUDE), (5.3, EDITOR), (6.0, CLAUDE), (7.4, CLAUDE)),
    *((12.8, CLAUDE), (16.1, EDITOR), (19.5, CLAUDE), (20.2, EDITOR), (21.0, CLAUDE)),
    *((22.3, CLAUDE), (23.0, EDITOR)),
)
"""When people work with their agents, in hours after the beginning."""
_ENDS_BEFORE: Final = timedelta(minutes=2)
"""What is made up ends here: what is called afterwards is real."""
_SHARE_LOST: Final = 0.1
_SHARE_OF_CHANGES: Final = 0.3
_NO_TOOL: Final = Tool("delete_everything", ())
_CHANGES: Final[tuple[tuple[Tool, Ending, int], ...]] = (
    (DEPLOY, made_up.TASK, 6),
    (DEPLOY, made_up.FORBIDDEN, 1),
    (SCALE, made_up.OK, 4),
    (SCALE, made_up.GONE, 1),
    (RESTART, made_up.CONFIRMED, 4),
    (RESTART, made_up.OFFLINE, 1),
    (DRAIN, made_up.CONFIRMED, 1),
    (DRAIN, made_up.DECLINED, 1),
    (RESTART, made_up.ABANDONED, 1),
    (_NO_TOOL, made_up.NO_SUCH_TOOL, 1),
)
"""With how often each is chosen."""


def day_before(now: datetime) -> MadeUp:
    """Return the 24 hours before *now*; the same for each, but for the ids."""
    day = MadeUp(Random(_SEED))  # noqa: S311 - nothing secret
    begin = now - timedelta(hours=_HOURS)
    for hour in range(_HOURS):
        _routine(day, begin + timedelta(hours=hour))
    for hours, agent in _SESSIONS:
        _at_work(day, agent, begin + timedelta(hours=hours))
    _deployments(day, begin)
    _trouble(day, begin)
    _waiting(day, now)
    until = now - _ENDS_BEFORE
    day.entries = [entry for entry in day.entries if entry.created_at < until]
    day.tool_calls = [call for call in day.tool_calls if call.created_at < until]
    return day


def _routine(day: MadeUp, at: datetime) -> None:
    """Let programs call as they do each hour."""
    for minute in range(1, 60, 5):
        moment = at + timedelta(minutes=minute, seconds=day.dice.uniform(0, 4))
        day.call(PANEL, moment, ("GET", day.dice.choice(("/api/v1/clusters", "/api/v1/hosts"))))
    for host in ("edge-01", "edge-02", "core-01"):
        moment = at + timedelta(minutes=30, seconds=day.dice.uniform(0, 20))
        day.call(BACKUP, moment, ("GET", f"/api/v1/hosts/{host}"))
    day.call(BACKUP, at + timedelta(minutes=31), ("POST", "/api/v1/clusters/12/snapshots"), 201)
    if day.dice.random() < _SHARE_LOST:
        day.call(PANEL, at + timedelta(minutes=33), ("GET", "/api/v1/hosts/edge-09"), 404)
    day.through_hub(at + timedelta(minutes=day.dice.uniform(0, 59)), "list_clusters")


def _at_work(day: MadeUp, agent: Agent, at: datetime) -> None:
    """Let *agent* look for a while, and change something at times."""
    session = UUID(int=day.dice.getrandbits(128), version=4) if agent.has_sessions else None
    for _ in range(day.dice.randint(4, 16)):
        at += timedelta(seconds=day.dice.expovariate(1 / 40) + 2)
        tool, ending = day.dice.choice(READING), made_up.OK
        if day.dice.random() < _SHARE_OF_CHANGES:
            [(tool, ending, _)] = day.dice.choices(_CHANGES, [weight for *_, weight in _CHANGES])
        day.tool_call(agent, at, tool, ending, session)


def _deployments(day: MadeUp, begin: datetime) -> None:
    """Let the bot deploy every hour and a half, and look after it."""
    for number in range(16):
        at = begin + timedelta(minutes=90 * number + day.dice.uniform(0, 20))
        day.tool_call(BOT, at, READING[0])
        day.tool_call(BOT, at + timedelta(seconds=3), DEPLOY, made_up.TASK)
        for minutes in (1, 2, 3):
            day.tool_call(BOT, at + timedelta(minutes=minutes), READING[2])


def _trouble(day: MadeUp, begin: datetime) -> None:
    """Let tokens be tried, the API be away, and records be lost."""
    tried = begin + timedelta(hours=9, minutes=12)
    for number in range(26):
        token_hash = f"{day.dice.getrandbits(256):064x}"
        day.unknown(tried + timedelta(seconds=2 * number), token_hash, "203.0.113.66")
    away = begin + timedelta(hours=15, minutes=4)
    for number in range(12):
        at = away + timedelta(seconds=15 * number)
        day.call(PANEL, at, ("GET", "/api/v1/hosts"), 502, Outcome.UPSTREAM_UNREACHABLE)
        day.tool_call(BOT, at + timedelta(seconds=5), READING[1], made_up.UNREACHABLE)
    slow = away + timedelta(minutes=4)
    day.call(PANEL, slow, ("GET", "/api/v1/clusters"), 504, Outcome.UPSTREAM_TIMED_OUT)
    day.call(PANEL, slow + timedelta(seconds=40), ("GET", "/api/v1/hosts"), 429)
    for hours, verb in ((11, "DELETE"), (18, "PATCH")):
        day.call(
            PANEL, begin + timedelta(hours=hours, minutes=7), (verb, "/api/v1/clusters/12"), 403
        )
    day.gap(away + timedelta(minutes=1), 48, 212, "journal_full")
    day.gap(begin + timedelta(hours=4, minutes=30), 1.4, None, "head_lost")


def _waiting(day: MadeUp, now: datetime) -> None:
    """Let a task of the bot go on."""
    day.tool_call(BOT, now - timedelta(minutes=4), DEPLOY, made_up.WORKING)
