"""What a result's file takes, and what it costs a process to write one."""

# ruff: noqa: DTZ001  (timestamps without time zone are a result's own)

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from chalicelib.errors import QueryFailed
from chalicelib.queries.result_files import check_years

FIRST, LAST = datetime(1, 1, 2), datetime(9999, 12, 30)
WRITES = """
import io, sys, duckdb
from chalicelib.queries.result_files import ResultFile
columns = {
    "bigint": "1::BIGINT", "double": "1.5::DOUBLE", "boolean": "true", "varchar": "'x'",
    "decimal(9,2)": "1::DECIMAL(9, 2)",
    "date": "DATE '2026-11-20'", "timestamp(3)": "TIMESTAMP '2026-11-20 10:00:00'", "array(varchar)": "['a', NULL]",
}
rows = duckdb.sql(f"SELECT {', '.join(columns.values())}").to_arrow_reader().read_next_batch()
with ResultFile(io.BytesIO(), [(kind, kind) for kind in columns]) as file:
    file.write(file.batch_of_arrays(rows.columns))
print("pandas" in sys.modules)
"""
KINDS = (pa.date32(), pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("us", "UTC"))


def test_a_process_that_writes_results_has_no_use_for_pandas() -> None:
    """It would take each a third of a second before its first result, and 50 MB."""
    assert (
        subprocess.run([sys.executable, "-c", WRITES], capture_output=True, text=True, check=True).stdout == "False\n"
    )


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_days_that_python_has_in_every_zone_can_be_shown_and_no_others(kind: pa.DataType) -> None:
    step = timedelta(days=1) if pa.types.is_date(kind) else timedelta(milliseconds=1)
    for fine in (column(kind), column(kind, None), column(kind, FIRST, None, LAST)):
        check_years(fine)
    for wrong in (FIRST - step, LAST + step):
        alone = column(kind, wrong)
        for held in (alone, column(kind, datetime(2026, 11, 20), wrong, None), pa.ListArray.from_arrays([0, 1], alone)):
            with pytest.raises(QueryFailed, match="before the year 1 or beyond 9999"):
                check_years(held)


def column(kind: pa.DataType, *moments: datetime | None) -> pa.Array:
    """Moments in UTC as a column of ``kind``."""
    return pa.array(moments, pa.timestamp("us")).cast(kind)
