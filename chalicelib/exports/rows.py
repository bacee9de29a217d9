"""The rows of Spotify's privacy exports, in every variant, as Arrow columns.

Two products. The *extended streaming history* has a row per stream of the account's whole life: ``ts`` is when it
ended (UTC, to the second). The *account data* has the last year: ``endTime`` to the minute, names only. Which keys
a row has changed over the years; what is missing is null here, and so are ``""``, the country ``ZZ`` and Spotify's
"Unknown Artist" and "Unknown Track". Address, user agent and user name are never read from a row.

A listen outlives its description: where its time and length are sound it is kept, and a field that holds what it
cannot (a text for a boolean, say) is null and counted by name. A row that cannot be a listen is rejected with its
reason; a file none of whose rows is one is not an export.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Annotated, Any, BinaryIO, get_type_hints

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.exports.json_array import NOT_JSON, NotAnArray, pieces

EXTENDED, ACCOUNT = "extended_history", "account_data"
FIRST_MOMENT = datetime(2006, 1, 1)  # noqa: DTZ001 - UTC without a zone, as Parquet holds it; Spotify's founding
LAST_MOMENT = datetime(2200, 1, 1)  # noqa: DTZ001
LONGEST_PLAY = 7 * 24 * 3600 * 1000  # ms; tables.py allows no more
PERSONAL = frozenset(("username", "ip_addr", "ip_addr_decrypted", "user_agent_decrypted"))
PERSONAL |= frozenset(("city", "region", "metro_code", "longitude", "latitude"))
FIRST_ROWS = 64 * 1024  # bytes of a file in which its first rows are looked for
SHOWN_REJECTS = 1000  # rejected rows kept with their content, per file
LONGEST_CONTENT = 4096  # characters of a rejected row's content

#: An escape in a JSON text; the group is half of a UTF-16 pair without the other half.
ESCAPE = re.compile(rb"\\(?:[^u]|u(?:[dD][89abAB]..\\u[dD][c-fC-F]..|([dD][89a-fA-F]..)|....))", re.DOTALL)

Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=LONGEST_PLAY)]
MaybeText = str | None
MaybeFlag = bool | None


class ExtendedRow(msgspec.Struct, gc=False):
    """What is read of a row of the extended streaming history, 2020 to now."""

    ts: str
    ms_played: Milliseconds
    platform: MaybeText = None
    conn_country: MaybeText = None
    master_metadata_track_name: MaybeText = None
    master_metadata_album_artist_name: MaybeText = None
    master_metadata_album_album_name: MaybeText = None
    spotify_track_uri: MaybeText = None
    episode_name: MaybeText = None
    episode_show_name: MaybeText = None
    spotify_episode_uri: MaybeText = None
    audiobook_title: MaybeText = None
    audiobook_uri: MaybeText = None
    audiobook_chapter_uri: MaybeText = None
    audiobook_chapter_title: MaybeText = None
    reason_start: MaybeText = None
    reason_end: MaybeText = None
    shuffle: MaybeFlag = None
    skipped: MaybeFlag = None
    offline: MaybeFlag = None
    offline_timestamp: int | float | None = None
    incognito_mode: MaybeFlag = None


class AccountRow(msgspec.Struct, gc=False):
    """What is read of a row of the account data: music, podcasts and audiobooks."""

    endTime: str  # noqa: N815 - Spotify's names
    msPlayed: Milliseconds  # noqa: N815
    artistName: MaybeText = None  # noqa: N815
    trackName: MaybeText = None  # noqa: N815
    podcastName: MaybeText = None  # noqa: N815
    episodeName: MaybeText = None  # noqa: N815
    audiobookName: MaybeText = None  # noqa: N815
    chapterName: MaybeText = None  # noqa: N815
    authorName: MaybeText = None  # noqa: N815


TIMES = pa.timestamp("ms")
ROWS = pa.schema(
    [
        ("ended_at", TIMES),
        ("started_at", TIMES),
        ("offline_at", TIMES),
        ("ms_played", pa.int64()),
        ("item_type", pa.string()),
        ("uri", pa.string()),
        ("item_name", pa.string()),
        ("artist_name", pa.string()),
        ("album_name", pa.string()),
        ("platform", pa.string()),
        ("country", pa.string()),
        ("reason_start", pa.string()),
        ("reason_end", pa.string()),
        ("shuffle", pa.bool_()),
        ("skipped", pa.bool_()),
        ("offline", pa.bool_()),
        ("incognito", pa.bool_()),
    ]
)
"""A listen as an export tells it; ``uri`` is the item's."""


class NotAnExport(ValueError):
    """The file holds a JSON array, but no listening history."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is no listen: its number in the file (from 0), why, and what it holds but for personal fields."""

    row: int
    reason: str
    content: str


