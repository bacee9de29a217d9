"""A statement as a tree: what parser.py reads and the translation walks. ``at`` is where a node stands in the text."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Node:
    at: int


# Types


@dataclass(slots=True)
class TypeName(Node):
    """``name`` in small letters, its numbers, the types within; ``fields`` are a row's names, None for one without."""

    name: str
    numbers: tuple[int, ...] = ()
    args: tuple[TypeName, ...] = ()
    fields: tuple[str | None, ...] = ()


# Expressions


@dataclass(slots=True)
class Text(Node):
    value: str


@dataclass(slots=True)
class Number(Node):
    """``kind`` is integer, decimal or double."""

    kind: str
    value: str


@dataclass(slots=True)
class Truth(Node):
    value: bool


@dataclass(slots=True)
class Null(Node):
    pass


@dataclass(slots=True)
class Binary(Node):
    digits: str


@dataclass(slots=True)
class TypedText(Node):
    """``DATE '2026-11-20'``."""

    type: TypeName
    value: str


@dataclass(slots=True)
class IntervalText(Node):
    value: str
    unit: str
    to: str | None
    negative: bool = False


@dataclass(slots=True)
class Parameter(Node):
    """A ``?``; ``place`` counts from 0."""

    place: int


@dataclass(slots=True)
class Name(Node):
    """``a``, or ``a.b.c``."""

    parts: tuple[str, ...]


@dataclass(slots=True)
class FieldOf(Node):
    base: Node
    name: str


@dataclass(slots=True)
class Negative(Node):
    value: Node


@dataclass(slots=True)
class Arithmetic(Node):
    sign: str
    left: Node
    right: Node


@dataclass(slots=True)
class Concatenation(Node):
    parts: list[Node]


@dataclass(slots=True)
class Logic(Node):
    """``word`` is AND or OR."""

    word: str
    parts: list[Node]


@dataclass(slots=True)
class Not(Node):
    value: Node


@dataclass(slots=True)
class Comparison(Node):
    sign: str
    left: Node
    right: Node


@dataclass(slots=True)
class Quantified(Node):
    """``x = ANY (query)``; ``word`` is ANY or ALL."""

    sign: str
    left: Node
    word: str
    query: Query


@dataclass(slots=True)
class Between(Node):
    value: Node
    low: Node
    high: Node


@dataclass(slots=True)
class InList(Node):
    value: Node
    items: list[Node]


@dataclass(slots=True)
class InQuery(Node):
    value: Node
    query: Query


@dataclass(slots=True)
class Like(Node):
    value: Node
    pattern: Node
    escape: Node | None


@dataclass(slots=True)
class IsNull(Node):
    value: Node


@dataclass(slots=True)
class IsDistinct(Node):
    left: Node
    right: Node


@dataclass(slots=True)
class Exists(Node):
    query: Query


@dataclass(slots=True)
class Subquery(Node):
    """A query that stands for a value."""

    query: Query


@dataclass(slots=True)
class Case(Node):
    operand: Node | None
    branches: list[tuple[Node, Node]]
    otherwise: Node | None


@dataclass(slots=True)
class Cast(Node):
    value: Node
    type: TypeName
    trying: bool


@dataclass(slots=True)
class OrderKey(Node):
    value: Node
    descending: bool
    nulls_first: bool


@dataclass(slots=True)
class Frame(Node):
    """ROWS, RANGE or GROUPS; an edge is its words, and its number where it has one."""

    unit: str
    start: tuple[str, Node | None]
    end: tuple[str, Node | None]


@dataclass(slots=True)
class Window(Node):
    base: str | None
    partition: list[Node]
    order: list[OrderKey]
    frame: Frame | None


@dataclass(slots=True)
class Call(Node):
    """A function's call with all that may stand in and behind its brackets."""

    name: str
    arguments: list[Node]
    star: bool = False
    distinct: bool = False
    order: list[OrderKey] = field(default_factory=list)
    filter: Node | None = None
    nulls: str | None = None
    over: Window | str | None = None


