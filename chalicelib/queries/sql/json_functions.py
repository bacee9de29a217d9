"""Functions of JSON, its literals, and its casts."""

# ruff: noqa: E501  (a template a line reads as a table)

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from chalicelib.queries.sql import syntax as s
from chalicelib.queries.sql.casts import cast, double_text, text_of
from chalicelib.queries.sql.formatting import java_double
from chalicelib.queries.sql.forms import constant, require, want
from chalicelib.queries.sql.scope import Scope
from chalicelib.queries.sql.translator import Translator, expression
from chalicelib.queries.sql.types import BIGINT, BOOLEAN, JSON, UNKNOWN, VARCHAR, Type, text
from chalicelib.queries.sql.values import Refused, Value, coerce, fail, fail_when, once

PATH = re.compile(r"\$(\.[A-Za-z_]\w*|\[[0-9]{1,9}\]|\[\"[^\"\\]*\"\]|\[[A-Za-z_]\w*\]|\.\"[^\"\\]*\")*")
STEP = re.compile(r"\.([A-Za-z_]\w*)|\.\"([^\"\\]*)\"|\[([0-9]{1,9})\]|\[\"([^\"\\]*)\"\]|\[([A-Za-z_]\w*)\]")
NUMBERS = "('UBIGINT', 'BIGINT', 'DOUBLE', 'HUGEINT', 'UHUGEINT')"


def json_path(arguments: Sequence[Value]) -> str:
    path = constant(arguments, 1, "the JSON path")
    if not PATH.fullmatch(path):
        raise Refused('the JSON path must be of the form $.name[0]["name"]', 1)
    return text("$" + "".join(written(step) for step in STEP.finditer(path)))


def written(step: re.Match[str]) -> str:
    """A step of a path as DuckDB has it."""
    name, quoted, index, bracketed, bare = step.groups()
    if index is not None:
        return f"[{index}]"
    return f'."{next(one for one in (name, quoted, bracketed, bare) if one is not None)}"'


def json_text(value: Value) -> Value:
    """A JSON argument; a text that is none is null."""
    if value.type == JSON:
        return value
    if value.type not in (VARCHAR, UNKNOWN):
        raise Refused(f"must be json or varchar, not {value.type}", 0)
    value = coerce(value, VARCHAR)
    return Value(once([value], lambda one: f"CASE WHEN {valid(one.sql)} THEN CAST({one} AS JSON) END"), JSON)


def valid(sql: str) -> str:
    """Whether a text is JSON: DuckDB lets a comma stand before a closing bracket, comments, and numbers that are none."""
    bare = f"regexp_replace({sql}, '\"(\\\\.|[^\"\\\\])*\"', '0', 'g')"
    return f"(json_valid({sql}) AND NOT regexp_matches({bare}, '(?i),\\s*[\\]}}]|nan|inf|//|/\\*'))"


def json_extract(arguments: list[Value]) -> Value:
    want(arguments, 2)
    return Value(f"json_extract({json_text(arguments[0])}, {json_path(arguments)})", JSON)


def json_extract_scalar(arguments: list[Value]) -> Value:
    want(arguments, 2)
    path = json_path(arguments)

    def make(value: Value) -> str:
        simple = f"json_type({value}, {path}) NOT IN ('OBJECT', 'ARRAY')"
        return f"CASE WHEN {simple} THEN json_extract_string({value}, {path}) END"

    return Value(once([json_text(arguments[0])], make), VARCHAR)


def json_parse(arguments: list[Value]) -> Value:
    want(arguments, 1)
    value = require(arguments, 0, VARCHAR)
    if isinstance(value.constant, str):
        return Value(f"CAST({text(canonical(value.constant))} AS JSON)", JSON)

    def make(one: Value) -> str:
        bad = fail_when(f"NOT {valid(one.sql)}", f"'Cannot convert value to JSON: ''' || left({one}, 100) || ''''")
        return f"CASE {bad} ELSE json({one}) END"

    return Value(once([value], make), JSON)


