"""Rows on a terminal: a table while every word stays whole, else a record a row."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from typing import Any

PIPE_WIDTH = 200  # columns of a table that is not on a terminal
AROUND = 3  # columns of a table's own beside each of its columns, and one more
NUMBERS = ("tinyint", "smallint", "integer", "bigint", "real", "double", "decimal")  # types of them, as they begin


def print_table(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str | None = None,
    stream: Any = None,
    numeric: Sequence[bool] | None = None,
) -> None:
    """Print texts as a table, or as records where a word would have to break. ``numeric`` says which columns are
    numbers; those that look so without it."""
    import sys

    stream = stream or sys.stdout
    names = [visible(name) for name in names]
    shown = columns_of(names, rows, numeric)
    widths = fitting([(name, *cells) for name, (cells, _) in zip(names, shown, strict=True)], width_of(stream))
    if widths is None:
        print_records(names, rows, title, stream)
    else:
        draw(names, shown, widths, title, stream)


def print_records(names: Sequence[str], rows: Sequence[Sequence[str]], title: str | None, stream: Any) -> None:
    """Print each row as lines of a name and its value."""
    from rich.cells import cell_len

    names = [visible(name) for name in names]
    longest = max(map(cell_len, names), default=0)
    if title:
        stream.write(f"{title}\n")
    for number, row in enumerate(rows, 1):
        stream.write(f"-[ {number} ]-\n")
        for name, text in zip(names, row, strict=True):
            stream.write(f"{name}{' ' * (longest - cell_len(name))}  {visible(text)}".rstrip() + "\n")


def columns_of(
    names: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool] | None
) -> list[tuple[list[str], bool]]:
    """Each column's cells as they are shown, and whether they are numbers, whose points then stand below each other."""
    shown = []
    for place in range(len(names)):
        cells = [visible(row[place]) for row in rows]
        numbers = numeric[place] if numeric else bool(cells) and all(map(is_number, cells))
        shown.append((aligned(cells) if numbers else cells, numbers))
    return shown


def aligned(cells: Sequence[str]) -> list[str]:
    """Numbers with room behind those of fewer decimals, so that points stand below each other."""
    behind = [len(cell.partition(".")[2]) + ("." in cell) for cell in cells]
    most = max(behind, default=0)
    return [
        cell + " " * (most - room) if cell and "E" not in cell else cell
        for cell, room in zip(cells, behind, strict=True)
    ]


def fitting(columns: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """How wide each column of texts may be so that no word breaks; None where there is no room for that."""
    from rich.cells import cell_len

    whole = [max(map(cell_len, texts)) for texts in columns]
    least = [max(cell_len(word) for text in texts for word in (text.split(" ") or [""])) for texts in columns]
    room = width - AROUND * len(columns) - 1
    if sum(whole) <= room:
        return whole
    left = room - sum(least)
    if left < 0:
        return None
    wanted = sum(whole) - sum(least)
    return [few + (many - few) * left // wanted for few, many in zip(least, whole, strict=True)]


def draw(
    names: Sequence[str], shown: Sequence[tuple[list[str], bool]], widths: Sequence[int], title: str | None, stream: Any
) -> None:
    """A table of these widths, numbers to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for name, (_, numbers), width in zip(names, shown, widths, strict=True):
        table.add_column(name, justify="right" if numbers else "left", width=width)
    for row in zip(*(cells for cells, _ in shown), strict=True):
        table.add_row(*row)
    Console(file=stream, width=width_of(stream), markup=False, emoji=False, highlight=False).print(table)


def width_of(stream: Any) -> int:
    """Columns of the terminal, or of a table that goes elsewhere."""
    return shutil.get_terminal_size().columns if stream.isatty() else PIPE_WIDTH


def is_numeric(type: str) -> bool:
    """Whether values of a type, by Athena's name of it, are numbers."""
    return type.startswith(NUMBERS)


def counted(rows: int) -> str:
    """``1 row``."""
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def visible(text: str) -> str:
    """Text without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def is_number(text: str) -> bool:
    """Whether a column's text is a number, or nothing."""
    return text == "" or text.replace(".", "", 1).removeprefix("-").isdigit()


def print_lines(rows: Iterable[tuple[str, str]], stream: Any = None) -> None:
    """A line for each name and what it is, cut where the terminal ends."""
    import sys

    stream = stream or sys.stdout
    pairs = list(rows)
    longest = max((len(name) for name, _ in pairs), default=0)
    for name, words in pairs:
        line = f"  {name.ljust(longest)}  {visible(words)}"
        width = width_of(stream)
        stream.write((line if len(line) <= width else f"{line[: width - 1].rstrip()}…") + "\n")


def folded(line: str, indent: int, stream: Any = None) -> str:
    """A line as it is; on a terminal as many as fit its width, ending between words, all but the first indented."""
    import sys
    import textwrap

    stream = stream or sys.stdout
    if not stream.isatty():
        return line
    return textwrap.fill(
        line,
        width_of(stream),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
