"""Which record feeds which tables: a :class:`Batch` collects the records of a few answers.

Records are kept as they were decoded; columns.py reads columns off them all at once, so that no row exists as an
object of its own. Batches are small, for the records of one should still be in the processor's cache when they are
read: that halves the time of the whole. What was said before, word for word, is not kept again (:class:`Said`).

Each row carries its *origin* (see origin.py). What a row takes from its answer's header (the time, the listener, the
playlist) is looked up from it, and a rejected row is traced by it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from chalicelib.clock import epoch_ms, parse_rfc3339, rfc3339
from chalicelib.musicbrainz.answers import is_lookup, meaning
from chalicelib.raw import Answer
from chalicelib.transformation.answers import (
    ABSENT,
    UNREADABLE,
    Album,
    Artist,
    Fault,
    Item,
    OddPart,
    Playlist,
    SavedAlbum,
    Show,
    decode,
    find_endpoint,
    read_by_field,
    read_entries,
)
from chalicelib.transformation.findings import CONTENT_KEPT
from chalicelib.transformation.origin import Origin

UNSAID = -1  # the hash of nothing: hash() never answers it
LARGEST_OFFSET = 1 << 30  # positions are 32-bit numbers
IN_MILLISECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z").fullmatch  # as Spotify writes played_at
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
    astray: bool = False  # not the page that was asked for: where in a list its items stand is not known


@dataclass(frozen=True, slots=True)
class ListingRow:
    """One complete reading of a library."""

    table_name: str
    item_type: str
    started_at: str
    items: int


class Records:
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


class Said:
    """What was last said of each artist, album, track and episode, as a hash; short and full forms apart."""

    __slots__ = ("albums", "artists", "at_once", "episodes", "moment", "short_artists", "short_tracks", "tracks")

    def __init__(self) -> None:
        self.moment = 0  # when what is being read was observed
        self.at_once: set[str] = set()  # ids of which something new was said at that moment
        self.artists: dict[str | None, int] = {}
        self.short_artists: dict[str | None, int] = {}
        self.albums: dict[str | None, int] = {}
        self.tracks: dict[str | None, int] = {}
        self.short_tracks: dict[str | None, int] = {}
        self.episodes: dict[str | None, int] = {}

    def begin(self, moment: int) -> None:
        """An answer that was observed at ``moment`` is read next."""
        if moment != self.moment:
            self.moment = moment
            self.at_once.clear()

    def is_news(self, said: dict[str | None, int], key: str | None, content: int) -> bool:
        """Whether something else was last said of ``key``; notes what is said now. What has no id is always news.

        Of two things said of it at once one may be rejected: whatever is said next is news then.
        """
        if key is None:
            return True
        if said.get(key) == content:
            return False
        said[key] = UNSAID if key in self.at_once else content
        self.at_once.add(key)
        return True


class Batch:
    """The records of consecutive answers, from answer number ``first`` on."""

    def __init__(self, first: int, said: Said) -> None:
        self.first = first
        self.said = said
        self.places: list[Place] = []
        self.faults: list[tuple[int, Fault]] = []  # with their answer's number
        self.odd: list[OddPart] = []
        self.unknown: list[str] = []  # endpoints that feed no table
        self.counts: dict[str, int] = {}  # items met, by the table they are first for
        self.artists, self.albums, self.tracks, self.episodes = Records(), Records(), Records(), Records()
        self.playlists, self.entries, self.plays, self.listings = Records(), Records(), Records(), Records()
        self.saved_tracks, self.saved_albums, self.followed, self.top = Records(), Records(), Records(), Records()
        self.stands_on: list[str | None] = []  # of each of ``tracks`` the album that it says it stands on
        self.listed_on: list[str | None] = []  # and the album whose list of tracks it stands in
        self.matches, self.recordings, self.votes = Records(), Records(), Records()  # MusicBrainz'

    def add(self, answer: Answer) -> Place:
        """Take one answer. One that says that something went wrong (its status is not 200) feeds nothing."""
        number = self.first + len(self.places)
        place = place_of(answer)
        self.places.append(place)
        self.said.begin(place.observed_ms)
        if answer.status != 200:
            return place
        if is_lookup(answer.endpoint):
            self._take_lookup(answer, number)
            return place
        found = find_endpoint(answer.endpoint)
        if found is None:
            self.unknown.append(answer.endpoint)
            return place
        endpoint, place.path_id = found
        place.playlist_id = place.playlist_id or place.path_id
        if place.astray and endpoint.of_one_thing:
            return place  # it is about another one
        decoded = decode(endpoint, answer.body)
        self.faults += [(number, fault) for fault in decoded.faults]
        self.odd += decoded.odd
        whole, first = Origin(number).pack(), Origin(number, 0).pack()
        for part, items in decoded.lists:
            self.counts[part.table] = self.counts.get(part.table, 0) + len(items)
            TAKERS[part.kind](self, items, first if part.path else whole, place)
        if decoded.lists:
            self._take_listing(answer, whole)
        return place

    def __len__(self) -> int:
        """Rows so far, of the tables that grow fastest."""
        kept = (self.artists, self.albums, self.tracks, self.entries, self.saved_tracks, self.saved_albums, self.plays)
        rare = (self.followed, self.episodes, self.top, self.playlists, self.faults, self.places)
        looked_up = (self.matches, self.recordings, self.votes)
        return len(self.tracks) + sum(len(rows) for rows in (*kept, *looked_up)) + sum(len(some) for some in rare)

    def users(self, origins: Sequence[int]) -> list[str | None]:
        """The listeners whose answers rows came from."""
        users = [place.user_id for place in self.places]
        return [users[Origin.unpack(origin).answer - self.first] for origin in origins]

    def _take_lookup(self, answer: Answer, number: int) -> None:
        """Take what MusicBrainz or ListenBrainz says; an answer that cannot be read says nothing."""
        try:
            said = meaning(answer.endpoint, answer.status, answer.context, json.loads(answer.body))
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            reason = f"not what was asked for: {error!r}"
            self.faults.append((number, Fault("musicbrainz_artists", -1, reason, answer.body[:CONTENT_KEPT])))
            return
        parts = ((self.matches, said.matches), (self.recordings, said.recordings), (self.votes, said.votes))
        for rows, records in parts:
            for item, record in enumerate(records):
                rows.add(record, Origin(number, item).pack())

    def _take_listing(self, answer: Answer, origin: int) -> None:
        listing = answer.context.get("listing")
        listed = LISTED.get(answer.endpoint)
        if listed and isinstance(listing, dict) and listing.get("complete") is True:
            self.listings.add(ListingRow(*listed, str(listing.get("started_at")), listing.get("items", 0)), origin)

    # --- what the lists of answers hold -------------------------------------------------------------------------

    def take_artists(self, items: Sequence[Artist | None], origin: int, _place: Place) -> None:
        for index, artist in enumerate(items):
            if artist is not None:
                self._add_artists((artist,), origin + index)

    def take_albums(self, items: Sequence[Album | None], origin: int, _place: Place) -> None:
        for index, album in enumerate(items):
            if album is not None:
                self._add_album(album, origin + index)

    def take_items(self, items: Sequence[Item | None], origin: int, _place: Place) -> None:
        for index, item in enumerate(items):
            if item is not None:
                self._add_item(item, origin + index)

    def take_album_tracks(self, items: Sequence[Item | None], origin: int, place: Place) -> None:
        for index, item in enumerate(items):
            if item is not None:
                self._add_track_of(item, place.path_id, origin + index)

    def take_shows(self, items: Sequence[Show | None], origin: int, _place: Place) -> None:
        for show in items:
            if show is not None and show.episodes is not None:
                for episode in show.episodes.items or ():
                    if episode is not None:
                        self._add_episode(episode, origin, show)

    def take_show_episodes(self, items: Sequence[Item | None], origin: int, place: Place) -> None:
        show = Show(place.path_id)
        for index, episode in enumerate(items):
            if episode is not None:
                self._add_episode(episode, origin + index, episode.show or show)

    def take_saved_tracks(self, items: Sequence[Any], origin: int, _place: Place) -> None:
        self._take_keyed(items, origin, self.saved_tracks, "saved_items")

    def take_saved_albums(self, items: Sequence[SavedAlbum | None], origin: int, _place: Place) -> None:
        for index, saved in enumerate(items):
            if saved is not None and saved.album is not None:
                self._add_album(saved.album, origin + index)
                self.saved_albums.add(saved, origin + index)

    def take_followed(self, items: Sequence[Artist | None], origin: int, _place: Place) -> None:
        for index, artist in enumerate(items):
            if artist is not None:
                self._add_artists((artist,), origin + index)
                self.followed.add(artist.id, origin + index)

    def take_top_artists(self, items: Sequence[Artist | None], origin: int, place: Place) -> None:
        for index, artist in enumerate(items):
            if artist is not None:
                self._add_artists((artist,), origin + index)
                if not place.astray:
                    self.top.add(("artist", artist.id), origin + index)

    def take_top_tracks(self, items: Sequence[Item | None], origin: int, place: Place) -> None:
        for index, item in enumerate(items):
            if item is not None:
                self._add_item(item, origin + index)
                if not place.astray:
                    self.top.add(("track", item_id(item)), origin + index)

    def take_plays(self, items: Sequence[Any], origin: int, _place: Place) -> None:
        self._take_keyed(items, origin, self.plays, "plays")

    def take_playlists(self, items: Sequence[Playlist | None], origin: int, place: Place) -> None:
        for index, playlist in enumerate(items):
            if playlist is None:
                continue
            if playlist.other is not ABSENT and not (playlist.page and playlist.page.items):
                self._read_other_page(playlist, origin + index)
            self.playlists.add(playlist, origin + index)
            if place.endpoint.startswith("playlists/"):
                self._take_own_entries(playlist, origin + 1, place)

    def _read_other_page(self, playlist: Playlist, origin: int) -> None:
        """Take a playlist's page from where older answers have it, if it says more there."""
        try:
            page = read_entries(playlist.other)
        except UNREADABLE as error:
            self._fault(origin, "playlists", str(error), playlist.other)
            page = None
        if page or playlist.page is UNSET:
            playlist.page = page

    def _take_own_entries(self, playlist: Playlist, origin: int, place: Place) -> None:
        place.playlist_id, place.snapshot_id = playlist.id, playlist.snapshot_id
        page = playlist.page
        if page:
            place.offset = offset_of(page.offset)
            self.take_entries(page.items or (), origin, place)

    def take_entries(self, items: Sequence[Any], origin: int, place: Place) -> None:
        self._take_keyed(items, origin, Records() if place.astray else self.entries, "playlist_items")

    def _take_keyed(self, items: Sequence[Any], origin: int, rows: Records, table: str) -> None:
        """Take entries that hold an item, by whichever key. Most of the time is spent here."""
        add, add_origin, said = rows.records.append, rows.origins.append, self.said.tracks.get
        for number, entry in enumerate(items, origin):
            if entry is None:
                continue
            item = entry.item
            if item is None or item is UNSET:
                item = self._item_of(entry, number, table)
                if item is None:
                    continue
            add(entry)
            add_origin(number)
            content = hash(item)
            if said(item.id) != content:
                self._add_item(item, number, content)

    # --- entities -----------------------------------------------------------------------------------------------

    def _item_of(self, entry: Any, origin: int, table: str) -> Item | None:
        """The item of an entry that is not keyed as expected; None where it is null or cannot be read."""
        if entry.other is ABSENT:
            if entry.item is UNSET:
                self._fault(origin, table, "Object missing required field `item` or `track`", entry.other)
            entry.item = None
            return None
        odd: list[tuple[str, str]] = []
        entry.item = read_by_field(entry.other, Item | None, "", odd)
        for path, reason in odd:
            if path:
                self.odd.append(OddPart(table, Origin.unpack(origin).item, f"item.{path}", reason))
            else:
                self._fault(origin, table, reason, entry.other)
        item: Item | None = entry.item
        return item

    def _fault(self, origin: int, table: str, reason: str, content: msgspec.Raw) -> None:
        number, item = Origin.unpack(origin)
        self.faults.append((number, Fault(table, item, reason, bytes(content)[:CONTENT_KEPT])))

    def _add_item(self, item: Item, origin: int, content: int | None = None) -> None:
        """Take a track or an episode; local files and chapters are neither. ``content`` is its hash, if known."""
        if item.is_local or is_local(item.uri):
            return
        kind = kind_of(item)
        if kind == "episode":
            self._add_episode(item, origin, item.show)
        elif kind != "audiobook":
            self._add_track(item, origin, content)

    def _add_track(self, track: Item, origin: int, content: int | None = None) -> None:
        """Take a track that is not told of in an album's own list."""
        said = self.said.tracks if track.album is not None else self.said.short_tracks
        if self.said.is_news(said, track.id, hash(track) if content is None else content):
            self._keep_track(track, origin, track.album.id if track.album else None, None)

    def _add_track_of(self, track: Item, album_id: str | None, origin: int) -> None:
        """Take a track of an album's own list. Where Spotify replaced it, the id that was replaced stands on the
        album, and nothing is said of where the replacement stands."""
        original = track.linked_from.id if track.linked_from else None
        if original is None:
            self._add_listed(track, album_id, origin)
        else:
            self._add_listed(track, None, origin)
            unlinked = msgspec.structs.replace(track, id=original, uri=None, linked_from=None, external_urls=None)
            self._add_listed(unlinked, album_id, origin)

    def _add_listed(self, track: Item, album_id: str | None, origin: int) -> None:
        if self.said.is_news(self.said.short_tracks, track.id, hash((track, album_id))):
            self._keep_track(track, origin, track.album.id if track.album else None, album_id)

    def _keep_track(self, track: Item, origin: int, stands_on: str | None, listed_on: str | None) -> None:
        self.tracks.add(track, origin)
        self.stands_on.append(stands_on)
        self.listed_on.append(listed_on)
        if track.album is not None:
            self._add_album(track.album, origin)
        if track.artists:
            self._add_artists(track.artists, origin)

    def _add_album(self, album: Album, origin: int) -> None:
        if self.said.is_news(self.said.albums, album.id, hash(album)):
            self.albums.add(album, origin)
            if album.artists:
                self._add_artists(album.artists, origin)
            if album.tracks is not None:
                for track in album.tracks.items or ():
                    if track is not None:
                        self._add_track_of(track, album.id, origin)

    def _add_artists(self, artists: Sequence[Artist], origin: int) -> None:
        for artist in artists:
            said = self.said.short_artists if artist.genres is None else self.said.artists
            content = hash(artist)
            if said.get(artist.id) != content and self.said.is_news(said, artist.id, content):
                self.artists.add(artist, origin)

    def _add_episode(self, episode: Item, origin: int, show: Show | None) -> None:
        if self.said.is_news(self.said.episodes, episode.id, hash(episode)):
            self.episodes.add((episode, show), origin)


