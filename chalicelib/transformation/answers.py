"""Spotify's answers as typed records: only the fields that feed tables, each as Spotify may give it.

Records say which types a field may have; whether a value makes sense is for the tables' checks. Every field may
be absent or null, because development mode, old answers and local files each leave out their own. Whole numbers
may come as floats (``63.0``), as they did in March 2024. Fields that no table needs are skipped undecoded.

:func:`decode` reads a whole answer in one go. An answer that does not fit is read item by item, and an item that does
not fit field by field: a part that is not as declared (an image, one of the artists, a popularity in words) is null,
and the item stands without it. Only an item that is none, or that is not about anything that can be read, is lost, and
an answer only when its outer shape cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import UnionType
from typing import Any, ClassVar, Generic, TypeVar, Union, cast, get_args, get_origin

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from chalicelib.jsontext import repaired
from chalicelib.transformation.findings import CONTENT_KEPT

T = TypeVar("T")
WholeNumber = int | float | None
ABSENT = Raw()


class Record(Struct, gc=False):
    """Part of an answer. Records hold no cycles, so the garbage collector need not know them.

    ``subject`` is the member without which it says nothing.
    """

    subject: ClassVar[str] = ""


class Described(Struct, frozen=True, gc=False):
    """What describes a thing. Its hash is that of all it says, which tells whether it has been said before."""

    subject: ClassVar[str] = ""


class Image(Described, frozen=True):
    """A cover or picture in one size."""

    url: str | None = None
    width: WholeNumber = None


class ExternalUrls(Described, frozen=True):
    """Where a thing stands on the web."""

    spotify: str | None = None


class ExternalIds(Described, frozen=True):
    """Identifiers that others gave a recording or a release."""

    isrc: str | None = None
    upc: str | None = None


class Reference(Described, frozen=True):
    """A thing of which only the id matters."""

    id: str | None = None


class Context(Record):
    """What something was played from."""

    uri: str | None = None


class Artist(Described, frozen=True):
    """Simplified artists have an id, a name and an address; full ones the rest too."""

    id: str | None = None
    name: str | None = None
    genres: tuple[str, ...] | None = None
    popularity: WholeNumber = None
    followers: Followers | None = None
    images: tuple[Image, ...] | None = None
    external_urls: ExternalUrls | None = None


class Followers(Described, frozen=True):
    """How many follow an artist."""

    total: WholeNumber = None


class Page(Record, Generic[T]):
    """One page of a list. Removed and unknown entries are null, in place."""

    items: list[T | None]
    total: WholeNumber = None
    offset: WholeNumber = None


class InnerPage(Described, Generic[T], frozen=True):
    """The first page of a list inside something else; short forms give its total alone."""

    items: tuple[T | None, ...] | None = None
    total: WholeNumber = None
    offset: WholeNumber = None


class Album(Described, frozen=True):
    """An album, in full or in short."""

    id: str | None = None
    name: str | None = None
    album_type: str | None = None
    artists: tuple[Artist, ...] | None = None
    images: tuple[Image, ...] | None = None
    release_date: str | None = None
    release_date_precision: str | None = None
    total_tracks: WholeNumber = None
    label: str | None = None
    popularity: WholeNumber = None
    external_ids: ExternalIds | None = None
    external_urls: ExternalUrls | None = None
    tracks: InnerPage[Item] | None = None


class Show(Described, frozen=True):
    """A podcast, with or without its episodes."""

    id: str | None = None
    name: str | None = None
    episodes: InnerPage[Item] | None = None


class Item(Described, frozen=True):
    """A track or an episode: playlists and players mix them; ``type`` and ``uri`` tell them apart."""

    id: str | None = None
    name: str | None = None
    type: str | None = None
    uri: str | None = None
    album: Album | None = None
    artists: tuple[Artist, ...] | None = None
    duration_ms: WholeNumber = None
    explicit: bool | None = None
    disc_number: WholeNumber = None
    track_number: WholeNumber = None
    external_ids: ExternalIds | None = None
    popularity: WholeNumber = None
    linked_from: Reference | None = None
    external_urls: ExternalUrls | None = None
    is_local: bool | None = None
    show: Show | None = None
    release_date: str | None = None


class Entry(Record):
    """An entry of a playlist, keyed ``item``; older apps get ``track`` beside it or alone."""

    subject: ClassVar[str] = "item"
    item: Item | UnsetType | None = UNSET
    other: Raw = msgspec.field(default=ABSENT, name="track")
    added_at: str | None = None
    added_by: Reference | None = None
    is_local: bool | None = None


class SavedTrack(Record):
    """An entry of the listener's saved tracks: still keyed ``track``."""

    subject: ClassVar[str] = "track"
    item: Item | UnsetType | None = msgspec.field(default=UNSET, name="track")
    other: Raw = msgspec.field(default=ABSENT, name="item")
    added_at: str | None = None


