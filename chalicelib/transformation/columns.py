"""From records to Arrow columns: how each column of each table is made of a batch's records.

A cell whose value does not fit its column's type (a fraction where a whole number belongs, a number beyond 64 bits,
a time that is none) is a misfit and reported: it is null, and where it may not be null its row is left out. Nothing is
coerced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from chalicelib import tables as declared
from chalicelib.clock import epoch_ms, parse_rfc3339
from chalicelib.musicbrainz.answers import CERTAINTY, Match, Recording, Vote
from chalicelib.tables import Table
from chalicelib.transformation.answers import Image, Item
from chalicelib.transformation.findings import Misfit
from chalicelib.transformation.origin import ORIGIN, unpacked
from chalicelib.transformation.tabulate import (
    Batch,
    ListingRow,
    Place,
    Records,
    digest,
    is_local,
    item_id,
    item_uri,
    kind_of,
    play_id,
)
from chalicelib.types import stored_arrow

CHUNK_ROWS = 8_192  # rows turned into arrays at once: a call costs as much as a hundred cells
TIMESTAMP = stored_arrow("timestamp")
WHOLE = (pa.int32(), pa.int64())
NEVER = "1970-01-01T00:00:00Z"  # added_at of what nobody added, as in playlists that Spotify made
EARLIEST, LATEST = -2_208_988_800_000, 7_258_118_400_000  # ms: 1900-01-01 and 2200-01-01; other times are mistakes
Columns = dict[str, Any]


def cells(batch: Batch) -> Iterator[tuple[Table, Sequence[int], Columns]]:
    """Each table that the batch feeds: the origins of its rows and what its columns take from the records."""
    for table, make, rows in (
        (declared.ARTISTS, artist_columns, batch.artists),
        (declared.ALBUMS, album_columns, batch.albums),
        (declared.ALBUM_ARTISTS, album_artist_columns, batch.albums),
        (declared.TRACKS, track_columns, batch.tracks),
        (declared.TRACK_ARTISTS, track_artist_columns, batch.tracks),
        (declared.PLAYLISTS, playlist_columns, batch.playlists),
        (declared.PLAYLIST_ITEMS, playlist_item_columns, batch.entries),
        (declared.SAVED_ITEMS, saved_track_columns, batch.saved_tracks),
        (declared.SAVED_ITEMS, saved_album_columns, batch.saved_albums),
        (declared.FOLLOWED_ARTISTS, followed_artist_columns, batch.followed),
        (declared.TOP_ITEMS, top_item_columns, batch.top),
        (declared.EPISODES, episode_columns, batch.episodes),
        (declared.PLAYS, play_columns, batch.plays),
        (declared.LISTINGS, listing_columns, batch.listings),
        (declared.MUSICBRAINZ_ARTISTS, match_columns, batch.matches),
        (declared.MUSICBRAINZ_RECORDINGS, recording_columns, batch.recordings),
        (declared.MUSICBRAINZ_GENRES, vote_columns, batch.votes),
    ):
        if rows.records:
            yield table, *make(rows, batch)


def artist_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``artists``."""
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


def album_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``albums``."""
    albums = rows.records
    released = [first_day(album.release_date) for album in albums]
    return rows.origins, {
        "album_id": [album.id for album in albums],
        "name": [album.name for album in albums],
        "album_type": [album.album_type and album.album_type.lower() for album in albums],
        "release_date": [album.release_date for album in albums],
        "release_date_precision": [album.release_date_precision for album in albums],
        "released_on": released,
        "release_year": [day and day.year for day in released],
        "total_tracks": [album.total_tracks for album in albums],
        "label": [album.label for album in albums],
        "upc": [upper(album.external_ids and album.external_ids.upc) for album in albums],
        "popularity": [album.popularity for album in albums],
        "image_url": [largest(album.images) for album in albums],
        "spotify_url": [album.external_urls and album.external_urls.spotify for album in albums],
    }


def album_artist_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``album_artists``."""
    return artist_places("album_id", rows)


