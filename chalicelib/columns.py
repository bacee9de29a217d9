"""From records to Arrow columns: how each column of each table is made of a batch's records.

A cell whose value does not fit its column's type (a fraction where a whole number belongs, a number beyond 64 bits,
a time that is none) is a misfit: the row it is in is reported and left out. Nothing is coerced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from chalicelib import tables as declared
from chalicelib.clock import epoch_ms, parse_rfc3339
from chalicelib.parquet import ARROW_TYPES
from chalicelib.records import Image, Item
from chalicelib.tables import Table
from chalicelib.tabulate import ITEM_BITS, Batch, Listing, Place, Rows, digest, is_local, play_id

ORIGIN = "_origin"  # column that goes with the rows until they are written
EARLIEST, LATEST = -2_208_988_800_000, 7_258_118_400_000  # ms: 1900-01-01 and 2200-01-01; other times are mistakes
Columns = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Misfit:
    """A cell that does not fit its column's type; its row is left out."""

    origin: int
    column: str
    reason: str


def arrow_tables(batch: Batch) -> Iterator[tuple[Table, pa.Table, list[Misfit]]]:
    """Each table that the batch feeds, its rows with their ``origin``, and the cells that kept rows out."""
    places = PlaceColumns(batch)
    for table, make, rows in sources(batch):
        origins, columns = make(rows, places)
        if origins:
            yield table, *to_arrow(table, columns, pa.array(origins, pa.int64()), places)


Maker = Callable[[Rows, "PlaceColumns"], tuple[Sequence[int], Columns]]


def sources(batch: Batch) -> list[tuple[Table, Maker, Rows]]:
    return [
        (declared.ARTISTS, artist_columns, batch.artists),
        (declared.ALBUMS, album_columns, batch.albums),
        (declared.ALBUM_ARTISTS, album_artist_columns, batch.albums),
        (declared.TRACKS, partial(track_columns, batch.track_albums), batch.tracks),
        (declared.TRACK_ARTISTS, track_artist_columns, batch.tracks),
        (declared.PLAYLISTS, playlist_columns, batch.playlists),
        (declared.PLAYLIST_ITEMS, playlist_item_columns, batch.entries),
        (declared.SAVED_ITEMS, saved_item_columns, batch.saved),
        (declared.FOLLOWED_ARTISTS, followed_artist_columns, batch.followed),
        (declared.TOP_ITEMS, top_item_columns, batch.top),
        (declared.EPISODES, episode_columns, batch.episodes),
        (declared.PLAYS, play_columns, batch.plays),
        (declared.LISTINGS, listing_columns, batch.listings),
    ]


class PlaceColumns:
    """What rows take from their answers' headers, looked up by origin."""

    def __init__(self, batch: Batch) -> None:
        self.first = batch.first
        self.places = batch.places

    def numbers(self, origins: pa.Array) -> pa.Array:
        return pc.subtract(pc.shift_right(origins, ITEM_BITS), self.first)

    def items(self, origins: pa.Array) -> pa.Array:
        """Places in the answer, from 0; -1 for the answer as a whole."""
        return pc.subtract(pc.bit_wise_and(origins, (1 << ITEM_BITS) - 1), 1)

    def look_up(self, origins: pa.Array, name: str, kind: pa.DataType) -> pa.Array:
        return pa.array([getattr(place, name) for place in self.places], kind).take(self.numbers(origins))

    def of(self, origins: Sequence[int]) -> Iterator[Place]:
        return (self.places[(origin >> ITEM_BITS) - self.first] for origin in origins)


def artist_columns(rows: Rows, _places: PlaceColumns) -> tuple[Sequence[int], Columns]:
    artists = rows.records
    return rows.origins, {
        "artist_id": [artist.id for artist in artists],
        "name": [artist.name for artist in artists],
        "genres": [artist.genres for artist in artists],
        "popularity": [artist.popularity for artist in artists],
        "followers": [artist.followers and artist.followers.total for artist in artists],
        "image_url": [largest(artist.images) for artist in artists],
        "spotify_url": [artist.external_urls and artist.external_urls.spotify for artist in artists],
    }


