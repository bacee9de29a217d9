"""Names, operators, conditions, arrays and rows, subqueries: Trino's expressions as typed DuckDB text."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from chalicelib.queries.sql import conditions, numbers, patterns, times
from chalicelib.queries.sql import syntax as s
from chalicelib.queries.sql.comparison import compare, distinct_from
from chalicelib.queries.sql.scope import Ambiguous, Column, Relation, Scope
from chalicelib.queries.sql.suggestions import did_you_mean
from chalicelib.queries.sql.translator import Translator, expression
from chalicelib.queries.sql.types import (
    BIGINT,
    BOOLEAN,
    UNKNOWN,
    VARCHAR,
    Type,
    array,
    common,
    quote,
    row_of,
    text,
)  # fmt: skip
from chalicelib.queries.sql.values import Refused, Value, alike, coerce, fail_when, once

LARGEST_INTEGER = 2**63 - 1
EXTRACTED = frozenset(
    ("year", "quarter", "month", "week", "day", "day_of_month", "day_of_week", "dow", "day_of_year", "doy",
     "year_of_week", "yow", "hour", "minute", "second", "timezone_hour", "timezone_minute")
)  # fmt: skip


# Names


@expression(s.Name)
def name(translator: Translator, node: s.Name, scope: Scope) -> Value:
    """``column``, ``alias.column`` or ``row.field``, from the inside out."""
    parts = node.parts
    between: list[Scope] = []
    for around in scope.around():
        try:
            value, rest = found_in(around, parts)
        except Ambiguous as error:
            translator.refuse(node, f"column '{error}' is ambiguous")
        if value is not None:
            if around.no_subqueries and around.level is not scope.level:
                translator.refuse(node, f"a subquery of {around.no_subqueries} does not name its columns")
            note_column(around, between, node, parts, value)
            return fields(translator, node, value, rest)
        if around.level is not scope.level or around.outer is not None:
            between.append(around)
    hint = nearest_column(scope, parts) or remark(translator, node, scope)
    return translator.refuse(node, f"column '{'.'.join(parts)}' cannot be resolved{hint}")


def found_in(scope: Scope, parts: tuple[str, ...]) -> tuple[Value | None, tuple[str, ...]]:
    if len(parts) > 1 and (value := scope.column_of(parts[0], parts[1])) is not None:
        return value, parts[2:]
    return scope.column(parts[0]), parts[1:]


def note_column(scope: Scope, between: list[Scope], node: s.Name, parts: tuple[str, ...], value: Value) -> None:
    """Remember what a query's GROUP BY must have, and which queries use columns of those around them."""
    if parts[0].lower() in scope.variables and value is scope.variables[parts[0].lower()]:
        return
    if not (scope.outputs and value in [one for listed in scope.outputs.values() for one in listed]):
        scope.level.ungrouped.append((node.at, ".".join(parts)))
    for inner in between:
        if inner.level is not scope.level:
            inner.level.outer_columns += 1


def remark(translator: Translator, node: s.Name, scope: Scope) -> str:
    """What else may be the matter with a name that is like no other."""
    if len(node.parts) > 1 and not any(around.has(node.parts[0]) for around in scope.around()):
        return f"; FROM has no '{node.parts[0]}'"
    if translator.text[node.at : node.at + 1] == '"':
        return f"; a text is written in single quotes: {text(node.parts[0])}"
    if node.parts[0].lower() in scope.level.aliases:
        return "; names of the select list are known in ORDER BY alone: write what it stands for"
    return ""


def nearest_column(scope: Scope, parts: tuple[str, ...]) -> str:
    """The nearest name, or what else may have been meant."""
    for around in scope.around():
        if len(parts) > 1 and around.has(parts[0]):
            return did_you_mean(
                parts[1], [one.name for one in around.fields if one.name and one.alias == parts[0].lower()]
            )
    names = [one.name for around in scope.around() for one in around.fields if one.name]
    if len(parts) > 1:
        aliases = [one.alias for around in scope.around() for one in around.fields if one.alias]
        return did_you_mean(parts[0], aliases)
    return did_you_mean(parts[0], names)


def fields(translator: Translator, node: s.Node, value: Value, names: tuple[str, ...] | list[str]) -> Value:
    for wanted in names:
        places = [at for at, field in enumerate(value.type.fields, 1) if field.lower() == wanted.lower()]
        if value.type.name != "row" or not places:
            hint = did_you_mean(wanted, [field for field in value.type.fields if field])
            translator.refuse(node, f"{value.type} has no field '{wanted}'{hint}")
        if len(places) > 1:
            translator.refuse(node, f"field '{wanted}' is ambiguous")
        value = field_at(value, places[0])
    return value


