"""What was recorded around one call: which time that is, and where a page of it begins."""

from dataclasses import replace
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

from audit_api.errors import InvalidParametersError
from audit_log.filters import TimeFilter
from audit_log.postgres.database import Database
from audit_log.postgres.invocations import find_invocation
from audit_log.postgres.reading.sources import Source, Told
from audit_log.postgres.rows import Place
from audit_log.postgres.search import find, place_after
from audit_log.record import AuditRecord, Invocation

AROUND: Final = timedelta(minutes=5)
"""How long before and after a call, where the query does not say."""
Wanted = TypeVar("Wanted", bound=TimeFilter)


async def call_with(database: Database, id_: UUID) -> AuditRecord | Invocation:
    """Return the entry or tool call with *id_*. Raises InvalidParametersError if there is none.

    Tool calls are looked at first: they have an index of ids. An entry that is not found at the
    time in its id is looked for in the whole log.
    """
    found = await find_invocation(database, id_) or await find(database, id_)
    if found is None:
        raise InvalidParametersError.of("around", "No entry or tool call has this id", "no_call")
    return found


async def place_of(database: Database, id_: UUID) -> Place:
    """Return where the entry or tool call with *id_* stands; see `call_with`."""
    return Place.of(await call_with(database, id_))


def near(wanted: Wanted, place: Place) -> Wanted:
    """Return *wanted* for the time around *place*, as far as it says none itself."""
    return replace(
        wanted,
        since=wanted.since or place.created_at - AROUND,
        until=wanted.until or place.created_at + AROUND,
    )


async def beginning(
    database: Database, source: Source[Told], wanted: TimeFilter, place: Place, limit: int
) -> Place | None:
    """Return before which place a page of *limit* begins that has *place* in its middle.

    None if it begins with the newest of what is *wanted*.
    """
    return await place_after(database, source, wanted, place, limit // 2)
