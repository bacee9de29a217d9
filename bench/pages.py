"""Raw data for the benchmarks, made with the sandbox's catalogue: answers of the size and variety of real ones.

Of 1,000 items 800 are playlist entries, 100 plays, 50 followed artists and 50 albums of artists.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chalicelib.clock import rfc3339
from chalicelib.raw import Answer
from sandbox.shapes import Shapes
from sandbox.world import World

RUN = "20261120T100000Z-abcdef"
START = datetime(2026, 11, 20, 10, tzinfo=UTC)
PAGE = 50


def answers(items: int, mode: str, seed: int = 1) -> Iterator[Answer]:
    """Answers that hold ``items`` items in all (rounded up to 1,000)."""
    made = Maker(mode, seed)
    for number, (endpoint, params, context, body) in enumerate(made.blocks(items)):
        asked = START + timedelta(milliseconds=120 * number)
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        yield Answer(RUN, "bench", endpoint, params, "listener", asked, asked, 200, content, context)


class Maker:
    def __init__(self, mode: str, seed: int) -> None:
        self.world = World(seed, "large")
        self.shapes = Shapes(self.world.catalogue, mode)
        self.random = random.Random(seed)
        self.now = self.world.clock.now_ms()
        self.albums = [release for release, _ in zip(self._all_albums(), range(20_000), strict=False)]

    def blocks(self, items: int) -> Iterator[tuple[str, dict[str, Any], dict[str, Any], Any]]:
        entries, plays, artists, albums = self._entries(), self._plays(), itertools.count(), itertools.count()
        for _ in range(0, items, 1000):
            for _ in range(16):
                yield next(entries)
            for _ in range(2):
                yield "me/player/recently-played", {"limit": 50}, {}, {"items": list(itertools.islice(plays, PAGE))}
            numbers = [next(artists) % self.world.scale.artists for _ in range(PAGE)]
            page = {"artists": {"items": [self.shapes.artist(number) for number in numbers], "total": 2900}}
            yield "me/following", {"limit": 50}, {}, page
            for _ in range(5):
                numbers = [self.albums[next(albums) % len(self.albums)] for _ in range(10)]
                body = {"items": [self.shapes.discography_album(number) for number in numbers], "total": 40}
                yield f"artists/{self.world.catalogue.artist(1).id}/albums", {"limit": 10}, {}, body

    def _entries(self) -> Iterator[tuple[str, dict[str, Any], dict[str, Any], Any]]:
        for turn in itertools.count():
            for playlist in self.world.playlists(self.now):
                shown = playlist.entries()
                for offset in range(0, len(shown) - PAGE, PAGE):
                    page = [self.shapes.playlist_entry(entry, self.now) for entry in shown[offset : offset + PAGE]]
                    body = {"items": page, "offset": offset, "total": len(shown)}
                    context = {"playlist_id": playlist.id, "snapshot_id": f"{playlist.snapshot_id}{turn}"}
                    yield f"playlists/{playlist.id}/items", {"limit": PAGE, "offset": offset}, context, body

    def _plays(self) -> Iterator[dict[str, Any]]:
        tracks = [track.number for album in self.albums[:3000] for track in self.world.catalogue.tracks(album)]
        for number in itertools.count():
            played = START - timedelta(minutes=4 * number)
            track = self.shapes.track(self.random.choice(tracks))
            yield {"track": track, "played_at": rfc3339(played), "context": None}

    def _all_albums(self) -> Iterator[int]:
        for artist in range(self.world.scale.artists):
            for album in self.world.catalogue.discography(artist, self.now, frozenset(("album", "single"))):
                yield album.number


def write_object(path: Path, items: int, mode: str, seed: int = 1) -> int:
    """One raw object of ``items`` items; answers the bytes of JSON in it."""
    size = 0
    with gzip.open(path, "wb", compresslevel=6) as stream:
        for answer in answers(items, mode, seed):
            header = json.dumps(answer.header(), separators=(",", ":")).encode()
            stream.write(header + b"\n" + answer.body + b"\n")
            size += len(answer.body)
    return size
