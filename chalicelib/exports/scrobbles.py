"""Listening histories of Last.fm and ListenBrainz, in the forms in which people have them, as rows of listens.

Last.fm offers no download; people use exporters, whose files differ in form, separator and what a date is. They are
told apart by how they begin, not by their names:

=====================================  ==============================================================================
lastfm.ghan.nl, CSV                    ``uts,utc_time,artist,…`` quoted; ``uts`` is seconds
the same, JSON                         pages (or a flat list, or an API answer) of ``user.getRecentTracks``
benjaminbenben.com, CSV                no header: artist, album, track, ``06 Sep 2026, 14:23`` UTC, to the minute
lastfmstats.com, CSV and JSON          ``;``, a byte-order mark, ``Date#USER`` in milliseconds; ``{"scrobbles": […]}``
lastfm-backup, JSON and CSV            ``[{"artist", "name", "album", "date"}]``; no header: day, time, artist, title
Last.fm's own archive, until 2014      tab, ``ISO time``, ``unixtime``, ``track name`` …
ListenBrainz                           lines or a list of listens (``listened_at``, ``track_metadata``), or what its API
                                       takes and answers (``payload``)
what ``lake export`` writes            both of its forms
=====================================  ==============================================================================

A scrobble's time is when the listen began, and how long it was is not said. In what ListenBrainz itself read from a
Spotify export the time is the end (its spotify.py stores ``ts``), and in what its Spotify reader saw mostly so.
What is playing now is no listen yet; times before 2002-10-01 are of players without a clock, and refused.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, BinaryIO, cast

import msgspec
import pyarrow as pa

from chalicelib.exports.json_array import (
    BLOCK,
    LARGEST_TEXT,
    LONGEST_ELEMENT,
    NOT_JSON,
    Continued,
    NotAnArray,
    in_utf8,
    pieces,
    whole_text,
)
from chalicelib.exports.rows import LONGEST_CONTENT, LONGEST_PLAY, ROWS, Piece, Reject, read_export
from chalicelib.tables import PLAYS

LASTFM, LISTENBRAINZ = "lastfm", "listenbrainz"
ORIGINS = (LASTFM, LISTENBRAINZ)
FIRST_SECOND = 1_033_430_400  # 2002-10-01, before which ListenBrainz takes no listen
LAST_SECOND = 4_102_444_800  # 2100
BEGINNING = 64 * 1024  # bytes by which a form is told
MOST_ROWS = 10_000  # of a piece
OURS = "spotify_lake"  # the member of additional_info that holds what ListenBrainz has no place for
EXTRA = pa.schema(
    [
        ("length_ms", pa.int64()),
        ("to_the_minute", pa.bool_()),
        ("settled", pa.bool_()),
        ("play_id", pa.string()),
        ("origin", pa.string()),
        ("context_uri", pa.string()),
    ]
)
SCROBBLES = pa.schema([*ROWS, *EXTRA])
"""A listen as read; ``length_ms`` is its track's length; ``play_id``, ``origin``, ``context_uri`` are a lake's own."""

NOW_PLAYING = "it was playing when the file was made: no listen yet"
CLOCKLESS = "its time is before October 2002: the player had no clock"
NO_TIME = "it has no time"
NO_NAME = "it has no artist or no title"
TRACK_LINK = re.compile(r"https?://open\.spotify\.com/(?:intl-[a-z-]+/)?(track|episode)/([0-9A-Za-z]{22})")
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
PRINTED = re.compile(r"(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}),? (\d{2}):(\d{2})")

Row = dict[str, Any]


class NotAScrobble(ValueError):
    """A row is no listen; says why."""


@dataclass(frozen=True, slots=True)
class Form:
    """One form of file: whose it is, and what reads its rows."""

    origin: str
    rows: Callable[[BinaryIO], Iterator[Any]]
    listen: Callable[[Any], Row]


def form_of(first: bytes) -> Form | None:
    """The form of a file that begins so; None where it is none of these."""
    text = first.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").lstrip()
    if text[:1] in ("[", "{"):
        return json_form(text)
    head = text.partition("\n")[0].rstrip("\r")
    for start, form in HEADED.items():
        if head.lower().replace('"', "").startswith(start):
            return form
    try:
        for cells in islice(csv.reader(io.StringIO(text, newline="")), 20):  # the first may be playing now, undated
            if (found := headless_form(cells)) is not None:
                return found
    except csv.Error:  # it is no CSV either
        return None
    return None


def headless_form(cells: list[str]) -> Form | None:
    """The form of a file without a header, by a row of it."""
    if len(cells) == 4 and PRINTED.fullmatch(cells[3].strip()):
        return Form(LASTFM, comma, bare_row)
    if len(cells) == 4 and re.fullmatch(r"\d{4}-\d\d-\d\d", cells[0]) and re.fullmatch(r"\d\d:\d\d:\d\d", cells[1]):
        return Form(LASTFM, comma, backup_row)
    if len(cells) == 6 and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", cells[3]):
        return Form(LASTFM, comma, universal_row)
    return None


def json_form(text: str) -> Form | None:
    """The form of a JSON text, by the members that stand first in it."""
    named = set(re.findall(r'"([^"\\]{1,40})"\s*:', text))
    if {"listened_at", "track_metadata"} <= named:
        if text.startswith("[") or "payload" in named:
            return Form(LISTENBRAINZ, documents, listenbrainz_row)
        return Form(LISTENBRAINZ, lines, listenbrainz_row)
    if {"artist", "track", "date"} & named and ({"recenttracks", "#text"} & named or {"streamable"} <= named):
        return Form(LASTFM, documents, recent_row)
    if "scrobbles" in named and {"track", "artist", "date"} <= named:
        return Form(LASTFM, documents, stats_row)
    if {"artist", "name", "date"} <= named and text.startswith("[") and "uri" not in named:
        return Form(LASTFM, documents, simple_row)
    return None


def read_history(stream: BinaryIO) -> Iterator[Piece]:
    """The listens of a file of any kind, some at a time. Raises NotAnArray or NotAnExport."""
    first = stream.read(BLOCK)
    whole = cast(BinaryIO, Continued(first, stream))
    form = form_of(first[:BEGINNING])
    yield from read_scrobbles(form, whole) if form else read_export(whole)


def read_scrobbles(form: Form, stream: BinaryIO) -> Iterator[Piece]:
    """The listens of a file, some at a time. Raises NotAnArray for what is not of its form to the end."""
    rows: list[Row] = []
    rejects: list[Reject] = []
    number = begun = 0
    try:
        for number, row in enumerate(form.rows(stream), 1):
            try:
                rows.append({"origin": form.origin, **form.listen(row)})
            except NotAScrobble as error:
                rejects.append(Reject(number - 1, str(error), shown(row)))
            except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
                rejects.append(Reject(number - 1, f"it cannot be read: {error!r:.200}", shown(row)))
            if number - begun >= MOST_ROWS:
                yield Piece(form.origin, number - begun, table_of(rows), rejects, Counter())
                rows, rejects, begun = [], [], number
    except (csv.Error, UnicodeDecodeError, *NOT_JSON) as error:
        raise NotAnArray(f"it cannot be read after row {number}: {error}") from error
    if number > begun:
        yield Piece(form.origin, number - begun, table_of(rows), rejects, Counter())


def table_of(rows: list[Row]) -> pa.Table:
    """Listens as columns."""
    return pa.Table.from_pylist(rows, schema=SCROBBLES)


def shown(row: Any) -> str:
    """A row as it is kept with its reason."""
    return json.dumps(row, ensure_ascii=False, default=str)[:LONGEST_CONTENT]


# --- what rows are read from --------------------------------------------------------------------------------------


def delimited(separator: str, *, headed: bool) -> Callable[[BinaryIO], Iterator[Any]]:
    """What reads a file with a separator: rows as lists, or by the names in its first line."""

    def read(stream: BinaryIO) -> Iterator[Any]:
        csv.field_size_limit(LONGEST_ELEMENT)
        text = TextLines(io.TextIOWrapper(io.BufferedReader(Readable(stream), BLOCK), "utf-8-sig", newline=""))
        if separator == "\t":
            rows = csv.reader(text, delimiter=separator, quoting=csv.QUOTE_NONE)
        else:
            rows = csv.reader(text, delimiter=separator)
        names = [name.strip().lower() for name in next(rows, [])] if headed else []
        for row in rows:
            text.of_row = 0
            if any(row):
                yield dict(zip(names, row, strict=False)) if headed else row

    return read


class TextLines:
    """Lines of a text, of which a row may take some, but no more than ``LONGEST_ELEMENT`` characters.

    An iterator; raises NotAnArray.
    """

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.of_row = 0  # characters of the row that is being read

    def __iter__(self) -> TextLines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_ELEMENT + 1)
        self.of_row += len(line)
        if self.of_row > LONGEST_ELEMENT:
            raise NotAnArray(f"a row is longer than {LONGEST_ELEMENT} characters")
        if not line:
            raise StopIteration
        return line


class Readable(io.RawIOBase):
    """Any stream with ``read`` as one that others can buffer."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = self._stream.read(len(buffer))
        given, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(given)] = given
        return len(given)


