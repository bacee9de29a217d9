"""Playlists: what stands in them, who owns them, and how they change."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import zip_longest

from sandbox import names
from sandbox.catalogue import Catalogue
from sandbox.clock import DAY, instant
from sandbox.dice import Dice
from sandbox.taste import Taste

PLAYLIST_BITS = 12  # a playlist's number holds its listener's
OPENED = instant("2016-01-01")
SETTLED = instant("2026-01-01")
"""Libraries and playlists are dealt as of this day; from then on they change event by event."""

NULL_ITEM_RATE = 0.012  # entries whose item is null: removed tracks
NULL_ENTRY_RATE = 0.002  # entries that are null themselves
LOCAL_RATE = 0.015
EPISODE_RATE = 0.03
REPEAT_RATE = 0.015  # the same item a second time

ODDITIES, EMPTY = 0, 1  # places of a playlist that holds every kind of entry, and of one that starts empty
_PLACE = (1 << PLAYLIST_BITS) - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in a playlist."""

    kind: str
    """``track``, ``episode``, ``local``, ``gone`` (a null item) or ``void`` (a null entry)."""
    number: int
    added_ms: int
    added_by: str


@dataclass(frozen=True, slots=True)
class Person:
    """A user as others see them."""

    id: str
    display_name: str


@dataclass(slots=True)
class Playlist:
    """A playlist in its present state; entries are dealt when first read."""

    number: int
    id: str
    name: str
    description: str
    owner: Person
    public: bool
    collaborative: bool
    collaborators: tuple[str, ...]
    dealt: int
    """How many entries it starts with."""
    version: int = 0
    length: int = 0
    _deal: Callable[[], list[Entry]] = list
    _entries: list[Entry] | None = None
    _waiting: list[Callable[[list[Entry]], None]] = field(default_factory=list)

    @property
    def snapshot_id(self) -> str:
        """Changes with every edit, a rename included."""
        digest = blake2b(f"{self.id}:{self.version}".encode(), digest_size=20).digest()
        return b64encode(self.version.to_bytes(4, "big") + digest).decode()

    def may_read_items(self, user_id: str) -> bool:
        """Whether development mode lets this user read the entries (Web API changelog of February 2026)."""
        return user_id == self.owner.id or user_id in self.collaborators

    def entries(self) -> list[Entry]:
        if self._entries is None:
            self._entries = self._deal()
        for edit in self._waiting:
            edit(self._entries)
        self._waiting.clear()
        return self._entries

    def add(self, entry: Entry, position: float = 1.0) -> None:
        """Insert an entry at a share of the length (1.0: at the end)."""
        self._edit(lambda entries: entries.insert(round(position * len(entries)), entry), 1)

    def remove(self, position: float) -> bool:
        """Remove the entry at a share of the length. False where the playlist is empty."""
        if self.length == 0:
            return False
        self._edit(lambda entries: _drop(entries, int(position * len(entries))), -1)
        return True

    def remove_at(self, index: int) -> bool:
        """Remove the entry at a place. False where there is none."""
        if not 0 <= index < self.length:
            return False
        self._edit(lambda entries: _drop(entries, index), -1)
        return True

    def rename(self, name: str) -> None:
        self.name = name
        self.version += 1

    def _edit(self, edit: Callable[[list[Entry]], None], growth: int) -> None:
        """Note an edit: it is made when the entries are next read."""
        self._waiting.append(edit)
        self.length += growth
        self.version += 1


def _drop(entries: list[Entry], index: int) -> None:
    del entries[index]