def field_at(value: Value, place: int) -> Value:
    return Value(f"struct_extract({value}, 'f{place}')", value.type.args[place - 1])


@expression(s.FieldOf)
def field_of(translator: Translator, node: s.FieldOf, scope: Scope) -> Value:
    return fields(translator, node, translator.value(node.base, scope), [node.name])


# Operators


@expression(s.Arithmetic)
def arithmetic(translator: Translator, node: s.Arithmetic, scope: Scope) -> Value:
    """A chain of operators, from its left end, without recursion."""
    chain = [node]
    while isinstance(chain[-1].left, s.Arithmetic):
        chain.append(chain[-1].left)
    made = translator.value(chain[-1].left, scope)
    for part in reversed(chain):
        made = combined(part.sign, made, translator.value(part.right, scope))
    return made


def combined(sign: str, left: Value, right: Value) -> Value:
    kinds = (left.type, right.type)
    if any(kind.interval or kind.name in times.TIMES for kind in kinds):
        return times.arithmetic(sign, left, right)
    return numbers.arithmetic(sign, left, right)


@expression(s.Negative)
def negative(translator: Translator, node: s.Negative, scope: Scope) -> Value:
    if isinstance(node.value, s.Number) and node.value.value.lstrip("0") == str(LARGEST_INTEGER + 1):
        return Value(f"CAST('-{LARGEST_INTEGER + 1}' AS BIGINT)", BIGINT, -LARGEST_INTEGER - 1)
    value = translator.value(node.value, scope)
    if not (value.type.numeric or value.type.interval or value.type == UNKNOWN):
        translator.refuse(node, f"cannot negate {value.type}")
    if value.type == UNKNOWN:
        return value
    known = isinstance(value.constant, (int, float, Decimal)) and not isinstance(value.constant, bool)
    made = f"(-{value})" if value.type.numeric else f"({value} * -1)"
    if value.type.name in ("tinyint", "smallint") or (value.type == BIGINT and known):
        made = f"CAST({made} AS {value.type.duckdb})"
    return replace(value, sql=made, constant=-value.constant if known else value.constant)


@expression(s.Concatenation)
def concatenation(translator: Translator, node: s.Concatenation, scope: Scope) -> Value:
    values = [translator.value(part, scope) for part in node.parts]
    if len(values) > 2 and all(value.type in (VARCHAR, UNKNOWN) for value in values):
        return conditions.concat(values)
    made = values[0]
    for value in values[1:]:
        made = conditions.concatenated(made, value)
    return made


@expression(s.AtTimeZone)
def at_time_zone(translator: Translator, node: s.AtTimeZone, scope: Scope) -> Value:
    zone = translator.value(node.zone, scope)
    return times.at_timezone([translator.value(node.value, scope), zone])


# Comparisons


@expression(s.Comparison)
def comparison(translator: Translator, node: s.Comparison, scope: Scope) -> Value:
    one, other = translator.value(node.left, scope), translator.value(node.right, scope)
    left, right = paired(node.sign, one, other)
    return Value(compare(node.sign, left, right), BOOLEAN)


def paired(sign: str, left: Value, right: Value) -> tuple[Value, Value]:
    """Both as their common type, which must be one that the sign applies to."""
    kind = common(left.type, right.type)
    apart = sign in ("<", "<=", ">", ">=")
    if kind is None or not (kind == UNKNOWN or (kind.orderable if apart else kind.comparable)):
        raise Refused(f"cannot apply {left.type} {sign} {right.type}{remedy(left, right)}")
    if kind == UNKNOWN:
        kind = Type("integer")
    return coerce(left, kind), coerce(right, kind)


def remedy(left: Value, right: Value) -> str:
    """What to write for a comparison of a text with what is none."""
    for one, other in ((left, right), (right, left)):
        if one.type.name == "array" and other.type in (one.type.args[0], UNKNOWN):
            return "; write contains(array, element)"
        if one.type != VARCHAR or other.type.name not in (
            "date",
            "timestamp",
            "timestamptz",
            "integer",
            "bigint",
            "double",
        ):
            continue
        if isinstance(one.constant, str) and not other.type.numeric:
            word = "DATE" if other.type.name == "date" else "TIMESTAMP"
            return f"; write {word} {text(one.constant[:40])}"
        return f"; write CAST(… AS {str(other.type).partition('(')[0]})"
    return ""


