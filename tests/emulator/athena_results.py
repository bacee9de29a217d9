"""How Athena prints an answer of Trino's: types with their precisions, and every value as text.

Sources: PyAthena's tests against AWS (tests/pyathena/test_cursor.py, docs/null_handling.md, its converter) for types,
precisions, null and the forms of values; "Athena engine version 3" of Athena's guide for timestamps, whose precision
"is always 3".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.support.trino import Answer, Column, Double

#: Athena's name and precision of Trino's types, where they are not the same name and 0.
PRECISIONS = {
    "tinyint": 3,
    "smallint": 5,
    "integer": 10,
    "bigint": 19,
    "float": 17,
    "double": 17,
    "varchar": 2147483647,
    "char": 2147483647,
    "varbinary": 1073741824,
    "timestamp": 3,
    "timestamp with time zone": 3,
    "time": 3,
    "time with time zone": 3,
}
MOMENTS = ("timestamp", "timestamp with time zone", "time", "time with time zone")
DIGITS = re.compile(r"(\d\d:\d\d:\d\d)(?:\.(\d+))?")  # of a second, behind a time of day


class Unprintable(Exception):
    """A value that Athena computes and cannot write."""


def column_info(column: Column) -> dict[str, Any]:
    """A column as GetQueryResults describes it."""
    kind = type_name(column.signature)
    precision, scale = PRECISIONS.get(kind, 0), 0
    lengths = [each["value"] for each in column.signature["arguments"] if each["kind"] == "LONG"]
    if kind == "decimal":
        precision, scale = lengths
    elif kind in ("varchar", "char") and lengths:
        precision = min(lengths[0], PRECISIONS["varchar"])
    return {"Name": column.name, "Label": column.name, "Type": kind, "Precision": precision, "Scale": scale,
            "Nullable": "UNKNOWN", "CaseSensitive": kind in ("varchar", "char"), "CatalogName": "hive",
            "SchemaName": "", "TableName": ""}  # fmt: skip


def type_name(signature: Mapping[str, Any]) -> str:
    """``float`` is what Athena calls a real in its results."""
    kind: str = signature["rawType"]
    return "float" if kind == "real" else kind


def texts(answer: Answer) -> list[list[str | None]]:
    """Every cell as Athena writes it. Raises Unprintable."""
    return [
        [cell_text(cell, column, place) for place, (cell, column) in enumerate(zip(row, answer.columns, strict=True))]
        for row in answer.rows
    ]


def cell_text(cell: Any, column: Column, place: int) -> str | None:
    if cell is None:
        return None
    try:
        return text(cell, column.signature)
    except Unprintable:
        kind = column.type.partition("(")[0]
        raise Unprintable(
            f"SERIALIZATION_ERROR: Could not serialize column '{column.name}' of type '{kind}(3)' "
            f"at position 1:{place + 1}"
        ) from None


def text(cell: Any, signature: Mapping[str, Any]) -> str:
    """Arrays, maps and rows are written without quotes, so that they cannot always be read back."""
    if cell is None:
        return "null"
    kind, inner = signature["rawType"], signature["arguments"]
    if kind == "array":
        return "[" + ", ".join(text(each, inner[0]["value"]) for each in cell) + "]"
    if kind == "map":
        key, value = inner[0]["value"], inner[1]["value"]
        return "{" + ", ".join(f"{text(name, key)}={text(each, value)}" for name, each in cell.items()) + "}"
    if kind == "row":
        return "{" + ", ".join(row_parts(cell, inner)) + "}"
    if kind == "varbinary":
        return base64.b64decode(cell).hex(" ")
    if kind in MOMENTS:
        return with_milliseconds(str(cell))
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return cell.written if isinstance(cell, Double) else str(cell)


def row_parts(cell: Sequence[Any], fields: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    for each, told in zip(cell, fields, strict=True):
        name = (told["value"].get("fieldName") or {}).get("name")
        written = text(each, told["value"]["typeSignature"])
        yield f"{name}={written}" if name else written


def with_milliseconds(written: str) -> str:
    """Raises Unprintable for what is finer than milliseconds."""
    found = DIGITS.search(written)
    assert found, written
    digits = (found[2] or "").ljust(3, "0")
    if digits[3:].strip("0"):
        raise Unprintable(written)
    return f"{written[: found.start()]}{found[1]}.{digits[:3]}{written[found.end() :]}"


def result_file(names: Sequence[str], rows: Iterable[Sequence[str | None]]) -> bytes:
    """The file of a SELECT: every value in quotes, null as nothing at all."""
    lines = (
        ",".join("" if each is None else '"' + each.replace('"', '""') + '"' for each in row) for row in (names, *rows)
    )
    return "".join(line + "\n" for line in lines).encode()