def lines(stream: BinaryIO) -> Iterator[Any]:
    """A JSON value a line."""
    text = io.BufferedReader(Readable(stream), BLOCK)
    while line := text.readline(LONGEST_ELEMENT + 1):
        if len(line) > LONGEST_ELEMENT:
            raise NotAnArray(f"a line is longer than {LONGEST_ELEMENT} bytes")
        if line.strip():
            yield msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"))


def documents(stream: BinaryIO) -> Iterator[Any]:
    """The listens of a JSON list, of pages in one, or of one object."""
    stream = in_utf8(stream, BEGINNING)
    first = stream.read(BEGINNING)
    again = cast(BinaryIO, Continued(first, stream))
    if first.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        for piece in pieces(again, msgspec.json.decode):
            for document in piece:
                yield from listens_in(document)
    else:
        yield from listens_in(msgspec.json.decode(whole_text(again, LARGEST_TEXT).strip()))


def listens_in(document: Any) -> Iterator[Any]:
    """What of a document is a listen: itself, or what lies in its pages."""
    if isinstance(document, list):
        for each in document:
            yield from listens_in(each)
        return
    inner = document if isinstance(document, dict) else {}
    for name in ("recenttracks", "payload", "listens", "scrobbles", "track"):
        held = inner.get(name)
        if isinstance(held, (dict, list)) and not (name == "track" and "name" in inner):
            yield from listens_in(held)
            return
    yield document