@expression(s.IsDistinct)
def is_distinct(translator: Translator, node: s.IsDistinct, scope: Scope) -> Value:
    left, right = translator.value(node.left, scope), translator.value(node.right, scope)
    return Value(distinct_from(*paired("IS DISTINCT FROM", left, right)), BOOLEAN)


@expression(s.IsNull)
def is_null(translator: Translator, node: s.IsNull, scope: Scope) -> Value:
    return Value(f"({translator.value(node.value, scope)} IS NULL)", BOOLEAN)


@expression(s.Logic)
def logic(translator: Translator, node: s.Logic, scope: Scope) -> Value:
    operands = [translator.boolean(part, scope, f"{node.word}'s operand") for part in node.parts]
    return Value("(" + f" {node.word} ".join(map(str, operands)) + ")", BOOLEAN)


@expression(s.Not)
def negated(translator: Translator, node: s.Not, scope: Scope) -> Value:
    return Value(f"(NOT {translator.boolean(node.value, scope, 'NOT’s operand')})", BOOLEAN)


@expression(s.Between)
def between(translator: Translator, node: s.Between, scope: Scope) -> Value:
    values = [translator.value(part, scope) for part in (node.value, node.low, node.high)]
    return Value(once(values, inside), BOOLEAN)


def inside(value: Value, low: Value, high: Value) -> str:
    return f"({compare('>=', *paired('>=', value, low))} AND {compare('<=', *paired('<=', value, high))})"


@expression(s.InList)
def in_list(translator: Translator, node: s.InList, scope: Scope) -> Value:
    value = translator.value(node.value, scope)
    listed = [translator.value(part, scope) for part in node.items]
    kind = value.type
    for one in listed:
        joint = common(kind, one.type)
        if joint is None or not (joint.comparable or joint == UNKNOWN):
            hint = remedy(value, one)
            translator.refuse(node, f"cannot look for {value.type} IN a list of {one.type}{hint}")
        kind = joint
    if kind == UNKNOWN:
        return Value("CAST(NULL AS BOOLEAN)", BOOLEAN)
    value, listed = coerce(value, kind), [coerce(one, kind) for one in listed]
    if kind.args or (kind.approximate and not all(one.known for one in listed)):
        return Value(in_complex(value, listed), BOOLEAN)
    items = ", ".join(one.compared for one in listed)
    return Value(f"({value.compared} IN ({items}))", BOOLEAN)


def in_complex(value: Value, listed: list[Value]) -> str:
    """Of rows and arrays: each compared with its nulls within."""

    def make(one: Value, *others: Value) -> str:
        return "(" + " OR ".join(compare("=", one, other) for other in others) + ")"

    return once([value, *listed], make)


@expression(s.Like)
def like(translator: Translator, node: s.Like, scope: Scope) -> Value:
    value, pattern = translator.value(node.value, scope), translator.value(node.pattern, scope)
    escape = translator.value(node.escape, scope) if node.escape is not None else None
    return patterns.like(value, pattern, escape)


# Conditions


@expression(s.Case)
def case(translator: Translator, node: s.Case, scope: Scope) -> Value:
    results = [translator.value(result, scope) for _, result in node.branches]
    results.append(translator.value(node.otherwise, scope) if node.otherwise else Value("NULL", UNKNOWN, None))
    kind = alike(results)
    operand = translator.value(node.operand, scope) if node.operand is not None else None
    tests = [translator.value(test, scope) for test, _ in node.branches]

    shared = None if operand is None else native_case(operand, tests)
    made = []
    for (place, _), test, result in zip(node.branches, tests, results[:-1], strict=True):
        if shared is not None:
            when = coerce(test, shared).sql
        elif operand is not None:
            when = compare("=", *paired("=", operand, test))
        else:
            when = condition(translator, place, test)
        made.append(f"WHEN {when} THEN {coerce(result, kind)}")
    head = f" {coerce(operand, shared)}" if operand is not None and shared is not None else ""
    return Value(f"CASE{head} {' '.join(made)} ELSE {coerce(results[-1], kind)} END", kind)


def native_case(operand: Value, tests: list[Value]) -> Type | None:
    """The one type that DuckDB's own ``CASE operand WHEN`` can compare as; None when each must be compared apart."""
    kind: Type | None = operand.type
    for test in tests:
        kind = common(kind, test.type) if kind is not None else None
    if kind is None or kind == UNKNOWN or kind.args or kind.approximate or kind.zoned:
        return None
    return kind


