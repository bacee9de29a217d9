"""Functions of regular expressions and of JSON paths, as far as Java's and DuckDB's mean the same."""

from __future__ import annotations

import re

from chalicelib.queries.sql.arguments import Refused, constant, require, want
from chalicelib.queries.sql.types import BIGINT, BOOLEAN, JSON, UNKNOWN, VARCHAR, array, text
from chalicelib.queries.sql.values import Value

DIFFERENT = (
    (r"(?<!\\)(\\\\)*\[[^\]]*(?<!\\)(&&|\[)", "a class within a class"),
    (r"(?<!\\)(\\\\)*\(\?(<?[=!]|>|<=|<!)", "a look-around or atomic group"),
    (r"(?<!\\)(\\\\)*\\[1-9kGZRXhHVp]", "a back reference, or \\G \\Z \\R \\X \\h \\H \\V \\p,"),
    (r"(?<!\\)(\\\\)*[*+?}]\+", "a possessive quantifier"),
    (r"\(\?[a-zA-Z]*[dxuU]", "the flags d, x, u"),
)
PATH = re.compile(r"\$(\.[A-Za-z_]\w*|\[\d+\]|\[\"[^\"\\]*\"\])*")


def pattern_of(arguments: list[Value], at: int = 1) -> str:
    """A regular expression that means the same to Java and to RE2."""
    pattern = constant(arguments, at, "the regular expression")
    for faulty, what in DIFFERENT:
        if re.search(faulty, pattern):
            raise Refused(f"{what} in a regular expression is not supported", at)
    return text(pattern)


def group_of(arguments: list[Value]) -> int:
    if len(arguments) < 3:
        return 0
    group = arguments[2].constant
    groups = re.compile(constant(arguments, 1, "the regular expression")).groups
    if not isinstance(group, int) or not 0 <= group <= groups:
        raise Refused(f"the group must be a number from 0 to {groups}", 2)
    return group


def regexp_like(arguments: list[Value]) -> Value:
    want(arguments, 2)
    return Value(f"regexp_matches({require(arguments, 0, VARCHAR)}, {pattern_of(arguments)})", BOOLEAN)


def regexp_extract(arguments: list[Value]) -> Value:
    want(arguments, 2, 3)
    value, pattern, group = require(arguments, 0, VARCHAR), pattern_of(arguments), group_of(arguments)
    return Value(f"list_extract(regexp_extract_all({value}, {pattern}, {group}), 1)", VARCHAR)


def regexp_extract_all(arguments: list[Value]) -> Value:
    want(arguments, 2, 3)
    value, pattern, group = require(arguments, 0, VARCHAR), pattern_of(arguments), group_of(arguments)
    return Value(f"regexp_extract_all({value}, {pattern}, {group})", array(VARCHAR))


def regexp_count(arguments: list[Value]) -> Value:
    want(arguments, 2)
    return Value(f"len({regexp_extract_all(arguments)})", BIGINT)


def regexp_split(arguments: list[Value]) -> Value:
    want(arguments, 2)
    return Value(f"regexp_split_to_array({require(arguments, 0, VARCHAR)}, {pattern_of(arguments)})", array(VARCHAR))


def regexp_replace(arguments: list[Value]) -> Value:
    want(arguments, 2, 3)
    replacement = constant(arguments, 2, "the replacement") if len(arguments) == 3 else ""
    if re.search(r"\$\{|\$\d\d", replacement):
        raise Refused("only $0 to $9 are supported in a replacement", 2)
    made = re.sub(r"\\(.)|\$(\d)|(\\)", java_replacement, replacement)
    value = require(arguments, 0, VARCHAR)
    return Value(f"regexp_replace({value}, {pattern_of(arguments)}, {text(made)}, 'g')", VARCHAR)


def java_replacement(found: re.Match[str]) -> str:
    if found[2]:
        return f"\\{found[2]}"
    return "\\\\" if found[1] == "\\" or found[3] else found[1]


def json_path(arguments: list[Value]) -> str:
    path = constant(arguments, 1, "the JSON path")
    if not PATH.fullmatch(path):
        raise Refused('the JSON path must be of the form $.name[0]["name"]', 1)
    return text(re.sub(r"\[(\"[^\"]*\")\]", r".\1", path))


def json_text(arguments: list[Value]) -> str:
    if arguments[0].type not in (JSON, VARCHAR, UNKNOWN):
        raise Refused(f"must be json or varchar, not {arguments[0].type}", 0)
    value = arguments[0].sql
    return f"CASE WHEN json_valid({value}) THEN CAST({value} AS JSON) END"


def json_extract(arguments: list[Value]) -> Value:
    want(arguments, 2)
    return Value(f"json_extract({json_text(arguments)}, {json_path(arguments)})", JSON)


def json_extract_scalar(arguments: list[Value]) -> Value:
    want(arguments, 2)
    value, path = json_text(arguments), json_path(arguments)
    simple = f"json_type({value}, {path}) NOT IN ('OBJECT', 'ARRAY')"
    return Value(f"CASE WHEN {simple} THEN json_extract_string({value}, {path}) END", VARCHAR)


def json_parse(arguments: list[Value]) -> Value:
    want(arguments, 1)
    return Value(f"json({require(arguments, 0, VARCHAR)})", JSON)


def json_format(arguments: list[Value]) -> Value:
    want(arguments, 1)
    return Value(f"CAST({require(arguments, 0, JSON)} AS VARCHAR)", VARCHAR)


def json_array_length(arguments: list[Value]) -> Value:
    want(arguments, 1)
    value = json_text(arguments)
    return Value(f"CASE WHEN json_type({value}) = 'ARRAY' THEN CAST(json_array_length({value}) AS BIGINT) END", BIGINT)
