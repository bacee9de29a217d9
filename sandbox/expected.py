"""What a complete extraction must produce now, worked out from the sandbox's own model.

A *complete extraction* reads these sources, and then the details of everything they mention:

* ``recently_played``: the plays that show (at most 50);
* ``top_artists``, ``top_tracks``: the first 50 of each of three time ranges;
* ``saved_tracks``, ``saved_albums``, ``followed_artists``: all of them;
* ``my_playlists``: all of the list, and the entries of every playlist the user may read: in development mode
  those they own or collaborate on;
* ``playlists``: those asked for by id, their entries where they may be read;
* ``discographies``: albums and singles of each followed artist;
* ``searches``: the first five pages of ten of ``tag:new`` among albums;
* ``new_releases``: the first page of 50 (extended mode only);
* details: each artist and each album mentioned so far once, albums of more than 50 tracks to the end. Artists
  of the tracks of those albums are mentioned too. Details of artists lead no further.

Keys of the tables are in ``KEYS``. ``user_id`` is the ``account_id``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import Any

from sandbox.catalogue import ALL_TIME, TRACK_BITS, album_of
from sandbox.clock import moment_of, to_milliseconds
from sandbox.finding import Query
from sandbox.listener import TIME_RANGES, Listener
from sandbox.playlists import Playlist
from sandbox.world import View

PAGE = 50  # items
SEARCH_PAGES, SEARCH_PAGE = 5, 10
DISCOGRAPHY_GROUPS = frozenset(("album", "single"))

SOURCES = (
    "recently_played",
    "top_artists",
    "top_tracks",
    "saved_tracks",
    "saved_albums",
    "followed_artists",
    "my_playlists",
    "playlists",
    "discographies",
    "searches",
    "new_releases",
)
KEYS = {
    "artists": ("artist_id",),
    "albums": ("album_id",),
    "tracks": ("track_id",),
    "track_artists": ("track_id", "position"),
    "album_artists": ("album_id", "position"),
    "playlists": ("playlist_id",),
    "playlist_items": ("playlist_id", "snapshot_id", "position"),
    "saved_items": ("user_id", "item_type", "item_id"),
    "followed_artists": ("user_id", "artist_id"),
    "top_items": ("user_id", "item_type", "time_range", "observed_on", "rank"),
    "episodes": ("episode_id",),
    "plays": ("user_id", "played_at", "track_id"),
}

Key = tuple[str | int, ...]


class Closure:
    """Everything a complete extraction of some sources sees, and the calls it cannot do without."""

    def __init__(
        self,
        view: View,
        listener: Listener,
        sources: Collection[str] = SOURCES,
        playlist_ids: Iterable[str] = (),
        details: bool = True,
    ) -> None:
        unknown = set(sources) - set(SOURCES)
        if unknown:
            raise ValueError(f"unknown sources {sorted(unknown)}; there are {', '.join(SOURCES)}")
        self._view = view
        self._now = view.now
        self._catalogue = view.catalogue
        self._listener = listener
        self._library = listener.library(view.now)
        self._playlist_ids = tuple(playlist_ids)
        self.artists: set[int] = set()
        self.albums: set[int] = set()
        self.tracks: set[int] = set()
        self.episodes: set[int] = set()
        self.rows: dict[str, set[Key]] = {table: set() for table in KEYS}
        self.calls: Counter[str] = Counter()
        self._whole_artists: set[int] = set()
        self._whole_albums: set[int] = set()
        for source in SOURCES:
            if source in sources:
                getattr(self, f"_read_{source}")()
        if details:
            self._read_details()
        self._fill_catalogue_tables()

    # Sources

    def _read_recently_played(self) -> None:
        self.calls["/me/player/recently-played"] += 1
        for play in self._listener.recently_played(self._now):
            self._see_track(play.number)
            track_id = self._catalogue.track(play.number).id
            self.rows["plays"].add((self._listener.account_id, to_milliseconds(play.played_at_ms), track_id))

    def _read_top_artists(self) -> None:
        for time_range in TIME_RANGES:
            ranked = self._listener.top_artists(time_range, self._now)[:PAGE]
            self._rank("artist", time_range, len(ranked))
            self.artists.update(ranked)
            self._whole_artists.update(ranked)

    def _read_top_tracks(self) -> None:
        for time_range in TIME_RANGES:
            ranked = self._listener.top_tracks(time_range, self._now)[:PAGE]
            self._rank("track", time_range, len(ranked))
            for track in ranked:
                self._see_track(track)

    def _rank(self, kind: str, time_range: str, count: int) -> None:
        self.calls["/me/top/{kind}"] += 1
        day = f"{moment_of(self._now):%Y-%m-%d}"
        user = self._listener.account_id
        self.rows["top_items"].update((user, kind, time_range, day, rank) for rank in range(1, count + 1))

    def _read_saved_tracks(self) -> None:
        self.calls["/me/tracks"] += _pages(len(self._library.tracks))
        for track in self._library.tracks:
            self._see_track(track)
            self._save("track", self._catalogue.track(track).id)

    def _read_saved_albums(self) -> None:
        self.calls["/me/albums"] += _pages(len(self._library.albums))
        for album in self._library.albums:
            self._see_album(album)
            self._save("album", self._catalogue.album(album).id)
            self._whole_albums.add(album)
            first = album << TRACK_BITS
            for track in range(first, first + min(PAGE, self._catalogue.album(album).total_tracks)):
                self._see_track(track)

    def _save(self, kind: str, item_id: str) -> None:
        self.rows["saved_items"].add((self._listener.account_id, kind, item_id))

    def _read_followed_artists(self) -> None:
        self.calls["/me/following"] += _pages(len(self._library.artists))
        self.artists.update(self._library.artists)
        self._whole_artists.update(self._library.artists)
        for artist in self._library.artists:
            self.rows["followed_artists"].add((self._listener.account_id, self._catalogue.artist(artist).id))

    def _read_my_playlists(self) -> None:
        listed = self._library.my_playlists()
        self.calls["/me/playlists"] += _pages(len(listed))
        for playlist in listed:
            self.rows["playlists"].add((playlist.id,))
            if self._readable(playlist):
                self._see_entries(playlist)
                self._count_entries(playlist)

    def _read_playlists(self) -> None:
        for playlist_id in self._playlist_ids:
            playlist = self._view.world.playlist(playlist_id, self._now)
            if playlist is None or not (playlist.public or playlist.may_read_items(self._listener.id)):
                continue
            self.rows["playlists"].add((playlist.id,))
            self.calls["/playlists/{playlist_id}"] += 1
            if self._readable(playlist):
                self._see_entries(playlist)
                self._count_more_entries(playlist)

    def _readable(self, playlist: Playlist) -> bool:
        return self._view.extended or playlist.may_read_items(self._listener.id)

    def _count_entries(self, playlist: Playlist) -> None:
        """The fewest calls: extended mode has pages of 100, a playlist by itself brings its first 100."""
        if self._view.extended:
            self.calls["/playlists/{playlist_id}/tracks"] += -(-playlist.length // 100)
        elif playlist.length:
            self.calls["/playlists/{playlist_id}"] += 1
            self._count_more_entries(playlist)

    def _count_more_entries(self, playlist: Playlist) -> None:
        page, path = (100, "tracks") if self._view.extended else (PAGE, "items")
        self.calls[f"/playlists/{{playlist_id}}/{path}"] += -(-max(0, playlist.length - 100) // page)

    def _see_entries(self, playlist: Playlist) -> None:
        rows = self.rows["playlist_items"]
        for position, entry in enumerate(playlist.entries()):
            if entry.kind in ("gone", "void"):
                continue
            rows.add((playlist.id, playlist.snapshot_id, position))
            if entry.kind == "track":
                self._see_track(entry.number)
            elif entry.kind == "episode":
                self.episodes.add(entry.number)

    def _read_discographies(self) -> None:
        size = PAGE if self._view.extended else 10
        for artist in self._library.artists:
            albums = self._catalogue.discography(artist, self._now, DISCOGRAPHY_GROUPS)
            self.calls["/artists/{id}/albums"] += max(1, -(-len(albums) // size))
            for album in albums:
                self._see_album(album.number)

    def _read_searches(self) -> None:
        found = self._view.world.index.albums(Query.parse("tag:new"), self._now)
        self.calls["/search"] += max(1, min(SEARCH_PAGES, -(-len(found) // SEARCH_PAGE)))
        if self._view.extended:
            self.calls["/search"] = 1
        for album in found[: SEARCH_PAGES * SEARCH_PAGE]:
            self._see_album(album)

    def _read_new_releases(self) -> None:
        if not self._view.extended:
            return
        self.calls["/browse/new-releases"] += 1
        for album in self._catalogue.released_between(ALL_TIME, self._now)[:PAGE]:
            self._see_album(album)

    # Details

    def _read_details(self) -> None:
        for album in self.albums:
            count = self._catalogue.album(album).total_tracks
            self.calls["/albums/{id}/tracks"] += _pages(count) - 1
            for track in self._catalogue.tracks(album):
                self.tracks.add(track.number)
                self.artists.update(track.artists)
        albums, artists = len(self.albums - self._whole_albums), len(self.artists - self._whole_artists)
        if self._view.extended:
            self.calls["/albums"] += -(-albums // 20)
            self.calls["/artists"] += -(-artists // 50)
        else:
            self.calls["/albums/{id}"] += albums
            self.calls["/artists/{id}"] += artists

    def _see_track(self, number: int) -> None:
        if number in self.tracks:
            return
        self.tracks.add(number)
        self.artists.update(self._catalogue.track(number).artists)
        self._see_album(album_of(number))

    def _see_album(self, number: int) -> None:
        if number not in self.albums:
            self.albums.add(number)
            self.artists.update(self._catalogue.album(number).artists)

    def _fill_catalogue_tables(self) -> None:
        catalogue, rows = self._catalogue, self.rows
        rows["artists"].update((catalogue.artist(number).id,) for number in self.artists)
        rows["episodes"].update((catalogue.episode(number).id,) for number in self.episodes)
        for number in self.albums:
            album = catalogue.album(number)
            rows["albums"].add((album.id,))
            rows["album_artists"].update((album.id, position) for position in range(len(album.artists)))
        for number in self.tracks:
            track = catalogue.track(number)
            rows["tracks"].add((track.id,))
            rows["track_artists"].update((track.id, position) for position in range(len(track.artists)))

    # Answers

    def to_json(self, keys: bool = False) -> dict[str, Any]:
        """Rows and digest of each table, and the keys themselves if asked for."""
        tables: dict[str, Any] = {}
        for table, rows in self.rows.items():
            tables[table] = {"key": KEYS[table], "rows": len(rows), "digest": digest(rows)}
            if keys:
                tables[table]["keys"] = sorted(rows)
        return tables

    def minimum_calls(self) -> dict[str, int]:
        """Calls per endpoint of a client that knew beforehand what it would find; ``/me`` included."""
        counted = {endpoint: count for endpoint, count in sorted(self.calls.items()) if count}
        return {"/me": 1, **counted}


def digest(keys: Iterable[Key]) -> str:
    """SHA-256 of the keys as JSON arrays without spaces, sorted as texts and joined by newlines."""
    lines = sorted(json.dumps(key, ensure_ascii=False, separators=(",", ":")) for key in keys)
    return sha256("\n".join(lines).encode()).hexdigest()


def _pages(count: int) -> int:
    return max(1, -(-count // PAGE))
