"""A listener: who they are, what they like, what they stream and what they keep."""

from __future__ import annotations

from collections import Counter

from sandbox import names
from sandbox.catalogue import Catalogue
from sandbox.clock import DAY
from sandbox.dice import Dice
from sandbox.library import Library
from sandbox.listening import HEARD_MS, Listening, Stream
from sandbox.playlists import PLAYLIST_BITS, Person, Playlist
from sandbox.taste import Taste

TIME_RANGES = {"short_term": 28, "medium_term": 182, "long_term": 365}  # days, OpenAPI document of 2026-05-30
KEPT_CHARTS = 20
_COUNTRIES = (("DE", 1), ("GB", 0), ("BR", -3), ("JP", 9), ("US", -5))  # and hours ahead of UTC


class Listener:
    """One user of the sandbox."""

    def __init__(self, catalogue: Catalogue, number: int) -> None:
        self._catalogue = catalogue
        self.number = number
        dice = Dice(catalogue.seed, "listener", number)
        first, last = names.FIRST_NAMES[number * 7 % len(names.FIRST_NAMES)], dice.pick(names.LAST_NAMES)
        self.person = Person(f"listener{number + 1}", f"{first} {last}")
        self.account_id = catalogue.ids.encode("account", number)
        self.email = f"{first.lower()}@example.com"
        self.country, utc_offset = _COUNTRIES[number % len(_COUNTRIES)]
        self.taste = Taste(catalogue, number)
        self.listening = Listening(catalogue, self.taste, number, self.country, utc_offset)
        self._library: Library | None = None
        self._charts: dict[tuple[str, int], tuple[list[int], list[int]]] = {}

    @property
    def id(self) -> str:
        return self.person.id

    def library(self, now: int) -> Library:
        """The library as of now, which never lies before an earlier now."""
        if self._library is None:
            self._library = Library(self._catalogue, self.taste, self.number, self.person)
        self._library.move_to(now)
        return self._library

    def recently_played(self, now: int) -> list[Stream]:
        """At most 50 plays, newest first but for a few that stand a place too low."""
        plays = self.listening.recently_played(now)
        for place in range(len(plays) - 1):
            if plays[place].misplaced:
                plays[place], plays[place + 1] = plays[place + 1], plays[place]
        return plays

    def top_artists(self, time_range: str, now: int) -> list[int]:
        return self._chart(time_range, now)[0]

    def top_tracks(self, time_range: str, now: int) -> list[int]:
        return self._chart(time_range, now)[1]

    def playlist(self, number: int, now: int) -> Playlist | None:
        """One of the playlists that have their place with this listener, by its number."""
        return self.library(now).playlists.get(number & ((1 << PLAYLIST_BITS) - 1))

    def _chart(self, time_range: str, now: int) -> tuple[list[int], list[int]]:
        """Artists and tracks by plays up to last midnight, so that a day has one answer."""
        today = now - now % DAY
        if (time_range, today) not in self._charts:
            if len(self._charts) > KEPT_CHARTS:
                self._charts.clear()
            artists: Counter[int] = Counter()
            tracks: Counter[int] = Counter()
            for stream in self.listening.streams(today - TIME_RANGES[time_range] * DAY, today):
                if stream.kind == "track" and stream.ms_played >= HEARD_MS:
                    tracks[stream.number] += 1
                    artists.update(self._catalogue.track(stream.number).artists)
            self._charts[time_range, today] = _ranked(artists), _ranked(tracks)
        return self._charts[time_range, today]


def _ranked(plays: Counter[int]) -> list[int]:
    return sorted(plays, key=lambda number: (-plays[number], number))
