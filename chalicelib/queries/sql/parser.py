"""Trino's grammar of queries, read once from left to right: each token is looked at a bounded number of times.

What Trino has and the lake does not answer (MATCH_RECOGNIZE, TABLESAMPLE …) is refused here by its own name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

from chalicelib.queries.sql import syntax as s
from chalicelib.queries.sql.suggestions import did_you_mean
from chalicelib.queries.sql.tokens import (
    BINARY,
    DECIMAL,
    DOUBLE,
    END,
    INTEGER,
    NAME,
    QUOTED,
    SIGN,
    STRING,
    UNICODE,
    Token,
    refused_at,
)  # fmt: skip

CLAUSES = ("from", "where", "group", "having", "order", "limit", "join", "union", "window")
DEEPEST = 60  # expressions, types, relations or queries within one another
LONGEST_CHAIN = 500  # operators in a row
RESERVED = frozenset(
    [
        "ALTER",
        "AND",
        "AS",
        "BETWEEN",
        "BY",
        "CASE",
        "CAST",
        "CONSTRAINT",
        "CREATE",
        "CROSS",
        "CUBE",
        "CURRENT_CATALOG",
        "CURRENT_DATE",
        "CURRENT_PATH",
        "CURRENT_ROLE",
        "CURRENT_SCHEMA",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "CURRENT_USER",
        "DEALLOCATE",
        "DELETE",
        "DESCRIBE",
        "DISTINCT",
        "DROP",
        "ELSE",
        "END",
        "ESCAPE",
        "EXCEPT",
        "EXECUTE",
        "EXISTS",
        "EXTRACT",
        "FALSE",
        "FOR",
        "FROM",
        "FULL",
        "GROUP",
        "GROUPING",
        "HAVING",
        "IN",
        "INNER",
        "INSERT",
        "INTERSECT",
        "INTO",
        "IS",
        "JOIN",
        "JSON_ARRAY",
        "JSON_EXISTS",
        "JSON_OBJECT",
        "JSON_QUERY",
        "JSON_TABLE",
        "JSON_VALUE",
        "LEFT",
        "LIKE",
        "LISTAGG",
        "LOCALTIME",
        "LOCALTIMESTAMP",
        "NATURAL",
        "NORMALIZE",
        "NOT",
        "NULL",
        "ON",
        "OR",
        "ORDER",
        "OUTER",
        "PREPARE",
        "RECURSIVE",
        "RIGHT",
        "ROLLUP",
        "SELECT",
        "SKIP",
        "TABLE",
        "THEN",
        "TRIM",
        "TRUE",
        "UESCAPE",
        "UNION",
        "UNNEST",
        "USING",
        "VALUES",
        "WHEN",
        "WHERE",
        "WITH",
    ]
)
QUERY_WORDS = ("SELECT", "WITH", "VALUES", "TABLE")
CLAUSE_WORDS = frozenset(("LIMIT", "OFFSET", "FETCH", "WINDOW", "TABLESAMPLE", "MATCH_RECOGNIZE"))
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
SET_WORDS = ("UNION", "INTERSECT", "EXCEPT")
STRENGTH = {"||": 1, "+": 2, "-": 2, "*": 3, "/": 3, "%": 3}
INTERVAL_UNITS = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND")
T = TypeVar("T")


class Parser:
    """Reads the tokens of one statement, an END token last."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.place = 0
        self.token = tokens[0]
        self.depth = 0
        self.parameters = 0

    def statement(self) -> s.Query:
        """The whole query. Raises QueryRefused."""
        try:
            query = self.query()
        except RecursionError:
            raise refused_at(self.text, self.token.at, "the statement is nested too deeply") from None
        if self.token.kind != END:
            self.unexpected("the end of the statement")
        return query

    # Tokens

    def advance(self) -> Token:
        token = self.token
        self.place += 1
        self.token = self.tokens[min(self.place, len(self.tokens) - 1)]
        return token

    def ahead(self, by: int = 1) -> Token:
        return self.tokens[min(self.place + by, len(self.tokens) - 1)]

    def take(self, *words: str) -> bool:
        """Whether these words come next; they are read if so."""
        for by, word in enumerate(words):
            if self.ahead(by).word != word:
                return False
        for _ in words:
            self.advance()
        return True

    def expect(self, *words: str) -> None:
        for word in words:
            if self.token.word != word:
                self.unexpected(word)
            self.advance()

    def written(self, token: Token) -> str:
        return self.text[token.at : token.end]

    def refuse(self, token: Token, message: str) -> NoReturn:
        raise refused_at(self.text, token.at, message)

    def unexpected(self, wanted: str) -> NoReturn:
        token = self.token
        if token.kind == END:
            self.refuse(token, f"the statement ends where {wanted} is expected")
        written = self.written(token)[:60]
        self.refuse(token, f"{written!r} stands where {wanted} is expected{self.remedy(token, wanted)}")

    def remedy(self, token: Token, wanted: str) -> str:
        """What to write in place of another dialect's way, or the word that was probably meant."""
        before = self.tokens[self.place - 1] if self.place else token
        if before.word == "INTERVAL":
            return f"; write INTERVAL '{token.value}' {self.ahead().word or 'DAY'}"
        if token.word == "=" and before.word == "=":
            return "; equality is written with one ="
        if before.word == "IN":
            return "; an array is searched by contains(array, element)"
        if before.word == "TOP":
            return "; write LIMIT at the end"
        if token.word == "," and self.place > 1 and self.tokens[self.place - 2].word == "LIMIT":
            return "; write OFFSET n LIMIT m"
        return did_you_mean(token.value, CLAUSES) if token.kind == NAME and wanted.startswith("the end") else ""

    def deeper(self, read: Callable[[], T]) -> T:
        """What ``read`` reads, one level further down."""
        self.depth += 1
        if self.depth > DEEPEST:
            self.refuse(self.token, "the statement is nested too deeply")
        found = read()
        self.depth -= 1
        return found

    def listed(self, read: Callable[[], T]) -> list[T]:
        """One or more, between commas."""
        found = [read()]
        while self.take(","):
            found.append(read())
        return found

    def bracketed(self, read: Callable[[], T]) -> list[T]:
        """``( a, b )``, or ``()``."""
        self.expect("(")
        if self.take(")"):
            return []
        found = self.listed(read)
        self.expect(")")
        return found

    def is_name(self, token: Token) -> bool:
        return token.kind == QUOTED or (token.kind == NAME and token.word not in RESERVED)

    def name(self, what: str = "a name") -> str:
        if not self.is_name(self.token):
            if self.token.kind == STRING:
                self.refuse(self.token, "a name is written in double quotes, not single ones")
            self.unexpected(what)
        token = self.advance()
        if not token.value:
            self.refuse(token, "a name in double quotes is not empty")
        return token.value

    # Queries

    def query(self) -> s.Query:
        return self.deeper(self._query)

    def _query(self) -> s.Query:
        at, tables = self.token.at, self.with_tables()
        return self.query_end(at, tables, self.set_operations(self.body()))

    def query_end(self, at: int, tables: list[s.WithTable], body: s.Node) -> s.Query:
        order = self.order_by()
        offset = limit = counted_at = None
        fetch = ties = False
        if self.take("OFFSET"):
            offset = self.row_count()
            if not self.take("ROWS"):
                self.take("ROW")
        if self.take("LIMIT"):
            counted_at = self.token.at
            limit = None if self.take("ALL") else self.row_count()
        elif fetch := self.take("FETCH"):
            if not self.take("FIRST"):
                self.expect("NEXT")
            one = self.token.word in ("ROW", "ROWS")
            counted_at = None if one else self.token.at
            limit = s.Number(self.token.at, INTEGER, "1") if one else self.row_count()
            if not self.take("ROWS"):
                self.expect("ROW")
            if not self.take("ONLY"):
                self.expect("WITH", "TIES")
                ties = True
        return s.Query(at, tables, body, order, offset, limit, fetch, ties, counted_at)

    def row_count(self) -> s.Node:
        token = self.token
        if token.kind == INTEGER:
            return number(self, self.advance())
        if self.take("?"):
            return self.parameter(token)
        return self.unexpected("a whole number or ?")

    def with_tables(self) -> list[s.WithTable]:
        if not self.take("WITH"):
            return []
        if self.token.word == "RECURSIVE":
            self.refuse(self.token, "WITH RECURSIVE is not supported")
        return self.listed(self.with_table)

    def with_table(self) -> s.WithTable:
        at, name = self.token.at, self.name("a name for the query")
        columns = self.bracketed(self.name) if self.token.word == "(" else None
        self.expect("AS", "(")
        query = self.query()
        self.expect(")")
        return s.WithTable(at, name, columns, query)

    def set_operations(self, first: s.Node) -> s.Node:
        """``a UNION b EXCEPT c``; INTERSECT binds closer."""
        left = self.intersections(first)
        while self.token.word in ("UNION", "EXCEPT"):
            left = self.set_operation(left, lambda: self.intersections(self.body()))
        return left

    def intersections(self, left: s.Node) -> s.Node:
        while self.token.word == "INTERSECT":
            left = self.set_operation(left, self.body)
        return left

    def set_operation(self, left: s.Node, read: Callable[[], s.Node]) -> s.Node:
        token = self.advance()
        distinct = not self.take("ALL")
        if distinct:
            self.take("DISTINCT")
        if self.token.word == "CORRESPONDING":
            self.refuse(self.token, "CORRESPONDING is not supported")
        right = read()
        alike = isinstance(left, s.SetOperation) and (left.word, left.distinct) == (token.word, distinct)
        if isinstance(left, s.SetOperation) and alike and token.word != "EXCEPT":
            left.parts.append(right)
            return left
        return s.SetOperation(token.at, token.word, distinct, [left, right])

    def body(self) -> s.Node:
        token = self.token
        if token.word == "SELECT":
            return self.select()
        if self.take("VALUES"):
            return s.Values(token.at, self.listed(self.expression))
        if self.take("TABLE"):
            return s.TableQuery(token.at, s.Table(self.token.at, tuple(self.dotted())))
        if self.take("("):
            query = self.query()
            self.expect(")")
            return query
        return self.unexpected("SELECT")

    def select(self) -> s.Select:
        at = self.advance().at
        distinct = self.take("DISTINCT")
        if not distinct:
            self.take("ALL")
        items = self.listed(self.item)
        source = self.source_list() if self.take("FROM") else None
        where = self.expression() if self.take("WHERE") else None
        group, group_distinct = None, False
        if self.take("GROUP", "BY"):
            group_distinct = self.take("DISTINCT")
            if not group_distinct:
                self.take("ALL")
            group = self.listed(self.group_item)
        having = self.expression() if self.take("HAVING") else None
        if self.token.word == "QUALIFY":
            self.refuse(self.token, "QUALIFY is not Trino's SQL; filter in a query around this one")
        windows = self.windows() if self.take("WINDOW") else {}
        return s.Select(at, distinct, items, source, where, group, group_distinct, having, windows)

    def windows(self) -> dict[str, s.Window]:
        found: dict[str, s.Window] = {}

        def one() -> None:
            token, name = self.token, self.name("a window's name")
            if name.lower() in found:
                self.refuse(token, f"WINDOW names {name} twice")
            self.expect("AS", "(")
            found[name.lower()] = self.window()

        self.listed(one)
        return found

    def item(self) -> s.Item | s.Star:
        token = self.token
        if self.take("*"):
            return s.Star(token.at, None, None)
        value = self.expression(star=True)
        if isinstance(value, s.Star):
            if self.take("AS"):
                value.names = self.bracketed(self.name)
            return value
        if self.take("AS"):
            return s.Item(token.at, value, self.name("a column's name"))
        if self.token.kind == STRING:
            self.refuse(self.token, "a name is written in double quotes, not single ones")
        has_alias = self.is_name(self.token) and not self.is_clause()
        return s.Item(token.at, value, self.name() if has_alias else None)

    def group_item(self) -> s.Node | list[s.Node] | s.GroupSets:
        token = self.token
        if token.word in ("ROLLUP", "CUBE") and self.ahead().word == "(":
            self.advance()
            return s.GroupSets(token.at, token.word, self.bracketed(self.group_set))
        if token.word == "GROUPING" and self.ahead().word == "SETS":
            self.expect("GROUPING", "SETS")
            return s.GroupSets(token.at, "GROUPING SETS", self.bracketed(self.group_set))
        if token.word == "(" and self.ahead().word == ")":
            self.expect("(", ")")
            return []
        value = self.expression()
        return value.items if isinstance(value, s.RowOf) and token.word == "(" else value

    def group_set(self) -> list[s.Node]:
        if self.token.word == "(":
            if self.ahead().word == ")":
                self.expect("(", ")")
                return []
            value = self.expression()
            return value.items if isinstance(value, s.RowOf) else [value]
        return [self.expression()]

    def order_by(self) -> list[s.OrderKey]:
        return self.listed(self.order_key) if self.take("ORDER", "BY") else []

    def order_key(self) -> s.OrderKey:
        at, value = self.token.at, self.expression()
        descending = self.take("DESC")
        if not descending:
            self.take("ASC")
        first = False
        if self.take("NULLS"):
            first = self.take("FIRST")
            if not first:
                self.expect("LAST")
        return s.OrderKey(at, value, descending, first)

    # FROM

    def source_list(self) -> s.Node:
        left = self.relation()
        while self.token.word == ",":
            at = self.advance().at
            left = s.Join(at, "CROSS", left, self.relation(), False, None, None)
        return left

    def relation(self) -> s.Node:
        return self.deeper(self._relation)

    def _relation(self) -> s.Node:
        return self.joins(self.aliased())

    def joins(self, left: s.Node) -> s.Node:
        pending = 0
        while self.token.word in ("JOIN", "CROSS", "INNER", "LEFT", "RIGHT", "FULL", "NATURAL"):
            pending += 1
            if pending > LONGEST_CHAIN:
                self.refuse(self.token, "too many joins")
            left = self.join(left)
        return left

    def join(self, left: s.Node) -> s.Node:
        at, natural = self.token.at, self.take("NATURAL")
        if self.take("CROSS"):
            self.expect("JOIN")
            return s.Join(at, "CROSS", left, self.aliased(), False, None, None)
        kind = "INNER"
        if self.token.word in ("LEFT", "RIGHT", "FULL"):
            kind = self.advance().word
            self.take("OUTER")
        else:
            self.take("INNER")
        self.expect("JOIN")
        if natural:
            return s.Join(at, kind, left, self.aliased(), True, None, None)
        right = self.relation()
        if self.take("ON"):
            return s.Join(at, kind, left, right, False, self.expression(), None)
        if self.take("USING"):
            return s.Join(at, kind, left, right, False, None, self.bracketed(lambda: (self.token.at, self.name())))
        return self.unexpected("ON or USING")

    def aliased(self) -> s.Node:
        at, relation = self.token.at, self.primary_relation()
        if self.token.word == "MATCH_RECOGNIZE" and self.ahead().word == "(":
            self.refuse(self.token, "MATCH_RECOGNIZE is not supported")
        if self.take("AS"):
            name: str | None = self.name("an alias")
        elif self.is_name(self.token) and not self.is_clause():
            name = self.name()
        else:
            name = None
        if name is not None:
            columns = self.bracketed(self.name) if self.token.word == "(" else None
            relation = s.Aliased(at, relation, name, columns)
        if self.token.word == "TABLESAMPLE":
            self.refuse(self.token, "TABLESAMPLE is not supported")
        if self.token.word == "MATCH_RECOGNIZE":
            self.refuse(self.token, "MATCH_RECOGNIZE is not supported")
        return relation

    def is_clause(self) -> bool:
        """Whether what could be an alias begins the next clause."""
        word, after = self.token.word, self.ahead()
        if word not in CLAUSE_WORDS:
            return False
        if word in ("LIMIT", "OFFSET"):
            return after.kind == INTEGER or after.word in ("ALL", "?")
        if word == "FETCH":
            return after.word in ("FIRST", "NEXT")
        return word != "WINDOW" or self.is_name(after)

    def primary_relation(self) -> s.Node:
        token = self.token
        if token.word == "UNNEST":
            self.advance()
            items = self.bracketed(self.expression)
            return s.Unnest(token.at, items, self.take("WITH", "ORDINALITY"))
        if token.word == "LATERAL" and self.ahead().word == "(":
            self.expect("LATERAL", "(")
            query = self.query()
            self.expect(")")
            return s.Lateral(token.at, query)
        if token.word in ("TABLE", "JSON_TABLE"):
            self.refuse(token, "table functions are not supported")
        if token.word == "(":
            return self.relation_in_brackets()
        if token.kind == STRING:
            self.refuse(token, "a table's name is written in double quotes, not single ones")
        return s.Table(token.at, tuple(self.dotted()))

    def relation_in_brackets(self) -> s.Node:
        at = self.advance().at
        if self.token.word in QUERY_WORDS:
            query = self.query()
            self.expect(")")
            return s.Derived(at, query)
        relation = self.relation()
        if isinstance(relation, s.Derived) and self.token.word in (*SET_WORDS, "ORDER", "LIMIT", "OFFSET", "FETCH"):
            relation = s.Derived(at, self.query_end(at, [], self.set_operations(relation.query)))
        self.expect(")")
        return relation

    def dotted(self) -> list[str]:
        parts = [self.name("a table's name")]
        while self.take("."):
            parts.append(self.name())
        if self.token.word == "(" and len(parts) == 1:
            self.refuse(self.ahead(-1), f"the table function {parts[0]} is not supported")
        return parts

    # Expressions

    def expression(self, *, star: bool = False) -> s.Node:
        """``star``: whether ``t.*`` may stand here."""
        self.depth += 1
        if self.depth > DEEPEST:
            self.refuse(self.token, "the statement is nested too deeply")
        found = self.disjunction(star)
        self.depth -= 1
        return found

    def disjunction(self, star: bool) -> s.Node:
        first = self.conjunction(star)
        if self.token.word != "OR":
            return first
        parts = [first]
        while self.take("OR"):
            parts.append(self.conjunction(False))
        return s.Logic(first.at, "OR", self.bounded(parts))

    def conjunction(self, star: bool) -> s.Node:
        first = self.negation(star)
        if self.token.word != "AND":
            return first
        parts = [first]
        while self.take("AND"):
            parts.append(self.negation(False))
        return s.Logic(first.at, "AND", self.bounded(parts))

    def bounded(self, parts: list[s.Node]) -> list[s.Node]:
        if len(parts) > LONGEST_CHAIN:
            self.refuse(self.token, "the expression is too long")
        return parts

    def negation(self, star: bool) -> s.Node:
        if self.token.word != "NOT":
            return self.predicate(star)
        places = []
        while self.token.word == "NOT":
            places.append(self.advance().at)
        if len(places) > DEEPEST:
            self.refuse(self.token, "the statement is nested too deeply")
        found = self.predicate(False)
        for at in reversed(places):
            found = s.Not(at, found)
        return found

    def predicate(self, star: bool) -> s.Node:
        left = self.value(0, star)
        word = self.token.word
        if word in COMPARISONS:
            return self.comparison(left)
        if word == "IS":
            return self.is_predicate(left)
        if word not in ("NOT", "BETWEEN", "IN", "LIKE"):
            if word in ("ILIKE", "RLIKE", "SIMILAR", "REGEXP", "GLOB"):
                self.refuse(self.token, f"{word} is not Trino's SQL; use LIKE or regexp_like")
            return left
        at = self.token.at
        negated = self.take("NOT")
        found = self.positive_predicate(left)
        return s.Not(at, found) if negated else found

    def positive_predicate(self, left: s.Node) -> s.Node:
        at = self.token.at
        if self.take("BETWEEN"):
            low = self.value(0)
            self.expect("AND")
            return s.Between(left.at, left, low, self.value(0))
        if self.take("LIKE"):
            pattern = self.value(0)
            return s.Like(left.at, left, pattern, self.value(0) if self.take("ESCAPE") else None)
        self.expect("IN", "(")
        if self.token.word in QUERY_WORDS:
            query = self.query()
            self.expect(")")
            return s.InQuery(left.at, left, query)
        items = self.listed(self.expression)
        if len(items) == 1 and isinstance(items[0], s.Subquery) and self.token.word in SET_WORDS:
            query = self.query_end(at, [], self.set_operations(items[0].query))
            self.expect(")")
            return s.InQuery(left.at, left, query)
        self.expect(")")
        return s.InList(left.at, left, items)

    def comparison(self, left: s.Node) -> s.Node:
        sign = self.advance().word
        if self.token.word in ("ALL", "ANY", "SOME") and self.ahead().word == "(":
            word = "ALL" if self.advance().word == "ALL" else "ANY"
            self.expect("(")
            query = self.query()
            self.expect(")")
            return s.Quantified(left.at, sign, left, word, query)
        right = self.value(0)
        if self.token.word in COMPARISONS:
            self.refuse(self.token, "comparisons do not stand in a row; use brackets or AND")
        return s.Comparison(left.at, sign, left, right)

    def is_predicate(self, left: s.Node) -> s.Node:
        self.expect("IS")
        at, negated = self.token.at, self.take("NOT")
        if self.take("NULL"):
            found: s.Node = s.IsNull(left.at, left)
        elif self.take("DISTINCT", "FROM"):
            found = s.IsDistinct(left.at, left, self.value(0))
        elif self.token.word in ("TRUE", "FALSE", "UNKNOWN"):
            word = self.token.word.lower()
            remedy = "x IS NULL" if word == "unknown" else f"x IS NOT DISTINCT FROM {word}"
            self.refuse(self.token, f"Athena does not know IS {word.upper()}; write {remedy}")
        else:
            self.unexpected("NULL or DISTINCT FROM")
        return s.Not(at, found) if negated else found

    def value(self, strength: int, star: bool = False) -> s.Node:
        left, length = self.signed(star), 0
        while (sign := self.token.word) in STRENGTH and self.token.kind == SIGN and STRENGTH[sign] > strength:
            length += 1
            if length > LONGEST_CHAIN:
                self.refuse(self.token, "the expression is too long")
            self.advance()
            right = self.value(STRENGTH[sign])
            if sign != "||":
                left = s.Arithmetic(left.at, sign, left, right)
            elif isinstance(left, s.Concatenation) and length > 1:
                left.parts.append(right)
            else:
                left = s.Concatenation(left.at, [left, right])
        return left

    def signed(self, star: bool) -> s.Node:
        if self.token.word not in ("-", "+") or self.token.kind != SIGN:
            return self.zoned(star)
        signs = []
        while self.token.word in ("-", "+") and self.token.kind == SIGN:
            signs.append(self.advance())
        if len(signs) > DEEPEST:
            self.refuse(self.token, "the statement is nested too deeply")
        found = self.zoned(False)
        for sign in reversed(signs):
            found = s.Negative(sign.at, found) if sign.word == "-" else found
        return found

    def zoned(self, star: bool) -> s.Node:
        found = self.postfix(star)
        while self.token.word == "AT" and self.ahead().word == "TIME":
            self.expect("AT", "TIME", "ZONE")
            found = s.AtTimeZone(found.at, found, self.postfix(False))
        return found

    def postfix(self, star: bool) -> s.Node:
        found, length = self.primary(), 0
        while True:
            length += 1
            if length > DEEPEST:
                self.refuse(self.token, "the statement is nested too deeply")
            if self.take("["):
                index = self.expression()
                self.expect("]")
                found = s.Subscript(found.at, found, index)
            elif self.token.word == "." and self.token.kind == SIGN:
                self.advance()
                if star and self.take("*"):
                    return s.Star(found.at, found, None)
                name = self.name("a field's name")
                if isinstance(found, s.Name):
                    if self.token.word == "(":
                        self.refuse(self.token, f"the function {'.'.join(found.parts)}.{name} is not supported")
                    found = s.Name(found.at, (*found.parts, name))
                else:
                    found = s.FieldOf(found.at, found, name)
            else:
                return found

    def primary(self) -> s.Node:
        token = self.token
        if reader := BY_KIND.get(token.kind):
            self.advance()
            return reader(self, token)
        if token.kind == QUOTED:
            return self.named(token)
        if token.kind == NAME:
            if special := SPECIAL_FORMS.get(token.word):
                found = special(self, token)
                if found is not None:
                    return found
            if token.word in RESERVED:
                self.unexpected("an expression")
            return self.named(token)
        if token.word == "(":
            return self.in_brackets()
        if token.word == "?":
            self.advance()
            return self.parameter(token)
        if token.word == "[":
            self.refuse(token, "an array is written ARRAY[…]")
        return self.unexpected("an expression")

    def parameter(self, token: Token) -> s.Node:
        self.parameters += 1
        return s.Parameter(token.at, self.parameters - 1)

    def named(self, token: Token) -> s.Node:
        """A name, a call, a literal with a type before it, or a lambda of one variable."""
        after = self.ahead()
        if after.kind == STRING and token.kind == NAME:
            kind = self.type_name()
            if self.token.kind == STRING:
                return s.TypedText(token.at, kind, self.advance().value)
        name = self.name("an expression")
        if self.token.word == "->":
            self.advance()
            return s.Lambda(token.at, [name], self.expression())
        if self.token.word == "(" and self.token.kind == SIGN:
            return self.call(token, name)
        return s.Name(token.at, (name,))

    def in_brackets(self) -> s.Node:
        opening = self.advance()
        if self.token.word in QUERY_WORDS:
            query = self.query()
            self.expect(")")
            return s.Subquery(opening.at, query)
        if self.take(")"):
            self.expect("->")
            return s.Lambda(opening.at, [], self.expression())
        items = self.listed(self.expression)
        if isinstance(items[0], s.Subquery) and self.token.word in (*SET_WORDS, "ORDER", "LIMIT", "OFFSET", "FETCH"):
            query = self.query_end(opening.at, [], self.set_operations(items[0].query))
            self.expect(")")
            return s.Subquery(opening.at, query)
        self.expect(")")
        if self.token.word == "->":
            self.advance()
            names = [item.parts[0] for item in items if isinstance(item, s.Name) and len(item.parts) == 1]
            if len(names) != len(items):
                self.refuse(opening, "a lambda's variables are names")
            return s.Lambda(opening.at, names, self.expression())
        return items[0] if len(items) == 1 else s.RowOf(opening.at, items)

    def call(self, token: Token, name: str) -> s.Node:
        self.expect("(")
        call = s.Call(token.at, name, [])
        if self.token.word == "*" and self.ahead().word == ")":
            self.advance()
            call.star = True
        elif self.token.word != ")" or self.token.kind != SIGN:
            call.distinct = self.take("DISTINCT")
            if not call.distinct and self.token.word == "ALL":
                self.advance()
            if self.token.word != "ORDER":
                call.arguments = self.listed(self.argument)
            call.order = self.order_by()
            self.null_treatment(call)
        self.expect(")")
        return self.after_call(call)

    def argument(self) -> s.Node:
        if self.is_name(self.token) and self.ahead().word == "=>":
            self.refuse(self.token, "arguments by name are not supported")
        return self.expression()

    def after_call(self, call: s.Call) -> s.Call:
        """FILTER, IGNORE NULLS and OVER."""
        if self.token.word == "FILTER" and self.ahead().word == "(":
            self.expect("FILTER", "(", "WHERE")
            call.filter = self.expression()
            self.expect(")")
        self.null_treatment(call)
        if self.token.word == "OVER":
            self.advance()
            call.over = self.window() if self.take("(") else self.name("a window")
        return call

    def null_treatment(self, call: s.Call) -> None:
        if self.token.word in ("IGNORE", "RESPECT") and self.ahead().word == "NULLS":
            call.nulls = self.advance().word
            self.advance()

    def window(self) -> s.Window:
        """What stands between the brackets of OVER; the opening one has been read."""
        at, base = self.token.at, None
        if self.is_name(self.token) and self.token.word not in ("PARTITION", "ROWS", "RANGE", "GROUPS", "MEASURES"):
            base = self.name()
        partition = self.listed(self.expression) if self.take("PARTITION", "BY") else []
        order, frame = self.order_by(), None
        if self.token.word in ("ROWS", "RANGE", "GROUPS"):
            frame = self.frame()
        if self.token.word in ("MEASURES", "PATTERN", "AFTER", "INITIAL", "SEEK", "SUBSET", "DEFINE"):
            self.refuse(self.token, "pattern recognition in a window is not supported")
        self.expect(")")
        return s.Window(at, base, partition, order, frame)

    def frame(self) -> s.Frame:
        token = self.advance()
        if self.take("BETWEEN"):
            start = self.frame_edge()
            self.expect("AND")
            end = self.frame_edge()
        else:
            start, end = self.frame_edge(), ("CURRENT ROW", None)
        return s.Frame(token.at, token.word, start, end)

    def frame_edge(self) -> tuple[str, s.Node | None]:
        if self.take("UNBOUNDED"):
            word = self.advance().word
            if word not in ("PRECEDING", "FOLLOWING"):
                self.unexpected("PRECEDING or FOLLOWING")
            return f"UNBOUNDED {word}", None
        if self.take("CURRENT", "ROW"):
            return "CURRENT ROW", None
        value = self.expression()
        word = self.token.word
        if word not in ("PRECEDING", "FOLLOWING"):
            self.unexpected("PRECEDING or FOLLOWING")
        self.advance()
        return word, value

    # Types

    def type_name(self) -> s.TypeName:
        return self.deeper(self._type_name)

    def _type_name(self) -> s.TypeName:
        found = self.plain_type()
        while self.token.word == "ARRAY" and self.token.kind == NAME:
            self.advance()
            found = s.TypeName(found.at, "array", args=(found,))
        return found

    def plain_type(self) -> s.TypeName:
        token = self.token
        name = self.name("a type").lower()
        if name == "row" and self.token.word == "(":
            fields = self.bracketed(self.row_field)
            return s.TypeName(token.at, "row", (), tuple(kind for _, kind in fields), tuple(name for name, _ in fields))
        if name == "double" and self.take("PRECISION"):
            return s.TypeName(token.at, "double")
        if name == "interval":
            return self.interval_type(token)
        numbers: list[int] = []
        args: list[s.TypeName] = []
        if self.token.word in ("(", "<") and (self.token.word == "(" or name in ("array", "map")):
            self.type_arguments(numbers, args)
        if name in ("timestamp", "time"):
            zoned = self.take("WITH", "TIME", "ZONE")
            if not zoned:
                self.take("WITHOUT", "TIME", "ZONE")
            name += " with time zone" if zoned else ""
        return s.TypeName(token.at, name, tuple(numbers), tuple(args))

    def type_arguments(self, numbers: list[int], args: list[s.TypeName]) -> None:
        closing = ")" if self.advance().word == "(" else ">"
        while True:
            if self.token.kind == INTEGER:
                token = self.advance()
                written = self.written(token)
                if not written.isdigit():
                    self.refuse(token, f"{written[:20]} is no length or precision: it is written in digits")
                if len(written) > 9:
                    self.refuse(token, f"{written[:20]} is too large for a type")
                numbers.append(int(written))
            else:
                args.append(self.type_name())
            if not self.take(","):
                break
        self.expect(closing)

    def row_field(self) -> tuple[str | None, s.TypeName]:
        word, after = self.token.word, self.ahead()
        two_words = (
            (word == "DOUBLE" and after.word == "PRECISION")
            or (word in ("TIME", "TIMESTAMP") and after.word in ("WITH", "WITHOUT"))
            or (word == "INTERVAL" and after.word in ("YEAR", "DAY"))
            or (after.word == "ARRAY" and self.ahead(2).word not in ("(", "<"))
        )
        named = self.is_name(after) and not two_words
        return (self.name() if named else None), self.type_name()

    def interval_type(self, token: Token) -> s.TypeName:
        if self.take("YEAR", "TO", "MONTH"):
            return s.TypeName(token.at, "interval year to month")
        self.expect("DAY", "TO", "SECOND")
        return s.TypeName(token.at, "interval day to second")

    # Forms with a syntax of their own

    def array_form(self, token: Token) -> s.Node | None:
        if self.ahead().word != "[":
            return None
        self.expect("ARRAY", "[")
        items = [] if self.token.word == "]" else self.listed(self.expression)
        self.expect("]")
        return s.ArrayOf(token.at, items)

    def row_form(self, token: Token) -> s.Node | None:
        if self.ahead().word != "(":
            return None
        self.advance()
        return s.RowOf(token.at, self.bracketed(self.expression))

    def case_form(self, token: Token) -> s.Node:
        self.advance()
        operand = None if self.token.word == "WHEN" else self.expression()
        branches = []
        while self.take("WHEN"):
            test = self.expression()
            self.expect("THEN")
            branches.append((test, self.expression()))
        if not branches:
            self.unexpected("WHEN")
        otherwise = self.expression() if self.take("ELSE") else None
        self.expect("END")
        return s.Case(token.at, operand, branches, otherwise)

    def cast_form(self, token: Token) -> s.Node | None:
        if self.ahead().word != "(":
            return None
        self.advance()
        self.expect("(")
        value = self.expression()
        self.expect("AS")
        kind = self.type_name()
        self.expect(")")
        return s.Cast(token.at, value, kind, token.word == "TRY_CAST")

    def exists_form(self, token: Token) -> s.Node:
        self.expect("EXISTS", "(")
        query = self.query()
        self.expect(")")
        return s.Exists(token.at, query)

    def extract_form(self, token: Token) -> s.Node:
        self.expect("EXTRACT", "(")
        field = self.name("a field such as YEAR")
        self.expect("FROM")
        value = self.expression()
        self.expect(")")
        return s.Extract(token.at, field.lower(), value)

    def trim_form(self, token: Token) -> s.Node:
        self.expect("TRIM", "(")
        function = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(self.token.word, "trim")
        sided = self.token.word in ("LEADING", "TRAILING", "BOTH") and self.token.kind == NAME
        if sided:
            self.advance()
        if sided and self.take("FROM"):
            arguments = [self.expression()]
        else:
            arguments = [self.expression()]
            if self.take("FROM"):
                arguments.insert(0, self.expression())
            elif self.take(","):
                arguments.append(self.expression())
            elif sided:
                self.unexpected("FROM")
        self.expect(")")
        return s.Call(token.at, function, arguments)

    def position_form(self, token: Token) -> s.Node | None:
        if self.ahead().word != "(":
            return None
        self.advance()
        self.expect("(")
        part = self.value(0)
        self.expect("IN")
        whole = self.value(0)
        self.expect(")")
        return s.Call(token.at, "strpos", [whole, part])

    def substring_form(self, token: Token) -> s.Node | None:
        if self.ahead().word != "(":
            return None
        self.advance()
        self.expect("(")
        arguments = [self.expression()]
        if self.take("FROM"):
            arguments.append(self.expression())
            if self.take("FOR"):
                arguments.append(self.expression())
        else:
            while self.take(","):
                arguments.append(self.expression())
        self.expect(")")
        return s.Call(token.at, "substr", arguments)

    def normalize_form(self, token: Token) -> s.Node:
        self.expect("NORMALIZE", "(")
        arguments = [self.value(0)]
        if self.take(","):
            form = self.token
            if self.advance().word not in ("NFC", "NFD", "NFKC", "NFKD"):
                self.refuse(form, "the form is NFC, NFD, NFKC or NFKD")
            arguments.append(s.Text(form.at, form.word))
        self.expect(")")
        return s.Call(token.at, "normalize", arguments)

    def listagg_form(self, token: Token) -> s.Node:
        self.expect("LISTAGG", "(")
        call = s.Call(token.at, "listagg", [], distinct=self.take("DISTINCT"))
        if not call.distinct:
            self.take("ALL")
        call.arguments = [self.expression()]
        if self.take(","):
            call.arguments.append(self.expression())
        if self.take("ON"):
            self.expect("OVERFLOW")
            if not self.take("ERROR"):
                self.refuse(self.token, "ON OVERFLOW TRUNCATE is not supported")
        self.expect(")", "WITHIN", "GROUP", "(")
        call.order = self.order_by()
        self.expect(")")
        return self.after_call(call)

    def grouping_form(self, token: Token) -> s.Node:
        self.advance()
        return s.Grouping(token.at, self.bracketed(self.expression))

    def current_form(self, token: Token) -> s.Node:
        name = self.advance().word.lower()
        if self.token.word == "(" and self.ahead().kind == INTEGER:
            digits = self.ahead()
            if self.written(digits) not in ("3", "03"):
                self.refuse(digits, f"{name} has 3 digits of a second here")
            self.expect("(")
            self.advance()
            self.expect(")")
        return s.CurrentTime(token.at, name)

    def interval_form(self, token: Token) -> s.Node | None:
        signed = self.ahead().word in ("+", "-")
        if self.ahead(2 if signed else 1).kind != STRING:
            return None
        self.advance()
        negative = self.token.word == "-"
        if signed:
            self.advance()
        written = self.advance().value
        unit = self.interval_unit()
        to = self.interval_unit() if self.take("TO") else None
        return s.IntervalText(token.at, written, unit, to, negative)

    def interval_unit(self) -> str:
        if self.token.word not in INTERVAL_UNITS:
            self.unexpected("YEAR, MONTH, DAY, HOUR, MINUTE or SECOND")
        return self.advance().word

    def double_form(self, token: Token) -> s.Node | None:
        if self.ahead().word != "PRECISION" or self.ahead(2).kind != STRING:
            return None
        kind = self.type_name()
        return s.TypedText(token.at, kind, self.advance().value)

    def json_form(self, token: Token) -> s.Node:
        name = self.advance().word
        self.expect("(")
        value = self.expression()
        if self.take("FORMAT", "JSON") and self.token.word == "ENCODING":
            self.refuse(self.token, "ENCODING is not supported")
        self.expect(",")
        if self.token.kind != STRING:
            self.unexpected("a JSON path in single quotes")
        call = s.JsonCall(token.at, name, value, self.advance().value, None, None, None, None, None)
        if self.token.word in ("AS", "PASSING"):
            self.refuse(self.token, f"{self.token.word} in {name} is not supported")
        if self.take("RETURNING"):
            call.returning = self.type_name()
        self.json_wrapper(call)
        self.json_behaviours(call)
        self.expect(")")
        return call

    def json_wrapper(self, call: s.JsonCall) -> None:
        if self.token.word in ("WITH", "WITHOUT"):
            kind = self.advance().word
            if self.token.word in ("CONDITIONAL", "UNCONDITIONAL") and kind == "WITH":
                kind = self.advance().word
            self.take("ARRAY")
            self.expect("WRAPPER")
            call.wrapper = "UNCONDITIONAL" if kind == "WITH" else kind
        if self.token.word in ("KEEP", "OMIT"):
            call.quotes = self.advance().word
            self.expect("QUOTES")
            self.take("ON", "SCALAR", "STRING")

    def json_behaviours(self, call: s.JsonCall) -> None:
        while self.token.word in ("NULL", "ERROR", "DEFAULT", "EMPTY", "TRUE", "FALSE", "UNKNOWN"):
            word, value = self.advance().word, None
            if word == "DEFAULT":
                value = self.expression()
            elif word == "EMPTY":
                word = "EMPTY OBJECT" if self.take("OBJECT") else "EMPTY ARRAY"
                self.take("ARRAY")
            self.expect("ON")
            if self.take("EMPTY"):
                call.on_empty = word, value
            else:
                self.expect("ERROR")
                call.on_error = word, value

    def json_make_form(self, token: Token) -> s.Node:
        is_object = self.advance().word == "JSON_OBJECT"
        self.expect("(")
        made = s.JsonMake(token.at, token.word, [], [], is_object)
        while self.token.word not in (")", "NULL", "ABSENT", "WITH", "WITHOUT", "RETURNING") or self.null_value():
            if is_object:
                keyed = self.token.word == "KEY" and self.ahead().word not in ("VALUE", ",")
                if keyed:
                    self.advance()
                made.keys.append(self.value(0))
                self.expect("VALUE")
            made.values.append(self.expression())
            if self.take("FORMAT"):
                self.refuse(self.token, "FORMAT JSON is not supported here")
            if not self.take(","):
                break
        if self.token.word in ("NULL", "ABSENT"):
            made.keep_nulls = self.advance().word == "NULL"
            self.expect("ON", "NULL")
        if self.token.word in ("WITH", "WITHOUT", "RETURNING"):
            self.refuse(self.token, f"{self.token.word} in {token.word} is not supported")
        self.expect(")")
        return made

    def null_value(self) -> bool:
        return self.token.word == "NULL" and self.ahead().word != "ON"

    def plain(self, node: s.Node) -> s.Node:
        self.advance()
        return node