# --- what a row says ----------------------------------------------------------------------------------------------


def scrobble(seconds: float, artist: Any, title: Any, album: Any, *, to_the_minute: bool = False, **more: Any) -> Row:
    """A listen that began at ``seconds``. Its end is not known: it stands at its start, or as long after it as it is
    said to have lasted. Raises NotAScrobble."""
    if not seconds or seconds < FIRST_SECOND:
        raise NotAScrobble(CLOCKLESS)
    if seconds >= LAST_SECOND:
        raise NotAScrobble("its time is after 2100")
    if not text_of(artist) or not text_of(title):
        raise NotAScrobble(NO_NAME)
    start = datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None)
    return {
        "ended_at": start,
        "started_at": start,
        "item_type": "track",
        "item_name": text_of(title),
        "artist_name": text_of(artist),
        "album_name": text_of(album),
        "to_the_minute": to_the_minute or None,
        **more,
    }


def text_of(value: Any) -> str | None:
    """A text with something in it; what is none is null. NUL characters, which no table can hold, are left out."""
    if not isinstance(value, str):
        return None
    return value.replace("\0", "") if value.strip() else None


def seconds_of(value: Any) -> float:
    """Seconds since 1970 that a text or number says. Raises NotAScrobble."""
    text = str(value if value is not None else "").strip()
    if not text:
        raise NotAScrobble(NO_TIME)
    if re.search(r"[eE]", text):
        raise NotAScrobble(f"a spreadsheet has spoilt its time ({text}): export the file again")
    return float(text)


