"""What a query was asked with, kept where every function finds it: in a comment at the end of its text.

Athena keeps a query's text for 45 days and shows it to whoever asks for the query; nothing else has to be stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from chalicelib.queries.engine import ResultColumn
from chalicelib.queries.sql import Checked

NOTE = re.compile(r"(\nLIMIT \d+)?\n-- lake: (\{[^\n]*\})\Z")
NESTED = ("array", "map", "row")


@dataclass(frozen=True, slots=True)
class Note:
    """``most`` rows are kept; ``types`` are those of nested columns by place, of which Athena tells only the name."""

    kind: str
    most: int
    client: str = ""
    written: str | None = None  # the statement as it was written, where another one was sent
    types: dict[str, str] = field(default_factory=dict)


def with_note(checked: Checked, most: int, client: str) -> str:
    """The text that Athena gets: the statement as written, a limit where it has none, and the note.

    SHOW and DESCRIBE are sent as the query for their answer, so that Athena shows no more than the lake's tables.
    """
    shown = checked.kind == "show"
    note = Note(checked.kind, most, client[:32], checked.sql if shown else None, nested_types(checked.columns))
    text = checked.duckdb if shown else checked.sql
    if checked.kind == "select" and not has_limit(checked.sql):
        text += f"\nLIMIT {most + 1}"  # one more than are kept, to know that there are more
    return f"{text}\n-- lake: {json.dumps(asdict(note), ensure_ascii=True, separators=(',', ':'))}"


def read_note(text: str) -> tuple[str, Note] | None:
    """The statement as it was written and its note; None for a query that the lake did not start."""
    match = NOTE.search(text)
    if not match:
        return None
    note = Note(**json.loads(match[2]))
    return note.written if note.written is not None else text[: match.start()], note


def has_limit(sql: str) -> bool:
    """Whether the statement itself, and not only a part of it, says how many rows it wants."""
    from chalicelib.queries.sql.parsing import parse, tokenize

    tree = parse(sql, tokenize(sql))
    return tree.args.get("limit") is not None


def nested_types(columns: Iterable[ResultColumn]) -> dict[str, str]:
    return {str(place): column.type for place, column in enumerate(columns) if column.type.startswith(NESTED)}


def conversion(key: str, format: str, columns: Iterable[ResultColumn], most: int) -> tuple[str, dict[str, Any]]:
    """The key of a result as a file of ``format``, and the arguments of resultfile.convert that make it."""
    target = f"{key.rpartition('.')[0]}-download.{format}"
    listed = [(column.name, column.type) for column in columns]
    return target, {"key": key, "target": target, "columns": listed, "most_rows": most}
