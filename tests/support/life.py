"""One generated life of listening, and the reports that tell of it: exports of several years, and polls of the API.

What really happened is known, so that it can be compared with what the lake makes of any of its reports.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.support.listening import api_plays

BORN = datetime(2023, 3, 1, 7)  # noqa: DTZ001 - UTC without a zone, as everywhere in tables
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SHORTEST_SHOWN = 30_000  # ms; the API shows no shorter plays

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Track:
    """Something to hear. It is renamed on a day (None: never), title or artist; ``length`` is in ms."""

    number: int
    length: int
    kind: str = "track"
    renamed: datetime | None = None
    renames_artist: bool = False

    @property
    def item_id(self) -> str:
        return f"{self.number:022d}"

    def names(self, moment: datetime) -> tuple[str, str]:
        """Artist (or show) and title at a moment."""
        artist, title = f"Band {self.number % 5}", f"Song {self.number}"
        if self.renamed and moment >= self.renamed:
            return (f"{artist} (Official)", title) if self.renames_artist else (artist, f"{title} - 2023 Version")
        return artist, title


@dataclass(frozen=True, slots=True)
class Listen:
    """What really happened. ``landed`` is when an offline device told Spotify, ``api_at`` what the API calls it."""

    track: Track
    ended: datetime
    ms: int
    landed: datetime | None = None
    api_at: datetime | None = None

    @property
    def reported(self) -> datetime:
        return self.landed or self.ended

    @property
    def began(self) -> datetime:
        return self.ended - timedelta(milliseconds=self.ms)

    def shown(self, other: bool) -> datetime:
        """The moment at which the API says that it was played, or the ``other`` of its start and end."""
        assert self.api_at
        if not other:
            return self.api_at
        return self.began if self.api_at == self.ended else self.ended


@dataclass(slots=True)
class Life:
    """Listens in the order in which they ended."""

    listens: list[Listen] = field(default_factory=list)

    @classmethod
    def of(cls, seed: int, days: int = 40) -> Life:
        """Days with sessions, loops of one song, short skips, flights with repeats, a second device, podcasts."""
        rng = random.Random(seed)
        tracks = [
            Track(
                number,
                rng.randrange(45_000, 420_000),
                "episode" if number % 9 == 0 else "track",
                BORN + timedelta(days=rng.randrange(5, days)) if number % 4 == 1 and number % 9 else None,
                number % 8 == 1,
            )
            for number in range(1, 24)
        ]
        life = cls()
        for day in range(days):
            morning = BORN + timedelta(days=day, minutes=rng.randrange(300), seconds=rng.randrange(60))
            if rng.random() < 0.12:
                life.flight(rng, tracks, morning)
            elif rng.random() < 0.8:
                life.session(rng, tracks, morning, rng.randrange(1, 8))
            if rng.random() < 0.15:  # somebody else at home, at the same time
                life.session(rng, tracks, morning + timedelta(seconds=rng.randrange(40, 400)), 2)
        life.listens.sort(key=lambda listen: (listen.ended, listen.track.number))
        return life

    def session(self, rng: random.Random, tracks: Sequence[Track], moment: datetime, count: int) -> None:
        loop = rng.choice(tracks) if rng.random() < 0.2 else None
        for _ in range(count):
            track = loop or rng.choice(tracks)
            ms = track.length if rng.random() < 0.6 else rng.randrange(1_200, track.length)
            moment += timedelta(milliseconds=ms + rng.choice([0, 0, rng.randrange(90_000)]))
            stamp = moment if moment.day % 2 else moment - timedelta(milliseconds=ms)
            shown = track.kind == "track" and ms >= SHORTEST_SHOWN
            self.listens.append(Listen(track, moment, ms, api_at=stamp if shown else None))

    def flight(self, rng: random.Random, tracks: Sequence[Track], moment: datetime) -> None:
        heard = []
        for track in rng.choices(tracks[:6], k=rng.randrange(3, 8)):  # often one twice, in full
            ms = track.length if rng.random() < 0.8 else rng.randrange(2_000, track.length)
            moment += timedelta(milliseconds=ms + 900)
            heard.append((track, moment, ms))
        landed = (moment + timedelta(hours=rng.randrange(1, 30))).replace(microsecond=0)
        self.listens += [Listen(track, ended, ms, landed) for track, ended, ms in heard]


# --- reports ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """What one export or some polls tell: the listens it tells of, and its rows (for polls: plays)."""

    kind: str
    told: frozenset[int]  # places in the life
    rows: tuple[Any, ...]


def extended(life: Life, downloaded: datetime, tells: Callable[[int], bool], era: str) -> Report:
    """An extended history: rows by the second, names as of its day. ``era``: how devices' times and skips are told."""
    places = [at for at, one in enumerate(life.listens) if one.reported < downloaded and tells(at)]
    rows = sorted((extended_row(life.listens[at], downloaded, era) for at in places), key=lambda row: str(row["ts"]))
    return Report("extended", frozenset(places), tuple(rows))