def printed_seconds(text: str) -> float:
    """Seconds since 1970 of ``06 Sep 2026, 14:23``, UTC. Raises NotAScrobble."""
    found = PRINTED.fullmatch(text.strip())
    if not found:
        raise NotAScrobble(NO_TIME if not text.strip() else f"its time is {text[:40]!r}")
    day, month, year, hour, minute = found.groups()
    return datetime(int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), tzinfo=UTC).timestamp()


def ghan_row(row: dict[str, str]) -> Row:
    """Of lastfm.ghan.nl's CSV."""
    if not row.get("uts") and not row.get("utc_time"):
        raise NotAScrobble(NOW_PLAYING)
    if row.get("uts"):
        return scrobble(seconds_of(row["uts"]), row.get("artist"), row.get("track"), row.get("album"))
    seconds = printed_seconds(row["utc_time"])
    return scrobble(seconds, row.get("artist"), row.get("track"), row.get("album"), to_the_minute=True)


def stats_csv_row(row: dict[str, str]) -> Row:
    """Of lastfmstats.com's CSV, whose last column is called after the user."""
    date = next((value for name, value in row.items() if name.startswith("date")), "")
    if not date:
        raise NotAScrobble(NOW_PLAYING)
    return scrobble(seconds_of(date) / 1000, row.get("artist"), row.get("track"), row.get("album"))


def archive_row(row: dict[str, str]) -> Row:
    """Of Last.fm's own archive."""
    seconds = seconds_of(row.get("unixtime"))
    return scrobble(seconds, row.get("artist name"), row.get("track name"), row.get("album name"))


def bare_row(row: list[str]) -> Row:
    """Of benjaminbenben.com's CSV: artist, album, track, date to the minute."""
    artist, album, title, date = (*row, "", "", "", "")[:4]
    if not date.strip():
        raise NotAScrobble(NOW_PLAYING)
    return scrobble(printed_seconds(date), artist, title, album, to_the_minute=True)


def backup_row(row: list[str]) -> Row:
    """Of lastfm-backup-cli's CSV: day, time, artist, title."""
    day, clock, artist, title = row
    moment = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)
    return scrobble(moment.timestamp(), artist, title, None)


def universal_row(row: list[str]) -> Row:
    """Of the form that Universal Scrobbler takes: artist, track, album, time, album artist, seconds. It was written by
    others than Last.fm, which a length tells (see plays/scrobbles.py): 0 where none is said."""
    artist, title, album, moment, _, seconds = row
    length = int(float(seconds) * 1000) if seconds.strip() else 0
    started = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return scrobble(started.timestamp(), artist, title, album, length_ms=length)


def recent_row(track: Any) -> Row:
    """A track of ``user.getRecentTracks``, plain or extended."""
    if isinstance(track.get("@attr"), dict) and str(track["@attr"].get("nowplaying")).lower() == "true":
        raise NotAScrobble(NOW_PLAYING)
    date = track.get("date")
    if not date:
        raise NotAScrobble(NO_TIME)
    artist, album = named(track.get("artist")), named(track.get("album"))
    if isinstance(date, dict) and date.get("uts"):
        return scrobble(seconds_of(date["uts"]), artist, track.get("name"), album)
    printed = date.get("#text", "") if isinstance(date, dict) else str(date)
    return scrobble(printed_seconds(printed), artist, track.get("name"), album, to_the_minute=True)


def named(value: Any) -> Any:
    """The name of an artist or album in either form of the API."""
    return (value.get("#text") or value.get("name")) if isinstance(value, dict) else value


def stats_row(row: Any) -> Row:
    """Of lastfmstats.com's JSON, in milliseconds."""
    return scrobble(seconds_of(row.get("date")) / 1000, row.get("artist"), row.get("track"), row.get("album"))