@dataclass(slots=True)
class Piece:
    """Some rows of a file: how many there were, those that are listens, those that are not.

    ``odd`` counts the fields of listens that held what they cannot, by name; they are null.
    """

    variant: str
    read: int
    rows: pa.Table
    rejects: list[Reject] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class DecodedRows:
    """The rows of a piece of a file, those that do not fit (place among all of them, reason, text) and the fields
    that were left out, counted by name."""

    rows: list[Any]
    faulty: list[tuple[int, str, bytes]] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)


def read_export(stream: BinaryIO) -> Iterator[Piece]:
    """The rows of one JSON file of an export, a piece at a time. Raises NotAnArray or NotAnExport."""
    variant: str | None = None
    read = 0

    def parse(text: bytes) -> DecodedRows:
        nonlocal variant
        variant = variant or variant_of(text)
        return decode(VARIANTS[variant][0], text)

    for decoded in pieces(stream, parse):
        if variant is None:
            continue
        piece = columns_of(variant, decoded, read)
        read += piece.read
        yield piece


def holds_listens(stream: BinaryIO) -> bool:
    """Whether the first rows of a file are listens: objects with a time and a length as an export has them."""

    def parse(text: bytes) -> bool:
        return any(LISTEN_KEYS[EXTENDED] <= keys or LISTEN_KEYS[ACCOUNT] <= keys for keys in keys_of(text))

    try:
        return next(pieces(stream, parse, block=FIRST_ROWS), False)
    except NotAnArray:
        return False


def variant_of(text: bytes) -> str:
    """Which product a file's first rows belong to."""
    for keys in keys_of(text):
        for variant, needed in LISTEN_KEYS.items():
            if needed & keys:
                return variant
        break
    raise NotAnExport("its rows are not those of a listening history (no ts and ms_played, no endTime and msPlayed)")


def keys_of(text: bytes) -> Iterator[set[str]]:
    """The names of the fields of each row that is an object."""
    for raw in raw_rows(text):
        try:
            yield set(KEYS.decode(raw))
        except NOT_JSON:
            continue


def decode(decoder: msgspec.json.Decoder[Any], text: bytes) -> DecodedRows:
    """The rows of a piece: all at once where each fits, else one by one."""
    try:
        return DecodedRows(decoder.decode(text))
    except NOT_JSON:
        raws = raw_rows(text)
    single = ONE_ROW[decoder]
    decoded = DecodedRows([])
    for place, raw in enumerate(raws):
        try:
            decoded.rows.append(single.decode(raw))
        except NOT_JSON as error:
            row = without_odd_fields(single.type, raw, decoded.odd)
            if row is None:
                decoded.faulty.append((place, str(error), bytes(raw)))
            else:
                decoded.rows.append(row)
    return decoded


def without_odd_fields(kind: type[msgspec.Struct], raw: msgspec.Raw, odd: Counter[str]) -> Any:
    """A row whose time and length are sound, without the fields that hold what they cannot; None for another row."""
    try:
        fields = KEYS.decode(raw)
    except NOT_JSON:
        return None
    values: dict[str, Any] = {}
    left_out: list[str] = []
    for name, read in FIELDS[kind].items():
        if name not in fields:
            continue
        try:
            values[name] = read(fields[name])
        except (*NOT_JSON, ValueError):
            left_out.append(name)
    if not NEEDED[kind] <= values.keys():
        return None
    odd.update(left_out)
    return kind(**values)


def milliseconds(raw: msgspec.Raw) -> int:
    """A length, also where the whole number is written as a float. ValueError for any other value."""
    value = NUMBER.decode(raw)
    if not 0 <= value <= LONGEST_PLAY or value != int(value):
        raise ValueError(f"{value} is not a length in whole milliseconds")
    return int(value)


def raw_rows(text: bytes) -> list[msgspec.Raw]:
    """The rows of a piece, unread. Half a UTF-16 pair, which msgspec takes for the end of the text, is replaced."""
    try:
        return RAW_ROWS.decode(text)
    except NOT_JSON:
        mended = ESCAPE.sub(lambda match: b"\\ufffd" if match[1] else match[0], text)
        if mended == text:
            raise
        return RAW_ROWS.decode(mended)


