"""What the command line shows: results as a table, JSON, CSV or a file; progress on a terminal, nothing in a pipe."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chalicelib.commands.layout import counted, is_numeric, print_records, print_table
from chalicelib.errors import InvalidRequest

if TYPE_CHECKING:
    from chalicelib.queries.engine import Engine, Query, RowPage

MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\dT00:00:00(\.0+)?Z?)?")  # or nothing
FORMATS = ("table", "records", "json", "csv", "parquet")
SHOWN_ROWS = 1_000  # rows of a table on a terminal; files have them all


def show(engine: Engine, done: Query, shape: str | None, output: Path | None, title: str | None = None) -> None:
    """Print a result, or write it to ``output``, in the shape asked for."""
    from chalicelib.queries.rendering import with_local_times

    chosen = shape or ("parquet" if output and output.suffix == ".parquet" else None)
    chosen = chosen or ("csv" if output or not sys.stdout.isatty() else "table")
    if chosen == "parquet":
        if output is None:
            raise InvalidRequest("--format parquet needs --output FILE")
        save_download(engine, done, output)
        return
    pages = (with_local_times(page, done.sql) for page in engine.all_rows(done.query_id))
    if output is None:
        WRITERS[chosen](pages, sys.stdout, title)
    else:
        temporary = output.with_name(f".{output.name}.tmp")
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            WRITERS[chosen](pages, stream, title)
        temporary.replace(output)
    if done.truncated:
        click.echo("the result was cut at QUERY_ROWS or QUERY_BYTES", err=True)


def save_download(engine: Engine, done: Query, output: Path) -> None:
    """Write a result as Parquet."""
    from urllib.request import urlopen

    found = engine.download(done.query_id, "parquet")
    temporary = output.with_name(f".{output.name}.tmp")
    with found.path.open("rb") if found.path else urlopen(found.link or "") as source, temporary.open("wb") as target:
        shutil.copyfileobj(source, target)
    temporary.replace(output)


def write_csv(pages: Iterable[RowPage], stream: Any, _title: str | None) -> None:
    """All rows as CSV, the columns' names first."""
    from chalicelib.queries.rendering import csv_lines

    for place, page in enumerate(pages):
        header = [[column.name for column in page.columns]] if place == 0 else []
        stream.write(csv_lines([*header, *page.rows]))


def write_json(pages: Iterable[RowPage], stream: Any, _title: str | None) -> None:
    """A JSON array of objects, a row a line."""
    from chalicelib.queries.rendering import plain

    stream.write("[")
    comma = "\n"
    for page in pages:
        names = [column.name for column in page.columns]
        for row in page.rows:
            record = dict(zip(names, map(plain, row), strict=True))
            stream.write(comma + json.dumps(record, ensure_ascii=False, allow_nan=False))
            comma = ",\n"
    stream.write("\n]\n")


def write_table(pages: Iterable[RowPage], stream: Any, title: str | None) -> None:
    """The first rows as a table for a terminal, or as records where it has no room for whole words."""
    names, rows, numeric = first_rows(pages)
    print_table(names, rows, title, stream, numeric)
    stream.write(f"{counted(len(rows))}\n")


def write_records(pages: Iterable[RowPage], stream: Any, title: str | None) -> None:
    """The first rows, each as lines of a column's name and its value."""
    names, rows, _ = first_rows(pages)
    print_records(names, rows, title, stream)
    stream.write(f"{counted(len(rows))}\n")


def first_rows(pages: Iterable[RowPage]) -> tuple[list[str], list[list[str]], list[bool]]:
    """The columns' names, the first rows as texts, and which columns are numbers; says so where there are more."""
    from chalicelib.queries.rendering import csv_text

    names: list[str] = []
    rows: list[list[str]] = []
    numeric: list[bool] = []
    for page in pages:
        names = [column.name for column in page.columns]
        numeric = [is_numeric(column.type) for column in page.columns]
        rows += [["" if value is None else csv_text(value) for value in row] for row in page.rows]
        if len(rows) > SHOWN_ROWS:
            break
    if len(rows) > SHOWN_ROWS:
        click.echo(f"the first {SHOWN_ROWS} rows; --output FILE has them all", err=True)
    return names, with_days(rows[:SHOWN_ROWS]), numeric


def with_days(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Times that are all the beginning of a day, as days."""
    columns = [
        [text[:10] for text in column] if any(column) and all(MIDNIGHT.fullmatch(text) for text in column) else column
        for column in zip(*rows, strict=True)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


WRITERS: dict[str, Callable[[Iterable[Any], Any, str | None], None]] = {
    "csv": write_csv,
    "json": write_json,
    "table": write_table,
    "records": write_records,
}


# --- progress -----------------------------------------------------------------------------------------------------


class ProgressBar:
    """A progress bar on a terminal, nothing in a pipe. Called with what is done, of how much, and a word."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Callable[..., None]:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=None)
        return self.update

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: float, total: float | None = None, word: str = "") -> None:
        """Show how much is done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, description=word or self._title)
