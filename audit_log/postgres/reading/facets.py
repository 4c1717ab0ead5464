"""The values that occur most in the records of some time, with how often they do."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
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


_Calls = dict[Any, tuple[int, int]]
"""How often each value occurs, and how often in the period before."""
_NameOf = Callable[[str], str | None]
_OF_PATHS: Final[Mapping[FacetBy, _NameOf]] = MappingProxyType(
    {FacetBy.PATH_TEMPLATE: template_of, FacetBy.OBJECT: object_of}
)


async def facets_of(database: Database, query: FacetQuery) -> tuple[list[Facet], int]:
    """Return the values with the most calls, and the number of all calls."""
    name_of = _OF_PATHS.get(query.by)
    async with database.transaction() as transaction:
        await transaction.execute(PREPARATION)
        if query.by in OF_MANY:
            most, total = await _most(transaction, query)
            chosen = most if name_of is None else _paths_of_most(most, name_of, query.limit)
            rows = await _rows(transaction, facets_statement(query, list(chosen)))
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


async def _most(transaction: Transaction, query: FacetQuery) -> tuple[_Calls, int]:
    """Return the values with the most calls, each with its calls; and how many all are."""
    [row] = await _rows(transaction, most_statement(query))
    calls = list(zip(row["calls"], row["before"], strict=True))
    return dict(zip(row["values"][1:], calls[1:], strict=True)), calls[0][0]


def _paths_of_most(paths: _Calls, name_of: _NameOf, limit: int) -> list[str]:
    """Return those of *paths* that belong to the names with the most calls."""
    calls: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    names = {}
    for path, (now, before) in paths.items():
        name = names[path] = name_of(path)
        if name is not None:
            of_name = calls[name]
            of_name[0] += now
            of_name[1] += before
    most = set(nlargest(limit, calls, key=calls.__getitem__))
    return [path for path, name in names.items() if name in most]


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
