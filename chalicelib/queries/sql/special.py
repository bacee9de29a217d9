"""Functions whose translation depends on the value of an argument: units, formats, patterns, paths, zones.

Such an argument must be a literal or a parameter, so that what would answer differently is seen and refused.
Each takes the translated arguments and answers the call; Refused says what is wrong with argument ``at``.
"""

from __future__ import annotations

from chalicelib.queries.sql import numeric, patterns, temporal
from chalicelib.queries.sql.arguments import Refused, Special, alike, want
from chalicelib.queries.sql.types import VARCHAR, Type, common, text
from chalicelib.queries.sql.values import Value, coerce, fail_when

LONGEST = {"array": 1_000_000, "varchar": 1_000_000, "varbinary": 1_000_000}  # entries, bytes


def concat(arguments: list[Value]) -> Value:
    if len(arguments) < 2:
        raise Refused("takes at least 2 arguments")
    kind = arguments[0].type
    for argument in arguments[1:]:
        kind = common(kind, argument.type) or kind
    if kind.name not in ("varchar", "array", "varbinary"):
        raise Refused(f"takes varchar or arrays, not {kind}; CAST what is neither")
    for at, argument in enumerate(arguments):
        if common(argument.type, kind) != kind:
            raise Refused(f"must be {kind}, not {argument.type}", at)
    return joined([coerce(argument, kind) for argument in arguments], kind)


def joined(values: list[Value], kind: Type) -> Value:
    made = " || ".join(map(str, values))
    size = "len" if kind.name == "array" else "octet_length" if kind.name == "varbinary" else "strlen"
    growing = [f"{size}({value})" for value in values if not value.is_constant]
    limits = []
    if len(growing) > 1:  # what is put together again and again doubles each time
        limits.append(fail_when(f"{' + '.join(growing)} > {LONGEST[kind.name]}", text("|| makes too long a value")))
    if kind.name == "array":
        limits.append(f"WHEN {' OR '.join(f'{value} IS NULL' for value in values)} THEN NULL")
    return Value(f"CASE {' '.join(limits)} ELSE {made} END" if limits else f"({made})", kind)


def extreme(function: str) -> Special:
    def made(arguments: list[Value]) -> Value:
        kind = alike(arguments)
        if not kind.orderable or kind.args or kind.zoned:
            raise Refused(f"of {kind} is not supported")
        values = [coerce(argument, kind) for argument in arguments]
        missing = " OR ".join(f"{value} IS NULL" for value in values)
        return Value(f"CASE WHEN {missing} THEN NULL ELSE {function}({', '.join(map(str, values))}) END", kind)

    return made


def coalesce(arguments: list[Value]) -> Value:
    if len(arguments) < 2:
        raise Refused("takes at least 2 arguments")
    kind = alike(arguments)
    values = [coerce(argument, kind) for argument in arguments]
    return Value(f"coalesce({', '.join(map(str, values))})", kind)


def nullif(arguments: list[Value]) -> Value:
    want(arguments, 2)
    kind = alike(arguments)
    if kind.args:
        raise Refused(f"of {kind} is not supported")
    first, second = coerce(arguments[0], kind), coerce(arguments[1], kind)
    return Value(f"CASE WHEN {first.compared} = {second.compared} THEN NULL ELSE {arguments[0]} END", arguments[0].type)


def attempt(arguments: list[Value]) -> Value:
    want(arguments, 1)
    return Value(f"TRY({arguments[0]})", arguments[0].type)


def typeof(arguments: list[Value]) -> Value:
    want(arguments, 1)
    return Value(text(str(arguments[0].type)), VARCHAR, str(arguments[0].type))


def row(arguments: list[Value]) -> Value:
    """``ROW(…)``, or ``(a, b)``: fields without names."""
    names = tuple(f"field{at}" for at in range(len(arguments)))
    cells = ", ".join(f"'{name}': {value}" for name, value in zip(names, arguments, strict=True))
    return Value(f"{{{cells}}}", Type("row", tuple(value.type for value in arguments), names))


SPECIAL: dict[str, Special] = {
    "date_trunc": temporal.date_trunc,
    "date_add": temporal.date_add,
    "date_diff": temporal.date_diff,
    "date_format": temporal.date_format,
    "date_parse": temporal.date_parse,
    "format_datetime": temporal.format_datetime,
    "from_unixtime": temporal.from_unixtime,
    "from_iso8601_timestamp": temporal.from_iso8601_timestamp,
    "to_iso8601": temporal.to_iso8601,
    "at_timezone": temporal.at_timezone,
    "with_timezone": temporal.with_timezone,
    "now": temporal.now,
    "regexp_like": patterns.regexp_like,
    "regexp_extract": patterns.regexp_extract,
    "regexp_extract_all": patterns.regexp_extract_all,
    "regexp_count": patterns.regexp_count,
    "regexp_split": patterns.regexp_split,
    "regexp_replace": patterns.regexp_replace,
    "json_extract": patterns.json_extract,
    "json_extract_scalar": patterns.json_extract_scalar,
    "json_parse": patterns.json_parse,
    "json_format": patterns.json_format,
    "json_array_length": patterns.json_array_length,
    "concat": concat,
    "greatest": extreme("greatest"),
    "least": extreme("least"),
    "coalesce": coalesce,
    "nullif": nullif,
    "try": attempt,
    "typeof": typeof,
    "row": row,
    "round": numeric.rounding("round"),
    "ceil": numeric.rounding("ceil"),
    "ceiling": numeric.rounding("ceil"),
    "floor": numeric.rounding("floor"),
    "mod": numeric.mod,
}
