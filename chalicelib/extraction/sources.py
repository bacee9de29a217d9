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
musicbrainz        which artists are which at MusicBrainz, and their genres; asked when MUSICBRAINZ_CONTACT is set
=================  ==========================================================================================
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chalicelib.checks import Validator, duration, some_of, whole
from chalicelib.errors import InvalidSetting
from chalicelib.extraction import lookups, readers  # noqa: F401 (they register what they read)
from chalicelib.extraction.kinds import KINDS, MODES, Source
from chalicelib.settings import Settings

DEFAULT_FILE = Path(__file__).with_name("sources.toml")
ORDER = whole(0, 1000)


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
    """The sources that a document of sources.toml declares. Raises InvalidSetting, which names every fault at once."""
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
    """Whether a name that a person gives means a source: its own, or the one that it was split from."""
    return source.name == name or source.name.startswith(f"{name}_")


def read_source(name: str, declared: Any) -> Source:
    """One ``[sources.NAME]``; ValueError says what is wrong with it."""
    if not isinstance(declared, dict):
        raise ValueError(f"must be a table, [sources.{name}]")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        raise ValueError("its name must be of lower-case letters, digits and underscores")
    if declared.get("reads") not in KINDS:
        raise ValueError(f"reads = {declared.get('reads')!r} must be one of {', '.join(sorted(KINDS))}")
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
        order=checked("order", ORDER, declared.get("order", 100)),
        every=checked("every", duration, declared.get("every", "1d")) if kind.cadence else None,
        modes=tuple(checked("modes", some_of(*MODES), declared.get("modes", list(MODES)))),
        user=kind.user,
        params=params,
    )


def checked(name: str, check: Validator, value: Any) -> Any:
    """The value as ``check`` reads it. Raises ValueError, which names it."""
    try:
        return check(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} = {value!r} {error}") from None