def album_columns(rows: Rows, _places: PlaceColumns) -> tuple[Sequence[int], Columns]:
    albums = rows.records
    released = [first_day(album.release_date) for album in albums]
    return rows.origins, {
        "album_id": [album.id for album in albums],
        "name": [album.name for album in albums],
        "album_type": [album.album_type for album in albums],
        "release_date": [album.release_date for album in albums],
        "release_date_precision": [album.release_date_precision for album in albums],
        "released_on": released,
        "release_year": [day and day.year for day in released],
        "total_tracks": [album.total_tracks for album in albums],
        "label": [album.label for album in albums],
        "upc": [album.external_ids and album.external_ids.upc for album in albums],
        "popularity": [album.popularity for album in albums],
        "image_url": [largest(album.images) for album in albums],
        "spotify_url": [album.external_urls and album.external_urls.spotify for album in albums],
    }


def album_artist_columns(rows: Rows, _places: PlaceColumns) -> tuple[Sequence[int], Columns]:
    return artist_places("album_id", rows)


def track_columns(album_ids: Sequence[str | None], rows: Rows, _places: PlaceColumns) -> tuple[Sequence[int], Columns]:
    tracks = rows.records
    return rows.origins, {
        "track_id": [track.id for track in tracks],
        "name": [track.name for track in tracks],
        "album_id": album_ids,
        "duration_ms": [track.duration_ms for track in tracks],
        "explicit": [track.explicit for track in tracks],
        "disc_number": [track.disc_number for track in tracks],
        "track_number": [track.track_number for track in tracks],
        "isrc": [track.external_ids and track.external_ids.isrc for track in tracks],
        "popularity": [track.popularity for track in tracks],
        "linked_from_id": [track.linked_from and track.linked_from.id for track in tracks],
        "spotify_url": [track.external_urls and track.external_urls.spotify for track in tracks],
    }


def track_artist_columns(rows: Rows, _places: PlaceColumns) -> tuple[Sequence[int], Columns]:
    return artist_places("track_id", rows)


def artist_places(id_column: str, rows: Rows) -> tuple[Sequence[int], Columns]:
    """Who performs a track or whom an album is by, in order."""
    sets = [(record.id, record.artists, origin) for record, origin in zip(rows.records, rows.origins, strict=True)]
    sets = [each for each in sets if each[1]]
    return [origin for _, artists, origin in sets for _ in artists], {
        id_column: [key for key, artists, _ in sets for _ in artists],
        "position": [position for _, artists, _ in sets for position in range(len(artists))],
        "artist_id": [artist.id for _, artists, _ in sets for artist in artists],
    }


def playlist_columns(rows: Rows, _places: PlaceColumns) -> tuple[Sequence[int], Columns]:
    playlists = rows.records
    return rows.origins, {
        "playlist_id": [playlist.id for playlist in playlists],
        "name": [playlist.name for playlist in playlists],
        "description": [playlist.description for playlist in playlists],
        "owner_id": [playlist.owner and playlist.owner.id for playlist in playlists],
        "public": [playlist.public for playlist in playlists],
        "collaborative": [playlist.collaborative for playlist in playlists],
        "snapshot_id": [playlist.snapshot_id for playlist in playlists],
        "total_items": [playlist.page.total if playlist.page else None for playlist in playlists],
    }


def playlist_item_columns(rows: Rows, places: PlaceColumns) -> tuple[Sequence[int], Columns]:
    entries = rows.records
    items: list[Item] = [entry.item for entry in entries]
    origins = pa.array(rows.origins, pa.int64())
    return rows.origins, {
        "playlist_id": places.look_up(origins, "playlist_id", pa.string()),
        "snapshot_id": places.look_up(origins, "snapshot_id", pa.string()),
        "position": pc.add(places.look_up(origins, "offset", pa.int64()), places.items(origins)),
        "item_type": [
            "local" if entry.is_local or is_local(item.uri) else item.type or type_in(item.uri)
            for entry, item in zip(entries, items, strict=True)
        ],
        "item_id": [item.id for item in items],
        "item_uri": [item.uri for item in items],
        "name": [item.name for item in items],
        "added_at": [entry.added_at for entry in entries],
        "added_by_id": [entry.added_by and entry.added_by.id for entry in entries],
    }


