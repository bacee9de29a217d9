"""A listener's library: saved tracks and albums, followed artists, playlists, and how they change with time.

The library of a moment is the one dealt as of 2026-01-01 plus every change since, in order. Changes are drawn
per day from the seed; an administrator's edits take their place among them at the time they were made.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

from sandbox.catalogue import Catalogue
from sandbox.clock import DAY
from sandbox.dice import Dice
from sandbox.playlists import OPENED, SETTLED, Entry, Person, Playlist, PlaylistMaker
from sandbox.taste import Taste

_CHANGES: tuple[tuple[str, float], ...] = (
    ("tracks", 0.480),
    ("albums", 0.070),
    ("artists", 0.080),
    ("entries", 0.346),
    ("rename", 0.020),
    ("lists", 0.004),
)
_KINDS = [kind for kind, _ in _CHANGES] + ["tracks"]
_SHARES = list(accumulate(share for _, share in _CHANGES))


class Library:
    """The library of one listener, up to the time it was last moved to."""

    def __init__(self, catalogue: Catalogue, taste: Taste, listener: int, person: Person) -> None:
        self._catalogue = catalogue
        self._taste = taste
        self._listener = listener
        self._person = person
        self._maker = PlaylistMaker(catalogue, taste, listener, person)
        self._next_change = SETTLED
        self._changes: list[int] = []
        scale = catalogue.scale
        dice = Dice(catalogue.seed, "library", listener)
        self.tracks = self._deal(scale.saved_tracks, dice, taste.track)
        self.albums = self._deal(scale.saved_albums, dice, taste.album)
        self.artists = self._deal(scale.followed_artists, dice, taste.artist)
        self.playlists: dict[int, Playlist] = {}
        self.listed: list[int] = []
        """Numbers of the playlists in the library, oldest first."""
        for place in range(scale.playlists):
            playlist = self._maker.playlist(place)
            self.playlists[place] = playlist
            self.listed.append(place)

    def _deal(self, count: int, dice: Dice, draw: Callable[[Dice, int], int]) -> dict[int, int]:
        """Numbers and when they were saved, oldest first."""
        drawn: dict[int, None] = {}
        tries = 0
        while len(drawn) < count and tries < 40 * count:
            drawn[draw(dice, SETTLED - DAY)] = None
            tries += 1
        times = sorted(OPENED + int(dice.unit() ** 0.5 * (SETTLED - OPENED)) for _ in drawn)
        return dict(zip(drawn, times, strict=True))

    # Time

    def move_to(self, now: int) -> None:
        """Let every change up to now happen."""
        while True:
            while not self._changes:
                if self._next_change > now:
                    return
                self._changes = self._changes_of(self._next_change)
                self._next_change += DAY
            if self._changes[0] > now:
                return
            self._change(self._changes.pop(0))

    def _changes_of(self, day: int) -> list[int]:
        dice = Dice(self._catalogue.seed, "changes", self._listener, day)
        count = dice.between(1, int(2 * self._catalogue.scale.changes_a_day) - 1)
        return sorted({day + int(dice.unit() * DAY) for _ in range(count)})

    def _change(self, at: int) -> None:
        dice = Dice(self._catalogue.seed, "change", self._listener, at)
        kind = _KINDS[bisect_right(_SHARES, dice.unit())]
        scale = self._catalogue.scale
        if kind == "tracks":
            self._turn_over(self.tracks, scale.saved_tracks, dice, at, self._taste.track)
        elif kind == "albums":
            self._turn_over(self.albums, scale.saved_albums, dice, at, self._taste.album)
        elif kind == "artists":
            self._turn_over(self.artists, scale.followed_artists, dice, at, self._taste.artist)
        elif kind == "lists":
            self._turn_over_playlists(dice)
        else:
            self._edit_playlist(kind, dice, at)

    def _turn_over(
        self, saved: dict[int, int], target: int, dice: Dice, at: int, draw: Callable[[Dice, int], int]
    ) -> None:
        """Save something or drop something, so that the number stays near its target."""
        if dice.unit() < 0.55 + 4 * (target - len(saved)) / target:
            saved.setdefault(draw(dice, at), at)
        elif saved:
            del saved[dice.pick(list(saved))]

    def _turn_over_playlists(self, dice: Dice) -> None:
        target = self._catalogue.scale.playlists
        if len(self.listed) <= target and dice.chance(0.6):
            self._add_playlist(self._maker.new if dice.chance(0.5) else self._maker.playlist)
        elif len(self.listed) > target - 3:
            self.listed.remove(dice.pick(self.listed[3:]))

    def _edit_playlist(self, kind: str, dice: Dice, at: int) -> None:
        playlist = self.playlists[dice.pick(self.listed)]
        if kind == "rename":
            playlist.rename(f"{playlist.name.split(' (')[0]} ({dice.below(100)})")
            return
        target = self._catalogue.scale.playlists * self._catalogue.scale.playlist_length
        lacking = 1 - sum(self.playlists[place].length for place in self.listed) / target
        adding = dice.unit() < 0.55 + 2 * lacking
        for _ in range(dice.between(1, 3)):
            if adding:
                entry = self._maker.entry(dice, [], at, playlist.owner.id)
                playlist.add(entry, 1.0 if dice.chance(0.8) else dice.unit())
            else:
                playlist.remove(0.5 + 0.5 * dice.unit())

    def _add_playlist(self, make: Callable[[int], Playlist]) -> None:
        """Add an empty playlist of one's own, or one that has been around for long, perhaps somebody else's."""
        place = len(self.playlists)
        self.playlists[place] = make(place)
        self.listed.append(place)

    # Edits

    def save_track(self, track: int, at: int) -> None:
        self.tracks.setdefault(track, at)

    def unsave_track(self, track: int) -> bool:
        return self.tracks.pop(track, None) is not None

    def save_album(self, album: int, at: int) -> None:
        self.albums.setdefault(album, at)

    def unsave_album(self, album: int) -> bool:
        return self.albums.pop(album, None) is not None

    def follow(self, artist: int, at: int) -> None:
        self.artists.setdefault(artist, at)

    def unfollow(self, artist: int) -> bool:
        return self.artists.pop(artist, None) is not None

    def add_to_playlist(self, place: int, kind: str, number: int, at: int) -> None:
        self.playlists[place].add(Entry(kind, number, at, self._person.id))

    def unfollow_playlist(self, place: int) -> bool:
        """Take a playlist out of the library; it goes on existing."""
        if place not in self.listed:
            return False
        self.listed.remove(place)
        return True

    # Reading

    def saved_tracks(self) -> list[tuple[int, int]]:
        """(track, saved at), last saved first."""
        return list(reversed(self.tracks.items()))

    def saved_albums(self) -> list[tuple[int, int]]:
        """(album, saved at), last saved first."""
        return list(reversed(self.albums.items()))

    def followed(self) -> list[int]:
        """Artists in the order the API pages through them."""
        return sorted(self.artists)

    def my_playlists(self) -> list[Playlist]:
        """The playlists in the library, the last added first."""
        return [self.playlists[place] for place in reversed(self.listed)]