def simple_row(row: Any) -> Row:
    """Of lastfm-backup's JSON."""
    return scrobble(seconds_of(row.get("date")), row.get("artist"), row.get("name"), row.get("album"))


def listenbrainz_row(listen: Any) -> Row:
    """A listen of ListenBrainz'. Raises NotAScrobble."""
    if "listened_at" not in listen:
        raise NotAScrobble(NO_TIME)
    about = listen["track_metadata"]
    info = about.get("additional_info") or {}
    if isinstance(ours := info.get(OURS), dict):
        return own_row(about, ours)
    uri, kind = spotify_uri(info)
    played, length = milliseconds(info, "ms_played", "duration_played"), milliseconds(info, "duration_ms", "duration")
    seconds = float(listen["listened_at"])
    row = scrobble(seconds, about.get("artist_name"), about.get("track_name"), about.get("release_name"))
    row |= {"uri": uri, "item_type": kind, "length_ms": length}
    if info.get("music_service") == "spotify.com" and "ms_played" in info:  # read from an export: this is the end
        row |= {"ms_played": played, "started_at": earlier(row["ended_at"], played)}
    elif info.get("submission_client") == "listenbrainz" and info.get("spotify_id"):  # its reader: mostly the end
        row |= {"started_at": None}
    elif played:
        row |= {"ms_played": played, "ended_at": earlier(row["started_at"], -played)}
    return row


def spotify_uri(info: dict[str, Any]) -> tuple[str | None, str]:
    """The item of Spotify's that a listen names, and its kind."""
    for name in ("spotify_id", "origin_url"):
        if found := TRACK_LINK.match(str(info.get(name) or "")):
            return f"spotify:{found[1]}:{found[2]}", found[1]
    return None, "track"


def milliseconds(info: dict[str, Any], exact: str, seconds: str) -> int | None:
    """A length that is said in milliseconds or in seconds; null for none, and for what no listen takes."""
    for name, unit in ((exact, 1), (seconds, 1000)):
        value = info.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value * unit <= LONGEST_PLAY:
            return int(value * unit)
    return None


def earlier(moment: datetime, ms: int | None) -> datetime | None:
    """A moment so many milliseconds earlier; null where that is not known."""
    return None if ms is None else moment - timedelta(milliseconds=ms)


TEXTS = ("play_id", "origin", "item_type", "uri", "platform", "country", "reason_start", "reason_end", "context_uri")
FLAGS = ("shuffle", "skipped", "offline", "incognito")
MOMENTS = ("ended_at", "started_at", "offline_at")
ORIGIN_VALUES = next(check.values for check in PLAYS.checks if check.column == "origin" and check.kind == "one_of")


def own_row(about: dict[str, Any], ours: dict[str, Any]) -> Row:
    """A listen that a lake has exported, as it was there. Raises NotAScrobble."""
    row: Row = {name: ours[name] for name in TEXTS if isinstance(ours.get(name), str)}
    row |= {name: ours[name] for name in FLAGS if isinstance(ours.get(name), bool)}
    row |= {name: datetime.fromisoformat(ours[name]).replace(tzinfo=None) for name in MOMENTS if ours.get(name)}
    row |= {"ms_played": ours.get("ms_played"), "item_name": about["track_name"], "artist_name": about["artist_name"]}
    row |= {"album_name": about.get("release_name"), "settled": True}
    row |= {"to_the_minute": True} if row.get("origin") == "account_data" else {}
    if not re.fullmatch(r"[0-9a-f]{32}", row.get("play_id", "")) or row.get("origin") not in ORIGIN_VALUES:
        raise NotAScrobble("it says that a lake exported it, and is not as a lake writes it")
    if "ended_at" not in row:
        raise NotAScrobble(NO_TIME)
    return row


comma = delimited(",", headed=False)
HEADED = {
    "uts,utc_time,": Form(LASTFM, delimited(",", headed=True), ghan_row),
    "artist;album;": Form(LASTFM, delimited(";", headed=True), stats_csv_row),
    "iso time\tunixtime\t": Form(LASTFM, delimited("\t", headed=True), archive_row),
}
