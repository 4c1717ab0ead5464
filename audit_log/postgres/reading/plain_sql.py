"""A list as a statement with its values written into it, for people to run in a console."""

import re
from datetime import datetime
from typing import Final

from audit_log.filters import TimeFilter
from audit_log.postgres.conditions import Arguments, conditions_of
from audit_log.postgres.reading.sources import Source, Told
from audit_log.postgres.rows import Place

_LIST: Final = """\
SELECT {columns}
FROM {table}
WHERE {conditions}
ORDER BY created_at DESC, id DESC
LIMIT {limit};
"""
_PARAMETER: Final = re.compile(r"\$(\d+)")


def list_sql(
    source: Source[Told], wanted: TimeFilter, limit: int, before: Place | str | None
) -> str:
    """Return the statement for the newest *limit* rows of *source* that match *wanted*.

    They are *before* a place, or before the moment that an expression of SQL gives. It means the
    same in any session with `standard_conforming_strings`, PostgreSQL's default.
    """
    arguments = Arguments()
    conditions = conditions_of(wanted, arguments)
    if isinstance(before, str):
        conditions.append(f"created_at < {before}")
    elif before is not None:
        conditions.append(before.condition("<", arguments))
    sql = _LIST.format(
        columns=source.columns,
        table=source.table,
        conditions="\n    AND ".join(conditions) or "true",
        limit=limit,
    )
    return written_out(sql, arguments)


def written_out(sql: str, arguments: Arguments) -> str:
    """Return *sql* with *arguments* in the place of its parameters."""
    return _PARAMETER.sub(lambda parameter: _literal(arguments[int(parameter[1]) - 1]), sql)


def _literal(value: object) -> str:
    if isinstance(value, list):
        return f"ARRAY[{', '.join(map(_literal, value))}]"
    if isinstance(value, int | float):
        return repr(value)
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    # PostgreSQL's own rule: within single quotes, a single quote is written twice.
    return "'" + text.replace("'", "''") + "'"
