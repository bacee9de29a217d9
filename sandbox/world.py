"""The world: a catalogue, its listeners and the time.

It is a pure function of seed, scale, clock and the edits made to it: two worlds alike in these answer alike.
The mode (``development`` or ``extended``) changes what is shown of it (``sandbox.shapes``), not what is in it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from sandbox.catalogue import Catalogue
from sandbox.clock import Clock
from sandbox.finding import Index, Query
from sandbox.listener import TIME_RANGES, Listener
from sandbox.playlists import PLAYLIST_BITS, Playlist
from sandbox.scales import SCALES, Scale


class World:
    """What the sandbox knows. Hold ``lock`` while reading or editing it from several threads."""

    def __init__(self, seed: int = 1, scale: str | Scale = "medium", clock: Clock | None = None) -> None:
        self.seed = seed
        self.scale = scale if isinstance(scale, Scale) else SCALES[scale]
        self.clock = clock or Clock()
        self.catalogue = Catalogue(seed, self.scale)
        self.listeners = {
            listener.id: listener
            for listener in (Listener(self.catalogue, number) for number in range(self.scale.listeners))
        }
        self.index = Index(self.catalogue)
        self.lock = threading.RLock()

    @property
    def default_listener(self) -> Listener:
        return next(iter(self.listeners.values()))

    def listener(self, user_id: str | None) -> Listener | None:
        """By ``id`` or ``account_id``; the first one where none is asked for."""
        if user_id is None:
            return self.default_listener
        by_account = {listener.account_id: listener for listener in self.listeners.values()}
        return self.listeners.get(user_id) or by_account.get(user_id)

    def warm(self) -> None:
        """Make now what the first calls would otherwise have to wait for."""
        with self.lock:
            now, listener = self.clock.now_ms(), self.default_listener
            for time_range in TIME_RANGES:
                listener.top_tracks(time_range, now)
            for playlist in listener.library(now).my_playlists():
                playlist.entries()
            self.playlists(now)
            self.index.tracks(Query.parse("a"), now)

    def playlist(self, playlist_id: str, now: int) -> Playlist | None:
        """Any listener's playlist, by its id."""
        number = self.catalogue.ids.decode("playlist", playlist_id)
        if number is None:
            return None
        listener = list(self.listeners.values())[number >> PLAYLIST_BITS]
        return listener.playlist(number, now)

    def playlists(self, now: int) -> list[Playlist]:
        """Every public playlist."""
        found = (playlist for one in self.listeners.values() for playlist in one.library(now).my_playlists())
        return [playlist for playlist in found if playlist.public]


@dataclass(frozen=True, slots=True)
class View:
    """The world at one moment in one mode: what one answer is made from."""

    world: World
    now: int
    mode: str

    @property
    def catalogue(self) -> Catalogue:
        return self.world.catalogue

    @property
    def extended(self) -> bool:
        return self.mode == "extended"
