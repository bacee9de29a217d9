"""What the tables of a lake hold, for comparing two lakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from io import BytesIO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from chalicelib.lake import Lake
from chalicelib.parquet import arrow_schema
from chalicelib.pipeline import catch_up
from chalicelib.settings import Settings
from chalicelib.tables import PHYSICAL, TABLES
from chalicelib.views import view_sql

COMPARED = {table.name for table in TABLES if table.current not in ("internal", "derived")} - {
    "runs",
    "quality_results",
    "rejected_rows",
}
Rows = dict[str, Counter[str]]  # each row as text
Held = dict[str, pa.Table]  # by key


def transformed(lake: Lake, settings: Settings) -> Rows:
    """The tables once all raw objects are transformed and plays decided. What a look at a library found is of the run
    that looked, and not compared."""
    catch_up(lake, settings)
    return tables_of(lake, COMPARED - {"listings"})


def tables_of(lake: Lake, names: Collection[str] = COMPARED, held: Held | None = None) -> Rows:
    """Tables as a query sees them, without the times of observation; ``held`` are files that have been read before."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(ATHENAS_FUNCTIONS)
        for name, table in PHYSICAL.items():
            infos = lake.store.list(f"transformed/{lake.generation()}/{name}/")
            keys = [info.key for info in infos if info.key.endswith(".parquet")]
            files = [(held or {}).get(key) or pq.read_table(BytesIO(lake.store.read(key))) for key in keys]
            rows = pa.concat_tables([arrow_schema(table).empty_table(), *files], promote_options="default")
            connection.register(f"rows_{name}", rows)
            month = table.partition_by
            connection.execute(f"CREATE VIEW {name} AS SELECT *, strftime({month}, '%Y-%m') AS month FROM rows_{name}")
        return {table.name: rows_of(connection, view_sql(table)) for table in TABLES if table.name in names}


ATHENAS_FUNCTIONS = """
CREATE MACRO date_add(unit, count, moment) AS CASE unit
    WHEN 'hour' THEN moment + to_hours(count::BIGINT) WHEN 'day' THEN moment + to_days(count::INTEGER)
    ELSE moment + to_years(count::INTEGER) END;
CREATE MACRO date_format(moment, format) AS strftime(moment, format);
"""  # as far as the views use them


def rows_of(connection: duckdb.DuckDBPyConnection, sql: str) -> Counter[str]:
    kept = f"SELECT COLUMNS(lambda name: name <> 'observed_at') FROM ({sql})"
    return Counter(
        text for (text,) in connection.execute(f"SELECT CAST(rows AS VARCHAR) FROM ({kept}) AS rows").fetchall()
    )


def differences(one: Rows, other: Rows) -> list[str]:
    """What stands in one and not in the other, a few of each."""
    found = []
    for table in one:
        for word, rows in (("too many", one[table] - other[table]), ("missing", other[table] - one[table])):
            found += [f"{table}: {word}: {row}" for row in sorted(rows)[:3]]
    return found