@dataclass(slots=True)
class JsonCall(Node):
    """JSON_VALUE, JSON_QUERY, JSON_EXISTS: input, path, and the words of its clauses."""

    name: str
    value: Node
    path: str
    returning: TypeName | None
    wrapper: str | None
    quotes: str | None
    on_empty: tuple[str, Node | None] | None
    on_error: tuple[str, Node | None] | None


@dataclass(slots=True)
class JsonMake(Node):
    """JSON_OBJECT (keys and values) or JSON_ARRAY (values)."""

    name: str
    keys: list[Node]
    values: list[Node]
    keep_nulls: bool


@dataclass(slots=True)
class Grouping(Node):
    names: list[Node]


@dataclass(slots=True)
class Lambda(Node):
    names: list[str]
    body: Node


@dataclass(slots=True)
class ArrayOf(Node):
    items: list[Node]


@dataclass(slots=True)
class RowOf(Node):
    items: list[Node]


@dataclass(slots=True)
class Subscript(Node):
    base: Node
    index: Node


@dataclass(slots=True)
class AtTimeZone(Node):
    value: Node
    zone: Node


@dataclass(slots=True)
class Extract(Node):
    field: str
    value: Node


@dataclass(slots=True)
class CurrentTime(Node):
    """current_date, current_timestamp, localtimestamp."""

    name: str


# FROM


@dataclass(slots=True)
class Table(Node):
    parts: tuple[str, ...]


@dataclass(slots=True)
class Derived(Node):
    query: Query


@dataclass(slots=True)
class Lateral(Node):
    query: Query


@dataclass(slots=True)
class Unnest(Node):
    items: list[Node]
    ordinality: bool


@dataclass(slots=True)
class Aliased(Node):
    relation: Node
    name: str
    columns: list[str] | None


@dataclass(slots=True)
class Join(Node):
    """``kind`` is CROSS, INNER, LEFT, RIGHT or FULL."""

    kind: str
    left: Node
    right: Node
    natural: bool
    on: Node | None
    using: list[tuple[int, str]] | None


# Queries


@dataclass(slots=True)
class Item(Node):
    """One entry of a select list."""

    value: Node
    alias: str | None


@dataclass(slots=True)
class Star(Node):
    """``*``, ``t.*`` or ``(row).*``, with the names that AS gives it."""

    base: Node | None
    names: list[str] | None


@dataclass(slots=True)
class GroupSets(Node):
    """GROUPING SETS, ROLLUP or CUBE over lists of expressions."""

    word: str
    sets: list[list[Node]]


@dataclass(slots=True)
class Select(Node):
    distinct: bool
    items: list[Item | Star]
    source: Node | None
    where: Node | None
    group: list[Node | list[Node] | GroupSets] | None
    group_distinct: bool
    having: Node | None
    windows: dict[str, Window]


@dataclass(slots=True)
class Values(Node):
    rows: list[Node]


@dataclass(slots=True)
class TableQuery(Node):
    """``TABLE name``."""

    table: Table


@dataclass(slots=True)
class SetOperation(Node):
    """UNION, INTERSECT or EXCEPT of queries, in a row."""

    word: str
    distinct: bool
    parts: list[Node]


@dataclass(slots=True)
class WithTable(Node):
    name: str
    columns: list[str] | None
    query: Query


@dataclass(slots=True)
class Query(Node):
    """A body (Select, Values, TableQuery, SetOperation, or a Query in brackets) with what stands around it."""

    with_tables: list[WithTable]
    body: Node
    order: list[OrderKey]
    offset: Node | None
    limit: Node | None  # None: all
    fetch: bool = False  # FETCH FIRST says it, not LIMIT
    ties: bool = False
    counted_at: int | None = None  # where it says how many rows, ALL too
