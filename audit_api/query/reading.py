"""Reads the parameters of a request, and says what is wrong with them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import groupby
from math import inf, nextafter
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from audit_api.errors import InvalidParametersError

Model = TypeVar("Model", bound=BaseModel)
_COMPARISON: Final = re.compile(r"(duration_ms)([<>])([0-9]{1,12}(?:\.[0-9]{1,20})?)")


def read_query(kind: type[Model], query: Iterable[tuple[str, str]]) -> Model:
    """Return the parameters in *query*; InvalidParametersError names what is wrong with them.

    A repeated parameter is refused as well: one of its values would be ignored.
    """
    given = sorted(map(_compared, query))
    for name, pairs in groupby(given, key=lambda pair: pair[0]):
        if len(list(pairs)) > 1:
            raise InvalidParametersError.of(
                name, "This is given twice: separate several values by commas", "repeated"
            )
    return _read(kind, "query", dict(given))


def read_path(kind: type[Model], values: Mapping[str, str]) -> Model:
    """Return the parameters in the path; InvalidParametersError if one is invalid."""
    return _read(kind, "path", values)


def _compared(pair: tuple[str, str]) -> tuple[str, str]:
    """Return `duration_ms>100`, which has no equals sign, as a name and a value.

    It is said as `duration_ms>=`, from the next number on.
    """
    comparison = _COMPARISON.fullmatch(pair[0])
    if comparison is None or pair[1]:
        return pair
    name, sign, number = comparison.groups()
    beyond = nextafter(float(number), inf if sign == ">" else -inf)
    return f"{name}{sign}", format(max(beyond, 0), ".20f").rstrip("0").rstrip(".")


def _read(kind: type[Model], place: str, values: Mapping[str, str]) -> Model:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        names = [each.alias or name for name, each in kind.model_fields.items()]
        raise InvalidParametersError(
            [
                {
                    "loc": [place, *problem["loc"]],
                    "msg": _explained(problem, names),
                    "type": problem["type"],
                }
                for problem in error.errors(include_url=False, include_input=False)
            ]
        ) from None


def _explained(problem: ErrorDetails, names: Sequence[str]) -> str:
    """Return what is wrong in our words; validators of our own have said it themselves."""
    if problem["type"] in {"enum", "literal_error"} and "ctx" in problem:
        return f"This should be {problem['ctx']['expected'].replace(chr(39), '`')}"
    if problem["type"] != "extra_forbidden":
        return problem["msg"]
    for close in get_close_matches(str(problem["loc"][-1]), names, 1):
        return f"There is no such parameter: is `{close}` meant?"
    known = ", ".join(names) or "none"
    return f"There is no such parameter; there are: {known}"
