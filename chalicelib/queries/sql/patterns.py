"""LIKE and regular expressions, as far as Java's and DuckDB's (RE2) mean the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from chalicelib.queries.sql.forms import constant, require, want
from chalicelib.queries.sql.types import BIGINT, BOOLEAN, UNKNOWN, VARCHAR, array, text
from chalicelib.queries.sql.values import OPAQUE, Refused, Value, coerce, once

LONGEST = 2_000  # characters of a regular expression
MOST_REPEATS = 1_000  # of {n}, RE2's own limit
ESCAPES = frozenset("dDwWsSbBtnrfaQE") | frozenset(r".[]{}()*+?^$|\/-'\"#&~@%!=<>:;,_` ")
NOT_ALIKE = {
    "(?=": "a look-around", "(?!": "a look-around", "(?<=": "a look-around", "(?<!": "a look-around",
    "(?>": "an atomic group",
}  # fmt: skip


def like(value: Value, pattern: Value, escape: Value | None) -> Value:
    """``value LIKE pattern [ESCAPE escape]``."""
    for part in (value, pattern, *([escape] if escape else [])):
        if part.type not in (VARCHAR, UNKNOWN):
            hint = "; write any_match(array, x -> x LIKE …)" if part.type.name == "array" else ""
            raise Refused(f"LIKE takes varchar, not {part.type}{hint}")
    sign = ""
    if escape is not None:
        if not isinstance(escape.constant, str) or len(escape.constant) != 1:
            raise Refused("the escape of LIKE is one character")
        check_escapes(pattern, escape.constant)
        sign = f" ESCAPE {escape}"
    return Value(f"({coerce(value, VARCHAR)} LIKE {coerce(pattern, VARCHAR)}{sign})", BOOLEAN)


def check_escapes(pattern: Value, escape: str) -> None:
    """An escape stands before %, _ or itself."""
    if pattern.type == UNKNOWN:
        return
    if not isinstance(pattern.constant, str):
        raise Refused("with ESCAPE the pattern of LIKE must be a literal or a parameter")
    signs = iter(pattern.constant)
    for sign in signs:
        if sign == escape and next(signs, "") not in ("%", "_", escape):
            raise Refused("an escape in LIKE must be followed by %, _ or the escape itself")


def pattern_of(arguments: Sequence[Value], at: int = 1) -> str:
    """A regular expression that means the same to Java and to RE2. Linear in its length."""
    if arguments[at].type == UNKNOWN:
        return "CAST(NULL AS VARCHAR)"
    pattern = constant(arguments, at, "the regular expression")
    check_pattern(pattern, at)
    return text(pattern)


def check_pattern(pattern: str, at: int) -> None:
    if len(pattern) > LONGEST:
        raise Refused(f"a regular expression has at most {LONGEST} characters", at)
    place, in_class = 0, False
    while place < len(pattern):
        sign = pattern[place]
        if sign == "\\":
            place = check_escape(pattern, place, at)
        elif in_class:
            if sign == "[" or pattern.startswith("&&", place):
                raise Refused("a class within a class in a regular expression is not supported", at)
            in_class = sign != "]" or pattern[place - 1] == "[" or pattern[place - 2 : place] == "[^"
        elif sign == "[":
            in_class = True
        elif sign == "(":
            check_group(pattern, place, at)
        elif sign == "{":
            check_repeat(pattern, place, at)
        elif sign == "+" and place and pattern[place - 1] in "*+?}" and not (place > 1 and pattern[place - 2] == "\\"):
            raise Refused("a possessive quantifier in a regular expression is not supported", at)
        place += 1
    if in_class:
        raise Refused("a class of the regular expression does not end", at)
    compiled(pattern, at)


def check_escape(pattern: str, place: int, at: int) -> int:
    letter = pattern[place + 1 : place + 2]
    if letter in ("x", "u", "p", "P", "0"):
        raise Refused(f"\\{letter} in a regular expression is not supported", at)
    if letter not in ESCAPES:
        what = "a back reference" if letter.isdigit() or letter == "k" else f"\\{letter}"
        raise Refused(f"{what} in a regular expression is not supported", at)
    return place + 1


def check_group(pattern: str, place: int, at: int) -> None:
    for opening, what in NOT_ALIKE.items():
        if pattern.startswith(opening, place):
            raise Refused(f"{what} in a regular expression is not supported", at)
    flags = re.match(r"\(\?([a-zA-Z]*)(-[a-zA-Z]*)?[):]", pattern[place : place + 20])
    if flags and set(flags[1]) - set("ims"):
        raise Refused(f"the flags {flags[1]} of a regular expression are not supported", at)


def check_repeat(pattern: str, place: int, at: int) -> None:
    found = re.match(r"\{([0-9]+)(?:,([0-9]*))?\}", pattern[place : place + 40])
    if found and any(len(part) > 4 or int(part) > MOST_REPEATS for part in found.groups() if part):
        raise Refused(f"a regular expression repeats at most {MOST_REPEATS} times", at)


def compiled(pattern: str, at: int) -> re.Pattern[str]:
    """The pattern as Python reads it: what neither reads is told here and not by the database."""
    try:
        return re.compile(re.sub(r"\(\?<([A-Za-z])", r"(?P<\1", re.sub(r"\\[QE]", "", pattern)))
    except (re.error, OverflowError, RecursionError) as error:
        reason = str(error).split(" at position")[0] if isinstance(error, re.error) else "it is too complex"
        raise Refused(f"the regular expression is not valid: {reason}", at) from None


def group_of(arguments: Sequence[Value]) -> int:
    if len(arguments) < 3:
        return 0
    group = arguments[2].constant
    groups = compiled(constant(arguments, 1, "the regular expression"), 1).groups
    if not isinstance(group, int) or not 0 <= group <= groups:
        raise Refused(f"the group must be a number from 0 to {groups}", 2)
    return group


def regexp_like(arguments: list[Value]) -> Value:
    want(arguments, 2)
    return Value(f"regexp_matches({require(arguments, 0, VARCHAR)}, {pattern_of(arguments)})", BOOLEAN)


def regexp_extract(arguments: list[Value]) -> Value:
    want(arguments, 2, 3)
    return Value(f"list_extract({extracted(arguments)}, 1)", VARCHAR)


def regexp_extract_all(arguments: list[Value]) -> Value:
    want(arguments, 2, 3)
    return Value(extracted(arguments), array(VARCHAR))


def extracted(arguments: Sequence[Value]) -> str:
    value, pattern, group = require(arguments, 0, VARCHAR), pattern_of(arguments), group_of(arguments)
    return f"regexp_extract_all({value}, {pattern}, {group})"


def regexp_count(arguments: list[Value]) -> Value:
    want(arguments, 2)
    return Value(f"len({extracted(arguments)})", BIGINT)


def regexp_split(arguments: list[Value]) -> Value:
    want(arguments, 2)
    value, pattern = require(arguments, 0, VARCHAR), pattern_of(arguments)
    if may_be_empty(arguments):
        raise Refused("a regular expression that matches the empty text does not split here", 1)
    return Value(f"regexp_split_to_array({value}, {pattern})", array(VARCHAR))


def may_be_empty(arguments: Sequence[Value], at: int = 1) -> bool:
    """Whether the pattern matches an empty text, of which Java finds one at the end and RE2 does not."""
    pattern = arguments[at]
    if not isinstance(pattern.constant, str):
        return False
    regex = compiled(pattern.constant, at)
    found = regex.search("a")
    return regex.search("") is not None or (found is not None and found.start() == found.end())


def regexp_position(arguments: list[Value]) -> Value:
    """The place of the n-th match from a place on; -1 where there is none."""
    want(arguments, 2, 4)
    value, pattern = require(arguments, 0, VARCHAR), pattern_of(arguments)
    start = arguments[2] if len(arguments) > 2 else Value("1", BIGINT, 1)
    count = arguments[3] if len(arguments) > 3 else Value("1", BIGINT, 1)
    if start.constant in (None, OPAQUE) or count.constant in (None, OPAQUE):
        start, count = coerce(start, BIGINT), coerce(count, BIGINT)
    for at, number, what in ((2, start, "start position"), (3, count, "occurrence")):
        if number.type.name not in ("integer", "bigint", "smallint", "tinyint"):
            raise Refused(f"the {what} must be a whole number", at)
        if isinstance(number.constant, int) and number.constant < 1:
            raise Refused(f"the {what} must be at least 1", at)
    if may_be_empty(arguments):
        raise Refused("a regular expression that matches the empty text has no position here", 1)

    def make(one: Value, begin: Value, n: Value) -> str:
        rest = f"substr({one}, {begin})"
        pieces = f"regexp_split_to_array({rest}, {pattern})"
        found = f"regexp_extract_all({rest}, {pattern})"
        before = f"length(array_to_string({pieces}[1:{n}], '')) + length(array_to_string({found}[1:{n} - 1], ''))"
        missing = f"{one} IS NULL OR {pattern} IS NULL OR {begin} IS NULL OR {n} IS NULL"
        none = f"{begin} > length({one}) OR len({found}) < {n}"
        return f"CASE WHEN {missing} THEN NULL WHEN {none} THEN -1 ELSE {before} + {begin} END"

    return Value(f"CAST({once([value, start, count], make)} AS INTEGER)", BIGINT_AS_INTEGER)


BIGINT_AS_INTEGER = BIGINT.__class__("integer")


def regexp_replace(arguments: list[Value]) -> Value:
    want(arguments, 2, 3)
    replacement = constant(arguments, 2, "the replacement") if len(arguments) == 3 else ""
    value, pattern = require(arguments, 0, VARCHAR), pattern_of(arguments)
    made = replacement_of(replacement, arguments)
    if may_be_empty(arguments):
        raise Refused("a regular expression that matches the empty text replaces nothing here", 1)
    return Value(f"regexp_replace({value}, {pattern}, {text(made)}, 'g')", VARCHAR)


def replacement_of(replacement: str, arguments: Sequence[Value]) -> str:
    """Java's replacement as RE2's."""
    groups = compiled(constant(arguments, 1, "the regular expression"), 1).groups if replacement else 0
    if re.search(r"\$\{|\$[0-9][0-9]", replacement):
        raise Refused("only $0 to $9 are supported in a replacement", 2)

    def one(found: re.Match[str]) -> str:
        if found[2]:
            if int(found[2]) > groups:
                raise Refused(f"the regular expression has no group {found[2]}", 2)
            return f"\\{found[2]}"
        if found[4]:
            raise Refused("'$' in a replacement stands before a digit", 2)
        return "\\\\" if found[1] == "\\" or found[3] else found[1]

    if len(replacement) % 2 and re.fullmatch(r"(?:[^\\]|\\.)*\\", replacement, re.DOTALL):
        raise Refused("a replacement does not end with '\\'", 2)
    return re.sub(r"\\(.)|\$([0-9])|(\\)|(\$)", one, replacement, flags=re.DOTALL)


BY_VALUE: dict[str, Callable[[list[Value]], Value]] = {
    "regexp_like": regexp_like,
    "regexp_extract": regexp_extract,
    "regexp_extract_all": regexp_extract_all,
    "regexp_count": regexp_count,
    "regexp_split": regexp_split,
    "regexp_position": regexp_position,
    "regexp_replace": regexp_replace,
}
