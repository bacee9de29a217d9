"""Odd values in answers: what is not as it should be is nothing to ask for, and breaks nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

from chalicelib.tables import ID_PATTERN

ID = re.compile(ID_PATTERN)


def dicts(items: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The JSON objects among ``items``; what else lies there (null for what was removed) is nothing to ask for."""
    return (item for item in items if isinstance(item, dict))


def child(item: dict[str, Any], name: str) -> dict[str, Any]:
    """The object at ``name``, an empty one where there is none."""
    found = item.get(name)
    return found if isinstance(found, dict) else {}


def is_id(value: object) -> TypeGuard[str]:
    """Whether ``value`` can be asked for."""
    return isinstance(value, str) and ID.match(value) is not None


def id_of(item: object) -> str | None:
    """The id of an object, None where it has none that can be asked for."""
    if not isinstance(item, dict):
        return None
    item_id = item.get("id")
    return item_id if is_id(item_id) else None
