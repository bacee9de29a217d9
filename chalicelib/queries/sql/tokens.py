"""The words and signs of a statement, by Trino's lexical rules. Linear in the text; nothing is looked at twice."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chalicelib.errors import QueryRefused

LONGEST = 262_144  # bytes: Athena's limit of a query string
MOST_TOKENS = 10_000  # words and signs

NAME, QUOTED, STRING, UNICODE, BINARY = "name", "quoted", "string", "unicode", "binary"
INTEGER, DECIMAL, DOUBLE, SIGN, END = "integer", "decimal", "double", "sign", "end"

TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r\n]+|--[^\r\n]*|/\*[\s\S]*?\*/)
    |(?P<unicode>[uU]&'[^']*(?:''[^']*)*')
    |(?P<binary>[xX]'[^']*(?:''[^']*)*')
    |(?P<double>(?:\d[\d_]*(?:\.\d*)?|\.\d+)[eE][+-]?\d+(?![A-Za-z_0-9]))
    |(?P<decimal>(?:\d[\d_]*\.\d*|\.\d[\d_]*)(?![A-Za-z_0-9]))
    |(?P<integer>(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|\d[\d_]*)(?![A-Za-z_0-9]))
    |(?P<name>[A-Za-z_][A-Za-z_0-9]*)
    |(?P<string>'[^']*(?:''[^']*)*')
    |(?P<quoted>"[^"]*(?:""[^"]*)*")
    |(?P<sign><>|!=|<=|>=|->|=>|\|\||[=<>+\-*/%?;.,()\[\]])
    """,
    re.VERBOSE | re.ASCII,
)
NOT_SQL = {
    "`": "names are quoted with double quotes, not with backquotes",
    "'": "a text in single quotes does not end",
    '"': "a name in double quotes does not end",
    "/": "a comment does not end",
    ":": "':' cannot stand here; a cast is written CAST(x AS type)",
    "{": "'{' cannot stand here",
    "@": "'@' cannot stand here",
    "$": "'$' cannot stand here; a parameter is written ?",
    "#": "'#' cannot stand here; a comment starts with --",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A word or sign. ``value`` is what it means: a string's characters, a name as written, a word in capitals."""

    kind: str
    value: str
    word: str  # an unquoted name in capitals; a sign as it is
    at: int
    end: int


def tokenize(text: str) -> list[Token]:
    """The tokens of one statement, an END token last. Raises QueryRefused."""
    if len(text.encode("utf-8", "replace")) > LONGEST:
        raise QueryRefused(f"the statement is longer than {LONGEST} bytes")
    if "\0" in text or (not text.isprintable() and any(0xD800 <= ord(sign) < 0xE000 for sign in text)):
        raise QueryRefused("the statement holds characters that are not text")
    tokens: list[Token] = []
    at, size, match = 0, len(text), TOKEN.match
    while at < size:
        found = match(text, at)
        if found is None or (text.startswith("/*", at) and found.lastgroup == "sign"):
            raise refused_at(text, at, unreadable(text, at))
        kind, start, at = found.lastgroup or "", at, found.end()
        if kind == "blank":
            continue
        if len(tokens) == MOST_TOKENS:
            raise QueryRefused(f"the statement has more than {MOST_TOKENS} words and signs")
        tokens.append(token_of(kind, found[0], start, at))
    return [*tokens, Token(END, "", "", size, size)]


def token_of(kind: str, written: str, start: int, end: int) -> Token:
    if kind == NAME:
        return Token(kind, written, written.upper(), start, end)
    if kind == SIGN:
        return Token(kind, written, "<>" if written == "!=" else written, start, end)
    if kind == STRING:
        return Token(kind, written[1:-1].replace("''", "'"), "", start, end)
    if kind == QUOTED:
        return Token(kind, written[1:-1].replace('""', '"'), "", start, end)
    if kind in (UNICODE, BINARY):
        return Token(kind, written[written.index("'") + 1 : -1].replace("''", "'"), "", start, end)
    return Token(kind, written.replace("_", ""), "", start, end)


def unreadable(text: str, at: int) -> str:
    sign = text[at]
    if sign.isdigit() or sign == ".":
        return "a name must not start with a digit; quote it"
    if sign in NOT_SQL:
        return NOT_SQL[sign]
    return f"the character {sign!r} cannot stand here; names other than of letters, digits and _ are quoted"


def one_statement(text: str) -> list[Token]:
    """The tokens of the one statement in ``text``, without a closing semicolon. Raises QueryRefused."""
    tokens = tokenize(text)
    while len(tokens) > 1 and tokens[-2].word == ";":
        del tokens[-2]
    if len(tokens) == 1:
        raise QueryRefused("the statement is empty")
    for token in tokens:
        if token.word == ";":
            raise refused_at(text, token.at, "give one statement; a second one starts after ';'")
    return tokens


def refused_at(text: str, offset: int | None, message: str) -> QueryRefused:
    """The refusal of what stands at ``offset``."""
    if offset is None:
        return QueryRefused(message)
    line = text.count("\n", 0, offset) + 1
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    return QueryRefused(f"line {line}, column {column}: {message}", line=line, column=column)
