"""One row per key, whatever was delivered twice, late or out of order: the query of each ``current`` rule of tables.py.

In Athena's dialect, over the stored tables.
"""

from __future__ import annotations

from chalicelib.tables import LISTENER_IDS, PHYSICAL, Column, Table

#: What was observed later than this was observed by a clock that was ahead.
SOON = "date_add('hour', 1, localtimestamp)"
#: Of a decision's rows: the one of an emptied month is nobody's. (That its id is empty too would be as true, but ids
#: are half of a file's bytes, and hardly a question needs them.)
IS_LISTEN = "user_id IS NOT NULL"


def resolutions(table: Table) -> str:
    """The physical table of decisions about a ``resolved`` table."""
    return f"{table.name}_resolved"


def is_listeners_own(table: Table) -> bool:
    """Whether a table's rows are each of a listener, whose id is looked up when they are read. (Whose ``plays`` are is
    decided when they are written.)"""
    return table.current in ("row", "listed", "newest_set") and any(
        column.name == "user_id" for column in table.columns
    )


def observed(table: Table, history: str = "") -> str:
    """The stored rows of a table, each of the listener whom its ``user_id`` means by now."""
    history = history or table.history
    if not is_listeners_own(table):
        return history
    columns = [column.name for column in PHYSICAL[history].physical_columns if column.name != "user_id"]
    shown = ", ".join(f"stored.{name} AS {name}" for name in columns)
    return (
        f"(SELECT coalesce(known.user_id, stored.user_id) AS user_id, {shown} FROM {history} AS stored LEFT JOIN ("
        f"SELECT id, max_by(user_id, {credible('observed_at')}) AS user_id FROM {LISTENER_IDS.history} GROUP BY id"
        f") AS known ON known.id = stored.user_id) AS observed"
    )


def merged(table: Table) -> str:
    """One row per key: of each column the newest value that Spotify said."""
    order = ordering(table)
    newest = [
        f"{newest_said(column, order)} AS {column.name}"
        for column in table.columns
        if column.name not in table.key and column.name != order
    ]
    shown = [*table.key, *newest, f"max({order}) AS {order}"]
    return f"SELECT {', '.join(shown)} FROM {table.history} GROUP BY {', '.join(table.key)}"


def newest_said(column: Column, order: str) -> str:
    """The newest value of a column that is not null; failing that of the one that stands in for it."""
    values = [
        f"max_by({name}, {credible(order)}) FILTER (WHERE {name} IS NOT NULL)"
        for name in (column.name, column.otherwise)
        if name
    ]
    return f"coalesce({', '.join(values)})" if len(values) > 1 else values[0]


def row(table: Table) -> str:
    """One row per key: the newest observation."""
    return f"SELECT {names(table)} FROM ({ranked(table)}) AS ranked WHERE nth = 1"


def newest_set(table: Table) -> str:
    """The rows of the newest observation of each set."""
    rows = f"(SELECT {names(table)}, {credible(ordering(table))} AS seen FROM {observed(table)}) AS observations"
    newest = f"max(seen) OVER (PARTITION BY {', '.join(table.set_of)}) AS newest"
    nth = f"row_number() OVER (PARTITION BY {', '.join(table.key)} ORDER BY seen DESC) AS nth"
    ranking = f"SELECT {names(table)}, seen, {nth}, {newest} FROM {rows}"
    return f"SELECT {names(table)} FROM ({ranking}) AS ranked WHERE nth = 1 AND seen = newest"


def listed(table: Table) -> str:
    """The newest observations that the last complete listing, or a later look, still showed."""
    shared = ", ".join(table.set_of)
    match = " AND ".join(f"ranked.{name} = listing.{name}" for name in table.set_of)
    shown = ", ".join(f"ranked.{column.name} AS {column.name}" for column in table.columns)
    return (
        f"SELECT {shown} FROM ({ranked(table)}) AS ranked LEFT JOIN ("
        f"SELECT {shared}, max(started_at) AS started_at FROM {observed(table, 'listings')} "
        f"WHERE table_name = '{table.name}' AND started_at <= {SOON} GROUP BY {shared}) AS listing ON {match} "
        f"WHERE nth = 1 AND (listing.started_at IS NULL OR ranked.seen >= listing.started_at)"
    )


def resolved(table: Table) -> str:
    """Only the highest resolution of each month counts; an emptied month holds one row of nobody.

    The table is read once. A condition on ``year`` chooses the partitions: engines move it below the window, of whose
    partitions it is a part. A file that was copied into the folder of its year counts instead of the one that it was
    copied from.
    """
    month = f"coalesce(date_format({table.partition_by}, '%Y-%m'), month)"
    return (
        f"SELECT {names(table)}, year FROM ("
        f"SELECT *, max(place) OVER (PARTITION BY year, {month}) AS in_force "
        "FROM (SELECT *, CAST(substr(month, 1, 4) AS integer) AS year, "
        "2 * resolution + CASE WHEN length(month) = 4 THEN 1 ELSE 0 END AS place "
        f"FROM {resolutions(table)}) AS placed"
        f") AS decided WHERE place = in_force AND {IS_LISTEN}"
    )


def pruned(table: Table) -> str:
    """The same where only the files of the highest resolutions are read."""
    year = f"CAST(year({table.partition_by}) AS integer) AS year"
    return f"SELECT {names(table)}, {year} FROM {resolutions(table)} WHERE {IS_LISTEN}"


def ranked(table: Table) -> str:
    """The physical rows with ``nth``: 1 for the newest of each key, and ``seen``, the time by which that was chosen."""
    seen = credible(ordering(table))
    nth = f"row_number() OVER (PARTITION BY {', '.join(table.key)} ORDER BY {seen} DESC) AS nth"
    return f"SELECT {names(table)}, {nth}, {seen} AS seen FROM {observed(table)}"


def credible(moment: str) -> str:
    """A time of observation by which to choose: one from the future comes before all others, for it is not true."""
    return f"CASE WHEN {moment} > {SOON} THEN date_add('year', -1000, {moment}) ELSE {moment} END"


def ordering(table: Table) -> str:
    """The timestamp by which one observation is newer than another."""
    physical = [column.name for column in table.physical_columns if column.name in ("observed_at", "exported_at")]
    return physical[0] if physical else table.partition_by


def names(table: Table) -> str:
    """The user-facing columns, separated by commas."""
    return ", ".join(column.name for column in table.columns)


RULES = {
    "merged": merged,
    "row": row,
    "newest_set": newest_set,
    "listed": listed,
    "resolved": resolved,
}