def condition(translator: Translator, node: s.Node, test: Value) -> str:
    if test.type not in (BOOLEAN, UNKNOWN):
        translator.refuse(node, f"CASE's condition must be boolean, not {test.type}")
    return coerce(test, BOOLEAN).sql


@expression(s.Extract)
def extract(translator: Translator, node: s.Extract, scope: Scope) -> Value:
    from chalicelib.queries.sql.calls import called

    if node.field not in EXTRACTED:
        translator.refuse(
            node, f"EXTRACT({node.field.upper()} …) is not supported{did_you_mean(node.field, EXTRACTED)}"
        )
    value = translator.value(node.value, scope)
    clock = node.field in ("hour", "minute", "second", "timezone_hour", "timezone_minute")
    if (value.type.name == "date" and clock) or (node.field.startswith("timezone") and not value.type.zoned):
        translator.refuse(node, f"cannot extract {node.field} from {value.type}")
    return called(node.field, [value])


# Arrays and rows


@expression(s.ArrayOf)
def array_literal(translator: Translator, node: s.ArrayOf, scope: Scope) -> Value:
    if not node.items:
        return Value("CAST([] AS INTEGER[])", array(UNKNOWN))
    if len(node.items) > 254:
        translator.refuse(node, "an array literal has at most 254 entries on Athena; join arrays with ||")
    items = [translator.value(part, scope) for part in node.items]
    kind = alike(items)
    made = f"[{', '.join(str(coerce(item, kind)) for item in items)}]"
    return Value(f"CAST({made} AS INTEGER[])" if kind == UNKNOWN else made, array(kind))


@expression(s.RowOf)
def row_literal(translator: Translator, node: s.RowOf, scope: Scope) -> Value:
    """``ROW(…)``, or ``(a, b)``: fields without names."""
    values = [translator.value(part, scope) for part in node.items]
    return row_value(values)


def row_value(values: list[Value], names: list[str] | None = None) -> Value:
    cells = ", ".join(f"'f{at}': {value}" for at, value in enumerate(values, 1))
    return Value(f"{{{cells}}}", row_of([value.type for value in values], names or ()))


@expression(s.Subscript)
def subscript(translator: Translator, node: s.Subscript, scope: Scope) -> Value:
    value, index = translator.value(node.base, scope), translator.value(node.index, scope)
    if value.type.name == "map":
        return at_key(value, coerced_key(value, index))
    if value.type.name == "row" and index.known and isinstance(index.constant, int):
        if not 1 <= index.constant <= len(value.type.args):
            translator.refuse(node, f"the row has fields 1 to {len(value.type.args)}")
        return field_at(value, index.constant)
    if value.type.name != "array" or not (index.type.integral or index.type == UNKNOWN):
        translator.refuse(node, f"cannot apply {value.type}[{index.type}]")
    low = fail_when("{1} < 0", text("Array subscript is negative"))
    zero = fail_when("{1} = 0", text("SQL array indices start at 1"))
    high = fail_when("{1} > len({0})", text("Array subscript must be less than or equal to array length"))
    template = f"CASE {low} {zero} {high} ELSE list_extract({{0}}, {{1}}) END"
    index = coerce(index, BIGINT) if index.type == UNKNOWN else index
    return Value(once([value, index], lambda *parts: template.format(*parts)), value.type.args[0])


def coerced_key(value: Value, index: Value) -> Value:
    if common(index.type, value.type.args[0]) != value.type.args[0]:
        raise Refused(f"cannot apply {value.type}[{index.type}]")
    return coerce(index, value.type.args[0])


def at_key(value: Value, key: Value) -> Value:
    shown = (
        "'Key not present in map: ' || CAST({1} AS VARCHAR)" if not key.type.args else text("Key not present in map")
    )
    missing = fail_when("{0} IS NOT NULL AND {1} IS NOT NULL AND NOT map_contains({0}, {1})", shown)
    template = f"CASE {missing} ELSE map_extract_value({{0}}, {{1}}) END"
    return Value(once([value, key], lambda *parts: template.format(*parts)), value.type.args[1])


# Subqueries


@expression(s.Subquery)
def subquery(translator: Translator, node: s.Subquery, scope: Scope) -> Value:
    relation = within_expression(translator, node, node.query, scope)
    if len(relation.columns) != 1:
        return row_subquery(relation)
    return Value(f"({relation.sql})", relation.columns[0].type)