def extended_row(listen: Listen, downloaded: datetime, era: str) -> Row:
    artist, title = listen.track.names(downloaded)
    episode = listen.track.kind == "episode"
    since_1970 = listen.began - datetime(1970, 1, 1)  # noqa: DTZ001
    device = int(since_1970.total_seconds() * 1000) if listen.landed else 0
    return {
        "ts": f"{listen.reported:%Y-%m-%dT%H:%M:%SZ}",
        "platform": "ios",
        "ms_played": listen.ms,
        "conn_country": "DE",
        "master_metadata_track_name": None if episode else title,
        "master_metadata_album_artist_name": None if episode else artist,
        "master_metadata_album_album_name": None if episode else f"Album {listen.track.number % 3} of {artist}",
        "spotify_track_uri": None if episode else f"spotify:track:{listen.track.item_id}",
        "episode_name": title if episode else None,
        "episode_show_name": artist if episode else None,
        "spotify_episode_uri": f"spotify:episode:{listen.track.item_id}" if episode else None,
        "reason_end": "trackdone" if listen.ms == listen.track.length else "fwdbtn",
        "shuffle": None if era == "2021" else False,
        "skipped": None if era == "2021" else listen.ms != listen.track.length,
        "offline": listen.landed is not None,
        "offline_timestamp": device if era == "2021" else device // 1000 or None,
    }


def account(life: Life, downloaded: datetime, tells: Callable[[int], bool], era: str) -> Report:
    """Account data of the weeks before: rows by the minute, podcasts among the music before 2024."""
    first = downloaded - timedelta(days=25)
    places = [at for at, one in enumerate(life.listens) if first <= one.reported < downloaded and tells(at)]
    places.sort(key=lambda at: (life.listens[at].reported, at))
    return Report("account", frozenset(places), tuple(account_row(life.listens[at], downloaded, era) for at in places))


def account_row(listen: Listen, downloaded: datetime, era: str) -> Row:
    artist, title = listen.track.names(downloaded)
    row = {"endTime": f"{listen.reported:%Y-%m-%d %H:%M}", "msPlayed": listen.ms}
    if listen.track.kind == "episode" and era >= "2024":
        return {**row, "podcastName": artist, "episodeName": title}
    return {**row, "artistName": artist, "trackName": title}


LISTED = 50  # plays that one answer of the API holds


def polls(life: Life, rng: random.Random, tells: Callable[[int], bool]) -> Report:
    """What polling often brought: the last plays as the API lists them, some told again within seconds. One day it
    may begin to tell the start of each play where it told the end, and the end where it told the start."""
    places = [at for at, one in enumerate(life.listens) if one.api_at and tells(at)]
    late = {at: timedelta(milliseconds=rng.randrange(100, 2600) if rng.random() < 0.15 else 0) for at in places}
    moment, last = BORN, life.listens[-1].ended
    turned = BORN + timedelta(days=rng.randrange(60), hours=12)
    plays: list[tuple[str, str, str, str, datetime]] = []
    while moment < last:
        moment += timedelta(hours=rng.randrange(1, 9))
        shown = []
        for at in [at for at in places if life.listens[at].ended <= moment]:
            listen = life.listens[at]
            stamp = listen.shown(moment >= turned) + (late[at] if rng.random() < 0.5 else timedelta(0))
            artist, title = listen.track.names(listen.ended)
            played_at = stamp.isoformat(timespec="milliseconds") + "Z"
            shown.append((played_at, f"spotify:track:{listen.track.item_id}", title, artist, moment))
        plays += sorted(shown)[-LISTED:]
    return Report("api", frozenset(places), tuple(plays))


def observations(report: Report) -> pa.Table:
    """Polls as rows of ``plays_history``."""
    rows = api_plays(row[:4] for row in report.rows)
    moments = pa.array([row[4] for row in report.rows], pa.timestamp("ms"))
    return rows.set_column(rows.column_names.index("observed_at"), "observed_at", moments)


# --- files --------------------------------------------------------------------------------------------------------

NAMES = {
    "extended": (
        "Streaming_History_Audio_2023_{0}.json",
        "endsong_{0}.json",
        "Copy of endsong_{0}.json",
        "my listens {0}.json",
    ),
    "account": (
        "StreamingHistory_music_{0}.json",
        "StreamingHistory{0}.json",
        "streaming history ({0}).JSON",
        "MyData/old/S{0}.json",
    ),
}


def spans(rows: Sequence[Row]) -> bool:
    """Whether rows are of more than one minute, as far as that matters."""
    return len({row.get("endTime", at) for at, row in enumerate(rows)}) > 1 or "ts" in rows[0]


def write_files(folder: Path, report: Report, rng: random.Random, most: int = 4) -> list[Path]:
    """An export's rows in some files, in their order, under some names; a file may repeat the row before its first.

    No file of account data lies within one minute: Spotify's hold 10,000 rows.
    """
    rows = report.rows
    cuts: list[int] = []
    for cut in sorted(rng.sample(range(1, len(rows)), min(rng.randrange(most), len(rows) - 1))):
        if spans(rows[cuts[-1] if cuts else 0 : cut]) and spans(rows[cut:]):
            cuts.append(cut)
    name = rng.choice(NAMES[report.kind])
    paths = []
    for number, (first, last) in enumerate(zip([0, *cuts], [*cuts, len(rows)], strict=True)):
        repeated = 1 if first and report.kind == "extended" and rng.random() < 0.5 else 0
        part = list(rows[first - repeated : last])
        if report.kind == "extended" and rng.random() < 0.3:
            rng.shuffle(part)
        path = folder / name.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(part), "utf-8")
        paths.append(path)
    return paths
