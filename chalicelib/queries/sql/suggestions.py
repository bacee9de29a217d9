"""``did you mean …?`` for a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MOST_COMPARED = 400  # names that one name is compared with


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What to add to a refusal: the nearest known name, where one is near."""
    lowered = name.lower()[:100]
    names = list(dict.fromkeys(known))[:MOST_COMPARED]
    found = get_close_matches(lowered, names, 1, 0.6)
    if not found:
        found = [one for one in names if len(lowered) > 2 and (lowered in one or (one in lowered and len(one) > 3))][:1]
    return f"; did you mean {found[0]}?" if found else ""
