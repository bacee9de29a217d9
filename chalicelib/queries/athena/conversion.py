"""A query's result as one file for download, in constant memory and in the result's order: CSV as the lake writes it
everywhere (RFC 4180, arrays as JSON), or Parquet.

Athena's own CSV quotes everything and writes arrays as ``[a, b]``; its UNLOAD would run the query again, write several
files and lose the order. The function that does this can read and write nothing but query results.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chalicelib.errors import InvalidRequest
from chalicelib.lake import RESULTS, Lake
from chalicelib.queries.athena.files import records
from chalicelib.queries.athena.values import reader, split_type
from chalicelib.queries.rendering import csv_lines

BATCH = 16_384  # rows
FOLDER = f"{RESULTS}athena/"


def convert(lake: Lake, key: str, target: str, columns: Sequence[tuple[str, str]], most_rows: int) -> str:
    """Write the result at ``key`` as ``target`` (``.csv`` or ``.parquet``). ``columns`` are names and Trino types."""
    if not (key.startswith(FOLDER) and target.startswith(FOLDER) and key != target):
        raise InvalidRequest(f"{key} is not a query's result", key=key)
    with tempfile.TemporaryDirectory() as scratch, closing(lake.store.open(key)) as source:
        path = Path(scratch) / "result"
        header = 1 if key.endswith(".csv") else 0  # plans have none
        rows = islice(records(source), header, most_rows + header)
        write = write_parquet if target.endswith(".parquet") else write_csv
        write(path, rows, columns)
        lake.store.write_file(target, path)
    return target


def write_csv(path: Path, rows: Iterator[list[str | None]], columns: Sequence[tuple[str, str]]) -> None:
    readers = [reader(kind) for _, kind in columns]
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(csv_lines([[name for name, _ in columns]]))
        while chunk := list(islice(rows, BATCH)):
            typed = [[None if t is None else read(t) for read, t in zip(readers, row, strict=True)] for row in chunk]
            stream.write(csv_lines(typed))


def write_parquet(path: Path, rows: Iterator[list[str | None]], columns: Sequence[tuple[str, str]]) -> None:
    schema = pa.schema([(name, arrow_type(kind)) for name, kind in unique(columns)])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches(rows, [kind for _, kind in columns], schema):
            writer.write_batch(batch)


def batches(rows: Iterator[list[str | None]], kinds: list[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    readers = [reader(kind) for kind in kinds]
    while chunk := list(islice(rows, BATCH)):
        arrays = [
            pa.array([fitting(None if text is None else read(text), field.type) for text in column], field.type)
            for column, read, field in zip(zip(*chunk, strict=True), readers, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def fitting(value: Any, kind: pa.DataType) -> Any:
    """Maps are pairs to Arrow; a moment with a zone becomes UTC; what has no type here stays text."""
    if isinstance(value, dict) and pa.types.is_map(kind):
        return list(value.items())
    if isinstance(value, datetime) or value is None or not pa.types.is_string(kind):
        return value
    return value if isinstance(value, str) else str(value)


def unique(columns: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Parquet readers trip over two columns of one name."""
    seen: dict[str, int] = {}
    for name, kind in columns:
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name}_{seen[name]}"), kind


def arrow_type(kind: str) -> pa.DataType:
    """The Arrow type of a Trino type."""
    name, arguments = split_type(kind)
    if name == "array" and arguments:
        return pa.list_(arrow_type(arguments[0]))
    if name == "map" and len(arguments) == 2:
        return pa.map_(arrow_type(arguments[0]), arrow_type(arguments[1]))
    if name == "decimal" and len(arguments) == 2:
        return pa.decimal128(int(arguments[0]), int(arguments[1]))
    if name.startswith("timestamp"):
        return pa.timestamp("us", tz="UTC" if kind.endswith("with time zone") else None)
    return SIMPLE.get(name, pa.string())


SIMPLE = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "varbinary": pa.binary(),
}
