"""Every function by its name: its forms, or what translates it."""

from __future__ import annotations

from functools import cache

from chalicelib.queries.sql import (
    aggregates,
    arrays,
    conditions,
    json_functions,
    numbers,
    patterns,
    texts,
    times,
)  # fmt: skip
from chalicelib.queries.sql.forms import Form, read_form
from chalicelib.queries.sql.lambdas import PROGRAMMED, WITH_LAMBDA

SAME_AS = {
    "ceiling": "ceil",
    "week_of_year": "week",
    "day_of_month": "day",
    "dow": "day_of_week",
    "doy": "day_of_year",
    "yow": "year_of_week",
    "char_length": "length",
    "character_length": "length",
    "substring": "substr",
}
VOLATILE = frozenset({"random", "rand", "now", "shuffle"})
BY_VALUE = {
    **times.BY_VALUE, **conditions.BY_VALUE, **texts.BY_VALUE, **patterns.BY_VALUE, **numbers.BY_VALUE,
    **json_functions.BY_VALUE, **arrays.BY_VALUE,
}  # fmt: skip
FALLBACKS = arrays.FALLBACKS  # for arguments that no form takes
BY_SYNTAX = frozenset(
    ("approx_percentile", "sum", "avg", "listagg", "grouping", "extract", "json_value", "json_query", "json_exists",
     "json_object", "json_array", "position", "trim", "cast", "try_cast")
)  # fmt: skip
MAKES_LONG = frozenset({"sequence", "repeat", "lpad", "rpad", "array_join"})  # times an array's length: too long


@cache
def forms() -> dict[str, list[Form]]:
    """Every declared function's forms, in the order in which they are tried."""
    found: dict[str, list[Form]] = {}
    for module in (numbers, texts, times, arrays):
        for signature, template in module.SCALARS.items():
            form = read_form(signature, template)
            found.setdefault(form.name, []).append(form)
    for kind, table in (("aggregate", aggregates.AGGREGATES), ("window", aggregates.WINDOWS)):
        for signature, call in table.items():
            form = read_form(signature, kind=kind, call=call)
            found.setdefault(form.name, []).append(form)
    return found


def known_names() -> list[str]:
    """The names of all functions, those of a syntax of their own included."""
    return sorted({*forms(), *BY_VALUE, *PROGRAMMED, *WITH_LAMBDA, *SAME_AS, *BY_SYNTAX})