def row_subquery(relation: Relation) -> Value:
    """A query of several columns that stands for a value: a row."""
    cells = ", ".join(f"'f{at}': {quote(column.held_as)}" for at, column in enumerate(relation.columns, 1))
    kinds = [column.type for column in relation.columns]
    names = [column.name or "" for column in relation.columns]
    kind = row_of(kinds, names)
    nothing = ", ".join(f"'f{at}': NULL" for at in range(1, len(kinds) + 1))  # of no row, a row of nulls
    found = f"(SELECT {{{cells}}} FROM ({relation.sql}) AS one)"
    return Value(f"coalesce({found}, CAST({{{nothing}}} AS {kind.duckdb}))", kind)


def within_expression(
    translator: Translator, node: s.Node, query: s.Query, scope: Scope, subquery: str = ""
) -> Relation:
    if scope.lambdas:
        translator.refuse(node, "a lambda holds no subquery")
    return translator.query(query, replace(scope, subquery=subquery))


@expression(s.Exists)
def exists(translator: Translator, node: s.Exists, scope: Scope) -> Value:
    relation = within_expression(translator, node, node.query, scope, "EXISTS")
    return Value(f"EXISTS ({relation.sql})", BOOLEAN)


@expression(s.InQuery)
def in_query(translator: Translator, node: s.InQuery, scope: Scope) -> Value:
    return quantified_over(translator, node, "=", "ANY", node.value, node.query, scope)


@expression(s.Quantified)
def quantified(translator: Translator, node: s.Quantified, scope: Scope) -> Value:
    return quantified_over(translator, node, node.sign, node.word, node.left, node.query, scope)


def quantified_over(
    translator: Translator, node: s.Node, sign: str, word: str, left: s.Node, query: s.Query, scope: Scope
) -> Value:
    """``left sign ANY (query)``; IN is ``= ANY``."""
    value = translator.value(left, scope)
    is_in = (sign, word) == ("=", "ANY")
    relation = one_column(within_expression(translator, node, query, scope, "IN" if is_in else ""), value.type)
    kind = common(value.type, relation.columns[0].type)
    apart = sign in ("<", "<=", ">", ">=")
    if kind is None or not (kind == UNKNOWN or (kind.orderable if apart else kind.comparable)):
        name = "IN" if isinstance(node, s.InQuery) else f"{sign} {word}"
        translator.refuse(node, f"cannot apply {value.type} {name} (query of {relation.columns[0].type})")
    if kind == UNKNOWN:
        kind = Type("integer")
    value = coerce(value, kind)
    found = coerce(Value(f"s.{quote(relation.columns[0].held_as)}", relation.columns[0].type), kind)
    if kind.args or kind.approximate:
        return Value(quantified_by_counting(sign, word, value, found, relation), BOOLEAN)
    listed = f"SELECT {found.compared} FROM ({relation.sql}) AS s"
    if sign == "=" and word == "ANY":
        return Value(f"({value.compared} IN ({listed}))", BOOLEAN)
    return Value(f"({value.compared} {sign} {word} ({listed}))", BOOLEAN)


def quantified_by_counting(sign: str, word: str, value: Value, found: Value, relation: Relation) -> str:
    """Where NaN or nulls within decide: every comparison is made, and its unknowns counted."""
    test = compare(sign, value, found)
    decided, other = ("true", "false") if word == "ANY" else ("false", "true")
    tells = "bool_or(c)" if word == "ANY" else "NOT bool_and(c)"
    made = (
        f"SELECT CASE WHEN count(*) = 0 THEN {other} WHEN {tells} THEN {decided} "
        f"WHEN count(c) < count(*) THEN NULL ELSE {other} END"
    )
    return f"({made} FROM (SELECT {test} AS c FROM ({relation.sql}) AS s) AS tested)"


def one_column(relation: Relation, wanted: Type) -> Relation:
    """The query's one column; several are a row, which a row is compared with."""
    if len(relation.columns) == 1:
        return relation
    if wanted.name != "row" or len(wanted.args) != len(relation.columns):
        raise Refused(f"a subquery here answers one column, not {len(relation.columns)}")
    cells = ", ".join(f"'f{at}': {quote(column.held_as)}" for at, column in enumerate(relation.columns, 1))
    kind = row_of([column.type for column in relation.columns])
    return Relation(f"SELECT {{{cells}}} AS c1 FROM ({relation.sql}) AS wide", (Column(None, "c1", kind),))
