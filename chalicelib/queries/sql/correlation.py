"""Which correlated subqueries Trino can take apart; the others it refuses, and so does the lake.

The rules are those of Trino's planner (PlanNodeDecorrelator, DecorrelateUnnest and the rules TransformCorrelated…): a
column inside that is equated with what the query around gives is constant, for one row around; columns that are only
compared with it vary. What varies must not be grouped away or cut off before it is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

from chalicelib.queries.sql import syntax as s
from chalicelib.queries.sql.scope import Ambiguous, Scope
from chalicelib.queries.sql.translator import Translator
from chalicelib.queries.sql.types import Type, common
from chalicelib.queries.sql.values import Value

REFUSED = "Given correlated subquery is not supported"


@dataclass(slots=True)
class Compared:
    """Columns of a SELECT, as texts, that WHERE holds against the queries around."""

    named: set[str] = field(default_factory=set)
    constant: set[str] = field(default_factory=set)
    outer: int = 0  # how often columns of the queries around are named

    @property
    def free(self) -> set[str]:
        return self.named - self.constant


def check_correlation(
    translator: Translator, node: s.Select, ending: s.Query, scope: Scope, outer: Scope | None, in_source: int
) -> None:
    """Refuse a SELECT that names columns around it in a way that Trino cannot undo; ``in_source`` of them in FROM."""
    level, subquery = scope.level, outer.subquery if outer is not None else ""
    stars = [item for item in node.items if is_outer_star(item, scope)]
    if stars and not stars_are_at_hand(node, stars, subquery, outer):
        translator.refuse(node, REFUSED)
    if not level.outer_columns or node.source is None or is_one_row(node.source):
        return
    whole = level.aggregated and not node.group  # one row, whatever orders and limits it
    if in_source and reads_unnest(node):
        allowed = not (node.where or node.group or node.having or node.distinct or ending.offset)
    elif whole:
        allowed = subquery != "IN" and not (in_source and node.where)
    else:
        allowed = takes_apart(node, ending, scope, subquery)
    if not allowed:
        translator.refuse(node, REFUSED)


def takes_apart(node: s.Select, ending: s.Query, scope: Scope, subquery: str) -> bool:
    level, compared = scope.level, compared_columns(node.where, scope)
    listed = outer_columns(node.items, scope) + sum(is_outer_star(item, scope) for item in node.items)
    if listed and subquery != "EXISTS":
        return False
    elsewhere = level.outer_columns > compared.outer + listed
    limited = ending.limit is not None
    if any(isinstance(part, s.GroupSets) for part in node.group or []) or ending.ties or ending.offset is not None:
        return False
    if subquery == "IN" and (limited or node.group):
        return False
    keys = set(level.groups or ())
    if node.group and (elsewhere or compared.free - keys):
        joined = subquery == "INNER LATERAL" or (subquery == "LEFT LATERAL" and not level.aggregated)
        return joined and not elsewhere and not limited and node.having is None
    if not limited or (node.group and keys <= compared.constant):
        return not limited or level.aggregated
    if elsewhere or compared.free:
        return False
    one = isinstance(ending.limit, s.Number) and ending.limit.value == "1"
    if not one or ending.order or not compared.outer:
        return True
    own = {text for item in node.items for text in own_columns(item, scope)}
    return bool(compared.constant) and (subquery == "EXISTS" or own <= compared.constant)


def stars_are_at_hand(node: s.Select, stars: Sequence[s.Node], subquery: str, outer: Scope | None) -> bool:
    """Whether ``t.*`` is of the query right around, and nothing but EXISTS filters its rows."""
    near = all(isinstance(one, s.Star) and outer is not None and outer.has(base_name(one)) for one in stars)
    return near and subquery != "IN" and (node.where is None or subquery == "EXISTS")


def base_name(star: s.Star) -> str:
    """``t`` of ``t.*``."""
    return star.base.parts[0] if isinstance(star.base, s.Name) else ""


def is_outer_star(node: s.Node, scope: Scope) -> bool:
    """Whether it is ``t.*`` of a query around."""
    base = node.base if isinstance(node, s.Star) else None
    return isinstance(base, s.Name) and len(base.parts) == 1 and not scope.has(base.parts[0])


def reads_unnest(node: s.Select) -> bool:
    """Whether UNNEST is all that a SELECT reads."""
    source = node.source
    if isinstance(source, s.Join) and is_one_row(source.left):
        source = source.right
    return isinstance(source.relation if isinstance(source, s.Aliased) else source, s.Unnest)


def is_one_row(node: s.Node) -> bool:
    bare = node.relation if isinstance(node, s.Aliased) else node
    return isinstance(bare, s.Derived) and isinstance(bare.query.body, s.Values) and len(bare.query.body.rows) == 1


def compared_columns(where: s.Node | None, scope: Scope) -> Compared:
    """What WHERE says of columns together with those of the queries around."""
    found = Compared()
    for part in conjuncts(where):
        own, outer = own_columns(part, scope), outer_columns(part, scope)
        if outer:
            found.outer += outer
            found.named |= own
            if isinstance(part, s.Comparison) and part.sign == "=":
                for one, other in ((part.left, part.right), (part.right, part.left)):
                    if not own_columns(other, scope) and (value := own_column(uncast(one), scope)) is not None:
                        found.constant |= {value.sql} if keeps_apart(value.type, outer_type(other, scope)) else set()
    return found


def uncast(node: s.Node) -> s.Node:
    """A column that is only made a wider whole number."""
    widened = isinstance(node, s.Cast) and node.type.name.lower() in ("bigint", "integer", "int")
    return node.value if widened and isinstance(node, s.Cast) else node


def keeps_apart(kind: Type, other: Type | None) -> bool:
    """Whether equal to ``other`` means one value of ``kind`` alone: where it is not made narrower to be compared."""
    if other is None or kind == other:
        return True
    joint = common(kind, other)
    return joint == kind or (joint is not None and kind.integral and not joint.approximate)


def outer_type(node: s.Node, scope: Scope) -> Type | None:
    """The type of a column of a query around; None of anything else."""
    for around in scope.around():
        if isinstance(node, s.Name) and (value := own_column(node, around)) is not None:
            return value.type
    return None


def conjuncts(node: s.Node | None) -> Iterator[s.Node]:
    if isinstance(node, s.Logic) and node.word == "AND":
        for part in node.parts:
            yield from conjuncts(part)
    elif node is not None:
        yield node


def own_columns(node: object, scope: Scope) -> set[str]:
    """The columns of ``scope`` itself that an expression names."""
    return {value.sql for one in names(node) if (value := own_column(one, scope)) is not None}


def outer_columns(node: object, scope: Scope) -> int:
    """How often an expression names columns of the queries around."""
    around = [one for one in scope.around() if one.level is not scope.level]
    return sum(
        own_column(name, scope) is None and any(own_column(name, one) is not None for one in around)
        for name in names(node)
    )


def own_column(node: s.Node, scope: Scope) -> Value | None:
    if not isinstance(node, s.Name):
        return None
    try:
        found = scope.column_of(node.parts[0], node.parts[1]) if len(node.parts) > 1 else None
        return found or scope.column(node.parts[0])
    except Ambiguous:
        return None


def names(node: object, variables: frozenset[str] = frozenset()) -> Iterator[s.Name]:
    """The names of columns in an expression, but for those in queries within."""
    if isinstance(node, s.Name):
        if node.parts[0].lower() not in variables:
            yield node
    elif isinstance(node, (list, tuple)):
        for part in node:
            yield from names(part, variables)
    elif isinstance(node, s.Node) and not isinstance(node, s.Query):
        if isinstance(node, s.Lambda):
            variables |= {name.lower() for name in node.names}
        for part in fields(node):
            yield from names(getattr(node, part.name), variables)
