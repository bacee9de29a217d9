"""A lake with everything odd in it that a lake may hold, the same each time: several listeners, names of many scripts,
nulls in every column that may have them, empty arrays, equal moments, months decided twice, rows delivered twice.
"""

# ruff: noqa: E501, DTZ001  (rows read best as one line; the tables' moments are UTC without a zone)

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from chalicelib.lake import Lake
from chalicelib.parquet import arrow_schema, write_table
from chalicelib.tables import BY_NAME

Row = dict[str, Any]
GENERATION = "g1"
#: The months that have rows: each is one file of each table, which both engines open for every query.
MONTHS = ((2024, 2), (2025, 3), (2025, 4), (2025, 10), (2026, 3), (2026, 9), (2026, 10), (2026, 11))
LOOKS = (datetime(2025, 3, 3), datetime(2026, 10, 7))  # when the catalogue was looked at, some days from then on
NOW = datetime(2026, 11, 20, 18, 30)
LISTENERS = ("anna", "Ørjan", "百合子", "o'neill")
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")  # with summer time, the last of half an hour

#: Names that have broken something somewhere: quotes, commas, brackets, other scripts, signs of two units, case pairs
#: that grow, combining signs, blanks, digits, what looks like null or JSON.
NAMES = (
    "Ann", "ann", "AC/DC", "Earth, Wind & Fire", '"Weird Al" Yankovic', "O'Connor", "{a=1}", "[x, y]", "null", "NULL",
    "1975", " padded ", "12", "-0", "1e3", "%_\\", "Björk", "Sigur Rós", "STRASSE", "Straße", "Мумий Тролль", "фЯ",
    "椎名林檎", "きゃりーぱみゅぱみゅ", "방탄소년단", "فيروز", "שלום", "อิ่ม", "देव", "Ελένη", "ΣΊΣΥΦΟΣ", "Beyonce\u0301",
    "Beyoncé", "🎵🎶", "👩‍👩‍👧", "\u200bzero", "tab\tbed", "line\nbreak", "İstanbul", "ﬁne", "ǅ", "𝔘𝔫𝔦", "a" * 300,
    '{"k": [1, null]}', "=cmd", "ключ=значение", "?", "--", ";", "\\N",
)  # fmt: skip
GENRES = ("rock", "indie rock", "pop", "k-pop", "チル", "drum and bass", "r&b, soul", "", "ROCK")
PLATFORMS = (None, "ios", "android", "web_player windows 10", "Linux [x86-64 0]", "")
REASONS = (None, "trackdone", "fwdbtn", "backbtn", "endplay", "clickrow", "logout", "unknown")
COUNTRIES = (None, "DE", "US", "JP", "AU", "ZZ")


def write_odd_lake(lake: Lake, plays: int = 200_000, seed: int = 16) -> None:
    """Fill every physical table of an empty lake; ``plays`` listens in eight months."""
    maker = Maker(random.Random(seed))
    for name, rows in maker.library().items():
        put(lake, name, rows, "part")
    put(lake, "runs", maker.runs(), "part")
    put(lake, "quality_results", maker.quality_results(), "part")
    put(lake, "rejected_rows", maker.rejected_rows(), "part")
    decided = maker.plays(plays)
    put(lake, "plays_resolved", decided, "resolution-000002")
    put(lake, "plays_resolved", maker.decided_before(decided), "resolution-000001")
    put(lake, "plays", maker.observed(decided), "part")


def put(lake: Lake, table: str, rows: Sequence[Row], name: str) -> None:
    schema = arrow_schema(BY_NAME[table])
    write_table(lake, GENERATION, BY_NAME[table], pa.Table.from_pylist(list(rows), schema=schema), name)


