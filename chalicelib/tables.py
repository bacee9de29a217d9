"""Every table, declared once: columns, key, what a current row is, checks, descriptions.

Everything else is derived from here: Arrow and Parquet schemas, the views under the user-facing names, Glue's
column descriptions, quality checks, documentation.

**Storage.** Each table is stored as append-only observations in a physical table ``<name>_history``, in Hive
partitions ``month=YYYY-MM``, old ones of which are put together (``month=earlier``, and ``month=YYYY`` of plays; see
transformation/compact.py and plays/resolutions.py). The user-facing name is a view over it that answers one row per
key, whatever was delivered twice, late or out of order. What the view does is the table's ``current`` rule:

``merged``      one row per key; each column is the newest value Spotify *said* (a null means it did not say)
``row``         one row per key: the newest observation
``newest_set``  the rows of the newest observation of each ``set_of`` (a track's artists are replaced together)
``listed``      as ``row``, but only what the last complete listing of each ``set_of`` (or a later look) still
                showed; complete listings are rows of the physical table ``listings``
``resolved``    plays/ decides which observations (``plays_history``) are one listen and writes the outcome, a month
                at a time, to the internal table ``plays_resolved`` as ``month=YYYY-MM/resolution-<n>.parquet``; each
                row carries its ``resolution``, and only the highest of each month counts. A month that has become
                empty holds one row whose key is ''
``derived``     nothing is stored: the view joins other user-facing tables (``of``), as views.py says. The rows of one
                that is ``held`` are kept in memory by the embedded engine for as long as the files are the same
``internal``    no view: the physical table is read by other views only
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Type = Literal["string", "int", "bigint", "double", "boolean", "timestamp", "date", "array<string>", "array<bigint>"]
Current = Literal["merged", "row", "newest_set", "listed", "resolved", "derived", "internal"]
Severity = Literal["reject", "warn", "fail"]

ID_PATTERN = "^[0-9A-Za-z]{22}$"  # base-62 ids of tracks, albums, artists, playlists, episodes: Spotify Web API


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type is Athena's; a null means that Spotify did not say.

    ``otherwise``: the column of the history whose newest value stands here where nothing was ever said of this one.
    """

    name: str
    type: Type
    description: str
    nullable: bool = False
    otherwise: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A quality check: ``kind`` is one of quality.py's. Key, type and not-null checks follow from the columns; a
    ``not_null`` is declared where only the view's column may be empty."""

    kind: Literal[
        "pattern",
        "range",
        "one_of",
        "not_null",
        "not_after_observed",
        "references",
        "mostly_rejected",
        "observed_in_run",
    ]
    column: str = ""
    severity: Severity = "reject"
    pattern: str | None = None
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    table: str | None = None
    fewest: int = 0  # rows of one raw object from which on they are judged together

    @property
    def name(self) -> str:
        """How quality results and rejected rows call the check."""
        return f"{self.kind}:{self.column}" if self.column else self.kind


@dataclass(frozen=True, slots=True)
class Table:
    """One table; the module's docstring says what ``current`` means."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    current: Current
    partition_by: str = "observed_at"  # the timestamp whose month is the partition
    set_of: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    history_columns: tuple[Column, ...] = ()  # physical columns that the user-facing view leaves out
    view_columns: tuple[Column, ...] = ()  # columns that only the user-facing view has
    shows_history: bool = False  # <name>_history is user-facing too
    of: tuple[str, ...] = ()  # the user-facing tables that a derived one joins
    held: bool = False  # a derived one that is small and asked for again and again
    in_passing: tuple[str, ...] = ()  # columns of which one answer may say different things: the first stands

    @property
    def history(self) -> str:
        """Name of the physical table."""
        return self.name if self.current == "internal" else f"{self.name}_history"

    @property
    def physical_columns(self) -> tuple[Column, ...]:
        """Columns of the stored table, those that the view leaves out included."""
        return self.columns + self.history_columns

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        """Columns of the user-facing view."""
        return self.columns + self.view_columns

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.physical_columns if column.name == name)


def text(name: str, description: str, nullable: bool = False) -> Column:
    """A column of text."""
    return Column(name, "string", description, nullable)


def identifier(column: str) -> Check:
    """A check: one of Spotify's base-62 ids."""
    return Check("pattern", column, pattern=ID_PATTERN)


