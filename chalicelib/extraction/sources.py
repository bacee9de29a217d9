"""What to extract, as declared in ``sources.toml`` and checked before anything is asked of Spotify.

A source has a name of its own (it names raw objects and run records) and says what it ``reads``:

=================  ==========================================================================================
recently_played    a listener's last plays
saved_tracks       saved_albums, followed_artists, my_playlists: a listener's library
top_artists        top_tracks: Spotify's ranking for one ``time_range``, the first 50
playlist_items     items of playlists whose ``snapshot_id`` is new
playlists          playlists by ``ids``
search             the ``first`` results (of each type) of a ``query`` for ``types``
new_releases       the ``first`` of Spotify's own list (extended mode)
discographies      releases of followed artists and of the artists in ``ids``, of ``include_groups``
albums             artists: details of each one seen; tracks: those that an imported history asks for
=================  ==========================================================================================
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from chalicelib.clock import parse_duration
from chalicelib.errors import InvalidSetting
from chalicelib.settings import Settings
from chalicelib.tables import ID_PATTERN

DEFAULT_FILE = Path(__file__).with_name("sources.toml")
MODES = ("development", "extended")
GROUPS = ("album", "single", "appears_on", "compilation")
TYPES = ("album", "artist", "track")
TIME_RANGES = ("short_term", "medium_term", "long_term")
MOST_RESULTS = 1000  # Spotify's largest search offset

Check = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a source that reads this may declare: ``user`` where a listener's token is needed."""

    user: bool
    cadence: bool = True
    params: Mapping[str, Check] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)


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


def load_sources(settings: Settings) -> list[Source]:
    """The declared sources in the order of their ``order``. Raises InvalidSetting naming every fault at once."""
    path = Path(settings.sources_file) if settings.sources_file else DEFAULT_FILE
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidSetting(f"SOURCES_FILE={str(path)!r} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidSetting(f"{path.name} is not TOML: {error}") from error
    return read_sources(document, path.name)


def read_sources(document: Mapping[str, Any], file: str = "sources.toml") -> list[Source]:
    faults: list[str] = [
        f"{file}: {name!r} is unknown, only [sources.NAME] is" for name in document.keys() - {"sources"}
    ]
    sources = []
    for name, declared in document.get("sources", {}).items():
        try:
            sources.append(read_source(name, declared))
        except ValueError as error:
            faults.append(f"{file}: source {name}: {error}")
    if faults:
        raise InvalidSetting("; ".join(faults), faults=faults)
    return sorted(sources, key=lambda source: source.order)


def chosen(sources: list[Source], names: list[str] | None) -> list[Source]:
    """The sources that ``names`` choose: a name, or the beginning of several up to an underscore (``top_artists``).

    Raises InvalidSetting for a name that chooses none.
    """
    if not names:
        return sources
    for name in names:
        if not any(matches(source, name) for source in sources):
            known = ", ".join(source.name for source in sources)
            raise InvalidSetting(f"there is no source {name!r}; there are {known}", source=name)
    return [source for source in sources if any(matches(source, name) for name in names)]


def matches(source: Source, name: str) -> bool:
    return source.name == name or source.name.startswith(f"{name}_")


def read_source(name: str, declared: Any) -> Source:
    """One ``[sources.NAME]``; ValueError says what is wrong with it."""
    if not isinstance(declared, dict):
        raise ValueError(f"must be a table, [sources.{name}]")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        raise ValueError("its name must be of lower-case letters, digits and underscores")
    if declared.get("reads") not in KINDS:
        raise ValueError(f"reads = {declared.get('reads')!r} must be one of {', '.join(KINDS)}")
    kind = KINDS[declared["reads"]]
    known = {"reads", "order", "modes", *kind.params, *(["every"] if kind.cadence else [])}
    unknown = declared.keys() - known
    if unknown:
        raise ValueError(
            f"{', '.join(sorted(unknown))}: not known for {declared['reads']}, which takes {', '.join(sorted(known))}"
        )
    missing = [param for param in kind.params if param not in declared and param not in kind.defaults]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    params = {
        param: checked(param, kind.params[param], declared.get(param, kind.defaults.get(param)))
        for param in kind.params
    }
    return Source(
        name=name,
        reads=declared["reads"],
        order=checked("order", whole(0, 1000), declared.get("order", 100)),
        every=checked("every", cadence, declared.get("every", "1d")) if kind.cadence else None,
        modes=tuple(checked("modes", some_of(MODES), declared.get("modes", list(MODES)))),
        user=kind.user,
        params=params,
    )


def checked(name: str, check: Check, value: Any) -> Any:
    try:
        return check(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} = {value!r} {error}") from None


def cadence(value: Any) -> timedelta:
    if not isinstance(value, str):
        raise ValueError("must be a duration such as 15m, 1h or 7d")
    try:
        every = parse_duration(value)
    except ValueError:
        raise ValueError("is not a duration such as 15m, 1h or 7d") from None
    if every < timedelta(seconds=1):
        raise ValueError("must be at least 1s")
    return every


def whole(least: int, most: int) -> Check:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return value

    return check


def one_of(choices: tuple[str, ...]) -> Check:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return str(value)

    return check


def some_of(choices: tuple[str, ...]) -> Check:
    def check(value: Any) -> list[str]:
        if not isinstance(value, list) or not value or any(item not in choices for item in value):
            raise ValueError(f"must be a list of {', '.join(choices)}")
        return value

    return check


def spotify_ids(value: Any) -> list[str]:
    """Base-62 ids of 22 characters; URIs and links are taken apart."""
    if not isinstance(value, list):
        raise ValueError("must be a list of Spotify ids")
    return [spotify_id(item) for item in value]


def spotify_id(item: Any) -> str:
    text = re.sub(r"^(spotify:[a-z]+:|https://open\.spotify\.com/(intl-\w\w/)?[a-z]+/)|\?.*$", "", str(item))
    if not re.fullmatch(ID_PATTERN, text):
        raise ValueError(f"holds {item!r}, which is not a Spotify id (22 letters and digits, a URI or a link)")
    return text


def words(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text")
    return value


KINDS: dict[str, Kind] = {
    "recently_played": Kind(user=True),
    "saved_tracks": Kind(user=True),
    "saved_albums": Kind(user=True),
    "followed_artists": Kind(user=True),
    "my_playlists": Kind(user=True),
    "playlist_items": Kind(user=False, cadence=False),
    "top_artists": Kind(user=True, params={"time_range": one_of(TIME_RANGES)}),
    "top_tracks": Kind(user=True, params={"time_range": one_of(TIME_RANGES)}),
    "playlists": Kind(user=False, params={"ids": spotify_ids}),
    "search": Kind(
        user=False,
        params={"query": words, "types": some_of(TYPES), "first": whole(1, MOST_RESULTS)},
        defaults={"types": ["album"], "first": 50},
    ),
    "new_releases": Kind(user=False, params={"first": whole(1, MOST_RESULTS)}, defaults={"first": 50}),
    "discographies": Kind(
        user=False,
        params={"ids": spotify_ids, "include_groups": some_of(GROUPS)},
        defaults={"ids": [], "include_groups": ["album", "single"]},
    ),
    "albums": Kind(user=False, cadence=False),
    "artists": Kind(user=False, cadence=False),
    "tracks": Kind(user=False, cadence=False),
}
