"""Listens as files that others read: a zip of ListenBrainz' lines, or the CSV that Last.fm's scrobblers take.

ListenBrainz takes listens with names, from October 2002 on, of at most 10,240 bytes, ``listened_at`` and
``track_metadata`` and no third member, one length that is more than 0, and at most 500 files in a zip (its
webserver/views/api_tools.py and listens_importer, as of 2026-08-21). What it has no place for stands in a member of
``additional_info`` that it keeps: a lake that imports the file has the same plays. What cannot be said is counted.

Last.fm itself drops scrobbles that are older than 14 days and more than about 2,800 a day, whoever sends them: a
history cannot be carried there with its dates.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from chalicelib import __version__
from chalicelib.clock import Clock, now
from chalicelib.errors import InvalidRequest, StorageFailed
from chalicelib.exports.scrobbles import FIRST_SECOND, FLAGS, MOMENTS, OURS
from chalicelib.lake import Lake, table_prefix
from chalicelib.listeners import KnownListeners, everybody
from chalicelib.plays import resolutions
from chalicelib.tables import TRACKS

LARGEST_LISTEN = 10_240  # bytes
CLIENT = "spotify-lake"
URI_KINDS = {"audiobook": "chapter"}
HALF, FOUR_MINUTES = 0.5, 240_000  # of a track, ms: what ListenBrainz and Last.fm count from
SHORTEST = 30_000  # ms of a listen whose track's length is not known
NAMELESS, TOO_EARLY, TOO_LATE, TOO_LONG, NOT_COUNTED = (
    "without an artist or a title",
    "from before October 2002",
    "from the future",
    f"longer than {LARGEST_LISTEN} bytes",
    "that do not count there",
)

Row = dict[str, Any]


@dataclass(slots=True)
class Leaving:
    """What was written: listens, and why others were left out."""

    path: Path
    listens: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        left = "; ".join(f"left out {count:,} {why}" for why, count in sorted(self.left_out.items()))
        return f"{self.path}: {self.listens:,} listens{f'; {left}' if left else ''}"


@dataclass(frozen=True, slots=True)
class TrackFacts:
    """What is known of a track beside its names."""

    length_ms: int | None = None
    isrc: str | None = None


def write_listens(
    lake: Lake, path: Path, form: str, user_id: str | None = None, *, counted: bool = False, clock: Clock = now
) -> Leaving:
    """Write a listener's listens to ``path``, oldest first; ``form`` is listenbrainz or lastfm. ``counted`` leaves out
    what does not count as a listen there.

    ``user_id`` may be a name. Raises InvalidRequest where there are several listeners and none is named, NotFound,
    StorageFailed.
    """
    leaving, facts = Leaving(path), track_facts(lake)
    known = everybody(lake)
    chosen_one = known.get(user_id).user_id if user_id else None
    plays, latest = plays_of(lake, chosen_one, known), clock() + timedelta(hours=1)
    listens = chosen(plays, facts, leaving, counted=counted, latest=latest)
    try:
        if form == "lastfm":
            write_csv(path, listens, facts, leaving)
        else:
            write_zip(path, listens, facts, leaving)
    except OSError as error:
        raise StorageFailed.not_writable(str(path), error) from error
    return leaving


def plays_of(lake: Lake, user_id: str | None, known: KnownListeners) -> Iterator[Row]:
    """The listens of one listener, month after month."""
    users = {user_id} if user_id else set()
    for key in resolutions.files_in_force(lake, lake.generation()):
        rows = resolutions.read_parquet(lake, key, resolutions.RESOLVED)
        for row in resolutions.plain(rows.drop_columns(["resolution"])).to_pylist():
            if row["play_id"] == "" or (user_id and row["user_id"] != user_id):
                continue
            users.add(row["user_id"])
            if len(users) > 1:
                there = ", ".join(sorted(map(known.label_of, users)))
                raise InvalidRequest(f"there are several listeners ({there}, …): name one with --user")
            yield row


def track_facts(lake: Lake) -> dict[str, TrackFacts]:
    """Length and code of each track that was described, by its id."""
    facts: dict[str, TrackFacts] = {}
    for info in lake.store.list(table_prefix(lake.generation(), TRACKS.history)):
        if info.key.endswith(".parquet"):
            table = pq.ParquetFile(BytesIO(lake.store.read(info.key))).read(["track_id", "duration_ms", "isrc"])
            for track, length, isrc in zip(*(column.to_pylist() for column in table.columns), strict=True):
                known = facts.get(track, TrackFacts())
                facts[track] = TrackFacts(length or known.length_ms, isrc or known.isrc)
    return facts


def chosen(
    plays: Iterator[Row], facts: dict[str, TrackFacts], leaving: Leaving, *, counted: bool, latest: datetime
) -> Iterator[tuple[datetime, Row]]:
    """The listens that can be said, each with its start; counts the others."""
    for row in plays:
        about = facts.get(row["item_id"] or "", TrackFacts())
        start = start_of(row, about)
        if not (row["artist_name"] or "").strip() or not (row["item_name"] or "").strip():
            leaving.left_out[NAMELESS] += 1
        elif start.timestamp() <= FIRST_SECOND:
            leaving.left_out[TOO_EARLY] += 1
        elif start > latest:
            leaving.left_out[TOO_LATE] += 1
        elif counted and not counts(row, about):
            leaving.left_out[NOT_COUNTED] += 1
        else:
            yield start, row


def start_of(row: Row, about: TrackFacts) -> datetime:
    """When a listen began: as is known, else its length before its end."""
    moment: datetime = row["started_at"] or row["offline_at"] or row["ended_at"]
    if moment is row["ended_at"] and row["origin"] == "api":
        moment -= timedelta(milliseconds=row["ms_played"] or about.length_ms or 0)
    return moment.replace(tzinfo=UTC)


def counts(row: Row, about: TrackFacts) -> bool:
    """Whether ListenBrainz and Last.fm count a listen: music, half of it or four minutes."""
    if row["item_type"] != "track":
        return False
    if row["ms_played"] is None:
        return True
    enough = min(about.length_ms * HALF, FOUR_MINUTES) if about.length_ms else SHORTEST
    return bool(row["ms_played"] >= max(enough, 1))


# --- ListenBrainz -------------------------------------------------------------------------------------------------


def write_zip(
    path: Path, listens: Iterator[tuple[datetime, Row]], facts: dict[str, TrackFacts], leaving: Leaving
) -> None:
    """A zip of ``listens/YYYY/M.jsonl``, as ListenBrainz' own export has them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        month, lines = "", list[str]()
        for start, row in sorted(listens, key=lambda each: (each[0], each[1]["play_id"])):
            line = json.dumps(listen_of(start, row, facts.get(row["item_id"] or "", TrackFacts())), ensure_ascii=False)
            if len(line.encode()) > LARGEST_LISTEN:
                leaving.left_out[TOO_LONG] += 1
                continue
            if (name := f"listens/{start.year}/{start.month}.jsonl") != month:
                add_month(archive, month, lines)
                month, lines = name, []
            lines.append(line)
            leaving.listens += 1
        add_month(archive, month, lines)


