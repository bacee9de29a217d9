"""Answer bodies without HTTP, as many as wanted: raw material for benchmarks.

for path, params, body in pages(items=100_000, mode="development", seed=1):
    ...
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import NamedTuple

from sandbox.clock import DAY, HOUR, MINUTE, Clock, instant
from sandbox.dice import Dice
from sandbox.ids import base62
from sandbox.listening import HEARD_MS
from sandbox.playlists import Entry, PlaylistMaker
from sandbox.shapes import EVERYWHERE, OBJECTS, Json, Shapes, encoded
from sandbox.world import World

PAGE = 50  # items
PAGES_OF_A_PLAYLIST = 10
MOMENT = "2026-11-20T12:00:00"


class Answer(NamedTuple):
    """One answer: the path below ``/v1/``, the query parameters and the JSON."""

    path: str
    params: dict[str, str]
    body: bytes


def pages(
    items: int,
    mode: str = "development",
    seed: int = 1,
    kinds: Sequence[str] = ("playlist_items", "saved_tracks", "recently_played"),
    scale: str = "large",
    now: str = MOMENT,
) -> Iterator[Answer]:
    """Pages of 50 items, the kinds in turn, with exactly so many items in all (so the last may be short).

    Entries that are null count as items. A ValueError says which kinds there are.
    """
    unknown = set(kinds) - set(_ENTRIES)
    if unknown:
        raise ValueError(f"unknown kinds {sorted(unknown)}; there are {', '.join(_ENTRIES)}")
    world = World(seed, scale, Clock(instant(now), frozen=True))
    shapes = Shapes(world.catalogue, mode, EVERYWHERE)
    entries = {kind: _ENTRIES[kind](world, shapes) for kind in kinds}
    made: Counter[str] = Counter()
    for number, start in enumerate(range(0, items, PAGE)):
        kind = kinds[number % len(kinds)]
        yield _answer(kind, made[kind], list(islice(entries[kind], min(PAGE, items - start))))
        made[kind] += 1


def _playlist_entries(world: World, shapes: Shapes) -> Iterator[Json | None]:
    now, listener = world.clock.now_ms(), world.default_listener
    maker = PlaylistMaker(world.catalogue, listener.taste, listener.number, listener.person)
    dice = Dice(world.seed, "answers", "playlist_items")
    before: list[Entry] = []
    for number in count():
        entry = maker.entry(dice, before, now - 2200 * DAY + number % 4000 * 13 * HOUR, listener.id)
        before = [*before[-20:], entry]
        yield shapes.playlist_entry(entry, now)


def _saved_tracks(world: World, shapes: Shapes) -> Iterator[Json]:
    now, taste = world.clock.now_ms(), world.default_listener.taste
    dice = Dice(world.seed, "answers", "saved_tracks")
    for number in count():
        yield shapes.saved_track(taste.track(dice, now), now - number * 37 * MINUTE)


def _plays(world: World, shapes: Shapes) -> Iterator[Json]:
    """Every play since the listener joined; when they are used up, again from the first."""
    listener = world.default_listener
    while True:
        for stream in listener.listening.streams(0, world.clock.now_ms()):
            if stream.kind == "track" and stream.ms_played >= HEARD_MS:
                yield shapes.play(stream, listener.id)


_ENTRIES: dict[str, Callable[[World, Shapes], Iterator[Json | None]]] = {
    "playlist_items": _playlist_entries,
    "saved_tracks": _saved_tracks,
    "recently_played": _plays,
}


def _answer(kind: str, place: int, entries: list[Json | None]) -> Answer:
    """The page at a place in the endless row of one kind."""
    if kind == "recently_played":
        path = "me/player/recently-played"
        head: Json = {"items": entries[::-1], "next": None, "cursors": None, "limit": PAGE}
        return Answer(path, {"limit": str(PAGE)}, encoded(head | {"href": f"{OBJECTS}/{path}?limit={PAGE}"}))
    path, total = "me/tracks", (place + 2) * PAGE
    if kind == "playlist_items":
        playlist, place = divmod(place, PAGES_OF_A_PLAYLIST)
        path, total = f"playlists/{base62(playlist + 1)}/items", PAGES_OF_A_PLAYLIST * PAGE
    offset = place * PAGE
    links = [
        f"{OBJECTS}/{path}?offset={at}&limit={PAGE}" if 0 <= at < total else None
        for at in (offset - PAGE, offset, offset + PAGE)
    ]
    body = {
        "href": links[1],
        "limit": PAGE,
        "next": links[2],
        "offset": offset,
        "previous": links[0],
        "total": total,
        "items": entries,
    }
    return Answer(path, {"limit": str(PAGE), "offset": str(offset)}, encoded(body))
