"""A whole result as CSV: the same text as rendering.py's, a column at a time, so that millions of rows take seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chalicelib.errors import QueryFailed
from chalicelib.queries.embedded.results import Caps, MeteredFile, ResultTooLarge
from chalicelib.queries.engine import ResultColumn
from chalicelib.queries.rendering import csv_field, csv_lines
from chalicelib.queries.result_files import values
from chalicelib.types import parse

NEEDS_QUOTES = '[",\r\n]|^$'


def write_csv(result: Path, target: Path, columns: Sequence[ResultColumn], caps: Caps) -> int:
    """Write the Parquet result at ``result`` to ``target``, a row group at a time; answers its bytes.

    Raises QueryFailed where it would be larger than a result may be.
    """
    try:
        with MeteredFile(target, caps) as sink, pq.ParquetFile(result) as source:
            sink.write(csv_lines([[column.name for column in columns]]).encode())
            for group in range(source.metadata.num_row_groups):
                sink.write(csv_bytes(source.read_row_group(group, use_threads=False), columns))
            return sink.length
    except ResultTooLarge as error:
        raise QueryFailed(f"the result as CSV: {error}; download it as Parquet, or narrow the query") from None


def csv_bytes(table: pa.Table, columns: Sequence[ResultColumn]) -> bytes:
    """The rows of a table as CSV lines."""
    fields = [csv_column(part, column.type) for part, column in zip(table.columns, columns, strict=True)]
    if table.num_rows == 0:
        return b""
    rows = pc.binary_join_element_wise(*fields, ",") if len(fields) > 1 else fields[0]
    lines = pc.binary_join_element_wise(rows, "\r\n", "")
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), as_array(lines)), "")
    return bytes(joined[0].as_buffer())


def csv_column(column: pa.ChunkedArray, type_name: str) -> pa.Array:
    """A column's fields, quoted where they must be; null is empty."""
    kind = column.type
    if type_name == "varchar" and pa.types.is_string(kind):
        text = quoted(column)
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_date32(kind):
        text = pc.cast(column, pa.string())
    elif type_name.startswith("timestamp") and pa.types.is_timestamp(kind) and whole_milliseconds(column):
        text = pc.strftime(pc.cast(column, pa.timestamp("ms")), "%Y-%m-%dT%H:%M:%SZ")
    elif pa.types.is_float64(kind) and pc.all(pc.is_finite(column)).as_py():
        text = pa.array([None if value is None else repr(value) for value in column.to_pylist()], pa.string())
    else:
        text = pa.array([csv_field(value) for value in values(column, parse(type_name))], pa.string())
    return as_array(pc.fill_null(pc.cast(text, pa.string()), ""))


def quoted(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts with quotes where RFC 4180 wants them."""
    text = pc.cast(column, pa.string())
    padded = pc.not_equal(pc.utf8_trim_whitespace(text), text)
    needed = pc.or_(pc.match_substring_regex(text, NEEDS_QUOTES), padded)
    if not pc.any(needed).as_py():
        return text
    inside = pc.replace_substring(text, '"', '""')
    return pc.if_else(needed, pc.binary_join_element_wise('"', inside, '"', ""), text)


def whole_milliseconds(column: pa.ChunkedArray) -> bool:
    """Whether a column's times have nothing below the millisecond."""
    if column.type.unit in ("s", "ms"):
        return True
    micros = pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64())
    remainder = pc.subtract(micros, pc.multiply(pc.divide(micros, 1000), 1000))
    return not pc.any(pc.not_equal(remainder, 0)).as_py()


def as_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