class PlaylistMaker:
    """Deals the playlists of one listener."""

    def __init__(self, catalogue: Catalogue, taste: Taste, listener: int, person: Person) -> None:
        self._catalogue = catalogue
        self._taste = taste
        self._listener = listener
        self._person = person

    def playlist(self, place: int) -> Playlist:
        """The listener's playlist as of 2026-01-01: about seven in ten are their own."""
        number = self._listener << PLAYLIST_BITS | place
        dice = Dice(self._catalogue.seed, "playlist", number)
        roll = dice.unit() if place > 2 else 0.0
        friend = self._friend(dice.below(9))
        shared = roll > 0.92 or (roll < 0.7 and dice.chance(0.06))
        playlist = Playlist(
            number=number,
            id=self._catalogue.ids.encode("playlist", number),
            name=self._name(dice),
            description="" if dice.chance(0.6) else f"{dice.pick(names.ADJECTIVES)} songs & <b>more</b>",
            owner=self._person if roll < 0.7 else friend,
            public=not shared and (dice.chance(0.7) or roll >= 0.7),  # what others made and one follows is public
            collaborative=shared,
            collaborators=(self._person.id, friend.id) if shared else (),
            dealt=self._length(dice, place),
        )
        playlist.length = playlist.dealt
        playlist._deal = lambda: self._entries(playlist, friend)
        return playlist

    def new(self, place: int) -> Playlist:
        """An empty playlist that the listener has just made."""
        number = self._listener << PLAYLIST_BITS | place
        dice = Dice(self._catalogue.seed, "new playlist", number)
        return Playlist(
            number=number,
            id=self._catalogue.ids.encode("playlist", number),
            name=self._name(dice),
            description="",
            owner=self._person,
            public=True,
            collaborative=False,
            collaborators=(),
            dealt=0,
        )

    def _friend(self, place: int) -> Person:
        dice = Dice(self._catalogue.seed, "friend", self._listener, place)
        first, last = dice.pick(names.FIRST_NAMES), dice.pick(names.LAST_NAMES)
        return Person(f"{first}.{last}{self._listener}{place}".lower(), f"{first} {last}")

    def _name(self, dice: Dice) -> str:
        form = dice.below(12)
        if form == 0:
            return names.title(dice, dice.pick(tuple(names.SCRIPTS)))
        if form < 5:
            return f"{dice.pick(names.MOODS)} {dice.between(2014, 2026)}"
        return f"{dice.pick(names.MOODS)} {dice.pick(names.NOUNS)}"

    def _length(self, dice: Dice, place: int) -> int:
        mean = self._catalogue.scale.playlist_length
        if place == ODDITIES:
            return 2 * mean
        if place == EMPTY:
            return 0
        return min(int(dice.waiting(mean)) + 1, 8 * mean)

    def _entries(self, playlist: Playlist, friend: Person) -> list[Entry]:
        dice = Dice(self._catalogue.seed, "entries", playlist.number)
        times = sorted(OPENED + int(dice.unit() ** 0.6 * (SETTLED - OPENED - DAY)) for _ in range(playlist.dealt))
        entries: list[Entry] = []
        odd = ("local", "gone", "void") if playlist.number & _PLACE == ODDITIES else ()
        for at, kind in zip_longest(times, odd):
            if kind is not None:
                entries.append(Entry(kind, dice.below(40), at, playlist.owner.id))
                continue
            shared = playlist.collaborative and dice.chance(0.4)
            by = friend.id if shared else playlist.owner.id
            entries.append(self.entry(dice, entries, at, by))
        return entries

    def entry(self, dice: Dice, before: list[Entry], at: int, by: str) -> Entry:
        """An entry as the listener would add it: now and then something other than a track."""
        roll = dice.unit()
        for kind, rate in (("gone", NULL_ITEM_RATE), ("void", NULL_ENTRY_RATE), ("local", LOCAL_RATE)):
            if roll < rate:
                return Entry(kind, dice.below(40), at, by)
            roll -= rate
        if roll < EPISODE_RATE:
            episodes = self._catalogue.episodes(dice.below(self._catalogue.scale.shows), at)
            if len(episodes):
                return Entry("episode", dice.pick(episodes), at, by)
        elif roll < EPISODE_RATE + REPEAT_RATE and before:
            again = dice.pick(before)
            return Entry(again.kind, again.number, at, by)
        return Entry("track", self._taste.track(dice, at), at, by)