class Maker:
    """Rows by chance, the same for the same ``chance``."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.artists = [self.identifier("a", number) for number in range(300)]
        self.albums = [self.identifier("b", number) for number in range(500)]
        self.tracks = [self.identifier("t", number) for number in range(2500)]
        self.episodes = [self.identifier("e", number) for number in range(60)]
        self.artist_names = {each: self.name(number) for number, each in enumerate(self.artists)}
        self.album_names = {each: self.name(number + 7) for number, each in enumerate(self.albums)}
        self.titles = {each: self.name(number + 3) for number, each in enumerate(self.tracks)}
        self.performers = {
            each: self.chance.sample(self.artists, self.chance.choice((1, 1, 1, 2, 3))) for each in self.tracks
        }
        self.album_of = {each: self.maybe(self.albums[number % 480], 0.05) for number, each in enumerate(self.tracks)}

    # --- parts ----------------------------------------------------------------------------------------------------

    @staticmethod
    def identifier(kind: str, number: int) -> str:
        return f"{kind}{number:021d}"

    @staticmethod
    def name(number: int) -> str:
        """Some names several times, and one more of every kind with a number."""
        base = NAMES[number % len(NAMES)]
        return base if number < 2 * len(NAMES) else f"{base} {number // len(NAMES)}"

    def maybe(self, value: Any, share_of_nulls: float = 0.2) -> Any:
        return None if self.chance.random() < share_of_nulls else value

    def moment(self, first: datetime | None = None, days: int = 20) -> datetime:
        return (first or self.chance.choice(LOOKS)) + timedelta(milliseconds=self.chance.randrange(days * 86_400_000))

    def listened(self) -> datetime:
        """A moment of one of the months, from its first to its last one, but none after now."""
        year, month = self.chance.choice(MONTHS)
        first = datetime(year, month, 1)
        after = NOW if (year, month) == MONTHS[-1] else datetime(year + month // 12, month % 12 + 1, 1)
        return first + timedelta(milliseconds=self.chance.randrange(int((after - first).total_seconds() * 1000)))

    def observations(self, keys: Sequence[str], describe: Callable[[str], Row]) -> list[Row]:
        """Each key one to three times, now and then twice at one moment; what one look says another may not."""
        rows = []
        for key in keys:
            looks = self.chance.choice((1, 1, 2, 3))
            rows += [{**describe(key), "observed_at": self.moment()} for _ in range(looks)]
            if self.chance.random() < 0.05:
                rows.append(dict(rows[-1]))
        return rows

    # --- the catalogue and the library ----------------------------------------------------------------------------

    def library(self) -> dict[str, list[Row]]:
        return {
            "artists": self.observations(self.artists, self.artist),
            "albums": self.observations(self.albums, self.album),
            "tracks": self.observations(self.tracks, self.track),
            "track_artists": [row for track in self.tracks[:-50] for row in self.sets("track_id", track, self.performers[track])],
            "album_artists": [row for album in self.albums for row in self.sets("album_id", album, self.chance.sample(self.artists, 2))],
            "episodes": self.observations(self.episodes, self.episode),
            **self.playlists(),
            **self.saved(),
            "top_items": self.top_items(),
        }  # fmt: skip

    def artist(self, key: str) -> Row:
        genres = self.chance.choice(([], [], None, [None], self.chance.sample(GENRES, self.chance.randrange(1, 4))))
        return {
            "artist_id": key,
            "name": self.artist_names[key],
            "genres": genres,
            "popularity": self.maybe(self.chance.randrange(101)),
            "followers": self.maybe(self.chance.choice((0, 1, 2**31, 2**40, self.chance.randrange(10**6)))),
            "image_url": self.maybe(f"https://i.example/{key}"),
            "spotify_url": self.maybe(f"https://open.example/artist/{key}?si=a&b=c#d"),
        }

    def album(self, key: str) -> Row:
        day = date(1955, 1, 1) + timedelta(days=self.chance.randrange(26_000))
        precision = self.chance.choice((None, "year", "month", "day", "day", "day"))
        written = {None: None, "year": f"{day:%Y}", "month": f"{day:%Y-%m}", "day": day.isoformat()}[precision]
        return {
            "album_id": key,
            "name": self.album_names[key],
            "album_type": self.maybe(self.chance.choice(("album", "single", "compilation", "ep")), 0.1),
            "release_date": written,
            "release_date_precision": precision,
            "released_on": day if written else None,
            "release_year": day.year if written else None,
            "total_tracks": self.maybe(self.chance.randrange(1, 60)),
            "label": self.maybe(self.chance.choice(NAMES), 0.5),
            "upc": self.maybe(f"{self.chance.randrange(10**12):013d}", 0.5),
            "popularity": self.maybe(self.chance.randrange(101), 0.5),
            "image_url": None,
            "spotify_url": self.maybe(f"https://open.example/album/{key}"),
        }

    def track(self, key: str) -> Row:
        return {
            "track_id": key,
            "name": self.titles[key],
            "album_id": self.album_of[key],
            "duration_ms": self.maybe(self.chance.randrange(30_000, 600_000), 0.1),
            "explicit": self.maybe(self.chance.random() < 0.2, 0.1),
            "disc_number": self.maybe(self.chance.choice((1, 1, 1, 2, 3))),
            "track_number": self.maybe(self.chance.randrange(1, 30)),
            "isrc": self.maybe(f"DEA{self.chance.randrange(900):09d}"),
            "popularity": self.maybe(self.chance.randrange(101), 0.6),
            "linked_from_id": None,
            "spotify_url": None,
        }

    def episode(self, key: str) -> Row:
        number = self.episodes.index(key)
        return {
            "episode_id": key,
            "name": self.name(number),
            "show_id": self.maybe(f"s{number % 7}"),
            "show_name": self.maybe(f"Show {NAMES[number % 7]}"),
            "duration_ms": self.maybe(self.chance.randrange(10**7)),
            "released_on": self.maybe(date(2024, 1, 1) + timedelta(days=number * 9)),
        }

    def sets(self, key: str, value: str, members: Sequence[str]) -> list[Row]:
        """One set, or two of which the newer one is shorter or longer."""
        first = self.moment()
        looks = [(first, members)]
        if self.chance.random() < 0.2:
            looks.append((first + timedelta(days=3), self.chance.sample(self.artists, self.chance.choice((1, 2, 4)))))
        return [
            {key: value, "position": position, "artist_id": artist, "observed_at": moment}
            for moment, artists in looks
            for position, artist in enumerate(artists)
        ]

    def playlists(self) -> dict[str, list[Row]]:
        described, items = [], []
        for number in range(25):
            key = self.identifier("p", number)
            seen = self.moment()
            for version in range(self.chance.randrange(1, 4)):
                seen += timedelta(days=9)
                size = self.chance.choice((0, 1, 30, 120))
                described.append({
                    "playlist_id": key, "name": self.name(number), "description": self.maybe(""),
                    "owner_id": self.maybe("anna"), "public": self.maybe(number % 2 == 0),
                    "collaborative": self.maybe(False), "snapshot_id": f"v{version}", "total_items": size,
                    "observed_at": seen,
                })  # fmt: skip
                items += [self.playlist_item(key, f"v{version}", position, seen) for position in range(size)]
        return {"playlists": described, "playlist_items": items}

    def playlist_item(self, playlist: str, snapshot: str, position: int, seen: datetime) -> Row:
        kind = self.chance.choice(("track", "track", "track", "episode", "local"))
        item = {"track": self.chance.choice(self.tracks), "episode": self.chance.choice(self.episodes), "local": None}[
            kind
        ]
        return {
            "playlist_id": playlist, "snapshot_id": snapshot, "position": position, "item_type": kind, "item_id": item,
            "item_uri": f"spotify:{kind}:{item or position}", "name": self.maybe(self.chance.choice(NAMES), 0.1),
            "added_at": self.maybe(seen - timedelta(days=self.chance.randrange(900))),
            "added_by_id": self.maybe(self.chance.choice(LISTENERS)), "observed_at": seen,
        }  # fmt: skip

    def saved(self) -> dict[str, list[Row]]:
        """Libraries seen three times; what only an older look showed has been removed, or its listing never ended."""
        saved, followed, listings = [], [], []
        for user in LISTENERS[:3]:
            for look in (datetime(2026, 9, 1), datetime(2026, 10, 1), datetime(2026, 11, 1)):
                for kind, ids in (("track", self.tracks), ("album", self.albums), ("artist", self.artists)):
                    shown = self.chance.sample(ids, 120)
                    for key in shown:
                        if kind == "artist":
                            followed.append({"user_id": user, "artist_id": key, "observed_at": look})
                        else:
                            added = self.moment(datetime(2023, 1, 1), days=1000)
                            saved.append(
                                {
                                    "user_id": user,
                                    "item_type": kind,
                                    "item_id": key,
                                    "added_at": added,
                                    "observed_at": look,
                                }
                            )
                    if (user, kind, look.month) != ("Ørjan", "track", 11):
                        listings.append({
                            "listing_id": f"{user}-{kind}-{look:%m}", "item_type": kind, "user_id": user,
                            "table_name": "followed_artists" if kind == "artist" else "saved_items",
                            "started_at": look, "items": len(shown), "observed_at": look,
                        })  # fmt: skip
        return {"saved_items": saved, "followed_artists": followed, "listings": listings}

    def top_items(self) -> list[Row]:
        return [
            {"user_id": user, "item_type": kind, "time_range": span, "observed_on": date(2026, 11, day), "rank": rank,
             "item_id": key, "observed_at": datetime(2026, 11, day, 4)}
            for user in LISTENERS[:2]
            for kind, ids in (("artist", self.artists), ("track", self.tracks))
            for span in ("short_term", "medium_term", "long_term")
            for day in (1, 2, 15)
            for rank, key in enumerate(self.chance.sample(ids, 20), 1)
        ]  # fmt: skip

    # --- what the lake tells of itself ----------------------------------------------------------------------------

    def runs(self) -> list[Row]:
        rows = []
        for number in range(400):
            started = datetime(2026, 9, 1) + timedelta(hours=5 * number)
            rows.append({
                "run_id": f"r{number:05d}", "state": self.chance.choice(("succeeded", "succeeded", "partial", "failed")),
                "trigger": self.chance.choice(("schedule", "api", "command")), "started_at": started,
                "ended_at": started + timedelta(seconds=self.chance.randrange(1, 500)), "mode": self.maybe("development"),
                "calls": self.chance.randrange(200), "items": self.chance.randrange(5000), "retries": self.chance.randrange(3),
                "bytes": self.chance.randrange(10**7), "waited_seconds": self.chance.choice((0.0, 0.1, 1.5, 33.333333333, 1e-9)),
                "holes": self.chance.choice((0, 0, 0, 1)), "error": self.maybe("timed out: “x”", 0.9),
            })  # fmt: skip
        return rows

    def quality_results(self) -> list[Row]:
        rows = []
        for number in range(300):
            seen = self.moment(datetime(2026, 9, 1), days=60)
            hole = number % 20 == 0
            rows.append({
                "raw_key": f"raw/{number:04d}", "table_name": "plays" if hole else "tracks",
                "check_name": "hole" if hole else "range:popularity", "severity": self.chance.choice(("reject", "warn", "fail")),
                "run_id": self.maybe(f"r{number:05d}"), "source": self.maybe("recently_played"),
                "rows_checked": self.chance.randrange(50), "failures": self.chance.randrange(3), "detail": self.maybe("…", 0.8),
                "window_start": seen - timedelta(hours=7) if hole else None,
                "window_end": seen - timedelta(hours=1) if hole else None, "observed_at": seen,
            })  # fmt: skip
        return rows

    def rejected_rows(self) -> list[Row]:
        return [
            {"raw_key": f"raw/{number:04d}", "answer": number % 3, "item": number % 5 - 1, "table_name": "tracks",
             "check_name": "pattern:track_id", "occurrence": 0, "reason": "not an id",
             "content": self.maybe('{"id": "x", "name": "日本", "n": [1, 2.5, null]}'), "observed_at": self.moment(datetime(2026, 9, 1), days=60)}
            for number in range(60)
        ]  # fmt: skip

    # --- plays ----------------------------------------------------------------------------------------------------

    def plays(self, number: int) -> list[Row]:
        favourites = [min(int(self.chance.paretovariate(0.6)), len(self.tracks)) - 1 for _ in range(number)]
        rows = [self.play(at, self.tracks[place]) for at, place in enumerate(favourites)]
        emptied = dict.fromkeys(rows[0]) | {"play_id": "", "ended_at": datetime(2022, 12, 1), "resolution": 2}
        rows.append(emptied)
        return rows

    def play(self, number: int, track: str) -> Row:
        ended = self.listened()
        if number % 50 == 0:
            ended = ended.replace(minute=0, second=0, microsecond=0)  # equal moments, and ends of hours
        kind = "track" if number % 23 else self.chance.choice(("episode", "audiobook"))
        origin = self.chance.choice(("api", "extended_history", "extended_history", "account_data"))
        row: Row = {"play_id": f"{number:016x}", "user_id": LISTENERS[min(int(self.chance.expovariate(1.2)), 3)],
                    "ended_at": ended, "item_type": kind, "origin": origin, "resolution": 2}  # fmt: skip
        heard = self.chance.choice((0, 1, 999, 29_999, 30_000, 30_001, self.chance.randrange(600_000)))
        row["ms_played"] = None if origin == "api" else heard
        if kind == "track":
            row |= self.named(track, with_id=origin != "account_data" or number % 3 == 0)
        else:
            episode = self.chance.choice(self.episodes)
            row |= {"item_id": self.maybe(episode), "item_name": self.maybe(f"Episode {episode[-2:]}"), "artist_name": self.maybe("Show"),
                    "album_name": None}  # fmt: skip
        return row | self.circumstances(row) if origin == "extended_history" else row

    def named(self, track: str, *, with_id: bool) -> Row:
        album = self.album_of[track]
        return {
            "item_id": track if with_id else None,
            "item_name": self.maybe(self.titles[track], 0.01),
            "artist_name": self.maybe(self.artist_names[self.performers[track][0]], 0.01),
            "album_name": self.maybe(self.album_names[album], 0.05) if album else None,
        }

    def circumstances(self, row: Row) -> Row:
        choose = self.chance.choice
        return {
            "started_at": row["ended_at"] - timedelta(milliseconds=row["ms_played"]),
            "context_uri": self.maybe("spotify:playlist:x", 0.7),
            "platform": choose(PLATFORMS),
            "country": choose(COUNTRIES),
            "reason_start": choose(REASONS),
            "reason_end": choose(REASONS),
            "shuffle": choose((None, True, False)),
            "skipped": choose((None, True, False)),
            "offline": choose((None, False)),
            "incognito": choose((None, True, False)),
        }

    def decided_before(self, decided: Sequence[Row]) -> list[Row]:
        """What two months looked like before they were decided anew: other listens, and none of some."""
        months = {MONTHS[1], MONTHS[-1]}
        there = [row for row in decided if (row["ended_at"].year, row["ended_at"].month) in months and row["play_id"]]
        return [{**row, "resolution": 1, "ms_played": 1} for row in there if self.chance.random() < 0.5]

    def observed(self, decided: Sequence[Row]) -> list[Row]:
        """The observations of some of them: what nobody asks for but the lake itself."""
        some = [row for row in decided if row["play_id"]][:5000]
        return [
            {**{name: value for name, value in row.items() if name != "resolution"}, "observed_at": row["ended_at"]}
            for row in some
        ]
