"""What in an answer is not as Spotify says it: the same reading of it as the tables are made by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.extraction.shapes import oddity
from chalicelib.raw import Answer
from chalicelib.transformation.answers import decode, find_endpoint


def odd_part(answer: Answer, document: Mapping[str, Any]) -> str | None:
    """The first thing in an answer that cannot be read, or not in full; None where all of it can."""
    found = find_endpoint(answer.endpoint)
    if found is None:
        return oddity(document)
    decoded = decode(found[0], answer.body)
    if decoded.faults:
        return f"{len(decoded.faults)} items cannot be read"
    if decoded.odd:
        return f"{decoded.odd[0].path} is not as it should be"
    return oddity(document)


def odd_items(answer: Answer) -> dict[int, str]:
    """What cannot be read, or not in full, by its place in the answer's list."""
    found = find_endpoint(answer.endpoint)
    if found is None:
        return {}
    decoded = decode(found[0], answer.body)
    odd = {part.item: f"{part.path} is not as it should be" for part in decoded.odd}
    return {**odd, **{fault.item: "it cannot be read" for fault in decoded.faults}}
