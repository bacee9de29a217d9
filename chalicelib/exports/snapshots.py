"""What account data says besides listens: the saved library, playlists, whom one follows, searches.

Each file is known by what it holds, in the shapes of all years, and its name settles what is in doubt; one whose
content is of none of these shapes is no snapshot, whatever its name:

===================  ===============================================================================================
``YourLibrary``      an object of lists: ``tracks``, ``albums``, ``shows``, ``episodes``, ``artists``; no dates
``Playlist1`` …      ``{"playlists": [{name, items: [{track | episode | audiobook | localTrack, addedDate}]}]}``
``Follow``           ``userIsFollowing``, ``userIsFollowedBy``, before 2023 ``followingArtists``: names. Whom one blocks
                     is not read
``SearchQueries``    a list of ``{searchTime, searchQuery, platform, searchInteractionURIs}``
===================  ===============================================================================================

Nothing in them says when they were made; the zip does (see :mod:`chalicelib.exports.files`). An entry that says nothing
is left out, a field that holds what it cannot is null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, BinaryIO, TypeVar
from urllib.parse import unquote_plus

import msgspec

from chalicelib.exports.json_array import BLOCK, LARGEST_TEXT, in_utf8, whole_text

T = TypeVar("T")
SURELY_LIBRARY = 3  # lists of YourLibrary.json's names, from which on an object is one whatever its file is called
LONGEST_TEXT = 10_000  # characters of a name or a description
OLDEST = datetime(2006, 1, 1)  # noqa: DTZ001 - UTC without a zone; Spotify's founding
URI = re.compile(r"spotify:(track|album|artist|show|episode|audiobook|chapter):([0-9A-Za-z]{22})")
LOCAL = "spotify:local:"
SEARCH_TIME = re.compile(r"\[[A-Za-z_/]+\]$")  # "2026-02-19T14:21:59.403Z[UTC]"

#: By the list of YourLibrary.json: what its entries are, and which members name them, their artist and their album.
LIBRARY = {
    "tracks": ("track", "track", "artist", "album"),
    "albums": ("album", "album", "artist", None),
    "shows": ("show", "name", "publisher", None),
    "episodes": ("episode", "name", "show", None),
    "artists": ("artist", "name", None, None),
}
#: By the member that a playlist's item has: its type, and which members name it, its artist, its album and its URI.
ITEMS = {
    "track": ("track", "trackName", "artistName", "albumName", "trackUri"),
    "episode": ("episode", "episodeName", "showName", None, "episodeUri"),
    "audiobook": ("audiobook", "audiobookName", "authorName", None, "audiobookUri"),
    "localTrack": ("local", None, None, None, "uri"),
}
FOLLOWS = {"userIsFollowing": "following", "userIsFollowedBy": "follower", "followingArtists": "artist"}
FOLLOW_KEYS = {*FOLLOWS, "userIsBlocking", "followerCount", "followingUsersCount", "dismissingUsersCount"}


@dataclass(frozen=True, slots=True)
class LibraryItem:
    """Something that is saved, or an artist who is followed; ``item_id`` where the export is new enough to say."""

    item_type: str
    item_id: str | None
    name: str | None
    artist_name: str | None = None  # artist, show or publisher
    album_name: str | None = None


@dataclass(frozen=True, slots=True)
class PlaylistEntry:
    """An item of a playlist."""

    item_type: str
    item_id: str | None
    item_uri: str | None
    name: str | None
    artist_name: str | None
    album_name: str | None
    added_on: date | None


@dataclass(frozen=True, slots=True)
class ToldPlaylist:
    """A playlist as an export tells it: without an id."""

    name: str | None
    description: str | None
    modified_on: date | None
    followers: int | None
    collaborative: bool
    items: list[PlaylistEntry]


@dataclass(frozen=True, slots=True)
class Search:
    """What was typed into the search box, as far as it had been typed, and what was opened from what was found."""

    searched_at: datetime
    query: str
    platform: str | None
    opened: list[str]


@dataclass(slots=True)
class Snapshot:
    """What one or several files of an export say. ``lists`` are the types of which they tell all that is saved."""

    lists: list[str] = field(default_factory=list)
    library: list[LibraryItem] = field(default_factory=list)
    playlists: list[ToldPlaylist] = field(default_factory=list)
    follows: list[tuple[str, str]] = field(default_factory=list)
    searches: list[Search] = field(default_factory=list)

    def add(self, other: Snapshot) -> None:
        """Take in what another file of the same export says."""
        self.lists += [each for each in other.lists if each not in self.lists]
        self.library += other.library
        self.playlists += other.playlists
        self.follows += [each for each in other.follows if each not in self.follows]
        self.searches += other.searches

    @property
    def newest(self) -> datetime | None:
        """The last moment that it tells of."""
        days = [each for one in self.playlists for each in (one.modified_on, *(item.added_on for item in one.items))]
        moments = [datetime(day.year, day.month, day.day) for day in days if day]  # noqa: DTZ001 - UTC
        return max([*moments, *(search.searched_at for search in self.searches)], default=None)

    @property
    def counts(self) -> dict[str, int]:
        """How much there is of each, in words."""
        found = {
            "saved items": len(self.library),
            "playlists": len(self.playlists),
            "items of playlists": sum(len(one.items) for one in self.playlists),
            "names followed": len(self.follows),
            "searches": len(self.searches),
        }
        return {what: count for what, count in found.items() if count}


def read_snapshot(stream: BinaryIO, *, is_named_so: bool) -> Snapshot | None:
    """What a file says that holds a part of account data; None for any other file."""
    try:
        document = decoded(stream)
    except (ValueError, RecursionError):
        return None
    if isinstance(document, dict) and not is_named_so and len(LIBRARY.keys() & document.keys()) < SURELY_LIBRARY:
        document = {name: value for name, value in document.items() if name not in LIBRARY}
    for read in (library_of, playlists_of, follows_of, searches_of):
        if (found := read(document)) is not None:
            return found
    return None


def decoded(stream: BinaryIO) -> Any:
    """A JSON text of bounded size, in UTF-8 or UTF-16. Raises ValueError."""
    text = whole_text(in_utf8(stream, BLOCK), LARGEST_TEXT)
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return json.loads(text.decode("utf-8", "replace"))


# --- the saved library --------------------------------------------------------------------------------------------


def library_of(document: Any) -> Snapshot | None:
    """What YourLibrary.json says."""
    if not isinstance(document, dict) or not any(isinstance(document.get(name), list) for name in LIBRARY):
        return None
    found = Snapshot()
    for name, (kind, title, artist, album) in LIBRARY.items():
        if isinstance(document.get(name), list):
            found.lists.append(kind)
        for entry in objects(document, name):
            item_id = id_of(entry.get("uri"), kind)
            item = LibraryItem(kind, item_id, said(entry, title), said(entry, artist), said(entry, album))
            if item.item_id or item.name:
                found.library.append(item)
    return found


# --- playlists ----------------------------------------------------------------------------------------------------


def playlists_of(document: Any) -> Snapshot | None:
    """What Playlist1.json says."""
    if not isinstance(document, dict) or not isinstance(document.get("playlists"), list):
        return None
    told = [one for one in document["playlists"] if isinstance(one, dict) and isinstance(one.get("items"), list)]
    if document["playlists"] and not told:
        return None
    return Snapshot(playlists=[playlist_of(one) for one in told])


def playlist_of(told: dict[str, Any]) -> ToldPlaylist:
    """One playlist."""
    followers = told.get("numberOfFollowers")
    return ToldPlaylist(
        said(told, "name"),
        said(told, "description"),
        day_of(told.get("lastModifiedDate")),
        followers if isinstance(followers, int) and 0 <= followers < 2**31 else None,
        bool(listed(told, "collaborators")),
        [item for entry in objects(told, "items") if (item := entry_of(entry))],
    )


def entry_of(entry: dict[str, Any]) -> PlaylistEntry | None:
    """One item of a playlist; None for one that is of nothing."""
    for member, (kind, title, artist, album, uri) in ITEMS.items():
        item = entry.get(member)
        if isinstance(item, dict):
            link = said(item, uri)
            name = local_title(link) if kind == "local" else said(item, title)
            added_on = day_of(entry.get("addedDate"))
            item_id = id_of(link, kind)
            return PlaylistEntry(kind, item_id, link, name, said(item, artist), said(item, album), added_on)
    return None


def local_title(uri: str | None) -> str | None:
    """The title in ``spotify:local:artist:album:title:seconds``."""
    parts = (uri or "").split(":")
    return unquote_plus(parts[4]) or None if len(parts) > 4 and (uri or "").startswith(LOCAL) else None


# --- follows and searches -----------------------------------------------------------------------------------------


def follows_of(document: Any) -> Snapshot | None:
    """What Follow.json says."""
    if not isinstance(document, dict) or not FOLLOW_KEYS & document.keys():
        return None
    names = [
        (kind, plain(name))
        for member, kind in FOLLOWS.items()
        for name in listed(document, member)
        if isinstance(name, str) and name
    ]
    return Snapshot(follows=list(dict.fromkeys(names)))


def searches_of(document: Any) -> Snapshot | None:
    """What SearchQueries.json says."""
    if not isinstance(document, list) or not document:
        return None
    rows = [row for row in document if isinstance(row, dict)]
    if not any({"searchTime", "searchQuery"} <= row.keys() for row in rows):
        return None
    return Snapshot(searches=list(searches_in(rows)))


def searches_in(rows: list[dict[str, Any]]) -> Iterator[Search]:
    """The searches of rows that have a time and a text."""
    for row in rows:
        at, query = moment_of(row.get("searchTime")), said(row, "searchQuery")
        if at and query:
            opened = [plain(each) for each in listed(row, "searchInteractionURIs") if isinstance(each, str)]
            yield Search(at, query, said(row, "platform"), opened)


# --- what a member holds ------------------------------------------------------------------------------------------


def listed(told: dict[str, Any], name: str) -> list[Any]:
    """A member that is a list; empty where it is none."""
    held = told.get(name)
    return held if isinstance(held, list) else []


def objects(told: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """The objects in a member that is a list."""
    return (entry for entry in listed(told, name) if isinstance(entry, dict))


def said(told: dict[str, Any], name: str | None) -> str | None:
    """A text that says something."""
    value = told.get(name) if name else None
    return plain(value) if isinstance(value, str) and value else None


def plain(text: str) -> str:
    """A text as UTF-8 can hold it: half of a pair of UTF-16 is replaced."""
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode()


def id_of(uri: Any, kind: str) -> str | None:
    """The id in a URI, if that is of this kind of thing."""
    match = URI.fullmatch(uri) if isinstance(uri, str) else None
    return match[2] if match and match[1] == kind else None


def day_of(text: Any) -> date | None:
    """A day; None for what is none."""
    return parsed(text, lambda day: date.fromisoformat(day[:10]))


def moment_of(text: Any) -> datetime | None:
    """A moment in UTC without a zone; None for what is none, or before Spotify was."""

    def read(told: str) -> datetime:
        moment = datetime.fromisoformat(SEARCH_TIME.sub("", told).replace("Z", "+00:00"))
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment

    moment = parsed(text, read)
    return moment if moment and moment >= OLDEST else None


def parsed(text: Any, read: Callable[[str], T]) -> T | None:
    """What ``read`` makes of a text; None where it cannot."""
    try:
        return read(text) if isinstance(text, str) and text else None
    except (ValueError, OverflowError):
        return None
