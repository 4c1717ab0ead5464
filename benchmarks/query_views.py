"""Questions of several statements: a token's page, what is around a call, the timeline."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from audit_api.query.around import beginning, near, place_of
from audit_api.query.session_questions import CALLS_OF_EACH
from audit_log.filters import EVERYTHING, RecordFilter, StoredFilter, ToolCallFilter, one_of
from audit_log.postgres.agents.agent_sessions import first_calls_of
from audit_log.postgres.agents.timeline import TimelineFilter, TimelineQuery, search_timeline
from audit_log.postgres.agents.token_calls import calls_of_token
from audit_log.postgres.database import Database
from audit_log.postgres.invocations import InvocationQuery, search_invocations
from audit_log.postgres.reading.sources import RECORDS, TOOL_CALLS
from audit_log.postgres.search import RecordQuery, search
from audit_log.record import Invocation
from benchmarks.query_data import ENDED, LIMIT, id_of

_OF_TOKEN: Final = {"token_id": one_of(id_of("token-3"))}
_OF_RARE_TOKEN: Final = {"token_id": one_of(id_of("token-37"))}
_FAILED: Final = {"status": one_of(range(500, 600))}
_MIDDLE: Final = ENDED - timedelta(days=45)
_TIMELINE: Final = "timeline, {}"


async def _token(database: Database, days: int, token: Mapping[str, Any]) -> None:
    await calls_of_token(database, token, ENDED - timedelta(days=days), ENDED, 10)


async def _around_entry(database: Database) -> None:
    [record] = await search(database, RecordQuery(limit=1, filter=RecordFilter(until=_MIDDLE)))
    await _around(database, record.id)


async def _around_tool_call(database: Database) -> None:
    wanted = InvocationQuery(limit=1, filter=ToolCallFilter(until=_MIDDLE))
    [tool_call] = await search_invocations(database, wanted)
    await _around(database, tool_call.id)
    place = await place_of(database, tool_call.id)
    tool_calls = near(ToolCallFilter(), place)
    await beginning(database, TOOL_CALLS, tool_calls, place, LIMIT)
    await search_invocations(database, InvocationQuery(limit=LIMIT, filter=tool_calls))


async def _around(database: Database, id_: UUID) -> None:
    place = await place_of(database, id_)
    wanted = near(EVERYTHING, place)
    before = await beginning(database, RECORDS, wanted, place, LIMIT)
    await search(database, RecordQuery(limit=LIMIT, filter=wanted, before=before))


async def _timeline(database: Database, wanted: Mapping[str, Any]) -> None:
    query = TimelineQuery(
        limit=LIMIT,
        filter=TimelineFilter(StoredFilter(**wanted), ToolCallFilter(**wanted)),
        before=None,
    )
    found = await search_timeline(database, query)
    tool_calls = [each.id for each in found if isinstance(each, Invocation)]
    await first_calls_of(database, tool_calls, CALLS_OF_EACH)


async def _tool_calls(database: Database, wanted: Mapping[str, Any]) -> None:
    await search_invocations(
        database, InvocationQuery(limit=LIMIT, filter=ToolCallFilter(**wanted))
    )


VIEWS: Final[Mapping[str, Callable[[Database], Awaitable[None]]]] = MappingProxyType(
    {
        "token, 7 days": partial(_token, days=7, token=_OF_TOKEN),
        "token, 30 days": partial(_token, days=30, token=_OF_TOKEN),
        "rare token, 30 days": partial(_token, days=30, token=_OF_RARE_TOKEN),
        "around an entry": _around_entry,
        "around a tool call": _around_tool_call,
        _TIMELINE.format("all"): partial(_timeline, wanted={}),
        _TIMELINE.format("one token"): partial(_timeline, wanted=_OF_TOKEN),
        _TIMELINE.format("rare token"): partial(_timeline, wanted=_OF_RARE_TOKEN),
        _TIMELINE.format("status class"): partial(_timeline, wanted=_FAILED),
        "tool calls, rare token": partial(_tool_calls, wanted=_OF_RARE_TOKEN),
        "tool calls, status class": partial(_tool_calls, wanted=_FAILED),
    }
)
"""Each is asked as the audit API asks it."""
COUNTED: Final = tuple(name for name in VIEWS if name.endswith("days"))
"""These count all calls of their time, as the commonest values do."""