def canonical(written_json: str) -> str:
    """JSON as Trino keeps it: no blanks, keys in order."""
    try:
        found = json.loads(written_json, parse_float=Number, parse_int=Number, parse_constant=no_constant)
        return encoded(found)
    except (ValueError, RecursionError, TypeError):
        raise Refused(f"'{written_json[:60]}' is not JSON", 0) from None


class Number(float):
    """A number that is written as it was."""

    written: str

    def __new__(cls, shown: str) -> Number:
        made = super().__new__(cls, shown)
        made.written = shown
        return made

    def __repr__(self) -> str:
        return self.written


def encoded(value: Any) -> str:
    if isinstance(value, Number):
        return value.written
    if isinstance(value, dict):
        return (
            "{"
            + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{encoded(value[key])}" for key in sorted(value))
            + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(encoded, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def no_constant(name: str) -> Any:
    raise ValueError(name)


def json_literal(translator: Translator, node: s.Node, literal: str) -> Value:
    """``JSON '…'``."""
    try:
        return Value(f"CAST({text(canonical(literal))} AS JSON)", JSON)
    except Refused as error:
        return translator.refuse(node, str(error))


def json_format(arguments: list[Value]) -> Value:
    want(arguments, 1)
    return Value(f"CAST({require(arguments, 0, JSON)} AS VARCHAR)", VARCHAR)


def json_array_length(arguments: list[Value]) -> Value:
    want(arguments, 1)

    def make(value: Value) -> str:
        return f"CASE WHEN json_type({value}) = 'ARRAY' THEN CAST(json_array_length({value}) AS BIGINT) END"

    return Value(once([json_text(arguments[0])], make), BIGINT)


def json_array_get(arguments: list[Value]) -> Value:
    want(arguments, 2)
    place = require(arguments, 1, BIGINT)

    def make(value: Value, index: Value) -> str:
        found = f"list_extract(CAST({value} AS JSON[]), CASE WHEN {index} < 0 THEN {index} ELSE {index} + 1 END)"
        shown = "CASE WHEN json_type(e) = 'VARCHAR' THEN json_extract_string(e, '$') ELSE CAST(e AS VARCHAR) END"
        element = (
            f"list_extract(list_transform([{found}], lambda e: {shown}), 1)"  # a text without its quotes, as Trino
        )
        return f"CASE WHEN json_type({value}) = 'ARRAY' THEN {element} END"

    return Value(once([json_text(arguments[0]), place], make), JSON)


def json_array_contains(arguments: list[Value]) -> Value:
    want(arguments, 2)
    sought = arguments[1]
    if sought.type == UNKNOWN:
        return Value("CAST(NULL AS BOOLEAN)", BOOLEAN)
    if sought.type == VARCHAR:
        kinds, read = "('VARCHAR')", "json_extract_string(e, '$')"
    elif sought.type == BOOLEAN:
        kinds, read = "('BOOLEAN')", "TRY_CAST(e AS BOOLEAN)"
    elif sought.type.integral:
        kinds, read = "('UBIGINT', 'BIGINT')", "TRY_CAST(e AS BIGINT)"
    elif sought.type.numeric:
        kinds, read, sought = "('DOUBLE')", "TRY_CAST(e AS DOUBLE)", coerce(sought, Type("double"))
    else:
        raise Refused(f"looks for a text, a number or a boolean, not {sought.type}", 1)

    def make(value: Value, one: Value) -> str:
        tested = f"list_filter(CAST({value} AS JSON[]), lambda e: json_type(e) IN {kinds} AND {read} = {one})"
        finite = f" AND isfinite({one})" if one.type.approximate else ""
        return f"CASE WHEN {one} IS NULL THEN NULL WHEN json_type({value}) = 'ARRAY' THEN len({tested}) > 0{finite} END"

    return Value(once([json_text(arguments[0]), sought], make), BOOLEAN)


def is_json_scalar(arguments: list[Value]) -> Value:
    """Whether JSON is a number, a text, a truth value or null."""
    want(arguments, 1)
    if arguments[0].type not in (JSON, VARCHAR, UNKNOWN):
        raise Refused(f"must be json or varchar, not {arguments[0].type}", 0)

    def make(one: Value) -> str:
        bad = fail_when(f"NOT {valid(one.sql)}", f"'Invalid JSON value: ' || left({one}, 100)")
        scalar = f"json_type({one}) NOT IN ('OBJECT', 'ARRAY')"
        return scalar if one.type == JSON else f"CASE {bad} ELSE {scalar} END"

    value = arguments[0] if arguments[0].type == JSON else coerce(arguments[0], VARCHAR)
    return Value(f"({once([value], make)})", BOOLEAN)


def json_size(arguments: list[Value]) -> Value:
    want(arguments, 2)
    path = json_path(arguments)

    def make(value: Value) -> str:
        kind = f"json_type({value}, {path})"
        keys = f"len(json_keys({value}, {path}))"
        return f"CAST(CASE {kind} WHEN 'OBJECT' THEN {keys} WHEN 'ARRAY' THEN json_array_length({value}, {path}) ELSE CASE WHEN {kind} IS NOT NULL THEN 0 END END AS BIGINT)"

    return Value(once([json_text(arguments[0])], make), BIGINT)


# CAST


def cast_to_json(value: Value) -> Value:
    if value.type == JSON:
        return value
    if not castable(value.type):
        raise Refused(f"cannot cast {value.type} to json")
    return Value(
        once([value], lambda one: f"CASE WHEN {one} IS NOT NULL THEN CAST({as_json(one.sql, one.type)} AS JSON) END"),
        JSON,
    )


def castable(kind: Type) -> bool:
    if kind.name == "map" and not (kind.args[0].numeric or kind.args[0].name in ("varchar", "boolean", "unknown")):
        return False
    return kind.name not in ("varbinary", "interval_day", "interval_month", "function") and all(
        map(castable, kind.args)
    )


def as_json(sql: str, kind: Type, depth: int = 0) -> str:
    """A short text that is not null as the text of its JSON."""
    if kind == JSON or kind.integral or kind.name == "boolean":
        return f"CAST({sql} AS VARCHAR)"
    if kind.name == "decimal":
        return text_of(Value(sql, kind))
    if kind.approximate:
        infinite = f"CASE WHEN {sql} > 0 THEN '\"Infinity\"' ELSE '\"-Infinity\"' END"
        return f"CASE WHEN isfinite({sql}) THEN {java_double(sql)} WHEN isnan({sql}) THEN '\"NaN\"' ELSE {infinite} END"
    if kind.name == "array":
        e = f"j{depth}"
        return f"'[' || array_to_string(list_transform({sql}, lambda {e}: {or_null(e, kind.args[0], depth + 1)}), ',') || ']'"
    if kind.name == "map":
        e = f"j{depth}"
        key = e + ".key" if kind.args[0] == VARCHAR else text_of(Value(e + ".key", kind.args[0]))
        pair = f"CAST(to_json({key}) AS VARCHAR) || ':' || {or_null(e + '.value', kind.args[1], depth + 1)}"
        cell = f"{{'k': {key}, 'p': {pair}}}"
        pairs = f"list_sort(list_transform(map_entries({sql}), lambda {e}: {cell}))"
        return f"'{{' || array_to_string(list_transform({pairs}, lambda {e}: {e}.p), ',') || '}}'"
    if kind.name == "row":
        cells = [
            f"{text(json.dumps(name, ensure_ascii=False) + ':')} || {or_null(f'({sql}).f{at}', part, depth + 1)}"
            for at, (name, part) in enumerate(zip(kind.fields, kind.args, strict=True), 1)
        ]
        return "'{' || " + " || ',' || ".join(cells) + " || '}'"
    shown = text_of(Value(sql, kind)) if kind != VARCHAR else sql
    return f"CAST(to_json({shown}) AS VARCHAR)"


def or_null(sql: str, kind: Type, depth: int) -> str:
    if kind == UNKNOWN:
        return "'null'"
    return f"CASE WHEN {sql} IS NULL THEN 'null' ELSE {as_json(sql, kind, depth)} END"


def cast_from_json(value: Value, to: Type) -> Value:
    if not readable(to):
        raise Refused(f"cannot cast json to {to}")
    return Value(once([value], lambda one: from_json(one.sql, to)), to)


def readable(kind: Type) -> bool:
    if kind.name == "map" and not (kind.args[0].numeric or kind.args[0].name in ("varchar", "boolean")):
        return False
    if kind.name == "decimal" and kind.precision > 15:  # numbers of JSON are doubles to DuckDB
        return False
    known = kind.numeric or kind.name in ("varchar", "boolean", "json", "array", "map", "row", "date", "timestamp")
    return known and all(map(readable, kind.args))


def from_json(sql: str, to: Type, depth: int = 0) -> str:
    """A short JSON text as ``to``."""
    kind = f"json_type({sql})"
    if to == JSON:
        return f"coalesce({sql}, CAST('null' AS JSON))" if depth else sql
    wrong = fail(text(f"Cannot cast to {to}: the JSON is of another kind"))
    missing = f"{kind} IS NULL OR {kind} = 'NULL'"
    if to.name == "array":
        e = f"j{depth}"
        made = f"list_transform(CAST({sql} AS JSON[]), lambda {e}: {from_json(e, to.args[0], depth + 1)})"
        return f"CASE WHEN {missing} THEN NULL WHEN {kind} = 'ARRAY' THEN {made} ELSE {wrong} END"
    if to.name == "map":
        e = f"j{depth}"
        key = cast(Value(f"{e}.key", VARCHAR), to.args[0]).sql
        made = f"map_from_entries(list_transform(map_entries(CAST({sql} AS MAP(VARCHAR, JSON))), lambda {e}: {{'key': {key}, 'value': {from_json(e + '.value', to.args[1], depth + 1)}}}))"
        return f"CASE WHEN {missing} THEN NULL WHEN {kind} = 'OBJECT' THEN {made} ELSE {wrong} END"
    if to.name == "row":
        return f"CASE WHEN {missing} THEN NULL {row_from_json(sql, to, depth)} ELSE {wrong} END"
    return scalar_from_json(sql, kind, missing, to, wrong)


def row_from_json(sql: str, to: Type, depth: int) -> str:
    """By place from an array, by name from an object."""
    length = f"json_type({sql}) = 'ARRAY' AND json_array_length({sql}) <> {len(to.args)}"
    same_length = fail_when(length, text("the row has another number of fields"))
    places = [f"$[{at}]" for at in range(len(to.args))]
    made = f"{same_length} WHEN json_type({sql}) = 'ARRAY' THEN {row_at(sql, places, to, depth)}"
    if not all(to.fields) or any('"' in name or "\\" in name for name in to.fields):
        return made
    members = [f'$."{name}"' for name in to.fields]
    return f"{made} WHEN json_type({sql}) = 'OBJECT' THEN {row_at(sql, members, to, depth)}"


def row_at(sql: str, paths: Sequence[str], to: Type, depth: int) -> str:
    cells = []
    for at, (path, part) in enumerate(zip(paths, to.args, strict=True), 1):
        cells.append(f"'f{at}': {from_json(f'json_extract({sql}, {text(path)})', part, depth)}")
    return f"{{{', '.join(cells)}}}"


def scalar_from_json(sql: str, kind: str, missing: str, to: Type, wrong: str) -> str:
    shown = f"json_extract_string({sql}, '$')"
    string = Value(shown, VARCHAR)
    if to == VARCHAR:
        number = f"CASE WHEN {kind} = 'DOUBLE' THEN {double_text(f'TRY_CAST({sql} AS DOUBLE)')} ELSE {shown} END"
        return f"CASE WHEN {missing} THEN NULL WHEN {kind} IN ('OBJECT', 'ARRAY') THEN {wrong} ELSE {number} END"
    if to.name in ("date", "timestamp"):
        return f"CASE WHEN {missing} THEN NULL WHEN {kind} = 'VARCHAR' THEN {cast(string, to)} ELSE {wrong} END"
    number = f"TRY_CAST({sql} AS DOUBLE)"
    exact = f"CAST({shown} AS {to.duckdb})"
    if to.name == "boolean":
        too_large = f"{kind} = 'UBIGINT' AND TRY_CAST({shown} AS BIGINT) IS NULL"
        from_number = f"CASE WHEN {too_large} THEN {wrong} ELSE {number} <> 0 END"
        from_text, from_truth = cast(string, to).sql, f"TRY_CAST({sql} AS BOOLEAN)"
    elif to.integral:
        from_number = f"CASE WHEN {kind} = 'DOUBLE' THEN CAST(round({number}) AS {to.duckdb}) ELSE {exact} END"
        from_text, from_truth = cast(string, to).sql, f"CAST(TRY_CAST({sql} AS BOOLEAN) AS {to.duckdb})"
    else:
        from_number, from_text = exact, cast(string, to).sql
        from_truth = f"CAST(CAST(TRY_CAST({sql} AS BOOLEAN) AS INTEGER) AS {to.duckdb})"
    return (
        f"CASE WHEN {missing} THEN NULL WHEN {kind} IN {NUMBERS} THEN {from_number} WHEN {kind} = 'VARCHAR' "
        f"THEN {from_text} WHEN {kind} = 'BOOLEAN' THEN {from_truth} ELSE {wrong} END"
    )


# SQL/JSON


@expression(s.JsonCall)
def json_call(translator: Translator, node: s.JsonCall, scope: Scope) -> Value:
    """JSON_VALUE, JSON_QUERY and JSON_EXISTS over paths of names and places."""
    value = translator.value(node.value, scope)
    if value.type not in (VARCHAR, UNKNOWN):
        translator.refuse(node, f"{node.name} takes varchar, not {value.type}")
    strict, path, prefixes = sql_path(translator, node)
    read = Value(
        once([coerce(value, VARCHAR)], lambda one: f"CASE WHEN {valid(one.sql)} THEN CAST({one} AS JSON) END"), JSON
    )
    if node.on_empty or (node.on_error and node.on_error[0] not in ("NULL", "FALSE")) or strict:
        translator.refuse(node, f"the clauses of {node.name} beyond NULL ON ERROR, and strict paths, are not supported")

    def make(one: Value) -> str:
        unwrapped = " OR ".join(f"json_type({one}, {text(prefix)}) = 'ARRAY'" for prefix in prefixes)
        refused = fail_when(unwrapped, text("a lax path through an array is not supported")) if prefixes else ""
        return f"CASE {refused or 'WHEN false THEN NULL'} ELSE {JSON_CALLS[node.name](translator, node, one.sql, text(path))} END"

    kind = BOOLEAN if node.name == "JSON_EXISTS" else VARCHAR
    made = Value(once([read], make), kind)
    if kind == BOOLEAN:  # of what is no JSON false
        made = Value(
            once([value, made], lambda one, found: f"CASE WHEN {one} IS NOT NULL THEN coalesce({found}, false) END"),
            kind,
        )
    if node.returning is not None:
        from chalicelib.queries.sql.constants import type_of

        to = type_of(translator, node.returning)
        return made if to == VARCHAR else replace(cast(made, to, True), type=to)
    return made


def sql_path(translator: Translator, node: s.JsonCall) -> tuple[bool, str, list[str]]:
    """Whether it is strict, DuckDB's path, and the paths whose member is asked for."""
    match = re.fullmatch(r"\s*(?:(lax|strict)\s+)?(\$\S*)\s*", node.path)
    if not match or not PATH.fullmatch(match[2]):
        translator.refuse(node, "only JSON paths of the form 'lax $.name[0]' are supported")
    made, prefixes = "$", []
    for step in STEP.finditer(match[2]):
        if step[3] is None:
            prefixes.append(made)
        made += written(step)
    return match[1] == "strict", made, prefixes


def value_call(_translator: Translator, _node: s.JsonCall, sql: str, path: str) -> str:
    return f"CASE WHEN json_type({sql}, {path}) NOT IN ('OBJECT', 'ARRAY') THEN json_extract_string({sql}, {path}) END"


def query_call(translator: Translator, node: s.JsonCall, sql: str, path: str) -> str:
    found = f"CAST(json_extract({sql}, {path}) AS VARCHAR)"
    if node.quotes == "OMIT":
        translator.refuse(node, "OMIT QUOTES is not supported")
    if node.wrapper == "UNCONDITIONAL":
        return f"('[' || {found} || ']')"
    if node.wrapper == "CONDITIONAL":
        return f"CASE WHEN json_type({sql}, {path}) IN ('OBJECT', 'ARRAY') THEN {found} ELSE '[' || {found} || ']' END"
    return found


def exists_call(_translator: Translator, _node: s.JsonCall, sql: str, path: str) -> str:
    return f"json_exists({sql}, {path})"


JSON_CALLS: dict[str, Callable[[Translator, s.JsonCall, str, str], str]] = {
    "JSON_VALUE": value_call,
    "JSON_QUERY": query_call,
    "JSON_EXISTS": exists_call,
}


def is_json_text(node: s.Node) -> bool:
    """Whether a value is JSON already: what JSON_OBJECT, JSON_ARRAY or JSON_QUERY made."""
    return isinstance(node, s.JsonMake) or (isinstance(node, s.JsonCall) and node.name == "JSON_QUERY")


@expression(s.JsonMake)
def json_make(translator: Translator, node: s.JsonMake, scope: Scope) -> Value:
    """JSON_OBJECT and JSON_ARRAY."""
    values = [translator.value(part, scope) for part in node.values]
    for part, value in zip(node.values, values, strict=True):
        if not (value.type.numeric or value.type in (VARCHAR, BOOLEAN, UNKNOWN)):
            translator.refuse(part, f"{value.type} is not supported here; CAST it to varchar")
    shown = [
        f"coalesce({value}, 'null')" if is_json_text(part) else once([value], lambda one: or_null(one.sql, one.type, 0))
        for part, value in zip(node.values, values, strict=True)
    ]
    if node.name == "JSON_ARRAY":
        listed = [
            f"CASE WHEN {value} IS NOT NULL THEN {one} END" if not node.keep_nulls else one
            for value, one in zip(values, shown, strict=True)
        ]
        return Value(
            f"('[' || coalesce(array_to_string(CAST([{', '.join(listed)}] AS VARCHAR[]), ','), '') || ']')", VARCHAR
        )
    keys = [require([translator.value(part, scope)], 0, VARCHAR) for part in node.keys]
    pairs = [f"CAST(to_json({key}) AS VARCHAR) || ':' || {one}" for key, one in zip(keys, shown, strict=True)]
    listed = [
        pair if node.keep_nulls else f"CASE WHEN {value} IS NOT NULL THEN {pair} END"
        for pair, value in zip(pairs, values, strict=True)
    ]
    return Value(
        f"('{{' || coalesce(array_to_string(CAST([{', '.join(listed)}] AS VARCHAR[]), ','), '') || '}}')", VARCHAR
    )


BY_VALUE: dict[str, Callable[[list[Value]], Value]] = {
    "json_extract": json_extract,
    "json_extract_scalar": json_extract_scalar,
    "json_parse": json_parse,
    "json_format": json_format,
    "json_array_length": json_array_length,
    "json_array_get": json_array_get,
    "json_array_contains": json_array_contains,
    "json_size": json_size,
    "is_json_scalar": is_json_scalar,
}
