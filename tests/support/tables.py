"""What the tables of a lake hold, for comparing two lakes."""

from __future__ import annotations

from typing import Any

import duckdb

from chalicelib.lake import Lake
from chalicelib.tables import TABLES
from chalicelib.transformation.transform import transform_pending

NOT_COMPARED = {"runs", "quality_results", "rejected_rows", "listings"}  # about runs and times, not about Spotify
TIMES = {"observed_at", "raw_key", "run_id"}  # columns that say when and by whom something was seen

Rows = dict[str, set[tuple[Any, ...]]]


def transformed(lake: Lake) -> Rows:
    """Every distinct row of every table once all raw objects are transformed, without the times of observation."""
    transform_pending(lake)
    return {table.name: rows_of(lake, table.history) for table in TABLES if table.name not in NOT_COMPARED}


def rows_of(lake: Lake, history: str) -> set[tuple[Any, ...]]:
    prefix = f"transformed/{lake.generation()}/{history}/"
    files = [lake.store.location(info.key) for info in lake.store.list(prefix) if info.key.endswith(".parquet")]
    if not files:
        return set()
    with duckdb.connect() as connection:
        result = connection.execute(
            "SELECT * FROM read_parquet(?, union_by_name = true, hive_partitioning = false)", [files]
        )
        names = [column[0] for column in result.description or []]
        kept = [place for place, name in enumerate(names) if name not in TIMES]
        return {tuple(repr(row[place]) for place in kept) for row in result.fetchall()}


def differences(one: Rows, other: Rows) -> list[str]:
    """What stands in one and not in the other, a few of each."""
    found = []
    for table in one.keys() | other.keys():
        for word, rows in (("only here", one[table] - other[table]), ("missing", other[table] - one[table])):
            found += [f"{table}: {word}: {row}" for row in sorted(rows)[:3]]
    return found
