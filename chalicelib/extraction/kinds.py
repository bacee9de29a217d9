"""What a source may read, and how it is declared; each reader of endpoints says so beside itself (``@reads``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from chalicelib.checks import Validator, one_of, some_of, whole, words
from chalicelib.tables import ID_PATTERN

MODES = ("development", "extended")
MOST_RESULTS = 1000  # Spotify's largest search offset

R = TypeVar("R", bound=type)


@dataclass(frozen=True, slots=True)
class Source:
    """One declared source; ``every`` is None where the answers of others say what to fetch."""

    name: str
    reads: str
    order: int
    every: timedelta | None
    modes: tuple[str, ...]
    user: bool
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a source that reads this may declare: ``user`` where a listener's token is needed."""

    user: bool = False
    cadence: bool = True
    params: Mapping[str, Validator] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)


KINDS: dict[str, Kind] = {}
READERS: dict[str, Callable[..., Any]] = {}


def reads(**kinds: Kind) -> Callable[[R], R]:
    """Let a class read what sources declare as one of ``kinds``."""

    def register(reader: R) -> R:
        KINDS.update(kinds)
        READERS.update(dict.fromkeys(kinds, reader))
        return reader

    return register


TIME_RANGE = one_of("short_term", "medium_term", "long_term")
ALBUM_GROUPS = some_of("album", "single", "appears_on", "compilation")
RESULT_TYPES = some_of("album", "artist", "track")
FIRST = whole(1, MOST_RESULTS)
QUERY = words


def spotify_ids(value: Any) -> list[str]:
    """Base-62 ids of 22 characters; URIs and links are taken apart."""
    if not isinstance(value, list):
        raise ValueError("must be a list of Spotify ids")
    return [spotify_id(item) for item in value]


def spotify_id(item: Any) -> str:
    """An id, or the one in a URI or a link."""
    text = re.sub(r"^(spotify:[a-z]+:|https://open\.spotify\.com/(intl-\w\w/)?[a-z]+/)|\?.*$", "", str(item))
    if not re.fullmatch(ID_PATTERN, text):
        raise ValueError(f"holds {item!r}, which is not a Spotify id (22 letters and digits, a URI or a link)")
    return text
