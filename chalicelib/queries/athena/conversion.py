"""A query's result as one file for download, in constant memory and in the result's order: CSV as the lake writes it
everywhere (RFC 4180, arrays as JSON), or Parquet.

Athena's own CSV quotes everything and writes arrays as ``[a, b]``; its UNLOAD would run the query again, write several
files and lose the order. The function that does this can read and write nothing but query results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from chalicelib.errors import InvalidRequest, QueryFailed
from chalicelib.files import Room, refused_when_full, scratch_folder
from chalicelib.lake import RESULTS, Lake
from chalicelib.queries.athena.files import records
from chalicelib.queries.athena.values import reader
from chalicelib.queries.rendering import csv_lines
from chalicelib.queries.result_files import ResultFile

BATCH = 16_384  # rows
FOLDER = f"{RESULTS}athena/"


def convert(lake: Lake, key: str, target: str, columns: Sequence[tuple[str, str]], most_rows: int) -> str:
    """Write the result at ``key`` as ``target`` (``.csv`` or ``.parquet``). ``columns`` are names and Trino types.

    Raises InvalidRequest, and QueryFailed for a file that is too large for the temporary disk.
    """
    if not (key.startswith(FOLDER) and target.startswith(FOLDER) and key != target):
        raise InvalidRequest(f"{key} is not a query's result", key=key)
    with scratch_folder() as scratch, refused_when_full(scratch, too_large), closing(lake.store.open(key)) as source:
        path = scratch / "result"
        header = 1 if key.endswith(".csv") else 0  # plans have none
        rows = islice(records(source), header, most_rows + header)
        write = write_parquet if target.endswith(".parquet") else write_csv
        write(path, rows, columns)
        lake.store.write_file(target, path)
    return target


def too_large(room: Room) -> QueryFailed:
    """That a file has no room, and what would; a function's /tmp has 512 MB."""
    return QueryFailed(
        f"it does not fit into {room.where}, which has {room.megabytes}: ask for Parquet, which is smaller, or "
        "for fewer rows or columns"
    )


def write_csv(path: Path, rows: Iterator[list[str | None]], columns: Sequence[tuple[str, str]]) -> None:
    """Write the rows as CSV, in the shape that the API's own CSV has."""
    readers = [reader(kind) for _, kind in columns]
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(csv_lines([[name for name, _ in columns]]))
        while chunk := list(islice(rows, BATCH)):
            values = [typed(column, read) for column, read in zip(zip(*chunk, strict=True), readers, strict=True)]
            stream.write(csv_lines(zip(*values, strict=True)))


def write_parquet(path: Path, rows: Iterator[list[str | None]], columns: Sequence[tuple[str, str]]) -> None:
    """Write the rows as Parquet, with the types of their columns."""
    readers = [str if kind == "json" else reader(kind) for _, kind in columns]  # JSON is text in a file
    with ResultFile(path, columns) as file:
        while chunk := list(islice(rows, BATCH)):
            values = zip(*chunk, strict=True)
            file.write(
                file.batch_of_values([typed(column, read) for column, read in zip(values, readers, strict=True)])
            )


def typed(column: Sequence[str | None], read: Callable[[str], Any]) -> list[Any]:
    """A column's texts as values."""
    return [None if text is None else read(text) for text in column]
