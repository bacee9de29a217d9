"""Finding artists, albums and tracks by words and field filters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.catalogue import ALL_TIME, TRACK_BITS, Catalogue, album_of
from sandbox.clock import DAY

NEW_FOR = 14 * DAY  # tag:new, OpenAPI document of 2026-05-30
INDEXED_TRACKS = 40_000  # above this many tracks, only the first three of each album are found by name

_FILTER = re.compile(r'(\w+):("[^"]*"|\S+)')


@dataclass(frozen=True, slots=True)
class Query:
    """A search query taken apart."""

    words: tuple[str, ...]
    filters: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> Query:
        filters = {name.lower(): value.strip('"').casefold() for name, value in _FILTER.findall(text)}
        words = _FILTER.sub(" ", text).replace('"', " ").casefold().split()
        return cls(tuple(words), filters)

    def matches(self, text: str, fields: dict[str, str]) -> bool:
        """Whether all words stand in the text and each filter in its field."""
        return all(word in text for word in self.words) and all(
            value in fields[name] for name, value in self.filters.items() if name in fields
        )

    def in_years(self, release_date: str) -> bool:
        years = self.filters.get("year")
        if years is None:
            return True
        first, _, last = years.partition("-")
        return first <= release_date[:4] <= (last or first)

    def uses(self, *names: str) -> bool:
        return any(name in self.filters for name in names)


@dataclass(frozen=True, slots=True)
class _Indexed:
    """Something that can be found: the text that words are looked for in, and the fields for filters."""

    rank: tuple[int, int]
    """Most popular first."""
    number: int
    text: str
    fields: dict[str, str]
    release_date: str


class Index:
    """Finds what one catalogue has released, by name. Grows with every release."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: set[int] = set()
        self._albums: list[_Indexed] = []
        self._tracks: list[_Indexed] = []
        self._artists: list[_Indexed] = []

    def artists(self, query: Query) -> list[int]:
        if query.uses("tag", "upc", "isrc", "album", "track"):
            return []
        if not self._artists:
            self._artists = sorted(map(self._artist, range(self._catalogue.scale.artists)), key=_rank)
        return _found(self._artists, query)

    def albums(self, query: Query, now: int) -> list[int]:
        if query.filters.get("tag") == "new":
            return self._catalogue.released_between(now - NEW_FOR, now)
        if query.uses("tag", "isrc", "track", "genre"):
            return []
        self._grow(now)
        return _found(self._albums, query)

    def tracks(self, query: Query, now: int) -> list[int]:
        if query.uses("tag", "upc", "genre"):
            return []
        self._grow(now)
        return _found(self._tracks, query)

    def _grow(self, now: int) -> None:
        released = self._catalogue.released_between(ALL_TIME, now)
        if len(released) == len(self._known):
            return
        few = 10 * len(released) > INDEXED_TRACKS
        for album in released:
            if album not in self._known:
                self._known.add(album)
                self._albums.append(self._album(album))
                count = self._catalogue.album(album).total_tracks
                first = album << TRACK_BITS
                self._tracks += map(self._track, range(first, first + (min(3, count) if few else count)))
        self._albums.sort(key=_rank)
        self._tracks.sort(key=_rank)

    def _artist(self, number: int) -> _Indexed:
        artist = self._catalogue.artist(number)
        name = artist.name.casefold()
        fields = {"artist": name, "genre": " ".join(artist.genres)}
        return _Indexed((-artist.popularity, number), number, name, fields, "")

    def _album(self, number: int) -> _Indexed:
        album = self._catalogue.album(number)
        name, artists = album.name.casefold(), self._names(album.artists)
        fields = {"album": name, "artist": artists, "upc": album.upc}
        return _Indexed((-album.popularity, number), number, f"{name} {artists}", fields, album.release_date)

    def _track(self, number: int) -> _Indexed:
        track = self._catalogue.track(number)
        album = self._catalogue.album(album_of(number))
        name, album_name, artists = track.name.casefold(), album.name.casefold(), self._names(track.artists)
        fields = {"track": name, "album": album_name, "artist": artists, "isrc": track.isrc.casefold()}
        text = f"{name} {album_name} {artists}"
        return _Indexed((-track.popularity, number), number, text, fields, album.release_date)

    def _names(self, artists: Sequence[int]) -> str:
        return " ".join(self._catalogue.artist(artist).name for artist in artists).casefold()


def _rank(indexed: _Indexed) -> tuple[int, int]:
    return indexed.rank


def _found(indexed: list[_Indexed], query: Query) -> list[int]:
    first = query.words[0] if query.words else ""
    likely = (one for one in indexed if first in one.text)
    return [one.number for one in likely if query.matches(one.text, one.fields) and query.in_years(one.release_date)]