def saved_item_columns(rows: Rows, places: PlaceColumns) -> tuple[Sequence[int], Columns]:
    return rows.origins, {
        "user_id": places.look_up(pa.array(rows.origins, pa.int64()), "user_id", pa.string()),
        "item_type": [item_type for item_type, _, _ in rows.records],
        "item_id": [item_id for _, item_id, _ in rows.records],
        "added_at": [added_at for _, _, added_at in rows.records],
    }


def followed_artist_columns(rows: Rows, places: PlaceColumns) -> tuple[Sequence[int], Columns]:
    return rows.origins, {
        "user_id": places.look_up(pa.array(rows.origins, pa.int64()), "user_id", pa.string()),
        "artist_id": rows.records,
    }


def top_item_columns(rows: Rows, places: PlaceColumns) -> tuple[Sequence[int], Columns]:
    origins = pa.array(rows.origins, pa.int64())
    rank = pc.add(pc.add(places.look_up(origins, "offset", pa.int64()), places.items(origins)), 1)
    observed = places.look_up(origins, "observed_ms", pa.int64()).cast(pa.timestamp("ms"))
    return rows.origins, {
        "user_id": places.look_up(origins, "user_id", pa.string()),
        "item_type": [item_type for item_type, _ in rows.records],
        "time_range": places.look_up(origins, "time_range", pa.string()),
        "observed_on": observed.cast(pa.date32(), safe=False),
        "rank": rank,
        "item_id": [item_id for _, item_id in rows.records],
    }


def episode_columns(rows: Rows, _places: PlaceColumns) -> tuple[Sequence[int], Columns]:
    episodes = rows.records
    return rows.origins, {
        "episode_id": [episode.id for episode, _ in episodes],
        "name": [episode.name for episode, _ in episodes],
        "show_id": [show and show.id for _, show in episodes],
        "show_name": [show and show.name for _, show in episodes],
        "duration_ms": [episode.duration_ms for episode, _ in episodes],
        "released_on": [first_day(episode.release_date) for episode, _ in episodes],
    }


def play_columns(rows: Rows, places: PlaceColumns) -> tuple[Sequence[int], Columns]:
    plays = rows.records
    items: list[Item] = [play.item for play in plays]
    users = [place.user_id for place in places.of(rows.origins)]
    return rows.origins, {
        "play_id": [
            play_id(user, item.uri, play.played_at) for user, item, play in zip(users, items, plays, strict=True)
        ],
        "user_id": users,
        "ended_at": [play.played_at for play in plays],
        "item_type": [item.type or type_in(item.uri) for item in items],
        "item_id": [item.id for item in items],
        "item_name": [item.name for item in items],
        "artist_name": [item.artists[0].name if item.artists else None for item in items],
        "album_name": [item.album and item.album.name for item in items],
        "origin": ["api"] * len(plays),
        "context_uri": [play.context and play.context.uri for play in plays],
    }


def listing_columns(rows: Rows, places: PlaceColumns) -> tuple[Sequence[int], Columns]:
    listings: list[Listing] = rows.records
    users = [place.user_id for place in places.of(rows.origins)]
    return rows.origins, {
        "listing_id": [
            digest("listing", str(user), listing.table_name, listing.item_type, listing.started_at)
            for user, listing in zip(users, listings, strict=True)
        ],
        "table_name": [listing.table_name for listing in listings],
        "user_id": users,
        "item_type": [listing.item_type for listing in listings],
        "started_at": [listing.started_at for listing in listings],
        "items": [listing.items for listing in listings],
    }


def largest(images: tuple[Image, ...] | None) -> str | None:
    """Address of the widest image; of the first where widths are not given."""
    if not images:
        return None
    if len(images) == 1:
        return images[0].url
    return max(images, key=width).url