def mbid(column: str) -> Check:
    """A check: one of MusicBrainz' ids."""
    return Check("pattern", column, pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def at_least(column: str, low: float, high: float | None = None, severity: Severity = "reject") -> Check:
    """A check: a number from ``low`` to ``high``, both included."""
    return Check("range", column, severity, low=low, high=high)


# Of an answer of which most is wrong the rest is not to be believed either, and of the listener's library, playlists,
# rankings and plays a missing row says something: that it was removed, or never was. Then nothing is published.
MOSTLY_REJECTED = Check("mostly_rejected", severity="fail", high=0.5, fewest=10)
# Answers bear Spotify's time, a run's name this machine's: where they differ its clock was off. What is observed in the
# future does not win (see views.py), so that nothing is hidden by it.
OBJECT_CHECKS = (Check("observed_in_run", "observed_at", "warn"),)  # of a raw object as a whole

OBSERVED_AT = Column("observed_at", "timestamp", "When Spotify said this, UTC")
SAID_BY = text("origin", "api, or account_data: an export that was made after Spotify was last asked, or alone knows")
EXPORTED_NAME = text("name", "Title or name as the export gives it; null where the API says it", True)
POPULARITY = Column("popularity", "int", "0 to 100; null in development mode", nullable=True)
USER_ID = text("user_id", "The listener: Spotify's immutable account_id where given, else the user id")
LONGEST_TRACK = 24 * 3600 * 1000.0  # ms; longer durations are mistakes

ARTISTS = Table(
    "artists",
    "Artists seen in any answer, as last described",
    (
        text("artist_id", "Spotify id"),
        text("name", "Name", True),
        Column("genres", "array<string>", "Spotify's genres; empty when it knows none, null when it did not say", True),
        POPULARITY,
        Column("followers", "bigint", "Followers; null in development mode", True),
        text("image_url", "Largest image", True),
        text("spotify_url", "Page on open.spotify.com", True),
        OBSERVED_AT,
    ),
    key=("artist_id",),
    current="merged",
    checks=(identifier("artist_id"), at_least("popularity", 0, 100), at_least("followers", 0)),
    shows_history=True,
)

ALBUMS = Table(
    "albums",
    "Albums seen in any answer, as last described",
    (
        text("album_id", "Spotify id"),
        text("name", "Title", True),
        text("album_type", "album, single or compilation", True),
        text("release_date", "As Spotify gives it: 1981, 1981-12 or 1981-12-15", True),
        text("release_date_precision", "year, month or day", True),
        Column("released_on", "date", "First day of the period that release_date names; null when it names none", True),
        Column("release_year", "int", "Year of release_date", True),
        Column("total_tracks", "int", "Tracks on the album", True),
        text("label", "Label; null in development mode", True),
        text("upc", "Universal product code", True),
        POPULARITY,
        text("image_url", "Largest cover image", True),
        text("spotify_url", "Page on open.spotify.com", True),
        OBSERVED_AT,
    ),
    key=("album_id",),
    current="merged",
    checks=(
        identifier("album_id"),
        Check("one_of", "release_date_precision", "warn", values=("year", "month", "day")),
        Check("one_of", "album_type", "warn", values=("album", "single", "compilation", "ep")),
        at_least("release_year", 1850, 2200, "warn"),
        at_least("total_tracks", 0),
        at_least("popularity", 0, 100),
    ),
    shows_history=True,
)

TRACKS = Table(
    "tracks",
    "Tracks seen in any answer, as last described",
    (
        text("track_id", "Spotify id"),
        text("name", "Title", True),
        Column("album_id", "string", "Album it stands on", True, otherwise="listed_album_id"),
        Column("duration_ms", "bigint", "Length in milliseconds", True),
        Column("explicit", "boolean", "Whether the lyrics are marked explicit", True),
        Column("disc_number", "int", "Disc, from 1", True, otherwise="listed_disc_number"),
        Column("track_number", "int", "Number on its disc, from 1", True, otherwise="listed_track_number"),
        text("isrc", "International standard recording code: the same recording on several albums shares it", True),
        POPULARITY,
        text("linked_from_id", "Id that was asked for when Spotify answered with this one instead", True),
        text("spotify_url", "Page on open.spotify.com", True),
        OBSERVED_AT,
    ),
    key=("track_id",),
    current="merged",
    checks=(
        identifier("track_id"),
        identifier("album_id"),
        at_least("duration_ms", 0, LONGEST_TRACK),
        at_least("disc_number", 0),
        at_least("track_number", 0),
        at_least("popularity", 0, 100),
        identifier("listed_album_id"),
        at_least("listed_disc_number", 0),
        at_least("listed_track_number", 0),
    ),
    history_columns=(
        text("listed_album_id", "Album in whose list of tracks it stood; the track itself may say another", True),
        Column("listed_disc_number", "int", "Disc in that list", True),
        Column("listed_track_number", "int", "Number on its disc in that list", True),
    ),
    shows_history=True,
    in_passing=("linked_from_id", "listed_album_id", "listed_disc_number", "listed_track_number"),
)

TRACK_ARTISTS = Table(
    "track_artists",
    "Which artists perform a track, in Spotify's order",
    (
        text("track_id", "Track"),
        Column("position", "int", "Place among the track's artists, from 0"),
        text("artist_id", "Artist"),
    ),
    key=("track_id", "position"),
    current="newest_set",
    set_of=("track_id",),
    checks=(
        identifier("track_id"),
        identifier("artist_id"),
        Check("references", "track_id", "warn", table="tracks"),
        Check("references", "artist_id", "warn", table="artists"),
    ),
    history_columns=(OBSERVED_AT,),
)

ALBUM_ARTISTS = Table(
    "album_artists",
    "Which artists an album is by, in Spotify's order",
    (
        text("album_id", "Album"),
        Column("position", "int", "Place among the album's artists, from 0"),
        text("artist_id", "Artist"),
    ),
    key=("album_id", "position"),
    current="newest_set",
    set_of=("album_id",),
    checks=(
        identifier("album_id"),
        identifier("artist_id"),
        Check("references", "album_id", "warn", table="albums"),
        Check("references", "artist_id", "warn", table="artists"),
    ),
    history_columns=(OBSERVED_AT,),
)

PLAYLISTS = Table(
    "playlists",
    "Playlists of the listener and those named in sources.toml, as last described",
    (
        text("playlist_id", "Spotify id"),
        text("name", "Name", True),
        text("description", "Description", True),
        text("owner_id", "User id of its owner; listener_ids says which listener that is", True),
        Column("public", "boolean", "Shown on the owner's profile", True),
        Column("collaborative", "boolean", "Others may edit it", True),
        text("snapshot_id", "Version of its items", True),
        Column("total_items", "int", "Items in this version", True),
        OBSERVED_AT,
    ),
    key=("playlist_id",),
    current="merged",
    checks=(identifier("playlist_id"), at_least("total_items", 0)),
    view_columns=(SAID_BY,),
    shows_history=True,
)

PLAYLIST_ITEMS = Table(
    "playlist_items",
    "Items of every playlist version that was read; removed entries keep their position and have no row",
    (
        text("playlist_id", "Playlist"),
        text("snapshot_id", "Version of the playlist"),
        Column("position", "int", "Place in the playlist, from 0"),
        text("item_type", "track, episode, audiobook or local"),
        text("item_id", "Track or episode id; null for local files", True),
        text("item_uri", "Spotify URI"),
        text("name", "Title as given", True),
        Column("added_at", "timestamp", "When it was added, UTC; null for very old playlists", True),
        text("added_by_id", "User id of who added it", True),
        OBSERVED_AT,
    ),
    key=("playlist_id", "snapshot_id", "position"),
    current="row",
    checks=(
        identifier("playlist_id"),
        identifier("item_id"),
        Check("one_of", "item_type", values=("track", "episode", "audiobook", "local")),
        at_least("position", 0),
        Check("not_after_observed", "added_at", "warn"),
        MOSTLY_REJECTED,
    ),
    view_columns=(SAID_BY,),
)

SAVED_ITEMS = Table(
    "saved_items",
    "What is in the listener's library now: tracks and albums; shows and episodes as account data has them",
    (
        USER_ID,
        text("item_type", "track or album; show or episode in account data alone"),
        text("item_id", "Spotify id"),
        Column("added_at", "timestamp", "When it was saved, UTC; null where account data alone knows of it", True),
        OBSERVED_AT,
    ),
    key=("user_id", "item_type", "item_id"),
    current="listed",
    set_of=("user_id", "item_type"),
    checks=(
        identifier("item_id"),
        Check("one_of", "item_type", values=("track", "album")),
        Check("not_null", "added_at"),  # in the API's answers
        Check("not_after_observed", "added_at", "warn"),
        MOSTLY_REJECTED,
    ),
    view_columns=(
        SAID_BY,
        EXPORTED_NAME,
        text("artist_name", "Artist, show or publisher as the export gives it", True),
        text("album_name", "Album as the export gives it", True),
    ),
)

FOLLOWED_ARTISTS = Table(
    "followed_artists",
    "Artists the listener follows now",
    (USER_ID, text("artist_id", "Artist"), OBSERVED_AT),
    key=("user_id", "artist_id"),
    current="listed",
    set_of=("user_id",),
    checks=(identifier("artist_id"), Check("references", "artist_id", "warn", table="artists"), MOSTLY_REJECTED),
    view_columns=(SAID_BY, EXPORTED_NAME),
)

TOP_ITEMS = Table(
    "top_items",
    "Spotify's own ranking of the listener's artists and tracks, one set a day",
    (
        USER_ID,
        text("item_type", "artist or track"),
        text("time_range", "short_term (4 weeks), medium_term (6 months) or long_term (a year and more)"),
        Column("observed_on", "date", "Day of the observation, UTC"),
        Column("rank", "int", "Rank, from 1"),
        text("item_id", "Artist or track id"),
    ),
    key=("user_id", "item_type", "time_range", "observed_on", "rank"),
    current="row",  # not newest_set: a ranking of more than 50 comes in pages, each with a time of its own
    checks=(
        identifier("item_id"),
        Check("one_of", "item_type", values=("artist", "track")),
        Check("one_of", "time_range", values=("short_term", "medium_term", "long_term")),
        at_least("rank", 1),
        MOSTLY_REJECTED,
    ),
    history_columns=(OBSERVED_AT,),
)

EPISODES = Table(
    "episodes",
    "Podcast episodes seen in any answer",
    (
        text("episode_id", "Spotify id"),
        text("name", "Title", True),
        text("show_id", "Show", True),
        text("show_name", "Name of the show", True),
        Column("duration_ms", "bigint", "Length in milliseconds", True),
        Column("released_on", "date", "Release date; null when Spotify's does not name a day, month or year", True),
        OBSERVED_AT,
    ),
    key=("episode_id",),
    current="merged",
    checks=(identifier("episode_id"), at_least("duration_ms", 0, LONGEST_TRACK * 7)),
)

#: By it a query chooses which files are read at all.
YEAR_ENDED = Column("year", "int", "Year of ended_at, UTC: a condition on it spares Athena the other years' files")

ORIGINS = ("api", "extended_history", "account_data", "listenbrainz", "lastfm")
ORIGIN_WORDS = "api, extended_history, account_data, listenbrainz or lastfm"

PLAYS = Table(
    "plays",
    "Every listen once, whatever reported it: the API, the extended streaming history, the account data, ListenBrainz "
    "or Last.fm",
    (
        text("play_id", "Digest of what identifies the listen"),
        USER_ID,
        Column(
            "ended_at",
            "timestamp",
            "When it ended, UTC; for API plays Spotify's played_at, of a scrobble of unknown length its start",
        ),
        Column("started_at", "timestamp", "When it started, UTC, where that is known", True),
        Column("ms_played", "bigint", "Milliseconds heard; null for API plays and scrobbles", True),
        text("item_type", "track, episode or audiobook"),
        text("item_id", "Track, episode or audiobook chapter id; null where only names are known", True),
        text("item_name", "Title as the origin gives it", True),
        text("artist_name", "Artist, show or author as the origin gives it", True),
        text("album_name", "Album, or audiobook title, as the origin gives it", True),
        text("origin", f"{ORIGIN_WORDS}: the richest report of this listen"),
        text("context_uri", "What it was played from", True),
        text("platform", "Device or system", True),
        text("country", "ISO 3166 alpha-2 country of the connection; null when unknown", True),
        text("reason_start", "Why it started", True),
        text("reason_end", "Why it ended", True),
        Column("shuffle", "boolean", "Shuffle was on", True),
        Column("skipped", "boolean", "It was skipped", True),
        Column("offline", "boolean", "The device was offline", True),
        Column("incognito", "boolean", "A private session", True),
        Column("offline_at", "timestamp", "When an offline device says it began to play, UTC", True),
    ),
    key=("play_id",),
    current="resolved",
    partition_by="ended_at",
    checks=(
        identifier("item_id"),
        Check("one_of", "item_type", values=("track", "episode", "audiobook")),
        Check("one_of", "origin", values=ORIGINS),
        at_least("ms_played", 0, LONGEST_TRACK * 7),
        Check("not_after_observed", "ended_at", "warn"),
        MOSTLY_REJECTED,
    ),
    history_columns=(
        OBSERVED_AT,
        Column("length_ms", "bigint", "Of a scrobble: the length of its track in milliseconds", True),
        Column("to_the_minute", "boolean", "Of a scrobble: its time is known to the minute only", True),
        Column("settled", "boolean", "A lake exported it, which had decided that it is a listen of its own", True),
        text("file_edge", "start or end: of account data, it stands in the first or last minute of its file", True),
        text("file_digest", "Of account data: which file tells it, by the digest of what that holds", True),
    ),
    view_columns=(YEAR_ENDED,),
)

PLAYS_RESOLVED = Table(
    "plays_resolved",
    "Every listen once, as decided from all observations: each month as often as it was decided anew",
    (*PLAYS.columns, Column("resolution", "bigint", "Which decision about this month; the highest counts")),
    key=("play_id",),
    current="internal",
    partition_by="ended_at",
)

PLAY_DETAILS = Table(
    "play_details",
    "Every listen with what is known of its item by now: an id also where only names were reported, the recording, "
    "its length, artist, genres and year",
    (
        text("play_id", "Listen"),
        USER_ID,
        Column("heard_at", "timestamp", "When it was heard to its end, UTC: by the device's clock if that was offline"),
        Column("ended_at", "timestamp", "When it ended, UTC", True),
        Column("ms", "bigint", "Milliseconds heard; the track's length where only the API told of it, 0 if not known"),
        Column("ms_played", "bigint", "Milliseconds heard; null for API plays and scrobbles", True),
        Column("play_seconds", "bigint", "Whole seconds by which it counts as a play, as in heard"),
        text("item_type", "track, episode or audiobook"),
        text("item_id", "As reported, or the track known under these names; null while there is none", True),
        Column("found_by_name", "boolean", "Whether the id was found by the names"),
        text("item_name", "Title as the origin gives it", True),
        text("artist_name", "Artist, show or author as the origin gives it", True),
        text("album_name", "Album, or audiobook title, as the origin gives it", True),
        text("origin", ORIGIN_WORDS),
        text("isrc", "The recording: the same on every album it stands on", True),
        Column("duration_ms", "bigint", "Length of the track in milliseconds", True),
        text("artist_id", "The track's first artist", True),
        Column("genres", "array<string>", "Genres of that artist, as in artist_genres_in_force", True),
        text("genre_source", "Who says so: spotify or musicbrainz", True),
        text("album_id", "Album of the track", True),
        Column("release_year", "int", "Year of the album's release", True),
        YEAR_ENDED,
    ),
    key=("play_id",),
    current="derived",
    partition_by="ended_at",
    of=("plays", "heard", "tracks", "track_artists", "artists", "albums", "artist_genres_in_force"),
)

PLAY_SECONDS = 30  # seconds from which on a listen counts as a play, as Spotify itself counts streams

HEARD = Table(
    "heard",
    "Every listen as reports count it: when it was heard, for how long, and whether it was a play; "
    "without what is left out",
    (
        text("play_id", "Listen"),
        USER_ID,
        Column("heard_at", "timestamp", "When it was heard to its end, UTC: by the device's clock if that was offline"),
        Column("started_at", "timestamp", "When it started, UTC, as far as its length is known"),
        Column("ended_at", "timestamp", "When it ended, or Spotify learned of it, UTC: the partition"),
        Column("ms", "bigint", "Milliseconds heard; the track's length where only the API told of it, 0 if not known"),
        Column("ms_played", "bigint", "Milliseconds heard, as reported; null for API plays", True),
        Column(
            "play_seconds",
            "bigint",
            f"Whole seconds by which it counts: a play has {PLAY_SECONDS}; the API reports nothing shorter",
        ),
        text("item_type", "track, episode or audiobook"),
        text("item_id", "Track, episode or audiobook chapter id; null where only names are known", True),
        text("item_name", "Title as the origin gives it", True),
        text("artist_name", "Artist, show or author as the origin gives it", True),
        text("album_name", "Album, or audiobook title, as the origin gives it", True),
        text("origin", ORIGIN_WORDS),
        text("platform", "Device or system", True),
        text("country", "ISO 3166 alpha-2 country of the connection; null when unknown", True),
        text("reason_start", "Why it started", True),
        text("reason_end", "Why it ended", True),
        Column(
            "was_skipped", "boolean", "Skipped, by why it ended where exports say false of all; null if not known", True
        ),
        YEAR_ENDED,
    ),
    key=("play_id",),
    current="derived",
    partition_by="ended_at",
    of=("plays", "tracks", "exclusions"),
)

HEARD_NAMES = Table(
    "heard_names",
    "What each listener has heard, by the names that it was told under: made to be searched",
    (
        USER_ID,
        text("item_type", "track, episode or audiobook"),
        text("artist_name", "Artist, show or author", True),
        text("album_name", "Album, or audiobook title", True),
        text("item_name", "Title", True),
        Column("play_seconds", "array<bigint>", "The seconds of each listen, as in heard, from the least"),
    ),
    key=("user_id", "item_type", "artist_name", "album_name", "item_name"),
    current="derived",
    of=("heard",),
    held=True,
)

LISTINGS = Table(
    "listings",
    "Complete readings of a library: what a later look does not show any more has been removed",
    (
        text("listing_id", "Digest of user, table, item type and start"),
        text("table_name", "saved_items or followed_artists"),
        USER_ID,
        text("item_type", "track, album or artist"),
        Column("started_at", "timestamp", "When its first page was received, UTC"),
        Column("items", "int", "Items it showed"),
        OBSERVED_AT,
    ),
    key=("listing_id",),
    current="internal",
)

LISTENER_IDS = Table(
    "listener_ids",
    "Every id that means a listener: of Spotify's account and user, and names given to imports",
    (
        text("id", "The id, as Spotify or an import has it; playlists.owner_id is one"),
        text("user_id", "The listener whom it means: the user_id of plays"),
        text("given_name", "Name given in this lake", True),
        text("display_name", "Name that the account shows on Spotify", True),
        text("image_url", "Largest picture of the account", True),
        text("spotify_user_id", "User id of the account, as login or export says", True),
        text("account_id", "Spotify's immutable account id", True),
        Column("known_since", "timestamp", "When the lake first heard of the listener, UTC", True),
        Column("authorized_at", "timestamp", "When the listener last agreed on Spotify's page, UTC", True),
        Column("authorization_ends_at", "timestamp", "When Spotify ends that authorisation, UTC", True),
        OBSERVED_AT,
    ),
    key=("id",),
    current="merged",
)

LISTENERS = Table(
    "listeners",
    "Whose lake it is: each listener once, by whatever ids Spotify and exports know them",
    (
        text("user_id", "The listener: the user_id of plays"),
        text("name", "Given in this lake, else the account's on Spotify, else the id"),
        Column("spotify_user_ids", "array<string>", "User ids of the listener's accounts on Spotify", True),
        text("account_id", "Spotify's immutable account id; null before a login", True),
        text("image_url", "Largest picture of the account", True),
        Column("known_since", "timestamp", "When the lake first heard of the listener, UTC", True),
        Column("authorized_at", "timestamp", "When the listener last agreed on Spotify's page, UTC", True),
        Column("authorization_ends_at", "timestamp", "When Spotify ends that authorisation, UTC", True),
        Column("listens", "bigint", "Listens in plays"),
        Column("first_listen", "timestamp", "End of the first listen, UTC", True),
        Column("last_listen", "timestamp", "End of the last listen, UTC", True),
    ),
    key=("user_id",),
    current="derived",
    of=("listener_ids", "plays"),
)

RUNS = Table(
    "runs",
    "Extraction runs that have ended",
    (
        text("run_id", "Run"),
        text("state", "succeeded, partial or failed"),
        text("trigger", "schedule, api or command"),
        Column("started_at", "timestamp", "Start, UTC"),
        Column("ended_at", "timestamp", "End, UTC"),
        text("mode", "development or extended", True),
        Column("calls", "bigint", "Spotify calls made"),
        Column("items", "bigint", "Items received"),
        Column("retries", "bigint", "Calls repeated after a passing fault"),
        Column("bytes", "bigint", "Bytes of answers"),
        Column("waited_seconds", "double", "Time spent waiting for Spotify's limits"),
        Column("holes", "int", "Times between which plays may be lost"),
        text("error", "Why it failed", True),
    ),
    key=("run_id",),
    current="row",
    partition_by="ended_at",
)

QUALITY_RESULTS = Table(
    "quality_results",
    "What each quality check found in each raw object, and holes in the listening history",
    (
        text("raw_key", "Raw object that was checked"),
        text("table_name", "Table whose rows were checked"),
        text("check_name", "Check, as declared with the table"),
        text("severity", "reject, warn or fail"),
        text("run_id", "Run that fetched the object", True),
        text("source", "Source that fetched it", True),
        Column("rows_checked", "bigint", "Rows looked at"),
        Column("failures", "bigint", "Rows that failed"),
        text("detail", "What was found, in words", True),
        Column("window_start", "timestamp", "For a hole: the last play known before it, UTC", True),
        Column("window_end", "timestamp", "For a hole: the first play known after it, UTC", True),
        OBSERVED_AT,
    ),
    key=("raw_key", "table_name", "check_name", "window_start"),
    current="row",
)

REJECTED_ROWS = Table(
    "rejected_rows",
    "Every row or item that was not published, with its reason",
    (
        text("raw_key", "Raw object it came from"),
        Column("answer", "int", "Which answer in the object, from 0"),
        Column("item", "int", "Which item in the answer, from 0; -1 for the whole answer"),
        text("table_name", "Table it was meant for"),
        text("check_name", "Check it failed"),
        Column("occurrence", "int", "Which of the rows that this item gave this table, from 0"),
        text("reason", "Why, in words"),
        text("content", "The row or item as JSON, at most 4 kB of it", True),
        OBSERVED_AT,
    ),
    key=("raw_key", "answer", "item", "table_name", "check_name", "occurrence"),
    current="row",
)

SNAPSHOT_ID = text("snapshot_id", "Which export says so")
EXPORTED_AT = Column("exported_at", "timestamp", "When the export was made, UTC; 2006-01-01 where nothing tells")

EXPORTED_LIBRARY = Table(
    "exported_library",
    "What account data says was saved, and which artists were followed, when each export was made",
    (
        SNAPSHOT_ID,
        USER_ID,
        EXPORTED_AT,
        text("item_type", "track, album, show, episode or artist"),
        Column("position", "int", "Place in the export's list, from 0"),
        text("item_id", "Spotify id; null in exports that name none", True),
        text("name", "Title or name", True),
        text("artist_name", "Artist, show or publisher", True),
        text("album_name", "Album of a track", True),
    ),
    key=("snapshot_id", "item_type", "position"),
    current="row",
    partition_by="exported_at",
)

EXPORTED_PLAYLISTS = Table(
    "exported_playlists",
    "Playlists as account data tells them, when each export was made",
    (
        SNAPSHOT_ID,
        USER_ID,
        EXPORTED_AT,
        text("playlist_id", "Made up, of the listener and the name: exports have no ids"),
        text("name", "Name", True),
        text("description", "Description", True),
        Column("modified_on", "date", "Day of its last change", True),
        Column("followers", "int", "Who follows it", True),
        Column("collaborative", "boolean", "Whether others work on it"),
        Column("total_items", "int", "Items in it"),
    ),
    key=("snapshot_id", "playlist_id"),
    current="row",
    partition_by="exported_at",
)

EXPORTED_PLAYLIST_ITEMS = Table(
    "exported_playlist_items",
    "Items of playlists as account data tells them, when each export was made",
    (
        SNAPSHOT_ID,
        USER_ID,
        EXPORTED_AT,
        text("playlist_id", "Playlist, as in exported_playlists"),
        Column("position", "int", "Place in the playlist, from 0"),
        text("item_type", "track, episode, audiobook or local"),
        text("item_id", "Spotify id; null for local files, and in exports that name none", True),
        text("item_uri", "Spotify URI", True),
        text("name", "Title", True),
        text("artist_name", "Artist, show or author", True),
        text("album_name", "Album of a track", True),
        Column("added_at", "timestamp", "Day on which it was added, UTC", True),
    ),
    key=("snapshot_id", "playlist_id", "position"),
    current="row",
    partition_by="exported_at",
)

EXPORTED_FOLLOWS = Table(
    "exported_follows",
    "Names that account data says the listener follows or is followed by; older exports name artists here",
    (
        SNAPSHOT_ID,
        USER_ID,
        EXPORTED_AT,
        text("kind", "following, follower or artist"),
        text("name", "Name as the export gives it: these are other people's"),
    ),
    key=("snapshot_id", "kind", "name"),
    current="row",
    partition_by="exported_at",
)

SEARCHES = Table(
    "searches",
    "What was searched for, as account data tells of the months before it: each state of the typed text is one",
    (
        USER_ID,
        Column("searched_at", "timestamp", "When, UTC"),
        text("query", "What had been typed by then"),
        text("platform", "Device or system", True),
        Column("opened", "array<string>", "Spotify URIs of what was opened from what was found", True),
        EXPORTED_AT,
    ),
    key=("user_id", "searched_at", "query"),
    current="row",
    partition_by="searched_at",
)

EXCLUSIONS = Table(
    "exclusions",
    "What is left out of heard, and so of every report; taken back where it is not active",
    (
        text("exclusion_id", "Exclusion"),
        text("kind", "artist, track, show, playlist or period"),
        text("artist_name", "Artist or show, in any case of letters", True),
        text("item_name", "Title of a track", True),
        text("context_uri", "Playlist that it was played from", True),
        Column("from_at", "timestamp", "Begin of a period, UTC", True),
        Column("to_at", "timestamp", "End of a period, UTC", True),
        text("user_id", "Whose listening; null for everybody's", True),
        Column("is_active", "boolean", "Whether it is left out now"),
        Column("decided_at", "timestamp", "When that was decided, UTC"),
    ),
    key=("exclusion_id",),
    current="row",
    partition_by="decided_at",
    checks=(Check("one_of", "kind", values=("artist", "track", "show", "playlist", "period")),),
)

LEFT_OUT = Table(
    "left_out",
    "Listens that are left out of heard, and by which exclusion",
    (
        text("play_id", "Listen"),
        USER_ID,
        Column("heard_at", "timestamp", "When it was heard to its end, UTC"),
        Column("ms", "bigint", "Milliseconds heard, as in heard"),
        text("item_name", "Title as the origin gives it", True),
        text("artist_name", "Artist, show or author as the origin gives it", True),
        text("exclusion_id", "Exclusion; a listen may have several"),
    ),
    key=("play_id", "exclusion_id"),
    current="derived",
    of=("plays", "tracks", "exclusions"),
)

MUSICBRAINZ_ARTISTS = Table(
    "musicbrainz_artists",
    "Which artist of MusicBrainz' an artist of Spotify's is, as it was found last (CC0)",
    (
        text("artist_id", "Spotify id"),
        text("mbid", "MusicBrainz id of the artist"),
        text("name", "Name at MusicBrainz", True),
        text("found_by", "link, link and name, isrc, isrc and name, or name"),
        Column("certainty", "double", "How sure that is by how it was found, up to 1 for a link"),
        OBSERVED_AT,
    ),
    key=("artist_id",),
    current="row",
    checks=(identifier("artist_id"), mbid("mbid")),
)

MUSICBRAINZ_RECORDINGS = Table(
    "musicbrainz_recordings",
    "Recordings of MusicBrainz' that bear a code which was asked for (CC0)",
    (
        text("isrc", "International standard recording code, as in tracks"),
        text("mbid", "MusicBrainz id of the recording"),
        text("title", "Title at MusicBrainz", True),
        Column("length_ms", "bigint", "Length in milliseconds", True),
        OBSERVED_AT,
    ),
    key=("isrc", "mbid"),
    current="row",
    checks=(mbid("mbid"), at_least("length_ms", 0, LONGEST_TRACK)),
)

MUSICBRAINZ_GENRES = Table(
    "musicbrainz_genres",
    "Genres of artists as MusicBrainz' users voted for them: CC BY-NC-SA 3.0, credit MusicBrainz, no commercial use",
    (
        text("artist_id", "Spotify id"),
        text("genre", "Genre, as on MusicBrainz' list"),
        Column("votes", "int", "Votes for it less those against"),
        text("mbid", "MusicBrainz id of the artist"),
        OBSERVED_AT,
    ),
    key=("artist_id", "genre"),
    current="newest_set",
    set_of=("artist_id",),
    checks=(identifier("artist_id"), mbid("mbid"), at_least("votes", 1)),
)

ARTIST_GENRES = Table(
    "artist_genres",
    "Genres of artists by who says so: Spotify, and MusicBrainz' users (CC BY-NC-SA 3.0, credit MusicBrainz)",
    (
        text("artist_id", "Artist"),
        text("genre", "Genre"),
        Column("votes", "int", "MusicBrainz: votes for it less those against; null for Spotify", True),
        text("source", "spotify or musicbrainz"),
    ),
    key=("artist_id", "genre", "source"),
    current="derived",
    of=("artists", "musicbrainz_genres"),
)

ARTIST_GENRES_IN_FORCE = Table(
    "artist_genres_in_force",
    "Of each artist the genres that reports go by: Spotify's where it gives any, else the five that most of "
    "MusicBrainz' users voted for, with at least a fifth of the votes of the first",
    (
        text("artist_id", "Artist"),
        text("name", "Its name in small letters, as plays are matched with it", True),
        Column("genres", "array<string>", "Genres, the surest first"),
        text("source", "spotify or musicbrainz"),
        Column(
            "stands_for_name", "boolean", "Of several artists of one name one does, whom plays of that name count for"
        ),
    ),
    key=("artist_id",),
    current="derived",
    of=("artists", "musicbrainz_genres"),
)

TABLES: tuple[Table, ...] = (
    ARTISTS,
    ALBUMS,
    TRACKS,
    TRACK_ARTISTS,
    ALBUM_ARTISTS,
    PLAYLISTS,
    PLAYLIST_ITEMS,
    SAVED_ITEMS,
    FOLLOWED_ARTISTS,
    TOP_ITEMS,
    EPISODES,
    EXPORTED_LIBRARY,
    EXPORTED_PLAYLISTS,
    EXPORTED_PLAYLIST_ITEMS,
    EXPORTED_FOLLOWS,
    SEARCHES,
    PLAYS,
    PLAYS_RESOLVED,
    PLAY_DETAILS,
    HEARD,
    HEARD_NAMES,
    EXCLUSIONS,
    LEFT_OUT,
    MUSICBRAINZ_ARTISTS,
    MUSICBRAINZ_RECORDINGS,
    MUSICBRAINZ_GENRES,
    ARTIST_GENRES,
    ARTIST_GENRES_IN_FORCE,
    LISTINGS,
    LISTENER_IDS,
    LISTENERS,
    RUNS,
    QUALITY_RESULTS,
    REJECTED_ROWS,
)
#: What kept exports alone tell: the tables, and (beside Spotify's own) listings.
EXPORTED = (EXPORTED_LIBRARY, EXPORTED_PLAYLISTS, EXPORTED_PLAYLIST_ITEMS, EXPORTED_FOLLOWS, SEARCHES, LISTINGS)
BY_NAME = {table.name: table for table in TABLES}
PHYSICAL = {table.history: table for table in TABLES if table.current != "derived"}
