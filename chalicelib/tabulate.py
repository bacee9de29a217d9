"""Which record feeds which tables: a :class:`Window` collects the records of a stretch of answers.

Records are kept as they were decoded; columns.py reads columns off them all at once, so that no row exists as an
object of its own. What answers repeat word for word within a window is kept once.

Each row carries an *origin*, ``answer << 32 | item + 1``: its answer's number in the raw object and its place in
that answer (0 in the low half for the answer as a whole). What a row takes from its answer's header (the time, the
listener, the playlist) is looked up from it, and a rejected row is traced by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from chalicelib.clock import epoch_ms, parse_rfc3339
from chalicelib.raw import Answer
from chalicelib.records import (
    ABSENT,
    UNREADABLE,
    Album,
    Artist,
    Fault,
    Item,
    Playlist,
    SavedAlbum,
    Show,
    decode,
    find_endpoint,
    read_entries,
    read_item,
)

ITEM_BITS = 32
LISTED = {  # endpoints whose whole listing is the listener's library now: its table and item type
    "me/tracks": ("saved_items", "track"),
    "me/albums": ("saved_items", "album"),
    "me/following": ("followed_artists", "artist"),
}


@dataclass(slots=True)
class Place:
    """What the rows of one answer take from its header."""

    observed_ms: int
    run_id: str
    source: str
    endpoint: str
    user_id: str | None = None
    path_id: str | None = None
    offset: int = 0
    playlist_id: str | None = None
    snapshot_id: str | None = None
    time_range: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """One complete reading of a library."""

    table_name: str
    item_type: str
    started_at: str
    items: int


class Rows:
    """Records for one table, each with its origin."""

    __slots__ = ("origins", "records")

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.origins: list[int] = []

    def add(self, record: Any, origin: int) -> None:
        self.records.append(record)
        self.origins.append(origin)

    def __len__(self) -> int:
        return len(self.records)


class Window:
    """The records of consecutive answers, from answer number ``first`` on."""

    def __init__(self, first: int = 0) -> None:
        self.first = first
        self.places: list[Place] = []
        self.faults: list[tuple[int, Fault]] = []  # with their answer's number
        self.unknown: list[str] = []  # endpoints that feed no table
        self.items = 0
        self.counts: dict[str, int] = {}  # items met, by the table they are first for
        self.artists, self.albums, self.tracks, self.episodes = Rows(), Rows(), Rows(), Rows()
        self.playlists, self.entries, self.plays, self.listings = Rows(), Rows(), Rows(), Rows()
        self.saved, self.followed, self.top = Rows(), Rows(), Rows()
        self._seen_artists: dict[str, Artist] = {}
        self._seen_albums: dict[str, Album] = {}
        self._seen_tracks: dict[str, Item] = {}
        self._seen_episodes: dict[str, Item] = {}

    def add(self, answer: Answer) -> Place:
        """Take one answer. One that says that something went wrong (its status is not 200) feeds nothing."""
        number = self.first + len(self.places)
        place = place_of(answer)
        self.places.append(place)
        if answer.status != 200:
            return place
        found = find_endpoint(answer.endpoint)
        if found is None:
            self.unknown.append(answer.endpoint)
            return place
        known, place.path_id = found
        place.playlist_id = place.playlist_id or place.path_id
        parts, faults = decode(known, answer.body)
        self.faults += [(number, fault) for fault in faults]
        origin = (number << ITEM_BITS) + 1
        for part, items in parts:
            self.items += len(items)
            self.counts[part.table] = self.counts.get(part.table, 0) + len(items)
            TAKERS[part.kind](self, items, origin if part.path else origin - 1, place)
        if parts:
            self._take_listing(answer, origin - 1)
        return place

    def __len__(self) -> int:
        """Rows so far, of the tables that grow fastest."""
        return (
            len(self.artists) + len(self.albums) + 2 * len(self.tracks) + len(self.entries)
            + len(self.saved) + len(self.plays) + len(self.followed) + len(self.episodes) + len(self.top)
            + len(self.playlists) + 8 * len(self.faults) + len(self.places)
        )  # fmt: skip

    def _take_listing(self, answer: Answer, origin: int) -> None:
        listing = answer.context.get("listing")
        listed = LISTED.get(answer.endpoint)
        if listed and isinstance(listing, dict) and listing.get("complete") is True:
            self.listings.add(Listing(*listed, str(listing.get("started_at")), listing.get("items", 0)), origin)

    # --- what the lists of answers hold -------------------------------------------------------------------------

    def take_artists(self, items: Sequence[Artist | None], origin: int, _place: Place) -> None:
        self._add_artists([artist for artist in items if artist is not None], origin)

    def take_albums(self, items: Sequence[Album | None], origin: int, _place: Place) -> None:
        for index, album in enumerate(items):
            if album is not None:
                self._add_album(album, origin + index)

    def take_items(self, items: Sequence[Item | None], origin: int, _place: Place) -> None:
        for index, item in enumerate(items):
            if item is not None:
                self._add_item(item, origin + index)

    def take_album_tracks(self, items: Sequence[Item | None], origin: int, place: Place) -> None:
        album = Album(id=place.path_id)
        for index, item in enumerate(items):
            if item is not None:
                item.album = album
                self._add_item(item, origin + index)

    def take_shows(self, items: Sequence[Show | None], origin: int, _place: Place) -> None:
        for show in items:
            if show is not None and show.episodes is not None:
                for episode in show.episodes.items or ():
                    if episode is not None:
                        episode.show = Show(show.id, show.name)
                        self._add_episode(episode, origin)

    def take_show_episodes(self, items: Sequence[Item | None], origin: int, place: Place) -> None:
        for index, episode in enumerate(items):
            if episode is not None:
                episode.show = episode.show or Show(place.path_id)
                self._add_episode(episode, origin + index)

    def take_saved_tracks(self, items: Sequence[Any], origin: int, _place: Place) -> None:
        for index, saved in enumerate(items):
            if saved is not None and self._settle(saved, origin + index, "saved_items"):
                saved.item = self._add_item(saved.item, origin + index)
                self.saved.add(("track", saved.item.id, saved.added_at), origin + index)

    def take_saved_albums(self, items: Sequence[SavedAlbum | None], origin: int, _place: Place) -> None:
        for index, saved in enumerate(items):
            if saved is not None and saved.album is not None:
                album = self._add_album(saved.album, origin + index)
                self.saved.add(("album", album.id, saved.added_at), origin + index)

    def take_followed(self, items: Sequence[Artist | None], origin: int, _place: Place) -> None:
        for index, artist in enumerate(items):
            if artist is not None:
                self._add_artists((artist,), origin + index)
                self.followed.add(artist.id, origin + index)

    def take_top_artists(self, items: Sequence[Artist | None], origin: int, _place: Place) -> None:
        for index, artist in enumerate(items):
            if artist is not None:
                self._add_artists((artist,), origin + index)
                self.top.add(("artist", artist.id), origin + index)

    def take_top_tracks(self, items: Sequence[Item | None], origin: int, _place: Place) -> None:
        for index, item in enumerate(items):
            if item is not None:
                self._add_item(item, origin + index)
                self.top.add(("track", item.id), origin + index)

    def take_plays(self, items: Sequence[Any], origin: int, _place: Place) -> None:
        for index, play in enumerate(items):
            if play is not None and self._settle(play, origin + index, "plays"):
                play.item = self._add_item(play.item, origin + index)
                self.plays.add(play, origin + index)

    def take_playlists(self, items: Sequence[Playlist | None], origin: int, place: Place) -> None:
        for index, playlist in enumerate(items):
            if playlist is None:
                continue
            if playlist.page is UNSET and playlist.other is not ABSENT:
                try:
                    playlist.page = read_entries(playlist.other)
                except UNREADABLE as error:
                    self._fault(origin + index, "playlists", error, playlist.other)
                    playlist.page = None
            playlist.other = ABSENT
            self.playlists.add(playlist, origin + index)
            if place.endpoint.startswith("playlists/"):
                self._take_own_entries(playlist, origin + 1, place)

    def _take_own_entries(self, playlist: Playlist, origin: int, place: Place) -> None:
        place.playlist_id, place.snapshot_id = playlist.id, playlist.snapshot_id
        page = playlist.page
        if page:
            place.offset = whole_number(page.offset)
            self.take_entries(page.items or (), origin, place)
            page.items = None

    def take_entries(self, items: Sequence[Any], origin: int, _place: Place) -> None:
        add, add_origin, seen = self.entries.records.append, self.entries.origins.append, self._seen_tracks.get
        for number, entry in enumerate(items, origin):
            if entry is None or not self._settle(entry, number, "playlist_items"):
                continue
            add(entry)
            add_origin(number)
            item = entry.item
            if not (entry.is_local or item.is_local or is_local(item.uri)):
                known = seen(item.id)
                entry.item = known if known == item else self._add_item(item, number)

    # --- entities -----------------------------------------------------------------------------------------------

    def _settle(self, entry: Any, origin: int, table: str) -> bool:
        """Whichever of ``item`` and ``track`` the entry has, put into ``item``; False when there is none to take."""
        if entry.other is not ABSENT:
            if entry.item is UNSET:
                try:
                    entry.item = read_item(entry.other)
                except UNREADABLE as error:
                    self._fault(origin, table, error, entry.other)
                    entry.item = None
            entry.other = ABSENT
        return entry.item is not UNSET and entry.item is not None

    def _fault(self, origin: int, table: str, error: Exception, content: msgspec.Raw) -> None:
        number, item = origin >> ITEM_BITS, (origin & ((1 << ITEM_BITS) - 1)) - 1
        self.faults.append((number, Fault(table, item, str(error), bytes(content))))

    def _add_item(self, item: Item, origin: int) -> Item:
        """Take a track or an episode; answers the record that stands for it."""
        if is_local(item.uri) or item.is_local:
            return item
        return self._add_episode(item, origin) if is_episode(item) else self._add_track(item, origin)

    def _add_track(self, track: Item, origin: int) -> Item:
        known = self._seen_tracks.get(track.id) if track.id is not None else None
        if known is not None and (known == track or adds_nothing(known, track)):
            return known
        if track.id is not None:
            self._seen_tracks[track.id] = track
        self.tracks.add(track, origin)
        if track.album is not None and track.album.name is not None:
            track.album = self._add_album(track.album, origin)
        if track.artists:
            self._add_artists(track.artists, origin)
        return track

    def _add_album(self, album: Album, origin: int) -> Album:
        known = self._seen_albums.get(album.id) if album.id is not None else None
        tracks, album.tracks = album.tracks, None
        if tracks is not None and tracks.items:
            within = Album(id=album.id)
            for track in tracks.items:
                if track is not None:
                    track.album = within
                    self._add_item(track, origin)
        if known is not None and (known == album or adds_nothing(known, album)):
            return known
        if album.id is not None:
            self._seen_albums[album.id] = album
        self.albums.add(album, origin)
        if album.artists:
            self._add_artists(album.artists, origin)
        return album

    def _add_artists(self, artists: Sequence[Artist], origin: int) -> None:
        seen = self._seen_artists
        for artist in artists:
            known = seen.get(artist.id) if artist.id is not None else None
            if known is not None and (known == artist or adds_nothing(known, artist)):
                continue
            if artist.id is not None:
                seen[artist.id] = artist
            self.artists.add(artist, origin)

    def _add_episode(self, episode: Item, origin: int) -> Item:
        known = self._seen_episodes.get(episode.id) if episode.id is not None else None
        if known is not None and (known == episode or adds_nothing(known, episode)):
            return known
        if episode.id is not None:
            self._seen_episodes[episode.id] = episode
        self.episodes.add(episode, origin)
        return episode


TAKERS: dict[str, Callable[[Window, Sequence[Any], int, Place], None]] = {
    "artist": Window.take_artists,
    "album": Window.take_albums,
    "item": Window.take_items,
    "album_track": Window.take_album_tracks,
    "show": Window.take_shows,
    "show_episode": Window.take_show_episodes,
    "saved_track": Window.take_saved_tracks,
    "saved_album": Window.take_saved_albums,
    "followed_artist": Window.take_followed,
    "top_artist": Window.take_top_artists,
    "top_track": Window.take_top_tracks,
    "play": Window.take_plays,
    "playlist": Window.take_playlists,
    "entry": Window.take_entries,
}


def place_of(answer: Answer) -> Place:
    context, params = answer.context, answer.params
    return Place(
        observed_ms=epoch_ms(answer.received_at),
        run_id=answer.run_id,
        source=answer.source,
        endpoint=answer.endpoint,
        user_id=answer.user_id,
        offset=whole_number(params.get("offset")),
        playlist_id=text_or_none(context.get("playlist_id")),
        snapshot_id=text_or_none(context.get("snapshot_id")),
        time_range=text_or_none(params.get("time_range")),
    )


def whole_number(value: Any) -> int:
    """A request's number; parameters may have been kept as text."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0


def text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def is_local(uri: str | None) -> bool:
    return uri is not None and uri.startswith("spotify:local:")


def is_episode(item: Item) -> bool:
    return item.type == "episode" or (item.type is None and (item.uri or "").startswith("spotify:episode:"))


def adds_nothing(known: Any, new: Any) -> bool:
    """Whether ``new`` says nothing that ``known`` does not say too: a short form of the same."""
    for name in known.__struct_fields__:
        value = getattr(new, name)
        if value is None or value == getattr(known, name):
            continue
        if name not in ("album", "artists", "show") or ids_of(value) != ids_of(getattr(known, name)):
            return False
    return True


def ids_of(value: Any) -> Any:
    if isinstance(value, list):
        return [each.id for each in value]
    return value.id if value is not None else None


def play_id(user_id: str | None, uri: str | None, played_at: str | None) -> str | None:
    """Digest of what identifies a listen that the API reports; None where one of the three is missing."""
    if user_id is None or uri is None or played_at is None:
        return None
    try:
        moment = epoch_ms(parse_rfc3339(played_at))
    except (ValueError, OverflowError):
        return None
    return digest("play", user_id, uri, str(moment))


def digest(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