class SavedAlbum(Record):
    """An album in a listener's library."""

    subject: ClassVar[str] = "album"
    album: Album | None
    added_at: str | None = None


class Play(Record):
    """One of the last 50 plays: still keyed ``track``."""

    subject: ClassVar[str] = "track"
    item: Item | UnsetType | None = msgspec.field(default=UNSET, name="track")
    other: Raw = msgspec.field(default=ABSENT, name="item")
    played_at: str | None = None
    context: Context | None = None


class Playlist(Record):
    """A playlist; its page is keyed ``items``, in older answers ``tracks``, in some both."""

    id: str | None = None
    name: str | None = None
    description: str | None = None
    owner: Reference | None = None
    public: bool | None = None
    collaborative: bool | None = None
    snapshot_id: str | None = None
    page: InnerPage[Entry] | UnsetType | None = msgspec.field(default=UNSET, name="items")
    other: Raw = msgspec.field(default=ABSENT, name="tracks")


class ArtistList(Record):
    """The answer of several artists at once."""

    artists: list[Artist | None]


class AlbumList(Record):
    """The answer of several albums at once."""

    albums: list[Album | None]


class TrackList(Record):
    """The answer of several tracks at once."""

    tracks: list[Item | None]


class EpisodeList(Record):
    """The answer of several episodes at once."""

    episodes: list[Item | None]


class Following(Record):
    """The answer of followed artists."""

    artists: Page[Artist]


class NewReleases(Record):
    """The answer of new releases."""

    albums: Page[Album]


class SearchResult(Record):
    """The answer of a search, by kind of thing."""

    tracks: Page[Item] | None = None
    artists: Page[Artist] | None = None
    albums: Page[Album] | None = None
    playlists: Page[Playlist] | None = None
    episodes: Page[Item] | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One list in an answer, or (``path`` empty) the answer itself as one item.

    ``kind`` says which of tabulate.py's methods takes its items, ``table`` which table they are first for.
    ``optional`` ones are answered only when they were asked for;
    ``nested`` lists belong to another part's items and are looked for only when the answer is read item by item;
    ``otherwise`` is where older answers have such a list.
    """

    path: tuple[str, ...]
    record: type[Record] | type[Described]
    kind: str
    table: str
    nested: bool = False
    optional: bool = False
    otherwise: tuple[str, ...] = ()

    @property
    def pages(self) -> tuple[str, ...]:
        """Names under which the answer may hold a nested list's page."""
        return tuple(path[0] for path in (self.path, self.otherwise) if self.nested and path)


