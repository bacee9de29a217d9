"""Athena's result files read as a stream: CSV in which every value is quoted and a null is nothing at all."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO, TextIO

FIELD = re.compile(r'(?:"((?:[^"]|"")*)")?(,|\n)')
CHUNK = 2**20  # characters


def records(stream: BinaryIO) -> Iterator[list[str | None]]:
    """Every record, the header first; None is a null, ``""`` an empty text. ValueError where it is no such file.

    The stream is closed when it has been read or nobody reads on.
    """
    with io.TextIOWrapper(stream, "utf-8", newline="") as text:
        yield from records_of(text)


def records_of(text: TextIO) -> Iterator[list[str | None]]:
    """As :func:`records`, of an open file that stays open."""
    held, place, ended = "", 0, False
    record: list[str | None] = []
    while True:
        match = FIELD.match(held, place)
        if match and (ended or match.end() < len(held) or match[2] == "\n"):
            record.append(None if match[1] is None else match[1].replace('""', '"'))
            place = match.end()
            if match[2] == "\n":
                yield record
                record = []
            continue
        more = "" if ended else text.read(CHUNK)
        if more:
            held, place = held[place:] + more, 0
        elif ended:
            if place < len(held):
                raise ValueError("the result file is not what Athena writes")
            return
        else:
            ended = True
            if held[place:] and not held.endswith("\n"):
                held += "\n"