def string(parser: Parser, token: Token) -> s.Node:
    if parser.token.kind == STRING:
        parser.refuse(parser.token, "two texts do not stand in a row; join them with ||")
    return s.Text(token.at, token.value)


def unicode_string(parser: Parser, token: Token) -> s.Node:
    """``U&'\\0041'``, with the escape that UESCAPE names."""
    escape = "\\"
    if parser.take("UESCAPE"):
        escape = parser.advance().value
        if len(escape) != 1:
            parser.refuse(token, "the escape of UESCAPE is one character")
    made, rest = [], token.value
    while escape in rest:
        before, _, rest = rest.partition(escape)
        made.append(before)
        size = 6 if rest.startswith("+") else 4
        digits = rest[1:7] if size == 6 else rest[:4]
        if rest.startswith(escape):
            made.append(escape)
            rest = rest[1:]
        elif len(digits) == size and all(sign in "0123456789abcdefABCDEF" for sign in digits):
            code = int(digits, 16)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000 or code == 0:
                parser.refuse(token, f"{digits} is not a character")
            made.append(chr(code))
            rest = rest[size + (size == 6) :]
        else:
            parser.refuse(token, f"after {escape} stand 4 hexadecimal digits, or + and 6")
    return s.Text(token.at, "".join(made) + rest)