def width(image: Image) -> float:
    return image.width or 0


@lru_cache(maxsize=65_536)
def first_day(given: str | None) -> date | None:
    """First day of the period that a release date names: ``1981``, ``1981-12`` or ``1981-12-15``; None for others."""
    if given is None:
        return None
    try:
        return date.fromisoformat(given + {4: "-01-01", 7: "-01", 10: ""}[len(given)])
    except (ValueError, KeyError):
        return None


def type_in(uri: str | None) -> str | None:
    """``track`` of ``spotify:track:4uLU6hMCjMI75M1A2tKUQC``."""
    parts = (uri or "").split(":")
    return parts[1] if len(parts) == 3 else None


def to_arrow(table: Table, columns: Columns, origins: pa.Array, places: PlaceColumns) -> tuple[pa.Table, list[Misfit]]:
    """``columns`` with the table's types, without the rows in which a cell does not fit its type."""
    arrays = []
    bad: dict[int, Misfit] = {}
    for column in table.physical_columns:
        kind = ARROW_TYPES[column.type]
        if column.name in columns:
            array, misfits = fit(columns[column.name], kind)
            for row in misfits:
                reason = f"{column.name} {columns[column.name][row]!r:.200} is not {column.type}"
                bad.setdefault(row, Misfit(origins[row].as_py(), column.name, reason))
        elif column.name == "observed_at":
            array = places.look_up(origins, "observed_ms", pa.int64()).cast(kind)
        else:
            array = pa.nulls(len(origins), kind)
        arrays.append(array)
    names = [column.name for column in table.physical_columns]
    rows = pa.Table.from_arrays([*arrays, origins], names=[*names, ORIGIN])
    if bad:
        rows = rows.filter(pa.array([row not in bad for row in range(len(origins))]))
    return rows, [bad[row] for row in sorted(bad)]


def fit(values: Any, kind: pa.DataType) -> tuple[pa.Array, list[int]]:
    """``values`` as an array of ``kind``, and the rows whose value does not fit (null in the array)."""
    if isinstance(values, pa.Array):
        return fit_array(values, kind)
    if pa.types.is_timestamp(kind):
        return fit_times(values, kind)
    try:
        if not pa.types.is_integer(kind) or float not in set(map(type, values)):
            return pa.array(values, kind), []
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        pass
    misfits = [row for row, value in enumerate(values) if not fits(value, kind)]
    wrong = set(misfits)
    return pa.array([None if row in wrong else value for row, value in enumerate(values)], kind), misfits


def fit_array(values: pa.Array, kind: pa.DataType) -> tuple[pa.Array, list[int]]:
    try:
        return values.cast(kind), []
    except pa.ArrowInvalid:
        return fit(values.to_pylist(), kind)


def fits(value: Any, kind: pa.DataType) -> bool:
    if value is None:
        return True
    if pa.types.is_integer(kind):
        limit = 1 << (kind.bit_width - 1)
        return type(value) in (int, float) and -limit <= value < limit and value == int(value)
    try:
        pa.array([value], kind)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return False
    return True


def fit_times(values: Sequence[str | None], kind: pa.DataType) -> tuple[pa.Array, list[int]]:
    """RFC 3339 texts as UTC times, cut to the millisecond."""
    try:
        moments = pa.array(values, pa.string()).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("ms"), safe=False)
        bounds = pc.min_max(moments.cast(pa.int64()))
        if bounds["min"].as_py() is None or (bounds["min"].as_py() >= EARLIEST and bounds["max"].as_py() < LATEST):
            return moments.cast(kind), []
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        pass
    read = [moment_ms(value) for value in values]
    misfits = [
        row for row, (value, ms) in enumerate(zip(values, read, strict=True)) if value is not None and ms is None
    ]
    return pa.array(read, pa.int64()).cast(kind), misfits


def moment_ms(text: str | None) -> int | None:
    try:
        moment = epoch_ms(parse_rfc3339(text or ""))
    except (ValueError, OverflowError):
        return None
    return moment if EARLIEST <= moment < LATEST else None