@dataclass(frozen=True, slots=True)
class AnswerShape:
    """What an endpoint answers: its path's pattern, the whole answer as a record, and the lists in it."""

    pattern: re.Pattern[str]
    read_whole: Callable[[bytes], Any]
    parts: tuple[Part, ...]

    @property
    def of_one_thing(self) -> bool:
        """Whether the answer itself is one item: an album, an artist, a track, a playlist."""
        return not self.parts[0].path


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in an answer that could not be read: item ``item`` of a list, or -1 for the whole answer."""

    table: str
    item: int
    reason: str
    content: bytes


@dataclass(frozen=True, slots=True)
class OddPart:
    """A part of an item that is not as declared and therefore null: ``path`` names it (``track.album.images``)."""

    table: str
    item: int
    path: str
    reason: str


PartItems = tuple[Part, Sequence[Any]]  # a part and its items: records of its type, None where an entry is null


@dataclass(slots=True)
class Decoded:
    """What an answer holds: its lists, and what in it could not be read, or not in full."""

    lists: list[PartItems]
    faults: list[Fault]
    odd: list[OddPart]


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
read_entries = msgspec.json.Decoder(InnerPage[Entry] | None).decode
read_object = msgspec.json.Decoder(dict[str, Raw]).decode
read_list = msgspec.json.Decoder(list[Raw]).decode


def endpoint(pattern: str, whole: Any, *parts: Part) -> AnswerShape:
    """Declare an endpoint: its path, how its answer is read whole, and the parts that are read one by one else."""
    return AnswerShape(re.compile(pattern.replace("{id}", "([^/]+)")), msgspec.json.Decoder(whole).decode, parts)


ITEMS = ("items",)
TRACKS_PAGE = ("tracks", "items")
ARTISTS_PAGE = ("artists", "items")
ALBUMS_PAGE = ("albums", "items")
ENDPOINTS = (
    endpoint("me/player/recently-played", Page[Play], Part(ITEMS, Play, "play", "plays")),
    endpoint("me/top/artists", Page[Artist], Part(ITEMS, Artist, "top_artist", "top_items")),
    endpoint("me/top/tracks", Page[Item], Part(ITEMS, Item, "top_track", "top_items")),
    endpoint("me/tracks", Page[SavedTrack], Part(ITEMS, SavedTrack, "saved_track", "saved_items")),
    endpoint("me/albums", Page[SavedAlbum], Part(ITEMS, SavedAlbum, "saved_album", "saved_items")),
    endpoint("me/following", Following, Part(ARTISTS_PAGE, Artist, "followed_artist", "followed_artists")),
    endpoint("me/playlists|users/{id}/playlists", Page[Playlist], Part(ITEMS, Playlist, "playlist", "playlists")),
    endpoint(
        "playlists/{id}",
        Playlist,
        Part((), Playlist, "playlist", "playlists"),
        Part(("items", "items"), Entry, "entry", "playlist_items", nested=True, otherwise=TRACKS_PAGE),
    ),
    endpoint("playlists/{id}/(?:items|tracks)", Page[Entry], Part(ITEMS, Entry, "entry", "playlist_items")),
    endpoint("artists/{id}/albums", Page[Album], Part(ITEMS, Album, "album", "albums")),
    endpoint("artists/{id}/top-tracks", TrackList, Part(("tracks",), Item, "item", "tracks")),
    endpoint("albums/{id}/tracks", Page[Item], Part(ITEMS, Item, "album_track", "tracks")),
    endpoint(
        "albums/{id}",
        Album,
        Part((), Album, "album", "albums"),
        Part(TRACKS_PAGE, Item, "album_track", "tracks", nested=True),
    ),
    endpoint("artists/{id}", Artist, Part((), Artist, "artist", "artists")),
    endpoint("tracks/{id}", Item, Part((), Item, "item", "tracks")),
    endpoint("episodes/{id}", Item, Part((), Item, "item", "episodes")),
    endpoint(
        "shows/{id}",
        Show,
        Part((), Show, "show", "episodes"),
        Part(("episodes", "items"), Item, "show_episode", "episodes", nested=True),
    ),
    endpoint("shows/{id}/episodes", Page[Item], Part(ITEMS, Item, "show_episode", "episodes")),
    endpoint("artists", ArtistList, Part(("artists",), Artist, "artist", "artists")),
    endpoint("albums", AlbumList, Part(("albums",), Album, "album", "albums")),
    endpoint("tracks", TrackList, Part(("tracks",), Item, "item", "tracks")),
    endpoint("episodes", EpisodeList, Part(("episodes",), Item, "item", "episodes")),
    endpoint(
        "search",
        SearchResult,
        Part(TRACKS_PAGE, Item, "item", "tracks", optional=True),
        Part(ARTISTS_PAGE, Artist, "artist", "artists", optional=True),
        Part(ALBUMS_PAGE, Album, "album", "albums", optional=True),
        Part(("playlists", "items"), Playlist, "playlist", "playlists", optional=True),
        Part(("episodes", "items"), Item, "item", "episodes", optional=True),
    ),
    endpoint("browse/new-releases", NewReleases, Part(ALBUMS_PAGE, Album, "album", "albums")),
)


@lru_cache(maxsize=4096)
def find_endpoint(path: str) -> tuple[AnswerShape, str | None] | None:
    """The endpoint that a path below ``/v1/`` is of, with the id in the path; None when it feeds no table."""
    for known in ENDPOINTS:
        match = known.pattern.fullmatch(path)
        if match:
            return known, next((group for group in match.groups() if group), None)
    return None


def decode(endpoint: AnswerShape, body: bytes) -> Decoded:
    """The lists of an answer, and what in it could not be read."""
    try:
        return decode_whole(endpoint, body)
    except UNREADABLE:
        pass
    try:
        strict = repaired(body)
        if strict is not body:
            return decode_whole(endpoint, strict)
    except UNREADABLE:
        pass
    except ValueError as error:
        reason = f"JSON is malformed: {error}"
        return Decoded([], [Fault(part.table, -1, reason, body[:CONTENT_KEPT]) for part in endpoint.parts], [])
    return decode_by_item(endpoint, strict)


def decode_whole(endpoint: AnswerShape, body: bytes) -> Decoded:
    """The lists of an answer that is as declared. Raises what UNREADABLE names for any other."""
    whole = endpoint.read_whole(body)
    lists = [(part, listed(whole, part.path)) for part in endpoint.parts if not part.nested]
    return Decoded([(part, items) for part, items in lists if items is not None], [], [])


def listed(whole: Any, path: tuple[str, ...]) -> Sequence[Any] | None:
    """The items at ``path``, None where the answer has no such list."""
    if not path:
        return (whole,)
    for name in path:
        whole = getattr(whole, name)
        if whole is None:
            return None
    return cast(Sequence[Any], whole)


def decode_by_item(endpoint: AnswerShape, body: bytes) -> Decoded:
    """What can be read of an answer that is not as declared: each item for itself."""
    decoded = Decoded([], [], [])
    pages = [name for part in endpoint.parts for name in part.pages]
    for part in endpoint.parts:
        try:
            pieces = pieces_of(part, body, pages)
        except UNREADABLE as error:
            decoded.faults.append(Fault(part.table, -1, str(error), body[:CONTENT_KEPT]))
        else:
            decoded.lists.append((part, read_each(part, pieces, decoded)))
    return decoded


def pieces_of(part: Part, body: bytes, pages: list[str]) -> list[Raw]:
    """The undecoded items of one part; the answer itself goes without the items of its nested lists."""
    members = read_object(body)
    if not part.path:
        own = {name: without_items(value) if name in pages else value for name, value in members.items()}
        return [Raw(msgspec.json.encode(own))]
    if part.nested:
        return next(filter(None, (dig_or_none(members, path) for path in (part.path, part.otherwise) if path)), [])
    if part.path[0] in members:
        return dig(members, part.path)
    if part.optional:
        return []
    raise msgspec.ValidationError(f"Object missing required field `{part.path[0]}`")


def without_items(page: Raw) -> Any:
    """What a page says beside its items; None where it cannot be read."""
    try:
        return {name: value for name, value in read_object(page).items() if name != "items"}
    except UNREADABLE:
        return None


def dig(members: dict[str, Raw], path: tuple[str, ...]) -> list[Raw]:
    """The items at ``path``; none where something on the way is null."""
    for name in path[:-1]:
        if bytes(members[name]) == b"null":
            return []
        members = read_object(members[name])
    if path[-1] not in members:
        raise msgspec.ValidationError(f"Object missing required field `{path[-1]}`")
    return read_list(members[path[-1]])


def dig_or_none(members: dict[str, Raw], path: tuple[str, ...]) -> list[Raw] | None:
    """As :func:`dig`; None where there is no such list, as in an answer that has its page under the other name."""
    try:
        return dig(members, path)
    except (KeyError, *UNREADABLE):
        return None


def read_each(part: Part, pieces: list[Raw], decoded: Decoded) -> list[Any]:
    """Each piece as a record, None for the ones that are null or cannot be read."""
    items: list[Any] = []
    for index, piece in enumerate(pieces):
        place = index if part.path else -1
        odd: list[tuple[str, str]] = []
        record = read_by_field(piece, part.record | None, "", odd)
        lost = next((reason for path, reason in odd if path in ("", part.record.subject)), None)
        if lost is None:
            decoded.odd += [OddPart(part.table, place, path, reason) for path, reason in odd]
        else:
            record = None
            decoded.faults.append(Fault(part.table, place, lost, bytes(piece)[:CONTENT_KEPT]))
        items.append(record)
    return items


# --- field by field -----------------------------------------------------------------------------------------------


def read_by_field(piece: Raw, kind: Any, path: str, odd: list[tuple[str, str]]) -> Any:
    """A piece of JSON as ``kind``; what of it is not is left out, and noted in ``odd`` with its path and the reason.

    Of an object that is a member, of a list an element; anything else is None.
    """
    try:
        return decoder(kind).decode(piece)
    except UNREADABLE as error:
        reason = str(error)
    declared = without_none(kind)
    if record_of(declared) is not None and piece_kind(piece) == "{":
        return read_members(read_object(piece), declared, path, odd)
    if get_origin(declared) in (tuple, list) and piece_kind(piece) == "[":
        element = get_args(declared)[0]
        read = [read_by_field(each, element, f"{path}[{index}]", odd) for index, each in enumerate(read_list(piece))]
        kept = read if accepts_none(element) else [each for each in read if each is not None]
        return get_origin(declared)(kept)
    odd.append((path, reason))
    return None


def read_members(members: dict[str, Raw], kind: Any, path: str, odd: list[tuple[str, str]]) -> Any:
    """A record from an object's members, each read by itself; None where one that is required is missing."""
    values = {}
    for member in msgspec.structs.fields(kind):
        if member.encode_name in members:
            below = f"{path}.{member.encode_name}" if path else member.encode_name
            values[member.name] = read_by_field(members[member.encode_name], member.type, below, odd)
        elif member.required:
            odd.append((path, f"Object missing required field `{member.encode_name}`"))
            return None
    return record_of(kind)(**values)


def piece_kind(piece: Raw) -> str:
    """The first character of a piece of JSON."""
    return bytes(piece)[:64].lstrip()[:1].decode("latin-1")


def record_of(kind: Any) -> Any:
    """The record's class of ``InnerPage[Item]`` or of a record itself; None for anything else."""
    origin = get_origin(kind) or kind
    return origin if isinstance(origin, type) and issubclass(origin, Struct) else None


def without_none(kind: Any) -> Any:
    """``Album`` of ``Album | None``. Several kinds beside None are numbers alone, whose parts nobody looks at."""
    kinds = [each for each in alternatives(kind) if each not in (type(None), UnsetType)]
    return kinds[0]


def accepts_none(kind: Any) -> bool:
    """Whether a member may be null."""
    return type(None) in alternatives(kind)


def alternatives(kind: Any) -> tuple[Any, ...]:
    """The types that a member may have."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


@lru_cache(maxsize=256)
def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """msgspec's decoder for a type, made once."""
    return msgspec.json.Decoder(kind)