TAKERS: dict[str, Callable[[Batch, Sequence[Any], int, Place], None]] = {
    "artist": Batch.take_artists,
    "album": Batch.take_albums,
    "item": Batch.take_items,
    "album_track": Batch.take_album_tracks,
    "show": Batch.take_shows,
    "show_episode": Batch.take_show_episodes,
    "saved_track": Batch.take_saved_tracks,
    "saved_album": Batch.take_saved_albums,
    "followed_artist": Batch.take_followed,
    "top_artist": Batch.take_top_artists,
    "top_track": Batch.take_top_tracks,
    "play": Batch.take_plays,
    "playlist": Batch.take_playlists,
    "entry": Batch.take_entries,
}


def place_of(answer: Answer) -> Place:
    """What an answer's header says of the rows that come from it."""
    context, params = answer.context, answer.params
    return Place(
        observed_ms=epoch_ms(answer.received_at),
        run_id=answer.run_id,
        source=answer.source,
        endpoint=answer.endpoint,
        user_id=answer.user_id,
        offset=offset_of(params.get("offset")),
        playlist_id=text_or_none(context.get("playlist_id")),
        snapshot_id=text_or_none(context.get("snapshot_id")),
        time_range=text_or_none(params.get("time_range")),
        astray=bool(context.get("astray")),
    )


