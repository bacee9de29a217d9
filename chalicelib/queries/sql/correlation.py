"""Which correlated subqueries Trino can take apart; the others it refuses, and so does the lake."""

from __future__ import annotations

from chalicelib.queries.sql import syntax as s
from chalicelib.queries.sql.scope import Level
from chalicelib.queries.sql.translator import Translator


def check_correlation(translator: Translator, node: s.Select, ending: s.Query, level: Level) -> None:
    """Refuse a SELECT that names columns around it in a way that Trino cannot undo.

    It can where they are compared for equality with columns inside; otherwise not together with GROUP BY or LIMIT.
    """
    if not level.outer_columns:
        return
    sets = any(isinstance(part, s.GroupSets) for part in node.group or [])
    limited = ending.limit is not None or ending.offset is not None
    loose = level.outer_columns > level.equalities
    if sets or ending.ties or (node.group and limited) or (loose and (node.group or limited)):
        translator.refuse(node, "Given correlated subquery is not supported")
