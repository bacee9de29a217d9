"""``/search``: albums, artists, tracks and playlists by words and field filters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sandbox.api import ApiError, Request, Route, Window, page
from sandbox.catalogue import ALL_TIME, TRACK_BITS, Catalogue, album_of
from sandbox.clock import DAY
from sandbox.shapes import Json

SEARCH_MAX, SEARCH_DEFAULT = 10, 5  # items of each type, facts 8
SEARCH_MAX_EXTENDED, SEARCH_DEFAULT_EXTENDED = 50, 20  # items of each type, before 2026
SEARCH_OFFSET_MAX = 1_000
NEW_FOR = 14 * DAY  # tag:new, OpenAPI document of 2026-05-30
KINDS = ("album", "artist", "track", "playlist")
OTHER_KINDS = ("show", "episode", "audiobook")  # known to Spotify, always empty here
INDEXED_TRACKS = 40_000  # above this many tracks, only the first three of each album are searched by name

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

    def matches(self, text: str, **fields: str) -> bool:
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


class Index:
    """Finds things of one catalogue by name."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def artists(self, query: Query) -> list[int]:
        if query.uses("tag", "upc", "isrc", "album", "track"):
            return []
        catalogue = self._catalogue
        found = []
        for number in range(catalogue.scale.artists):
            artist = catalogue.artist(number)
            name = artist.name.casefold()
            if query.matches(name, artist=name, genre=" ".join(artist.genres)):
                found.append(artist)
        found.sort(key=lambda artist: (-artist.popularity, artist.number))
        return [artist.number for artist in found]

    def albums(self, query: Query, now: int) -> list[int]:
        catalogue = self._catalogue
        if query.filters.get("tag") == "new":
            return catalogue.released_between(now - NEW_FOR, now)
        if query.uses("tag", "isrc", "track", "genre"):
            return []
        found = []
        for number in catalogue.released_between(ALL_TIME, now):
            album = catalogue.album(number)
            name, artists = album.name.casefold(), self._names(album.artists)
            fits = query.matches(f"{name} {artists}", album=name, artist=artists, upc=album.upc)
            if fits and query.in_years(album.release_date):
                found.append(album)
        found.sort(key=lambda album: (-album.popularity, album.number))
        return [album.number for album in found]

    def tracks(self, query: Query, now: int) -> list[int]:
        if query.uses("tag", "upc"):
            return []
        catalogue = self._catalogue
        found = []
        for number in self._searched_tracks(now):
            track, album = catalogue.track(number), catalogue.album(album_of(number))
            name, album_name, artists = track.name.casefold(), album.name.casefold(), self._names(track.artists)
            text = f"{name} {album_name} {artists}"
            fields = {"track": name, "album": album_name, "artist": artists, "isrc": track.isrc.casefold()}
            if query.matches(text, **fields) and query.in_years(album.release_date):
                found.append(track)
        found.sort(key=lambda track: (-track.popularity, track.number))
        return [track.number for track in found]

    def _searched_tracks(self, now: int) -> Iterable[int]:
        catalogue = self._catalogue
        albums = catalogue.released_between(ALL_TIME, now)
        few = 10 * len(albums) > INDEXED_TRACKS
        for album in albums:
            count = catalogue.album(album).total_tracks
            yield from range(album << TRACK_BITS, (album << TRACK_BITS) + (min(3, count) if few else count))

    def _names(self, artists: Sequence[int]) -> str:
        return " ".join(self._catalogue.artist(artist).name for artist in artists).casefold()


def get_search(request: Request) -> Json:
    text = request.required("q" if "q" in request.query else "query")  # links between pages say "query"
    kinds = request.required("type").split(",")
    if not set(kinds) <= {*KINDS, *OTHER_KINDS}:
        raise ApiError(400, "Bad search type field")
    extended = request.view.extended
    most, default = (SEARCH_MAX_EXTENDED, SEARCH_DEFAULT_EXTENDED) if extended else (SEARCH_MAX, SEARCH_DEFAULT)
    shown = Window(request.offset(SEARCH_OFFSET_MAX), request.limit(most, default))
    return {f"{kind}s": _results(request, kind, text, shown) for kind in kinds}


def _results(request: Request, kind: str, text: str, shown: Window) -> Json:
    query = Query.parse(text)
    index, now, shapes = Index(request.view.catalogue), request.view.now, request.shapes
    items: list[object] = []
    total = 0
    if kind == "playlist":
        playlists = [one for one in request.view.world.playlists(now) if query.matches(one.name.casefold())]
        total = len(playlists) if not query.filters else 0
        items = [shapes.playlist_ref(one, request.api_url) for one in shown.of(playlists[:total])]
    elif kind in KINDS:
        if kind == "artist":
            found, shape = index.artists(query), shapes.artist
        elif kind == "album":
            found, shape = index.albums(query, now), shapes.album_ref
        else:
            found, shape = index.tracks(query, now), shapes.track
        total = len(found)
        items = [shape(number) for number in shown.of(found)]
    return page(request, "search", shown, total, items, query=text, type=kind)


ROUTES = (Route("/search", "search", get_search),)