def add_month(archive: zipfile.ZipFile, name: str, lines: list[str]) -> None:
    """A month of listens; none for one without."""
    if lines:
        archive.writestr(name, "\n".join(lines) + "\n")


def listen_of(start: datetime, row: Row, about: TrackFacts) -> Row:
    """A listen as ListenBrainz takes it."""
    link = f"https://open.spotify.com/{URI_KINDS.get(row['item_type'], row['item_type'])}/{row['item_id']}"
    length, played = about.length_ms, (row["ms_played"] or 0) // 1000
    info = {
        "duration_ms": length or None,
        "duration_played": played or None,
        "isrc": about.isrc,
        "spotify_id": link if row["item_id"] and row["item_type"] == "track" else None,
        "origin_url": link if row["item_id"] else None,
        "music_service": "spotify.com" if row["origin"] not in ("lastfm", "listenbrainz") else None,
        "submission_client": CLIENT,
        "submission_client_version": __version__,
        "original_submission_client": CLIENT,
        OURS: own(row),
    }
    names = {"artist_name": row["artist_name"], "track_name": row["item_name"], "release_name": row["album_name"]}
    about_track = {name: value for name, value in names.items() if value}
    said = {name: value for name, value in info.items() if value is not None}
    return {"listened_at": int(start.timestamp()), "track_metadata": {**about_track, "additional_info": said}}


def own(row: Row) -> Row:
    """What a lake needs to have the same play again."""
    kind = URI_KINDS.get(row["item_type"], row["item_type"])
    values = {
        "play_id": row["play_id"],
        "origin": row["origin"],
        "item_type": row["item_type"],
        "uri": f"spotify:{kind}:{row['item_id']}" if row["item_id"] else None,
        **{name: row[name] for name in ("ms_played", "platform", "country", "reason_start", "reason_end")},
        "context_uri": row["context_uri"],
        **{name: row[name] for name in FLAGS},
        **{name: row[name] and row[name].isoformat(timespec="milliseconds") for name in MOMENTS},
    }
    return {name: value for name, value in values.items() if value is not None}


# --- Last.fm's scrobblers -----------------------------------------------------------------------------------------


def write_csv(
    path: Path, listens: Iterator[tuple[datetime, Row]], facts: dict[str, TrackFacts], leaving: Leaving
) -> None:
    """Lines as Universal Scrobbler takes them: artist, track, album, time (UTC), album artist, seconds; no header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        for start, row in sorted(listens, key=lambda each: (each[0], each[1]["play_id"])):
            about = facts.get(row["item_id"] or "", TrackFacts())
            seconds = (row["ms_played"] or about.length_ms or 0) // 1000
            names = (row["artist_name"], row["item_name"], row["album_name"] or "")
            writer.writerow([*names, f"{start:%Y-%m-%d %H:%M:%S}", "", seconds or ""])
            leaving.listens += 1