def number(parser: Parser, token: Token) -> s.Node:
    written = token.value
    if token.kind == INTEGER and len(written) > 1 and written[1:2].upper() in ("X", "O", "B"):
        if len(written) > 70 or len(written) == 2:
            parser.refuse(token, f"{written[:30]} is not a number")
        written = str(int(written, 0))
    return s.Number(token.at, token.kind, written)


BY_KIND: dict[str, Callable[[Parser, Token], s.Node]] = {
    STRING: string,
    UNICODE: unicode_string,
    BINARY: lambda _, token: s.Binary(token.at, token.value.replace(" ", "")),
    INTEGER: number,
    DECIMAL: number,
    DOUBLE: number,
}
SPECIAL_FORMS: dict[str, Callable[[Parser, Token], s.Node | None]] = {
    "NULL": lambda parser, token: parser.plain(s.Null(token.at)),
    "TRUE": lambda parser, token: parser.plain(s.Truth(token.at, True)),
    "FALSE": lambda parser, token: parser.plain(s.Truth(token.at, False)),
    "ARRAY": Parser.array_form,
    "ROW": Parser.row_form,
    "CASE": Parser.case_form,
    "CAST": Parser.cast_form,
    "TRY_CAST": Parser.cast_form,
    "EXISTS": Parser.exists_form,
    "EXTRACT": Parser.extract_form,
    "TRIM": Parser.trim_form,
    "POSITION": Parser.position_form,
    "SUBSTRING": Parser.substring_form,
    "NORMALIZE": Parser.normalize_form,
    "LISTAGG": Parser.listagg_form,
    "GROUPING": Parser.grouping_form,
    "INTERVAL": Parser.interval_form,
    "DOUBLE": Parser.double_form,
    "JSON_VALUE": Parser.json_form,
    "JSON_QUERY": Parser.json_form,
    "JSON_EXISTS": Parser.json_form,
    "JSON_OBJECT": Parser.json_make_form,
    "JSON_ARRAY": Parser.json_make_form,
    **dict.fromkeys(
        ("CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP", "CURRENT_USER",
         "CURRENT_CATALOG", "CURRENT_SCHEMA", "CURRENT_PATH", "CURRENT_ROLE"),
        Parser.current_form,
    ),
}  # fmt: skip
