"""Comparisons as Trino makes them: NaN is equal to nothing, nulls within arrays, rows and maps make it unknown."""

from __future__ import annotations

from chalicelib.queries.sql.types import Type
from chalicelib.queries.sql.values import Refused, Value, once


def compare(sign: str, left: Value, right: Value) -> str:
    """``left sign right`` of two values of one type, as a DuckDB text of three values."""
    kind = left.type
    if kind.approximate:
        return approximate(sign, left, right)
    if not kind.args:
        return f"({left.compared} {sign} {right.compared})"
    if sign not in ("=", "<>"):
        raise Refused(f"comparing {kind} with {sign} is not supported")
    same = once([left, right], lambda one, other: equal(one.sql, other.sql, kind), always=True)
    return f"({same})" if sign == "=" else f"(NOT ({same}))"


def approximate(sign: str, left: Value, right: Value) -> str:
    """Of doubles: to DuckDB NaN is equal to itself and above all numbers, to Trino it is neither."""

    def make(one: Value, other: Value) -> str:
        made = f"{one} {sign} {other}"
        tested = [part for part in nan_sides(sign, one, other) if not is_number(part[0])]
        for nan, against in tested:
            unknown = "" if against.known else f" OR {against} IS NULL"
            if sign == "<>":
                unknown = "" if against.known else f" AND {against} IS NOT NULL"
                made = f"{made} OR (isnan({nan}){unknown})"
            else:
                made = f"{made} AND (NOT isnan({nan}){unknown})"
        return f"({made})"

    if all(is_number(nan) for nan, _ in nan_sides(sign, left, right)):
        return make(left, right)
    return once([left, right], make)


def nan_sides(sign: str, one: Value, other: Value) -> list[tuple[Value, Value]]:
    """The sides whose NaN would make DuckDB say something else, each with the other side."""
    if sign in ("<", "<="):
        return [(other, one)]
    if sign in (">", ">="):
        return [(one, other)]
    if sign == "=":
        return [] if is_number(one) or is_number(other) else [(one, other)]
    return [(one, other), (other, one)]


def is_number(value: Value) -> bool:
    """Whether it is surely no NaN: a literal, or what was a whole number."""
    return value.exact or (
        value.known and isinstance(value.constant, (int, float)) and value.constant == value.constant
    )


def equal(one: str, other: str, kind: Type, depth: int = 0) -> str:
    """Equality of two short texts of ``kind``: true, false, or unknown because of a null within.

    ``depth`` counts the lambdas around, whose variables keep names of their own.
    """
    if kind.approximate:
        return f"({one} = {other} AND (NOT isnan({one}) OR {other} IS NULL))"
    if kind.zoned:
        return f"(({one}).u = ({other}).u)"
    if kind.name == "row":
        parts = [equal(f"({one}).f{at}", f"({other}).f{at}", part, depth) for at, part in enumerate(kind.args, 1)]
        missing = f"{one} IS NULL OR {other} IS NULL"
        return f"CASE WHEN {missing} THEN NULL ELSE {' AND '.join(parts) or 'true'} END"
    if kind.name == "array":
        pair = f"p{depth}"
        each = equal(f"({pair}[1])", f"({pair}[2])", kind.args[0], depth + 1)
        found = all_true(f"list_transform(list_zip({one}, {other}), lambda {pair}: {each})")
        return (
            f"CASE WHEN {one} IS NULL OR {other} IS NULL THEN NULL "
            f"WHEN len({one}) <> len({other}) THEN false ELSE {found} END"
        )
    if kind.name == "map":
        key = f"k{depth}"
        value = equal(f"map_extract_value({one}, {key})", f"map_extract_value({other}, {key})", kind.args[1], depth + 1)
        each = f"CASE WHEN NOT map_contains({other}, {key}) THEN false ELSE {value} END"
        found = all_true(f"list_transform(map_keys({one}), lambda {key}: {each})")
        return (
            f"CASE WHEN {one} IS NULL OR {other} IS NULL THEN NULL "
            f"WHEN cardinality({one}) <> cardinality({other}) THEN false ELSE {found} END"
        )
    return f"({one} = {other})"


def all_true(booleans: str) -> str:
    """AND over a list of booleans, with its unknowns."""
    return (
        f"list_extract(list_transform([{booleans}], lambda b: CASE WHEN b IS NULL THEN NULL "
        "WHEN list_contains(b, false) THEN false "
        "WHEN list_count(b) < len(b) THEN NULL ELSE true END), 1)"
    )


def any_true(booleans: str) -> str:
    """OR over a list of booleans, with its unknowns."""
    return (
        f"list_extract(list_transform([{booleans}], lambda b: CASE WHEN b IS NULL THEN NULL "
        "WHEN list_contains(b, true) THEN true "
        "WHEN list_count(b) < len(b) THEN NULL ELSE false END), 1)"
    )


def distinct_from(left: Value, right: Value) -> str:
    """``IS DISTINCT FROM``, to which NaN is NaN."""
    if left.type.holds("map"):
        raise Refused(f"IS DISTINCT FROM of {left.type} is not supported")
    return f"({left.compared} IS DISTINCT FROM {right.compared})"