def columns_of(variant: str, found: DecodedRows, before: int) -> Piece:
    """The decoded rows of a piece as columns; those whose time is none join the faulty ones."""
    _, type_of_row, columns = VARIANTS[variant]
    decoded, faulty = found.rows, found.faulty
    total = len(decoded) + len(faulty)
    rejects = [Reject(before + place, reason, scrubbed(text)) for place, reason, text in faulty]
    moments = moments_of([row.ts for row in decoded] if variant == EXTENDED else [row.endTime for row in decoded])
    if moments.null_count:
        skipped = {place for place, *_ in faulty}
        places = [place for place in range(total) if place not in skipped]
        for at, moment in enumerate(moments.to_pylist()):
            if moment is None:
                text = msgspec.json.encode(decoded[at])
                rejects.append(Reject(before + places[at], "its time is not one from 2006 to 2200", scrubbed(text)))
        decoded = [row for row, there in zip(decoded, moments.is_valid().to_pylist(), strict=True) if there]
        moments = moments.drop_null()
    values = dict(zip(type_of_row.__struct_fields__, transposed(type_of_row, decoded), strict=True))
    return Piece(variant, total, columns(values, moments), rejects, found.odd)


def transposed(type_of_row: type[msgspec.Struct], rows: list[Any]) -> list[Sequence[Any]]:
    """The values of each field, in the order of the fields."""
    return [list(map(attrgetter(name), rows)) for name in type_of_row.__struct_fields__]


def extended_columns(values: dict[str, Sequence[Any]], moments: pa.Array) -> pa.Table:
    """Audiobooks are told first, then episodes, then tracks: a chapter can carry an episode's URI too."""

    def text(name: str) -> pa.Array:
        return said(values[name])

    chapter_uri = pc.coalesce(text("audiobook_chapter_uri"), text("audiobook_uri"))
    book = text("audiobook_title")
    chapter = text("audiobook_chapter_title")
    is_book = pc.or_(pc.is_valid(chapter_uri), pc.or_(pc.is_valid(book), pc.is_valid(chapter)))
    episode_uri, episode, show = text("spotify_episode_uri"), text("episode_name"), text("episode_show_name")
    is_episode = pc.or_(pc.is_valid(episode_uri), pc.is_valid(episode))
    nothing = pa.scalar(None, pa.string())

    only_tracks = not pc.any(pc.or_(is_book, is_episode)).as_py()

    def choose(book_value: Any, episode_value: Any, track_value: Any) -> pa.Array:
        if only_tracks:
            return track_value if isinstance(track_value, pa.Array) else pa.repeat(track_value, len(moments))
        return pc.if_else(is_book, book_value, pc.if_else(is_episode, episode_value, track_value))

    lengths = pa.array(values["ms_played"], pa.int64())
    offline = pa.array(values["offline"], pa.bool_())
    device = device_times(values["offline_timestamp"], moments)
    started = pc.if_else(pc.fill_null(offline, False), pa.scalar(None, TIMES), earlier(moments, lengths))
    country = text("conn_country")
    return pa.table(
        [
            moments,
            started,
            device,
            lengths,
            choose("audiobook", "episode", "track"),
            choose(pc.coalesce(chapter_uri, episode_uri), episode_uri, text("spotify_track_uri")),
            choose(chapter, episode, text("master_metadata_track_name")),
            choose(nothing, show, text("master_metadata_album_artist_name")),
            choose(book, nothing, text("master_metadata_album_album_name")),
            text("platform"),
            pc.if_else(pc.equal(country, "ZZ"), nothing, country),
            text("reason_start"),
            text("reason_end"),
            pa.array(values["shuffle"], pa.bool_()),
            pa.array(values["skipped"], pa.bool_()),
            offline,
            pa.array(values["incognito_mode"], pa.bool_()),
        ],
        schema=ROWS,
    )


def account_columns(values: dict[str, Sequence[Any]], moments: pa.Array) -> pa.Table:
    """Before 2024 podcasts stand among the music, and nothing in the row tells them apart."""

    def text(name: str, unknown: str = "") -> pa.Array:
        column = said(values[name])
        return pc.if_else(pc.equal(column, unknown), pa.scalar(None, pa.string()), column) if unknown else column

    book, chapter, author = text("audiobookName"), text("chapterName"), text("authorName")
    show, episode = text("podcastName"), text("episodeName")
    is_book = pc.or_(pc.is_valid(book), pc.is_valid(chapter))
    is_episode = pc.or_(pc.is_valid(show), pc.is_valid(episode))
    artist, track = text("artistName", "Unknown Artist"), text("trackName", "Unknown Track")
    lengths = pa.array(values["msPlayed"], pa.int64())
    table = {
        "ended_at": moments,
        "started_at": earlier(moments, lengths),
        "ms_played": lengths,
        "item_type": pc.if_else(is_book, "audiobook", pc.if_else(is_episode, "episode", "track")),
        "item_name": pc.if_else(is_book, chapter, pc.if_else(is_episode, episode, track)),
        "artist_name": pc.if_else(is_book, author, pc.if_else(is_episode, show, artist)),
        "album_name": book,
    }
    missing = {name: pa.nulls(len(moments), ROWS.field(name).type) for name in ROWS.names if name not in table}
    return pa.table({name: (table | missing)[name] for name in ROWS.names}, schema=ROWS)


