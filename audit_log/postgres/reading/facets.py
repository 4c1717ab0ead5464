"""The values that occur most in the records of some time, with how often they do."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from types import MappingProxyType
from typing import Any, Final

from audit_log.objects import object_of, template_of
from audit_log.postgres.conditions import Arguments
from audit_log.postgres.database import Database
from audit_log.postgres.reading.facet_statements import (
    OF_MANY,
    PREPARATION,
    FacetBy,
    FacetQuery,
    facets_statement,
    most_statement,
)
from audit_log.postgres.transaction import Row, Transaction


@dataclass(slots=True)
class Facet:
    """How often one value occurs."""

    key: str | None
    label: str | None
    calls: int
    changes: int
    refused: int
    failed: int
    before: int
    """Calls in the period before."""
    first: datetime | None
    last: datetime | None

    def add(self, other: "Facet") -> None:
        """Count the calls of *other* here as well."""
        self.calls += other.calls
        self.changes += other.changes
        self.refused += other.refused
        self.failed += other.failed
        self.before += other.before
        firsts = [moment for moment in (self.first, other.first) if moment is not None]
        lasts = [moment for moment in (self.last, other.last) if moment is not None]
        self.first, self.last = min(firsts, default=None), max(lasts, default=None)


_NameOf = Callable[[str], str | None]
_OF_PATHS: Final[Mapping[FacetBy, _NameOf]] = MappingProxyType(
    {FacetBy.PATH_TEMPLATE: template_of, FacetBy.OBJECT: object_of}
)


@dataclass(frozen=True, slots=True)
class _Most:
    """The values with the most calls, and as many calls of each, in the same order."""

    values: Sequence[Any]
    calls: Sequence[int]
    before: Sequence[int]


async def facets_of(database: Database, query: FacetQuery) -> tuple[list[Facet], int]:
    """Return the values with the most calls, and the number of all calls."""
    name_of = _OF_PATHS.get(query.by)
    async with database.transaction() as transaction:
        await transaction.execute(PREPARATION)
        if query.by in OF_MANY:
            most, total = await _most(transaction, query)
            chosen = most.values if name_of is None else _paths_of(most, name_of, query.limit)
            rows = await _rows(transaction, facets_statement(query, chosen))
        else:
            rows = await _rows(transaction, facets_statement(query))
            total = rows[0]["total"] if rows else 0
    found = [Facet(**{name: row[name] for name in Facet.__slots__}) for row in rows]
    if name_of is not None:
        found = _summed(found, name_of, query.limit)
    return [facet for facet in found if facet.calls or facet.before], total


async def _rows(transaction: Transaction, statement: tuple[str, Arguments]) -> list[Row]:
    sql, arguments = statement
    return await transaction.fetch(sql, *arguments)


async def _most(transaction: Transaction, query: FacetQuery) -> tuple[_Most, int]:
    """Return the values with the most calls, and the number of all calls."""
    [row] = await _rows(transaction, most_statement(query))
    return _Most(row["values"][1:], row["calls"][1:], row["before"][1:]), row["calls"][0]


def _paths_of(most: _Most, name_of: _NameOf, limit: int) -> list[str]:
    """Return the paths of the *limit* names with the most calls."""
    names = [name_of(path) for path in most.values]
    calls: defaultdict[str | None, int] = defaultdict(int)
    before: defaultdict[str | None, int] = defaultdict(int)
    for sums, numbers in ((calls, most.calls), (before, most.before)):
        for name, number in zip(names, numbers, strict=True):
            sums[name] += number
    calls.pop(None, None)
    chosen = set(nlargest(limit, calls, key=lambda name: (calls[name], before[name])))
    return [path for path, name in zip(most.values, names, strict=True) if name in chosen]


def _summed(of_paths: Iterable[Facet], name_of: _NameOf, limit: int) -> list[Facet]:
    """Return the sums by what *name_of* says of a path, without those of which it says nothing."""
    sums: dict[str, Facet] = {}
    for facet in of_paths:
        name = name_of(facet.key or "")
        if name in sums:
            sums[name].add(facet)
        elif name is not None:
            facet.key = facet.label = name
            sums[name] = facet
    return nlargest(limit, sums.values(), key=lambda facet: (facet.calls, facet.before))
