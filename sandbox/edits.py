"""Edits an administrator makes to the world, as if the listener or an artist had made them just now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.catalogue import Catalogue
from sandbox.library import Library
from sandbox.listener import Listener
from sandbox.world import World

Given = dict[str, Any]


class Edits:
    """Applies edits and remembers them with their times."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.made: list[tuple[int, Given]] = []

    def apply(self, given: Given) -> Given:
        """Make one edit, such as ``{"op": "save_track", "id": …, "user_id"?: …}``; what it changed.

        A ValueError says what is wrong with an edit that cannot be made.
        """
        op = given.get("op")
        if op not in OPERATIONS:
            raise ValueError(f"op must be one of {', '.join(OPERATIONS)}, not {op!r}")
        with self._world.lock:
            now = self._world.clock.now_ms()
            listener = self._world.listener(given.get("user_id"))
            if listener is None:
                raise ValueError(f"no such user: {given['user_id']!r}")
            changed = OPERATIONS[op](_Edit(self._world, listener, now, given))
            self.made.append((now, given))
        return changed


class _Edit:
    """An edit being made: the names in it resolved."""

    def __init__(self, world: World, listener: Listener, now: int, given: Given) -> None:
        self.world = world
        self.listener = listener
        self.now = now
        self.given = given

    @property
    def catalogue(self) -> Catalogue:
        return self.world.catalogue

    @property
    def library(self) -> Library:
        return self.listener.library(self.now)

    def text(self, name: str) -> str:
        value = self.given.get(name)
        if not isinstance(value, str):
            raise ValueError(f"{self.given['op']} needs {name!r}")
        return value

    def number(self, kind: str, name: str = "id") -> int:
        """The number of the track, album or artist that a parameter names by id or URI."""
        id_ = self.text(name).rpartition(":")[2]
        found: int | None
        if kind == "track":
            track = self.catalogue.track_number(id_, self.now)
            found = None if track is None else track[0]
        elif kind == "album":
            found = self.catalogue.album_number(id_, self.now)
        elif kind == "episode":
            found = self.catalogue.episode_number(id_, self.now)
        else:
            found = self.catalogue.artist_number(id_)
        if found is None:
            raise ValueError(f"no such {kind}: {id_!r}")
        return found

    def place(self) -> int:
        """The place of a playlist in the listener's library."""
        playlist_id = self.text("playlist_id")
        for place, playlist in self.library.playlists.items():
            if playlist.id == playlist_id:
                return place
        raise ValueError(f"no such playlist of {self.listener.id}: {playlist_id!r}")


def _save_track(edit: _Edit) -> Given:
    edit.library.save_track(edit.number("track"), edit.now)
    return {"saved_tracks": len(edit.library.tracks)}


def _unsave_track(edit: _Edit) -> Given:
    edit.library.unsave_track(edit.number("track"))
    return {"saved_tracks": len(edit.library.tracks)}


def _save_album(edit: _Edit) -> Given:
    edit.library.save_album(edit.number("album"), edit.now)
    return {"saved_albums": len(edit.library.albums)}


def _unsave_album(edit: _Edit) -> Given:
    edit.library.unsave_album(edit.number("album"))
    return {"saved_albums": len(edit.library.albums)}


def _follow(edit: _Edit) -> Given:
    edit.library.follow(edit.number("artist"), edit.now)
    return {"followed_artists": len(edit.library.artists)}


def _unfollow(edit: _Edit) -> Given:
    edit.library.unfollow(edit.number("artist"))
    return {"followed_artists": len(edit.library.artists)}


def _add_to_playlist(edit: _Edit) -> Given:
    kind = "episode" if ":episode:" in edit.text("id") else "track"
    place = edit.place()
    edit.library.add_to_playlist(place, kind, edit.number(kind), edit.now)
    return _playlist(edit, place)


def _remove_from_playlist(edit: _Edit) -> Given:
    place, position = edit.place(), edit.given.get("position", 0)
    if not edit.library.playlists[place].remove_at(position):
        raise ValueError(f"the playlist has no position {position}")
    return _playlist(edit, place)


def _rename_playlist(edit: _Edit) -> Given:
    place = edit.place()
    edit.library.playlists[place].rename(edit.text("name"))
    return _playlist(edit, place)


def _unfollow_playlist(edit: _Edit) -> Given:
    edit.library.unfollow_playlist(edit.place())
    return {"playlists": len(edit.library.listed)}


def _playlist(edit: _Edit, place: int) -> Given:
    playlist = edit.library.playlists[place]
    return {
        "playlist_id": playlist.id,
        "name": playlist.name,
        "snapshot_id": playlist.snapshot_id,
        "total": playlist.length,
    }


def _release_album(edit: _Edit) -> Given:
    """By the first followed artist unless another is named."""
    if "artist_id" in edit.given:
        artist = edit.number("artist", "artist_id")
    elif edit.library.artists:
        artist = edit.library.followed()[0]
    else:
        raise ValueError("release_album needs 'artist_id': the user follows nobody")
    tracks, form = int(edit.given.get("tracks", 10)), edit.given.get("album_type", "album")
    if not 1 <= tracks <= 1000 or form not in ("album", "single", "compilation"):
        raise ValueError("release_album takes 1 to 1000 tracks and album_type album, single or compilation")
    name = edit.given.get("name", "Just Out")
    album = edit.catalogue.release_by_hand(artist, edit.now, name, tracks, form)
    return {"album_id": album.id, "artist_id": edit.catalogue.artist(artist).id, "total_tracks": tracks}


OPERATIONS: dict[str, Callable[[_Edit], Given]] = {
    "save_track": _save_track,
    "unsave_track": _unsave_track,
    "save_album": _save_album,
    "unsave_album": _unsave_album,
    "follow": _follow,
    "unfollow": _unfollow,
    "playlist_add": _add_to_playlist,
    "playlist_remove": _remove_from_playlist,
    "playlist_rename": _rename_playlist,
    "unfollow_playlist": _unfollow_playlist,
    "release_album": _release_album,
}
