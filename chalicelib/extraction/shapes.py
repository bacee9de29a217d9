"""Odd values in answers: what is not as it should be is nothing to ask for, and breaks nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from chalicelib.tables import ID_PATTERN

ID = re.compile(ID_PATTERN)
HOLDERS = ("artists", "album", "albums", "item", "track", "tracks", "items")  # what lies in other names is not for us
THINGS = frozenset(("artist", "album", "track", "episode", "playlist"))
URI = re.compile(r"spotify:(artist|album|track|episode):")  # what a thing is, said a second time
KINDS_OF_ALBUM = ("album", "single", "compilation")  # which old answers give as an album's type
LOCAL = "spotify:local:"  # how the URI of a file on the listener's own disk begins


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


def objects(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects of an answer that may be, or hold, an artist, an album or a track."""
    waiting: list[Any] = [document]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield found
            waiting.extend(found[name] for name in HOLDERS if name in found)
        elif isinstance(found, list):
            waiting.extend(reversed(found))


def oddity(document: Mapping[str, Any]) -> str | None:
    """What of an answer's things does not say what everyone says: which it is and its name.

    Files of the listener's own have no id. None where all is well.
    """
    for item in objects(document):
        kind = item.get("type")
        if is_misnamed(item):
            return f"of {kind_by_uri(item)}s one has the type {kind!r}"[:100]
        if not isinstance(kind, str) or kind not in THINGS or is_local(item):
            continue
        if not is_id(item.get("id")):
            return f"of {kind}s one has no id"
        if not isinstance(item.get("name"), str):
            return f"of {kind}s one has no name"
        if "artists" in item and not all(isinstance(artist, dict) for artist in item["artists"] or [None]):
            return f"of {kind}s one has no artists"
        if kind == "track" and "album" in item and not isinstance(item["album"], dict):
            return "of tracks one has no album"
    return None


def is_misnamed(item: dict[str, Any]) -> bool:
    """Whether an object's type contradicts its URI: nobody would know it for what it is."""
    kind = kind_by_uri(item)
    allowed = KINDS_OF_ALBUM if kind == "album" else (kind,)
    return kind is not None and "type" in item and item["type"] not in allowed


def kind_by_uri(item: dict[str, Any]) -> str | None:
    """What an object is by its URI; None where that does not say."""
    found = URI.match(item["uri"]) if isinstance(item.get("uri"), str) else None
    return found[1] if found else None


def is_local(item: dict[str, Any]) -> bool:
    """Whether a track, or what belongs to one, is a file of the listener's own."""
    if "uri" in item and item["uri"] is None:
        return True  # its artists and its album
    return item.get("is_local") is True or str(item.get("uri", "")).startswith(LOCAL)