def track_columns(rows: Records, batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``tracks``."""
    tracks = rows.records
    return rows.origins, {
        "track_id": [track.id for track in tracks],
        "name": [track.name for track in tracks],
        "album_id": batch.stands_on,
        "duration_ms": [track.duration_ms for track in tracks],
        "explicit": [track.explicit for track in tracks],
        "disc_number": [track.disc_number if track.album else None for track in tracks],
        "track_number": [track.track_number if track.album else None for track in tracks],
        "isrc": [upper(track.external_ids and track.external_ids.isrc) for track in tracks],
        "popularity": [track.popularity for track in tracks],
        "linked_from_id": [track.linked_from and track.linked_from.id for track in tracks],
        "spotify_url": [track.external_urls and track.external_urls.spotify for track in tracks],
        "listed_album_id": batch.listed_on,
        "listed_disc_number": [
            track.disc_number if album_id else None for track, album_id in zip(tracks, batch.listed_on, strict=True)
        ],
        "listed_track_number": [
            track.track_number if album_id else None for track, album_id in zip(tracks, batch.listed_on, strict=True)
        ],
    }


def track_artist_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``track_artists``."""
    return artist_places("track_id", rows)


def artist_places(id_column: str, rows: Records) -> tuple[Sequence[int], Columns]:
    """Who performs a track or whom an album is by, in order."""
    sets = [(record.id, record.artists, origin) for record, origin in zip(rows.records, rows.origins, strict=True)]
    sets = [each for each in sets if each[1]]
    return [origin for _, artists, origin in sets for _ in artists], {
        id_column: [key for key, artists, _ in sets for _ in artists],
        "position": [position for _, artists, _ in sets for position in range(len(artists))],
        "artist_id": [artist.id for _, artists, _ in sets for artist in artists],
    }


def playlist_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``playlists``."""
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


def playlist_item_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``playlist_items``."""
    entries = rows.records
    items: list[Item] = [entry.item for entry in entries]
    return rows.origins, {
        "item_type": [
            "local" if entry.is_local or is_local(item.uri) else kind_of(item)
            for entry, item in zip(entries, items, strict=True)
        ],
        "item_id": [item_id(item) for item in items],
        "item_uri": [item_uri(item) for item in items],
        "name": [item.name for item in items],
        "added_at": [None if entry.added_at == NEVER else entry.added_at for entry in entries],
        "added_by_id": [entry.added_by and entry.added_by.id for entry in entries],
    }


def saved_track_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``saved_items`` for tracks."""
    return rows.origins, {
        "item_type": ["track"] * len(rows),
        "item_id": [item_id(saved.item) for saved in rows.records],
        "added_at": [saved.added_at for saved in rows.records],
    }


def saved_album_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``saved_items`` for albums."""
    return rows.origins, {
        "item_type": ["album"] * len(rows),
        "item_id": [saved.album.id for saved in rows.records],
        "added_at": [saved.added_at for saved in rows.records],
    }


def followed_artist_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``followed_artists``."""
    return rows.origins, {"artist_id": rows.records}


def top_item_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``top_items``."""
    return rows.origins, {
        "item_type": [item_type for item_type, _ in rows.records],
        "item_id": [item_id for _, item_id in rows.records],
    }


def episode_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``episodes``."""
    episodes = rows.records
    return rows.origins, {
        "episode_id": [episode.id for episode, _ in episodes],
        "name": [episode.name for episode, _ in episodes],
        "show_id": [show and show.id for _, show in episodes],
        "show_name": [show and show.name for _, show in episodes],
        "duration_ms": [episode.duration_ms for episode, _ in episodes],
        "released_on": [first_day(episode.release_date) for episode, _ in episodes],
    }


def play_columns(rows: Records, batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``plays_history``."""
    plays = rows.records
    items: list[Item] = [play.item for play in plays]
    users = batch.users(rows.origins)
    return rows.origins, {
        "play_id": [
            play_id(user, item_uri(item), play.played_at) for user, item, play in zip(users, items, plays, strict=True)
        ],
        "ended_at": [play.played_at for play in plays],
        "item_type": [kind_of(item) for item in items],
        "item_id": [item_id(item) for item in items],
        "item_name": [item.name for item in items],
        "artist_name": [item.artists[0].name if item.artists else None for item in items],
        "album_name": [item.album and item.album.name for item in items],
        "origin": ["api"] * len(plays),
        "context_uri": [play.context and play.context.uri for play in plays],
    }


def listing_columns(rows: Records, batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``listings``."""
    listings: list[ListingRow] = rows.records
    users = batch.users(rows.origins)
    return rows.origins, {
        "listing_id": [
            digest("listing", str(user), listing.table_name, listing.item_type, listing.started_at)
            for user, listing in zip(users, listings, strict=True)
        ],
        "table_name": [listing.table_name for listing in listings],
        "item_type": [listing.item_type for listing in listings],
        "started_at": [listing.started_at for listing in listings],
        "items": [listing.items for listing in listings],
    }


def match_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``musicbrainz_artists``."""
    matches: list[Match] = rows.records
    return rows.origins, {
        "artist_id": [match.artist_id for match in matches],
        "mbid": [match.mbid for match in matches],
        "name": [match.name for match in matches],
        "found_by": [match.found_by for match in matches],
        "certainty": [CERTAINTY[match.found_by] for match in matches],
    }


def recording_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``musicbrainz_recordings``."""
    recordings: list[Recording] = rows.records
    return rows.origins, {
        "isrc": [recording.isrc for recording in recordings],
        "mbid": [recording.mbid for recording in recordings],
        "title": [recording.title for recording in recordings],
        "length_ms": [recording.length for recording in recordings],
    }


def vote_columns(rows: Records, _batch: Batch) -> tuple[Sequence[int], Columns]:
    """Columns of ``musicbrainz_genres``."""
    votes: list[Vote] = rows.records
    return rows.origins, {
        "artist_id": [vote.artist_id for vote in votes],
        "mbid": [vote.mbid for vote in votes],
        "genre": [vote.genre for vote in votes],
        "votes": [vote.votes for vote in votes],
    }


def largest(images: tuple[Image, ...] | None) -> str | None:
    """Address of the widest image; of the first where widths are not given."""
    if not images:
        return None
    if len(images) == 1:
        return images[0].url
    return max(images, key=width).url


def width(image: Image) -> float:
    """A picture's width in pixels, 0 where it is not said."""
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


def upper(code: str | None) -> str | None:
    """A code such as an ISRC, of which some labels deliver the letters in small."""
    return code and code.upper()


class Gathered:
    """The rows of one table over many batches: cells as they come, turned into Arrow arrays by the thousand."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.origins: list[int] = []
        self.pending: dict[str, list[Any]] = {}
        self.arrays: dict[str, list[pa.Array]] = {}
        self.converted = 0  # rows that are in ``arrays``
        self.misfits: dict[int, Misfit] = {}  # by row, which is left out: in columns that may not be null
        self.emptied: list[Misfit] = []  # cells that are null instead: in columns that may be

    def add(self, origins: Sequence[int], columns: Columns) -> None:
        self.origins += origins
        for name, values in columns.items():
            if name in self.pending:
                self.pending[name] += values
            else:
                self.pending[name] = list(values)
        if len(self.origins) - self.converted >= CHUNK_ROWS:
            self.convert()

    def convert(self) -> None:
        """Turn the pending cells into arrays."""
        for name, values in self.pending.items():
            array, wrong = fit(values, TYPES[self.table.name][name])
            self.arrays.setdefault(name, []).append(array)
            for row in wrong:
                column = self.table.column(name)
                reason = f"{name} {values[row]!r:.200} is not {column.type}"
                misfit = Misfit(self.origins[self.converted + row], name, reason)
                if column.nullable:
                    self.emptied.append(misfit)
                else:
                    self.misfits.setdefault(self.converted + row, misfit)
        self.pending = {}
        self.converted = len(self.origins)

    def all_misfits(self) -> Iterator[Misfit]:
        """Every cell that does not fit, a row at most once in a column that may not be null."""
        yield from self.misfits.values()
        yield from self.emptied

    def rows(self, places: Sequence[Place], first: int) -> pa.Table:
        """All rows without misfits, with their ``_origin``; ``places`` are the answers' from number ``first`` on."""
        self.convert()
        origins = pa.array(self.origins, pa.int64())
        shared = shared_columns(self.table, origins, places, first)
        columns = {name: pa.chunked_array(arrays).combine_chunks() for name, arrays in self.arrays.items()} | shared
        arrays = [
            columns[column.name] if column.name in columns else pa.nulls(len(origins), stored_arrow(column.type))
            for column in self.table.physical_columns
        ]
        names = [column.name for column in self.table.physical_columns]
        rows = pa.Table.from_arrays([*arrays, origins], names=[*names, ORIGIN])
        if self.misfits:
            rows = rows.filter(pa.array([row not in self.misfits for row in range(len(origins))]))
        return rows


TYPES = {
    table.name: {column.name: stored_arrow(column.type) for column in table.physical_columns}
    for table in declared.TABLES
}


def shared_columns(table: Table, origins: pa.Array, places: Sequence[Place], first: int) -> dict[str, pa.Array]:
    """What rows take from the header of their answer or from their place in it."""
    answers, items = unpacked(origins)
    answers = pc.subtract(answers, first)

    def look_up(name: str, kind: pa.DataType) -> pa.Array:
        return pa.array([getattr(place, name) for place in places], kind).take(answers)

    types = TYPES[table.name]
    observed = look_up("observed_ms", pa.int64()).cast(pa.timestamp("ms"))
    columns = {name: look_up(name, types[name]) for name in FROM_HEADER.get(table.name, ())}
    columns["observed_at"] = observed
    if table is declared.PLAYLIST_ITEMS:
        columns["position"] = pc.add(look_up("offset", pa.int64()), items)
    if table is declared.TOP_ITEMS:
        columns["rank"] = pc.add(pc.add(look_up("offset", pa.int64()), items), 1)
        columns["observed_on"] = observed.cast(pa.date32(), safe=False)
    return {name: array.cast(types[name]) for name, array in columns.items() if name in types}


FROM_HEADER = {
    "playlist_items": ("playlist_id", "snapshot_id"),
    "saved_items": ("user_id",),
    "followed_artists": ("user_id",),
    "top_items": ("user_id", "time_range"),
    "plays": ("user_id",),
    "listings": ("user_id",),
}


def fit(values: Sequence[Any], kind: pa.DataType) -> tuple[pa.Array, Sequence[int]]:
    """``values`` as an array of ``kind``, and the rows whose value does not fit (null in the array)."""
    if kind == TIMESTAMP:
        return fit_times(values, kind)
    try:
        if kind not in WHOLE or not has_fractions(values):
            return without_empty(pa.array(values, kind)), ()
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        pass
    misfits = [row for row, value in enumerate(values) if not fits(value, kind)]
    wrong = set(misfits)
    fitting = [None if row in wrong else value for row, value in enumerate(values)]
    return without_empty(pa.array(fitting, kind)), misfits


def without_empty(array: pa.Array) -> pa.Array:
    """Texts of which the empty ones, which say nothing, are null; anything else as it is."""
    if not pa.types.is_string(array.type):
        return array
    empty = pc.equal(array, "")
    return pc.if_else(empty, None, array) if pc.any(empty).as_py() else array


def has_fractions(values: Sequence[Any]) -> bool:
    """Whether some number is not whole: Arrow would cut it."""
    if float not in set(map(type, values)):
        return False
    return not all(value.is_integer() for value in values if type(value) is float)


def fits(value: Any, kind: pa.DataType) -> bool:
    """Whether a value can stand in a column of this type."""
    if value is None:
        return True
    if kind in WHOLE:
        limit = 1 << (kind.bit_width - 1)
        return type(value) in (int, float) and -limit <= value < limit and value == int(value)
    try:
        pa.array([value], kind)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return False
    return True


def fit_times(values: Sequence[str | None], kind: pa.DataType) -> tuple[pa.Array, Sequence[int]]:
    """RFC 3339 texts as UTC times, cut to the millisecond."""
    try:
        moments = pa.array(values, pa.string()).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("ms"), safe=False)
        bounds = pc.min_max(moments.cast(pa.int64()))
        if bounds["min"].as_py() is None or (bounds["min"].as_py() >= EARLIEST and bounds["max"].as_py() < LATEST):
            return moments, ()
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        pass
    read = [moment_ms(value) for value in values]
    misfits = [
        row for row, (value, ms) in enumerate(zip(values, read, strict=True)) if value is not None and ms is None
    ]
    return pa.array(read, pa.int64()).cast(kind), misfits


def moment_ms(text: str | None) -> int | None:
    """Milliseconds since 1970 of an RFC 3339 text; None for any other."""
    try:
        moment = epoch_ms(parse_rfc3339(text or ""))
    except (ValueError, OverflowError):
        return None
    return moment if EARLIEST <= moment < LATEST else None
