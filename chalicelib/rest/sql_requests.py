"""SQL as requests bring it: in an address (``GET /sql?sql=…&p1=…&sort=-plays``) or a body, sorted as they say."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from chalicelib.errors import LakeError
from chalicelib.rest.messages import Asked
from chalicelib.rest.schema import fault, refuse

MOST_PARAMETERS = 10
NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
WORDS = {"true": True, "false": False, "null": None}
BEFORE = "SELECT * FROM ("  # of a statement that is sorted
UNNAMED = re.compile(r"_col(\d{1,4})")  # how results call a column without a name
#: What stands in quotes or is a comment, or else a semicolon behind which nothing else stands.
CLOSING = re.compile(r"""('[^']*'|"[^"]*"|--[^\n]*|/\*[\s\S]*?\*/)|;(?=(?:[\s;]|--[^\n]*|/\*[\s\S]*?\*/)*\Z)""")


@dataclass(frozen=True, slots=True)
class RequestedSql:
    """A statement and the values for its ``?``."""

    sql: str
    parameters: list[Any]
    sorted: bool = False

    def placed(self, error: LakeError) -> LakeError:
        """An error whose position is that in the statement as it was given."""
        position = error.details.get("position") if self.sorted else None
        if isinstance(position, dict) and position.get("line") == 1:
            named = "line 1, column {}"
            given = max(1, position["column"] - len(BEFORE))
            error.message = error.message.replace(named.format(position["column"]), named.format(given), 1)
            position["column"] = given
        return error


def addressed_sql(asked: Asked) -> RequestedSql:
    """What a request asks for. Raises InvalidRequest naming every fault at once."""
    texts = [asked.query[parameter_name(number)] for number in range(1, MOST_PARAMETERS + 1)]
    given = [text for text in texts if text is not None]
    if None in texts[: len(given)]:
        missing = parameter_name(texts.index(None) + 1)
        refuse([fault("query", missing, "is missing: parameters are p1, p2 and so on, without a gap")])
    return requested_sql(asked.query["sql"], [value_of(text) for text in given], asked.query["sort"])


def requested_sql(sql: str, parameters: list[Any], sort: str | None) -> RequestedSql:
    """A statement, with its rows sorted by columns of its result where ``sort`` names some."""
    return RequestedSql(ordered(sql, sort), parameters, sorted=True) if sort else RequestedSql(sql, parameters)


def parameter_name(number: int) -> str:
    """``p1`` of 1."""
    return f"p{number}"


def value_of(text: str) -> Any:
    """A parameter's value: what is written as a number is one, ``true``, ``false`` and ``null`` are what they say, and
    all else is text; text in double quotes is text whatever it looks like."""
    if text in WORDS:
        return WORDS[text]
    if re.fullmatch(NUMBER, text):
        return json.loads(text)
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def ordered(sql: str, sort: str) -> str:
    """The statement with its rows sorted by columns of its result: ``plays`` or ``-plays,name``, nulls last."""
    keys = [
        f"{key_of(column.removeprefix('-'))} {'DESC' if column.startswith('-') else 'ASC'}"
        for column in (each.strip() for each in sort.split(","))
    ]
    return f"{BEFORE}{CLOSING.sub(lambda found: found[1] or ' ', sql)}\n) ORDER BY {', '.join(keys)}"


def key_of(column: str) -> str:
    """What sorts by a column of a result: its name, or its place where it has none."""
    if unnamed := UNNAMED.fullmatch(column):
        return str(int(unnamed[1]) + 1)
    return f'"{column.replace(chr(34), chr(34) * 2)}"'
