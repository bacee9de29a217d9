"""``format``: Java's format strings put together from DuckDB's functions, a specifier at a time."""

from __future__ import annotations

import re

from chalicelib.queries.sql.casts import double_text, text_of
from chalicelib.queries.sql.types import VARCHAR, text
from chalicelib.queries.sql.values import Refused, Value, once

SPECIFIER = re.compile(r"%(?:([0-9]{1,3})\$)?([-#+ 0,(]*)([0-9]{1,4})?(?:\.([0-9]{1,3}))?([a-zA-Z%])")


def formatted(pattern: str, values: list[Value]) -> Value:
    """The text that ``pattern`` makes of ``values``."""
    parts: list[str] = []
    at = used = 0
    for found in SPECIFIER.finditer(pattern):
        parts.append(text(literal(pattern[at : found.start()])))
        at = found.end()
        place, flags, width, precision, letter = found.groups()
        if letter in "%n":
            parts.append(text("%" if letter == "%" else "\n"))
            continue
        used += place is None
        index = int(place) if place else used
        if not 1 <= index <= len(values):
            raise Refused(f"the format has more specifiers than the {len(values)} values given", 0)
        made = specified(values[index - 1], index, flags, precision, letter)
        parts.append(padded(made, flags, width))
    parts.append(text(literal(pattern[at:])))
    shown = " || ".join(part for part in parts if part != "''") or "''"
    return Value(f"({shown})", VARCHAR)


def literal(between: str) -> str:
    if "%" in between:
        raise Refused("the format has a specifier that is not supported", 0)
    return between


def specified(value: Value, at: int, flags: str, precision: str | None, letter: str) -> str:
    """One value as its specifier shows it, before its width."""
    kind, upper = value.type, letter.isupper()
    if letter in "sS" and precision is None and not flags.strip("-"):
        made = plain(value, at)
    elif letter in "bB" and kind.name == "boolean":
        made = f"CASE WHEN {value} THEN 'true' ELSE 'false' END"
    elif letter == "d" and kind.integral:
        made = signed(value, flags, f"format('{{:{',' if ',' in flags else ''}d}}', abs(CAST({value} AS HUGEINT)))")
    elif letter in "xX" and kind.integral and not flags.strip("-0"):
        made = f"lower(printf('%x', {value}))"
    elif letter == "f" and (kind.approximate or kind.name == "decimal"):
        made = signed(value, flags, fixed(value, int(precision or 6), "," in flags))
    elif letter in "eE" and kind.approximate and not flags.strip("-"):
        made = f"printf('%.{precision or 6}e', CAST({value} AS DOUBLE))"
    else:
        raise Refused(f"%{flags}{letter} of {kind} is not supported", at)
    made = f"coalesce({made}, '{'false' if letter in 'bB' else 'null'}')"
    return f"upper({made})" if upper else made


def java_timestamp(sql: str) -> str:
    """A timestamp as Java's LocalDateTime writes it: seconds where there are any, and three or six digits of them."""
    micros = f"(epoch_us({sql}) % 1000000)"
    fraction = (
        f"CASE WHEN {micros} = 0 THEN '' WHEN {micros} % 1000 = 0 THEN strftime({sql}, '.%g') "
        f"ELSE strftime({sql}, '.%f') END"
    )
    seconds = f"CASE WHEN second({sql}) = 0 AND {micros} = 0 THEN '' ELSE strftime({sql}, ':%S') || {fraction} END"
    return f"strftime({sql}, '%Y-%m-%dT%H:%M') || {seconds}"


def plain(value: Value, at: int) -> str:
    """``%s``: as Java writes the value."""
    kind = value.type
    if kind.approximate:
        return once([value], lambda one: java_double(one.sql))
    if kind.integral or kind.name in ("boolean", "varchar", "decimal", "date"):
        return text_of(value)
    if kind.name == "timestamp":
        return once([value], lambda one: java_timestamp(one.sql))
    if kind.name == "unknown":
        return "CAST(NULL AS VARCHAR)"
    raise Refused(f"%s of {kind} is not supported; write CAST(… AS varchar)", at)


def fixed(value: Value, digits: int, grouped: bool) -> str:
    """A number's size with a fixed number of digits, rounded half up by its decimal digits."""
    exact = f"CAST(abs({value}) AS VARCHAR)" if value.type.approximate else f"abs({value})"
    if digits > 18:
        raise Refused("at most 18 digits behind the point are supported", 0)
    number = f"CAST({exact} AS DECIMAL(38, {digits}))"
    if not grouped:
        return f"CAST({number} AS VARCHAR)"
    whole = f"format('{{:,d}}', CAST(trunc({number}) AS HUGEINT))"
    return f"({whole} || CASE WHEN {digits} > 0 THEN '.' || split_part(CAST({number} AS VARCHAR), '.', 2) ELSE '' END)"


def signed(value: Value, flags: str, size: str) -> str:
    if "(" in flags:
        return f"CASE WHEN {value} < 0 THEN '(' || {size} || ')' ELSE {size} END"
    positive = "'+'" if "+" in flags else "' '" if " " in flags else "''"
    return f"(CASE WHEN {value} < 0 THEN '-' ELSE {positive} END || {size})"


def padded(made: str, flags: str, width: str | None) -> str:
    if not width:
        return f"({made})"
    size = int(width)
    if size > 1000:
        raise Refused("a width of the format is at most 1000", 0)
    side = "rpad" if "-" in flags else "lpad"
    with_zeros = "0" in flags and side == "lpad"

    def make(one: Value) -> str:
        long = f"CASE WHEN length({one}) >= {size} THEN {one} "
        if not with_zeros:
            return f"{long} ELSE {side}({one}, {size}, ' ') END"
        signed_zeros = f"left({one}, 1) || lpad(substr({one}, 2), {size - 1}, '0')"
        return f"{long} WHEN left({one}, 1) IN ('-', '+') THEN {signed_zeros} ELSE lpad({one}, {size}, '0') END"

    return once([Value(made, VARCHAR)], make)


def java_double(sql: str) -> str:
    """As Java's Double.toString: with an exponent below a thousandth and from ten million on."""
    plainly = f"abs({sql}) >= 1e-3 AND abs({sql}) < 1e7 OR {sql} = 0"
    least = f"WHEN {sql} = 1e-323 THEN '9.9E-324' WHEN {sql} = 5e-324 THEN '4.9E-324'"  # not its shortest digits
    return f"CASE {least} WHEN {plainly} THEN CAST({sql} AS VARCHAR) ELSE {double_text(sql)} END"
