"""Functions whose lambdas see more than an array's elements: reduce, maps, zip_with, array_sort, regexp_replace."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chalicelib.queries.sql import syntax as s
from chalicelib.queries.sql.arrays import unique_keys
from chalicelib.queries.sql.forms import require
from chalicelib.queries.sql.patterns import pattern_of
from chalicelib.queries.sql.scope import Scope
from chalicelib.queries.sql.translator import Translator
from chalicelib.queries.sql.types import BOOLEAN, UNKNOWN, VARCHAR, Type, array, common, map_of, text
from chalicelib.queries.sql.values import Refused, Value, coerce, fail_when, once

Programmed = Callable[[Translator, s.Call, Scope], Value]


def body_of(translator: Translator, node: s.Node, variables: Sequence[tuple[str, Type]], scope: Scope) -> Value:
    """A lambda's body, its variables being these texts."""
    if not isinstance(node, s.Lambda):
        translator.refuse(node, "a lambda is expected here, such as x -> x + 1")
    if len(node.names) != len(variables):
        translator.refuse(node, f"the lambda takes {len(variables)} variables, not {len(node.names)}")
    known = {name.lower(): Value(sql, kind) for name, (sql, kind) in zip(node.names, variables, strict=True)}
    return translator.value(node.body, scope.inside(known))


def variable(scope: Scope, at: int = 1) -> str:
    """The name of a lambda's variable in the translation: by how deep it lies, so that equal texts stay equal."""
    return f"v{scope.lambdas}_{at}"


def arguments_of(translator: Translator, node: s.Call, scope: Scope, values: int, lambdas: int) -> list[Value]:
    if len(node.arguments) != values + lambdas:
        raise Refused(f"{node.name.lower()} takes {values + lambdas} arguments, not {len(node.arguments)}")
    return [translator.value(part, scope) for part in node.arguments[:values]]


def array_type(value: Value, at: int) -> Type:
    if value.type.name != "array":
        raise Refused(f"must be an array, not {value.type}", at)
    return value.type.args[0]


def reduce(translator: Translator, node: s.Call, scope: Scope) -> Value:
    """``reduce(array, start, (s, x) -> …, s -> …)``."""
    values, start = arguments_of(translator, node, scope, 2, 2)
    element = array_type(values, 0)
    merging, ending = node.arguments[2], node.arguments[3]
    one, other = variable(scope, 1), variable(scope, 2)
    state = start.type
    merged = body_of(translator, merging, [(f"{one}.s", state), (f"{other}.x", element)], scope)
    if merged.type != state:
        state = common(state, merged.type) or state
        with translator.once_more(merging):
            merged = body_of(translator, merging, [(f"{one}.s", state), (f"{other}.x", element)], scope)
    if common(merged.type, state) != state:
        raise Refused(f"reduce starts with {start.type} and goes on with {merged.type}")
    # DuckDB folds values of one type: state and element together in a struct
    nothing = f"CAST(NULL AS {element.duckdb})" if element != UNKNOWN else "NULL"
    first = f"{{'s': {coerce(start, state)}, 'x': {nothing}}}"
    entries = f"list_transform({values}, lambda e: {{'s': CAST(NULL AS {state.duckdb}), 'x': e}})"
    step = f"{{'s': {coerce(merged, state)}, 'x': {nothing}}}"
    folded = f"list_reduce(list_prepend({first}, {entries}), lambda {one}, {other}: {step})"
    last = body_of(translator, ending, [(f"{one}.s", state)], scope)
    made = f"list_extract(list_transform([{folded}], lambda {one}: {last}), 1)"
    return Value(f"CASE WHEN {values} IS NOT NULL THEN {made} END", last.type)


def map_type(value: Value) -> tuple[Type, Type]:
    if value.type.name != "map":
        raise Refused(f"must be a map, not {value.type}", 0)
    return value.type.args[0], value.type.args[1]


def over_entries(translator: Translator, node: s.Call, scope: Scope) -> tuple[Value, Value, str]:
    """The map, the lambda's body over its entries, and the entries' name."""
    (value,) = arguments_of(translator, node, scope, 1, 1)
    key, item = map_type(value)
    name = variable(scope)
    return value, body_of(translator, node.arguments[1], [(f"{name}.key", key), (f"{name}.value", item)], scope), name


def map_filter(translator: Translator, node: s.Call, scope: Scope) -> Value:
    value, test, name = over_entries(translator, node, scope)
    if test.type not in (BOOLEAN, UNKNOWN):
        raise Refused(f"the lambda must answer boolean, not {test.type}")
    kept = f"list_filter(map_entries({value}), lambda {name}: {coerce(test, BOOLEAN)})"
    return Value(f"map_from_entries({kept})", value.type)


def transform_values(translator: Translator, node: s.Call, scope: Scope) -> Value:
    value, made, name = over_entries(translator, node, scope)
    cell = f"{{'key': {name}.key, 'value': {made}}}"
    kind = map_of(value.type.args[0], made.type)
    return Value(f"map_from_entries(list_transform(map_entries({value}), lambda {name}: {cell}))", kind)


def transform_keys(translator: Translator, node: s.Call, scope: Scope) -> Value:
    value, made, name = over_entries(translator, node, scope)
    cell = f"{{'key': {made}, 'value': {name}.value}}"
    entries = Value(f"list_transform(map_entries({value}), lambda {name}: {cell})", array(UNKNOWN))
    return Value(once([entries], lambda one: unique_keys(one.sql)), map_of(made.type, value.type.args[1]))