def offset_of(value: Any) -> int:
    """An offset as asked for or answered; parameters may have been kept as text. 0 where it cannot be one."""
    try:
        offset = int(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    return offset if 0 <= offset <= LARGEST_OFFSET else 0


def text_or_none(value: Any) -> str | None:
    """The value if it is a text."""
    return value if isinstance(value, str) else None


def is_local(uri: str | None) -> bool:
    """Whether a URI is that of a file of the listener's own."""
    return uri is not None and uri.startswith("spotify:local:")


def kind_of(item: Item) -> str | None:
    """track, episode or audiobook (which a chapter is of), as the item says or its uri."""
    kind = item.type or type_in(item.uri)
    return "audiobook" if kind == "chapter" else kind


def type_in(uri: str | None) -> str | None:
    """``track`` of ``spotify:track:4uLU6hMCjMI75M1A2tKUQC``."""
    parts = (uri or "").split(":")
    return parts[1] if len(parts) == 3 else None


def item_uri(item: Item) -> str | None:
    """Its uri, or what that is of the type and id that are given."""
    if item.uri or not item.id:
        return item.uri
    return f"spotify:{item.type or 'track'}:{item.id}"


def item_id(item: Item) -> str | None:
    """Its id, or the one that its uri ends with; local files have none."""
    if item.id or not item.uri:
        return item.id
    parts = item.uri.split(":")
    return parts[2] if len(parts) == 3 else None


def play_id(user_id: str | None, uri: str | None, played_at: str | None) -> str | None:
    """Digest of what identifies a listen that the API reports; None where one of the three is missing."""
    if user_id is None or uri is None or played_at is None:
        return None
    if not IN_MILLISECONDS(played_at):
        try:
            played_at = rfc3339(parse_rfc3339(played_at))
        except (ValueError, OverflowError):
            return None
    return digest("play", user_id, uri, played_at)


def digest(*parts: str) -> str:
    """A key made from several texts: 32 hexadecimal digits."""
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
