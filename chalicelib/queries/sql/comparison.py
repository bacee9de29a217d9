"""Comparisons as Trino makes them: NaN is equal to nothing, nulls within arrays, rows and maps make it unknown."""

from __future__ import annotations

from chalicelib.queries.sql.types import Type, text
from chalicelib.queries.sql.values import Refused, Value, compared, fail, once

NULLS_WITHIN = {"row": "fields", "array": "arrays"}


def compare(sign: str, left: Value, right: Value) -> str:
    """``left sign right`` of two values of one type, as a DuckDB text of three values."""
    kind = left.type
    if kind.approximate:
        return approximate(sign, left, right)
    if not kind.args:
        return f"({left.compared} {sign} {right.compared})"
    if sign not in ("=", "<>"):
        return once([left, right], lambda one, other: ordered(sign, one.sql, other.sql, kind), always=True)
    same = once([left, right], lambda one, other: equal(one.sql, other.sql, kind), always=True)
    return f"({same})" if sign == "=" else f"(NOT ({same}))"


def ordered(sign: str, one: str, other: str, kind: Type, depth: int = 0) -> str:
    """Whether a row or an array stands before another: what differs first decides, and a null there fails.

    NaN is above all numbers here, as in Trino.
    """
    if kind.name not in ("row", "array"):
        if kind.args:
            raise Refused(f"comparing {kind} with {sign} is not supported")
        return f"({compared(one, kind)} {sign} {compared(other, kind)})"
    null = fail(text(f"{kind.name.upper()} comparison not supported for {NULLS_WITHIN[kind.name]} with null elements"))
    missing = f"WHEN {one} IS NULL OR {other} IS NULL THEN NULL"
    if kind.name == "row":
        cases = []
        for at, part in enumerate(kind.args, 1):
            pair = f"({one}).f{at}", f"({other}).f{at}"
            cases += [
                f"WHEN {pair[0]} IS NULL OR {pair[1]} IS NULL THEN {null}",
                f"WHEN {pair[0]} <> {pair[1]} THEN {ordered(sign, *pair, part, depth)}",
            ]
        return f"CASE {missing} {' '.join(cases)} ELSE {'true' if '=' in sign else 'false'} END"
    place = f"o{depth}"
    pair = f"({one})[{place}]", f"({other})[{place}]"
    differs = f"({one})[i] IS NULL OR ({other})[i] IS NULL OR ({one})[i] <> ({other})[i]"
    first = f"list_position(list_transform(range(1, least(len({one}), len({other})) + 1), lambda i: {differs}), true)"
    cases = [
        f"WHEN {place} IS NULL THEN len({one}) {sign} len({other})",
        f"WHEN {pair[0]} IS NULL OR {pair[1]} IS NULL THEN {null}",
    ]
    inner = f"CASE {' '.join(cases)} ELSE {ordered(sign, *pair, kind.args[0], depth + 1)} END"
    return f"CASE {missing} ELSE list_extract(list_transform([{first}], lambda {place}: {inner}), 1) END"


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
        if left.type.holds("timestamptz"):
            raise Refused(f"IS DISTINCT FROM of {left.type} is not supported")
        return f"({in_order(left.sql, left.type)} IS DISTINCT FROM {in_order(right.sql, right.type)})"
    return f"({left.compared} IS DISTINCT FROM {right.compared})"


def in_order(sql: str, kind: Type) -> str:
    """A value whose maps are lists of their entries, which stand in one order in equal ones."""
    if not kind.holds("map"):
        return sql
    if kind.name == "map":
        cells = f"{{'k': {in_order('e.key', kind.args[0])}, 'v': {in_order('e.value', kind.args[1])}}}"
        return f"list_sort(list_transform(map_entries({sql}), lambda e: {cells}))"
    if kind.name == "array":
        return f"list_transform({sql}, lambda e: {in_order('e', kind.args[0])})"
    cells = ", ".join(f"'f{at}': {in_order(f'({sql}).f{at}', part)}" for at, part in enumerate(kind.args, 1))
    return f"CASE WHEN {sql} IS NOT NULL THEN {{{cells}}} END"
