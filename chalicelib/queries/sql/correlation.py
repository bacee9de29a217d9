"""Which correlated subqueries Trino can take apart; the others it refuses, and so does the lake."""

from __future__ import annotations

from chalicelib.queries.sql import syntax as s
from chalicelib.queries.sql.scope import Level
from chalicelib.queries.sql.translator import Translator


def check_correlation(translator: Translator, node: s.Select, ending: s.Query, level: Level) -> None:
    """Called for every SELECT once it is translated."""