def map_zip_with(translator: Translator, node: s.Call, scope: Scope) -> Value:
    first, second = arguments_of(translator, node, scope, 2, 1)
    (key, one_item), (other_key, other_item) = map_type(first), map_type(second)
    shared = common(key, other_key)
    if shared is None:
        raise Refused(f"the keys are {key} and {other_key}")
    first, second = coerce(first, map_of(shared, one_item)), coerce(second, map_of(shared, other_item))
    name = variable(scope)
    kinds = [(f"{name}.k", shared), (f"{name}.a", one_item), (f"{name}.b", other_item)]
    made = body_of(translator, node.arguments[2], kinds, scope)

    def make(one: Value, other: Value) -> str:
        keys = f"(map_keys({one}) || list_filter(map_keys({other}), lambda k: NOT map_contains({one}, k)))"
        cells = f"{{'k': k, 'a': map_extract_value({one}, k), 'b': map_extract_value({other}, k)}}"
        cell = f"{{'key': {name}.k, 'value': {made}}}"
        entries = f"list_transform(list_transform({keys}, lambda k: {cells}), lambda {name}: {cell})"
        return f"CASE WHEN {one} IS NULL OR {other} IS NULL THEN NULL ELSE map_from_entries({entries}) END"

    return Value(once([first, second], make), map_of(shared, made.type))


def zip_with(translator: Translator, node: s.Call, scope: Scope) -> Value:
    first, second = arguments_of(translator, node, scope, 2, 1)
    name = variable(scope)
    kinds = [(f"{name}[1]", array_type(first, 0)), (f"{name}[2]", array_type(second, 1))]
    made = body_of(translator, node.arguments[2], kinds, scope)
    missing = f"{first} IS NULL OR {second} IS NULL"
    listed = f"list_transform(list_zip({first}, {second}), lambda {name}: {made})"
    return Value(f"CASE WHEN {missing} THEN NULL ELSE {listed} END", array(made.type))


def array_sort(translator: Translator, node: s.Call, scope: Scope) -> Value:
    """``array_sort(array, (x, y) -> …)``: each element's place is how many stand before it."""
    (values,) = arguments_of(translator, node, scope, 1, 1)
    element = array_type(values, 0)
    one, other = variable(scope, 1), variable(scope, 2)
    test = body_of(translator, node.arguments[1], [(f"{one}.e", element), (f"{other}.e", element)], scope)
    if not (test.type.integral or test.type == UNKNOWN):
        raise Refused(f"the lambda must answer integer, not {test.type}")

    def make(array_value: Value) -> str:
        numbered = f"list_transform({array_value}, lambda e, i: {{'e': e, 'i': i}})"
        wrong = fail_when(f"({test}) IS NULL OR ({test}) NOT IN (-1, 0, 1)", text("the lambda must answer -1, 0 or 1"))
        before = f"CASE {wrong} ELSE ({test}) > 0 OR (({test}) = 0 AND {other}.i < {one}.i) END"
        place = f"len(list_filter({numbered}, lambda {other}: {before}))"
        placed = f"list_transform({numbered}, lambda {one}: {{'p': {place}, 'i': {one}.i, 'e': {one}.e}})"
        long = fail_when(f"len({array_value}) > 1000", text("array_sort with a lambda takes at most 1000 elements"))
        return f"CASE {long} ELSE list_transform(list_sort({placed}), lambda e: e.e) END"

    return Value(once([values], make), values.type)


def regexp_replace(translator: Translator, node: s.Call, scope: Scope) -> Value:
    """``regexp_replace(text, pattern, groups -> …)``."""
    value, pattern = arguments_of(translator, node, scope, 2, 1)
    from chalicelib.queries.sql.patterns import compiled, may_be_empty

    value = require([value, pattern], 0, VARCHAR)
    regex = pattern_of([value, pattern])
    if may_be_empty([value, pattern]):
        raise Refused("a regular expression that matches the empty text replaces nothing here", 1)
    groups = compiled(str(pattern.constant or ""), 1).groups
    name = variable(scope)
    made = body_of(translator, node.arguments[2], [(f"{name}.g", array(VARCHAR))], scope)
    if made.type not in (VARCHAR, UNKNOWN):
        raise Refused(f"the lambda must answer varchar, not {made.type}")

    def make(one: Value) -> str:
        found = f"regexp_extract_all({one}, {regex})"
        pieces = f"regexp_split_to_array({one}, {regex})"
        listed = ", ".join(
            f"list_extract(regexp_extract_all({one}, {regex}, {group}), i)" for group in range(1, groups + 1)
        )
        groups_of = f"CAST([{listed}] AS VARCHAR[])"
        matches = f"list_transform(range(1, len({found}) + 1), lambda i: {{'g': {groups_of}}})"
        replaced = f"list_transform({matches}, lambda {name}: {made})"
        made_all = f"array_to_string(list_transform(list_zip({pieces}, r), lambda p: p[1] || coalesce(p[2], '')), '')"
        whole = f"CASE WHEN list_count(r) < len(r) THEN NULL ELSE {made_all} END"  # a null makes all null
        return (
            f"CASE WHEN {regex} IS NOT NULL THEN list_extract(list_transform([{replaced}], lambda r: {whole}), 1) END"
        )

    return Value(once([value], make), VARCHAR)


PROGRAMMED: dict[str, Programmed] = {
    "reduce": reduce,
    "map_filter": map_filter,
    "transform_values": transform_values,
    "transform_keys": transform_keys,
    "map_zip_with": map_zip_with,
    "zip_with": zip_with,
}
WITH_LAMBDA: dict[str, Programmed] = {"array_sort": array_sort, "regexp_replace": regexp_replace}
