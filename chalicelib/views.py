"""The user-facing tables as views over the physical ones, in Athena's dialect, from each table's ``current`` rule."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.tables import BY_NAME, TABLES, Column, Table

MONTH = Column("month", "string", "The Hive partition: YYYY-MM")


def views() -> Iterator[tuple[str, str]]:
    """Name and SQL of every view: one per user-facing table."""
    for table in TABLES:
        if table.current != "internal":
            yield table.name, view_sql(table)


def user_tables() -> dict[str, tuple[Column, ...]]:
    """Everything that a query may name, with its columns."""
    names = {table.name: table.columns for table in TABLES if table.current != "internal"}
    return names | {table.history: table.physical_columns for table in TABLES if table.shows_history}


def physical_tables() -> dict[str, tuple[Column, ...]]:
    """Everything that a view may name: the stored tables with their partition column."""
    return {table.history: (*table.physical_columns, MONTH) for table in TABLES}


def reads(name: str) -> tuple[str, ...]:
    """The physical tables that a user-facing name stands on."""
    table = BY_NAME.get(name)
    if table is None or table.current == "internal":
        return (name,)
    if table.current == "resolved":
        return (resolutions(table),)
    return (table.history, "listings") if table.current == "listed" else (table.history,)


def resolutions(table: Table) -> str:
    """The physical table of decisions about a ``resolved`` table."""
    return f"{table.name}_resolved"


def view_sql(table: Table) -> str:
    """The query behind a user-facing name: one row per key, whatever was delivered twice, late or out of order."""
    return RULES[table.current](table)


def merged(table: Table) -> str:
    order = ordering(table)
    newest = [
        f"max_by({column.name}, {order}) FILTER (WHERE {column.name} IS NOT NULL) AS {column.name}"
        for column in table.columns
        if column.name not in table.key and column.name != order
    ]
    shown = [*table.key, *newest, f"max({order}) AS {order}"]
    return f"SELECT {', '.join(shown)} FROM {table.history} GROUP BY {', '.join(table.key)}"


def row(table: Table) -> str:
    return f"SELECT {names(table)} FROM ({ranked(table)}) AS ranked WHERE nth = 1"


def newest_set(table: Table) -> str:
    order = ordering(table)
    newest = f"max({order}) OVER (PARTITION BY {', '.join(table.set_of)}) AS newest"
    return f"SELECT {names(table)} FROM ({ranked(table, newest)}) AS ranked WHERE nth = 1 AND {order} = newest"


def listed(table: Table) -> str:
    shared = ", ".join(table.set_of)
    match = " AND ".join(f"ranked.{name} = listing.{name}" for name in table.set_of)
    shown = ", ".join(f"ranked.{column.name} AS {column.name}" for column in table.columns)
    return (
        f"SELECT {shown} FROM ({ranked(table)}) AS ranked LEFT JOIN ("
        f"SELECT {shared}, max(started_at) AS started_at FROM listings "
        f"WHERE table_name = '{table.name}' GROUP BY {shared}) AS listing ON {match} "
        f"WHERE nth = 1 AND (listing.started_at IS NULL OR ranked.{ordering(table)} >= listing.started_at)"
    )


def resolved(table: Table) -> str:
    """Only the highest resolution of each month counts; an emptied month holds one row with an empty key."""
    source = resolutions(table)
    shown = ", ".join(f"decided.{column.name} AS {column.name}" for column in table.columns)
    return (
        f"SELECT {shown} FROM {source} AS decided JOIN ("
        f"SELECT month, max(resolution) AS resolution FROM {source} GROUP BY month) AS in_force "
        "ON decided.month = in_force.month AND decided.resolution = in_force.resolution "
        f"WHERE decided.{table.key[0]} <> ''"
    )


def pruned(table: Table) -> str:
    """The same where the files of lower resolutions are left out of the listing already (embedded engine)."""
    return f"SELECT {names(table)} FROM {resolutions(table)} WHERE {table.key[0]} <> ''"


def ranked(table: Table, *more: str) -> str:
    """The physical rows with ``nth``: 1 for the newest of each key."""
    order = ordering(table)
    needed = dict.fromkeys([column.name for column in table.columns] + [order])
    nth = f"row_number() OVER (PARTITION BY {', '.join(table.key)} ORDER BY {order} DESC) AS nth"
    return f"SELECT {', '.join([*needed, nth, *more])} FROM {table.history}"


def ordering(table: Table) -> str:
    """The timestamp by which one observation is newer than another."""
    physical = {column.name for column in table.physical_columns}
    return "observed_at" if "observed_at" in physical else table.partition_by


def names(table: Table) -> str:
    return ", ".join(column.name for column in table.columns)


RULES = {"merged": merged, "row": row, "newest_set": newest_set, "listed": listed, "resolved": resolved}
