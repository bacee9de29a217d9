"""What a query was asked with, kept where every function finds it: in a comment at the end of its text.

Athena keeps a query's text for 45 days and shows it to whoever asks for the query; nothing else has to be stored.

Values of ``?`` stand in the text as literals. Athena's own parameters are for WHERE alone ("Currently, ? parameters can
be placed only in the WHERE clause", Athena user guide, "Use parameterized queries") and hold 1,024 characters each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from chalicelib.queries.engine import ResultColumn
from chalicelib.queries.sql import Checked

NOTE = re.compile(r"\n-- lake: (\{[^\n]*\})\Z")
NESTED = ("array", "map", "row")

NoteValue = tuple[
    int, int
]  # of one ``?``: its place in the statement as written, and the length of what stands there now


@dataclass(frozen=True, slots=True)
class Note:
    """``most`` rows are kept; ``types`` are those of nested columns by place, of which Athena tells only the name.

    Of a statement that was sent as it was written, ``added`` characters behind it are the limit that it lacked.
    """

    kind: str
    most: int
    client: str = ""
    written: str | None = None  # the statement as it was written, where another one was sent
    types: dict[str, str] = field(default_factory=dict)
    values: tuple[NoteValue, ...] = ()
    added: int = 0

    def written_place(self, line: int, column: int, sent: str) -> tuple[int, int]:
        """Where in the statement as written a place of the statement as ``sent`` (line and column from 1) is."""
        if self.written is None or not self.values:
            return line, column
        start = sum(len(each) + 1 for each in sent.split("\n")[: line - 1])
        before = self.written[: self._written_offset(start + column - 1)]
        return before.count("\n") + 1, len(before) - before.rfind("\n")

    def _written_offset(self, at: int) -> int:
        grown = 0
        for place, length in self.values:
            if at < place + grown:
                break
            if at < place + grown + length:
                return place
            grown += length - 1
        return at - grown


def known_as(client: str) -> str:
    """What the note keeps of who asked."""
    return client[:32]


def with_note(checked: Checked, most: int, client: str, parameters: Sequence[Any] = ()) -> str:
    """The text that Athena gets: the statement with its values, limited to what is kept, and the note.

    SHOW and DESCRIBE are sent as the query for their answer, so that Athena shows no more than the lake's tables.
    Raises QueryRefused for a value that cannot be bound.
    """
    shown = checked.kind == "show"
    text, values = (checked.duckdb, ()) if shown else with_literals(checked.sql, parameters)
    sent = limited(text, most + 1) if checked.kind == "select" else text  # one more, to know that there are more
    as_written = sent.startswith(checked.sql)
    note = Note(
        checked.kind,
        most,
        client,
        None if as_written else checked.sql,
        nested_types(checked.columns),
        values,
        len(sent) - len(checked.sql) if as_written else 0,
    )
    return f"{sent}\n-- lake: {json.dumps(asdict(note), ensure_ascii=True, separators=(',', ':'))}"


def limited(sql: str, most: int) -> str:
    """A query that answers with no more than ``most`` rows: its own limit where that is lower."""
    from chalicelib.queries.sql.parser import Parser
    from chalicelib.queries.sql.syntax import Number
    from chalicelib.queries.sql.tokens import LONGEST, tokenize

    if len(sql.encode()) > LONGEST:
        return sql  # which Athena does not take at all
    tokens = tokenize(sql)
    tree = Parser(sql, tokens).statement()
    if tree.counted_at is None:
        return sql if tree.limit else f"{sql}\nLIMIT {most}"
    if isinstance(tree.limit, Number) and int(tree.limit.value) <= most:
        return sql
    wanted = next(token for token in tokens if token.at == tree.counted_at)
    return f"{sql[: wanted.at]}{most}{sql[wanted.end :]}"


def with_literals(sql: str, parameters: Sequence[Any]) -> tuple[str, tuple[NoteValue, ...]]:
    """The statement with a literal in place of each ``?``, and where they were put. Each stands apart from its
    neighbours: ``10-?`` with -5 is no comment, and ``x?`` with a text is no binary literal."""
    from chalicelib.queries.sql import literal
    from chalicelib.queries.sql.tokens import tokenize

    if not parameters:
        return sql, ()
    places = [token.at for token in tokenize(sql) if token.word == "?"]
    pieces, values, end = [], [], 0
    for place, value in zip(places, parameters, strict=True):
        put = f" {literal(value)} "
        pieces += [sql[end:place], put]
        values.append((place, len(put)))
        end = place + 1
    return "".join([*pieces, sql[end:]]), tuple(values)


def read_note(text: str) -> tuple[str, Note] | None:
    """The statement as it was written and its note; None for a query that the lake did not start."""
    match = NOTE.search(text)
    if not match:
        return None
    note = Note(**json.loads(match[1]))
    return note.written if note.written is not None else text[: match.start() - note.added], note


def nested_types(columns: Iterable[ResultColumn]) -> dict[str, str]:
    """The types of nested columns by place, which Athena's answer does not tell whole."""
    return {str(place): column.type for place, column in enumerate(columns) if column.type.startswith(NESTED)}


def conversion(key: str, format: str, columns: Iterable[ResultColumn], most: int) -> tuple[str, dict[str, Any]]:
    """The key of a result as a file of ``format``, and the arguments of resultfile.convert that make it."""
    target = f"{key.rpartition('.')[0]}-download.{format}"
    listed = [(column.name, column.type) for column in columns]
    return target, {"key": key, "target": target, "columns": listed, "most_rows": most}
