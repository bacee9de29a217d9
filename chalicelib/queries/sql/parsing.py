"""From text to one parsed statement, within bounds, with the position of everything that can be refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

from sqlglot import exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import ParseError, TokenError
from sqlglot.parsers.trino import TrinoParser
from sqlglot.tokenizer_core import Token, TokenType

from chalicelib.errors import QueryRefused
from chalicelib.queries.sql.types import Type, array, decimal, map_of

LONGEST = 262_144  # bytes: Athena's limit of a query string
MOST_TOKENS = 10_000  # words and signs: parsing that many takes about a quarter of a second
DEEPEST = 60  # brackets within brackets
LONGEST_CHAIN = 500  # operators in a row at one depth, which the parser nests
SPECIAL_CALLS = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "POSITION", "LISTAGG")
NOT_TRINO = {
    TokenType.DCOLON: "'::'; write CAST(x AS type)",
    TokenType.COLON: "':'",
    TokenType.L_BRACE: "'{'",
    TokenType.PARAMETER: "'@'",
    TokenType.DOLLAR: "'$'",
    TokenType.HASH: "'#'",
    TokenType.HINT: "a hint",
    TokenType.BLOCK_START: "a template",
}
ROUGH_TOKEN = re.compile(r"""'[^']*'|"[^"]*"|--[^\n]*|/\*.*?\*/|\w+|[^\w\s]""", re.DOTALL)
BEFORE_LITERAL = {"SELECT", "WHERE", "AND", "OR", "NOT", "IN", "BY", "ON", "THEN", "ELSE", "WHEN", "HAVING", "VALUES"}
OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET}
CLOSING = {TokenType.R_PAREN, TokenType.R_BRACKET}
NESTING_WORDS = {"CASE", "SELECT", "NOT"}


class LakeParser(TrinoParser):
    """Trino's grammar; every function call stays a name with its arguments, for functions.py to judge."""

    FUNCTIONS = {}  # noqa: RUF012
    FUNCTION_PARSERS = {name: TrinoParser.FUNCTION_PARSERS[name] for name in SPECIAL_CALLS}  # noqa: RUF012
    PLACEHOLDER_PARSERS = {  # noqa: RUF012
        TokenType.PLACEHOLDER: lambda self: self.expression(exp.Placeholder()).update_positions(self._prev)
    }


class LakeSql(Trino):
    """Trino as the lake reads it."""

    INDEX_OFFSET = 0  # array[1] stays as it is written
    Parser = LakeParser

    class Tokenizer(Trino.Tokenizer):
        COMMANDS: ClassVar[set[TokenType]] = set()  # the words after EXPLAIN and SHOW are words too


LAKE_SQL = LakeSql()


@dataclass(slots=True)
class Statement:
    """One statement's text and tree, what it may read, and what was found in it so far."""

    text: str
    tree: exp.Expr
    tables: dict[str, tuple[tuple[str, Type], ...]]
    parameters: tuple[tuple[Type, Any], ...] = ()  # each one's type, and its value or OPAQUE
    places: tuple[int, ...] = ()  # where each '?' stands
    used: dict[str, None] = field(default_factory=dict)
    volatile: bool = False
    names: int = 0

    def refuse(self, node: exp.Expr | None, message: str) -> NoReturn:
        """Raise QueryRefused with the place of ``node``."""
        raise refused_at(self.text, start_of(node), message)

    def fresh(self, prefix: str) -> str:
        """A name that nothing else in the translation has."""
        self.names += 1
        return f"{prefix}{self.names}"

    def only(self, node: exp.Expr, *expected: str) -> None:
        """Refuse a node that has a part which nobody translates."""
        for name, part in node.args.items():
            if part not in (None, False, [], ()) and name not in expected:
                self.refuse(node, f"{name.strip('_').upper().replace('_', ' ')} is not supported here")


def refused_at(text: str, offset: int | None, message: str) -> QueryRefused:
    if offset is None:
        return QueryRefused(message)
    line = text.count("\n", 0, offset) + 1
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    return QueryRefused(f"line {line}, column {column}: {message}", line=line, column=column)


def start_of(node: exp.Expr | None) -> int | None:
    """Where in the text a node, or the first thing in it that has a place, starts."""
    if node is None:
        return None
    places = [part.meta["start"] for part in node.walk() if part.meta.get("start") is not None]
    return min(places) if places else None


def parse(sql: str, tokens: list[Token]) -> exp.Expr:
    """The one statement that the tokens of ``sql`` make. Raises QueryRefused."""
    try:
        trees = [tree for tree in LAKE_SQL.parser().parse(tokens, sql) if tree is not None]
    except ParseError as error:
        raise syntax_error(error) from None
    except RecursionError:
        raise QueryRefused("the statement is nested too deeply") from None
    if len(trees) != 1:
        raise QueryRefused("give one statement")
    return trees[0]