def said(values: Sequence[MaybeText]) -> pa.Array:
    """Texts with ``""`` as null."""
    column = pa.array(values, pa.string())
    if column.null_count == len(column) or not pc.any(pc.equal(column, "")).as_py():
        return column
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def moments_of(texts: Sequence[str]) -> pa.Array:
    """``2023-01-31T10:20:30Z`` or ``2023-01-31 10:20`` (UTC) as timestamps; null for what is no time of ours."""
    column = pa.array(texts, pa.string())
    lengths = pc.utf8_length(column)
    try:
        if len(texts) and pc.all(pc.equal(lengths, 20)).as_py():
            moments = column.cast(pa.timestamp("ms", "UTC")).cast(TIMES)
        elif len(texts) and pc.all(pc.equal(lengths, 16)).as_py():
            moments = column.cast(TIMES)
        else:
            moments = pa.array([moment_of(text) for text in texts], TIMES)
    except pa.ArrowInvalid:
        moments = pa.array([moment_of(text) for text in texts], TIMES)
    sound = pc.and_(pc.greater_equal(moments, FIRST_MOMENT), pc.less(moments, LAST_MOMENT))
    return pc.if_else(sound, moments, pa.scalar(None, TIMES))


def moment_of(text: str) -> datetime | None:
    """A time as UTC without a zone; None for what is none."""
    if not re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", text):
        return None
    try:
        moment = datetime.fromisoformat(text.removesuffix("UTC").rstrip())
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None


def device_times(values: Sequence[Any], moments: pa.Array) -> pa.Array:
    """``offline_timestamp`` as a time: milliseconds or seconds since 1970 by era; null for 0 and other small numbers,
    and for a time after the one at which Spotify knew of the play."""
    if not any(values):
        return pa.nulls(len(values), TIMES)
    numbers = pa.array([value if value and 0 < value < 1e13 else None for value in values], pa.float64())
    millis = pc.if_else(pc.greater(numbers, 1e11), numbers, pc.multiply(numbers, 1000.0))
    device = pc.floor(millis).cast(pa.int64()).cast(TIMES)
    sound = pc.and_(pc.greater_equal(device, FIRST_MOMENT), pc.less_equal(device, moments))
    return pc.if_else(sound, device, pa.scalar(None, TIMES))


def earlier(moments: pa.Array, lengths: pa.Array) -> pa.Array:
    """The moments so many milliseconds earlier."""
    return pc.subtract(moments.cast(pa.int64()), lengths).cast(TIMES)


def scrubbed(text: bytes) -> str:
    """A rejected row without its personal fields; of what is no object, only its size."""
    try:
        row = msgspec.json.decode(text)
    except NOT_JSON:
        row = None
    if not isinstance(row, dict):
        return f"{len(text)} bytes"
    kept = {key: value for key, value in row.items() if key not in PERSONAL}
    return msgspec.json.encode(kept).decode()[:LONGEST_CONTENT]


EXTENDED_ROWS = msgspec.json.Decoder(list[ExtendedRow])
ACCOUNT_ROWS = msgspec.json.Decoder(list[AccountRow])
ONE_ROW: dict[Any, msgspec.json.Decoder[Any]] = {
    EXTENDED_ROWS: msgspec.json.Decoder(ExtendedRow),
    ACCOUNT_ROWS: msgspec.json.Decoder(AccountRow),
}
RAW_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])
NUMBER = msgspec.json.Decoder(int | float)
LISTEN_KEYS = {EXTENDED: {"ts", "ms_played"}, ACCOUNT: {"endTime", "msPlayed"}}
NEEDED: dict[type[msgspec.Struct], set[str]] = {ExtendedRow: LISTEN_KEYS[EXTENDED], AccountRow: LISTEN_KEYS[ACCOUNT]}


def field_readers(kind: type[msgspec.Struct]) -> dict[str, Callable[[msgspec.Raw], Any]]:
    """What reads each field of a row by itself."""
    types = get_type_hints(kind, include_extras=True)
    return {
        name: milliseconds if types[name] is Milliseconds else msgspec.json.Decoder(types[name]).decode
        for name in kind.__struct_fields__
    }


FIELDS = {kind: field_readers(kind) for kind in NEEDED}
VARIANTS: dict[str, tuple[msgspec.json.Decoder[Any], type[msgspec.Struct], Any]] = {
    EXTENDED: (EXTENDED_ROWS, ExtendedRow, extended_columns),
    ACCOUNT: (ACCOUNT_ROWS, AccountRow, account_columns),
}
