"""SQL that stands in an address: ``GET /sql?sql=…&p1=…&sort=-plays``."""

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


@dataclass(frozen=True, slots=True)
class AddressedSql:
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


def addressed_sql(asked: Asked) -> AddressedSql:
    """What a request asks for. Raises InvalidRequest naming every fault at once."""
    texts = [asked.query[parameter_name(number)] for number in range(1, MOST_PARAMETERS + 1)]
    given = [text for text in texts if text is not None]
    if None in texts[: len(given)]:
        missing = parameter_name(texts.index(None) + 1)
        refuse([fault("query", missing, "is missing: parameters are p1, p2 and so on, without a gap")])
    sql, sort = asked.query["sql"], asked.query["sort"]
    values = [value_of(text) for text in given]
    return AddressedSql(ordered(sql, sort), values, sorted=True) if sort else AddressedSql(sql, values)


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
    columns = [column.strip() for column in sort.split(",")]
    keys = [
        f'"{column.removeprefix("-").replace(chr(34), chr(34) * 2)}" {"DESC" if column.startswith("-") else "ASC"}'
        for column in columns
    ]
    return f"{BEFORE}{sql.rstrip().removesuffix(';')}\n) ORDER BY {', '.join(keys)}"
