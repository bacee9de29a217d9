"""The functions that a query may call, each with its signature and its rendering in DuckDB.

They are declared in ``functions.txt``; those whose rendering depends on an argument's value are in ``special.py``.
What is in neither is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from chalicelib.queries.sql.values import fail_when

DECLARED = Path(__file__).with_name("functions.txt")
SAME_AS = {
    "ceiling": "ceil",
    "week_of_year": "week",
    "day_of_month": "day",
    "dow": "day_of_week",
    "doy": "day_of_year",
    "yow": "year_of_week",
    "char_length": "length",
}
VOLATILE = frozenset({"random", "rand", "now", "shuffle", "uuid"})


@dataclass(frozen=True, slots=True)
class Form:
    """One signature of a function; ``after`` wraps the call once FILTER and OVER have been put to it."""

    name: str
    parameters: tuple[str, ...]
    returns: str
    template: str
    after: str = ""
    repeats: bool = False
    kind: str = field(default="scalar")


FAILURE = re.compile(r"WHEN ((?:(?! THEN ).)*) THEN error\(('(?:[^']|'')*'(?: \|\| \{0\})?)\)")


def failing(found: re.Match[str]) -> str:
    return fail_when(found[1], found[2])


@cache
def forms() -> dict[str, list[Form]]:
    """Every function's forms, in the order in which they are tried."""
    found: dict[str, list[Form]] = {}
    kind = ""
    for line in lines():
        if line.startswith("["):
            kind = line.strip("[]")
        else:
            form = read(line, kind)
            found.setdefault(form.name, []).append(form)
    return found


def lines() -> Iterator[str]:
    """The declarations, each on one line, and the section heads between them."""
    held = ""
    for line in DECLARED.read_text().splitlines():
        if line.startswith(" "):
            held += " " + line.strip()
        elif line.strip() and not line.startswith("#"):
            if held:
                yield held
            held = line.strip()
    yield held


def read(line: str, kind: str) -> Form:
    signature, template, *after = FAILURE.sub(failing, line).split(" := ")
    match = re.fullmatch(r"(\w+)\((.*)\) -> (.*)", signature)
    if not match:
        raise ValueError(f"not a function's declaration: {line}")
    parameters = split_types(match[2])
    repeats = bool(parameters) and parameters[-1].endswith("...")
    if repeats:
        parameters[-1] = parameters[-1].removesuffix("...")
    return Form(match[1], tuple(parameters), match[3], template, after[0] if after else "", repeats, kind)


def split_types(text: str) -> list[str]:
    """``array(T), T=>U`` at its outermost commas."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts if part.strip()]