def tokenize(sql: str) -> list[Token]:
    """The tokens of one statement, without a closing semicolon. Raises QueryRefused when there is more, or too much."""
    if len(sql.encode("utf-8", "replace")) > LONGEST:
        raise QueryRefused(f"the statement is longer than {LONGEST} bytes")
    if "\0" in sql or any(0xD800 <= ord(sign) < 0xE000 for sign in sql):
        raise QueryRefused("the statement holds characters that are not text")
    if sum(1 for _ in ROUGH_TOKEN.finditer(sql)) > MOST_TOKENS:  # far cheaper than tokenizing
        raise QueryRefused(f"the statement has more than {MOST_TOKENS} words and signs")
    try:
        tokens = LAKE_SQL.tokenize(sql)
    except TokenError as error:
        raise QueryRefused(f"the statement cannot be read: {str(error).splitlines()[0][:200]}") from None
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise QueryRefused("the statement is empty")
    check_tokens(sql, tokens)
    return tokens


def check_tokens(sql: str, tokens: list[Token]) -> None:
    depth, words, chain, before = 0, 0, [0], ""
    for token in tokens:
        if token.token_type == TokenType.L_BRACKET and (
            before in BEFORE_LITERAL or not re.search(r'[\w)\]"]$', before)
        ):
            raise refused_at(sql, token.start, "an array is written ARRAY[…]")
        before = sql[token.start : token.end + 1].upper()
        if token.token_type == TokenType.SEMICOLON:
            raise refused_at(sql, token.start, "give one statement; a second one starts after ';'")
        if token.token_type in NOT_TRINO:
            raise refused_at(sql, token.start, f"{NOT_TRINO[token.token_type]} is not Trino's SQL")
        if token.token_type in OPENING:
            depth += 1
            chain.append(0)
        elif token.token_type in CLOSING:
            depth -= 1
            chain = chain[:-1] or [0]
        elif token.token_type == TokenType.COMMA:
            chain[-1] = 0
        else:
            chain[-1] += 1
        words += (token.text.upper() in NESTING_WORDS) - (token.token_type == TokenType.END)
        if depth > DEEPEST or words > 4 * DEEPEST:
            raise refused_at(sql, token.start, "the statement is nested too deeply")
        if chain[-1] > LONGEST_CHAIN * 4:
            raise refused_at(sql, token.start, "the expression is too long")


def syntax_error(error: ParseError) -> QueryRefused:
    found = error.errors[0] if error.errors else {}
    described = re.sub(r"\s+", " ", str(found.get("description") or "not Trino's SQL"))[:300]
    highlight = str(found.get("highlight") or "")
    near = f" near {highlight!r}" if highlight.strip() else ""
    line, column = found.get("line"), found.get("col")
    if not line or column is None:
        return QueryRefused(f"{described}{near}")
    column = max(1, int(column) - len(highlight) + 1)
    return QueryRefused(f"line {line}, column {column}: {described}{near}", line=line, column=column)


PLAIN_TYPES = {
    exp.DType.BOOLEAN: "boolean",
    exp.DType.TINYINT: "tinyint",
    exp.DType.SMALLINT: "smallint",
    exp.DType.INT: "integer",
    exp.DType.BIGINT: "bigint",
    exp.DType.FLOAT: "real",
    exp.DType.DOUBLE: "double",
    exp.DType.VARCHAR: "varchar",
    exp.DType.VARBINARY: "varbinary",
    exp.DType.DATE: "date",
    exp.DType.JSON: "json",
}


def type_of(statement: Statement, node: exp.Expr) -> Type:
    """The type that a CAST names."""
    kind = node.this if isinstance(node, exp.DataType) else None
    arguments: list[exp.Expr] = node.args.get("expressions") or []
    numbers = [int(part.name) for part in arguments if isinstance(part, exp.DataTypeParam) and part.name.isdigit()]
    if kind in PLAIN_TYPES:
        return Type(PLAIN_TYPES[kind])
    if kind == exp.DType.DECIMAL:
        precision, scale = ([*numbers, 0] if numbers else [38, 0])[:2]
        if not 1 <= precision <= 38 or scale > precision:
            statement.refuse(node, f"decimal({precision},{scale}) is not a type: at most 38 digits")
        return decimal(precision, scale)
    if kind in (exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ):
        digits = numbers[0] if numbers else 3
        if digits > 6:
            statement.refuse(node, "a timestamp has at most 6 digits of a second here")
        return Type("timestamp" if kind == exp.DType.TIMESTAMP else "timestamptz", precision=digits)
    if kind == exp.DType.ARRAY and len(arguments) == 1:
        return array(type_of(statement, arguments[0]))
    if kind == exp.DType.MAP and len(arguments) == 2:
        return map_of(type_of(statement, arguments[0]), type_of(statement, arguments[1]))
    if kind == exp.DType.STRUCT and arguments and all(isinstance(part, exp.ColumnDef) for part in arguments):
        kinds = tuple(type_of(statement, part.args["kind"]) for part in arguments)
        return Type("row", kinds, tuple(part.name for part in arguments))
    return statement.refuse(node, f"the type {node.sql(dialect=LAKE_SQL)} is not supported")


def length_limit(node: exp.Expr) -> int | None:
    """``n`` of ``varchar(n)``."""
    arguments = node.args.get("expressions") or []
    if isinstance(node, exp.DataType) and node.this == exp.DType.VARCHAR and arguments:
        return int(arguments[0].name)
    return None
