"""MusicBrainz and ListenBrainz as far as the lake asks them, with the answers of the real ones, odd ones included.

What they know of the sandbox's artists is the world's own: most are linked to their page on Spotify, some only have
recordings with codes, some only a name, some are unknown, two share one name, one was merged into another, and of some
a page is linked to two artists. Genres are tags that are on a list; others are tags alone.

Sources: musicbrainz-server lib/MusicBrainz/Server/Controller/WS/2/*.pm and WebService/Serializer/JSON/2, as of
2026-07-24; listenbrainz-server webserver/views/metadata_api.py, as of 2026-08-21; live captures of 2026-08 and 09.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import UUID

from sandbox import names
from sandbox.catalogue import TRACK_BITS, Artist
from sandbox.dice import Dice
from sandbox.world import World

PAGE = "https://open.spotify.com/artist/"
MOST_RESOURCES = 100  # URL.pm: more are left out silently
MOST_HITS, USUAL_HITS = 100, 25  # WebService.pm: a limit out of range becomes 25
HELP = "For usage, please see: https://musicbrainz.org/development/mmd"
BUSY = "The MusicBrainz web server is currently busy. Please try again later."
TOO_FAST = (
    "Your requests are exceeding the allowable rate limit. Please see http://wiki.musicbrainz.org/XMLWebService for "
    "more information."
)
UNIDENTIFIED = (
    "Your requests are being throttled by MusicBrainz because the application you are using has not identified itself."
)
FAULTS: dict[str, tuple[int, dict[str, str], Any]] = {
    "busy": (503, {"Retry-After": "0", "X-RateLimit-Zone": "search-global"}, {"error": BUSY}),
    "too_fast": (503, {"Retry-After": "1", "X-RateLimit-Zone": "ws ip=198.51.100.7"}, {"error": TOO_FAST}),
    "busy_200": (200, {}, {"error": BUSY}),
    "wait": (503, {"Retry-After": "3600"}, {"error": BUSY}),
    "bad_gateway": (502, {}, b"<html><h1>502 Bad Gateway</h1></html>"),
    "html": (200, {}, b"<!doctype html><title>Sign in</title>"),
    "odd": (200, {}, {"unexpected": True}),
    "too_long": (414, {}, {"error": "URI Too Long"}),
    "too_many": (429, {"X-RateLimit-Reset-In": "5"}, {"code": 429, "error": "You have exceeded your rate limit."}),
}

Answer = tuple[int, dict[str, str], Any]  # status, headers, body


class NotThere(Exception):
    """There is no such thing."""


@dataclass(frozen=True, slots=True)
class Known:
    """An artist as MusicBrainz knows it. ``way`` is how it can be found: link, isrc, name."""

    artist: Artist
    mbid: str
    way: str
    genres: tuple[tuple[str, int], ...]
    merged_from: str | None = None


@dataclass
class MusicBrainz:
    """Answers ``/ws/2/…`` and ListenBrainz' ``/1/…``. ``faults`` are answered before anything else, in their order."""

    world: World
    faults: list[str] = field(default_factory=list)

    def answer(self, path: str, query: str, agent: str) -> Answer:
        """Status, headers and body of a call."""
        if self.faults:
            return FAULTS[self.faults.pop(0)]
        if not re.fullmatch(r"\S+/\S+ \( \S+ \)", agent):
            return 403, {"X-RateLimit-Who": "ua-missing"}, {"error": UNIDENTIFIED}
        asked = parse_qsl(query, keep_blank_values=True)
        given = dict(asked)
        try:
            if path.startswith("/1/metadata/artist"):
                return 200, {"X-RateLimit-Remaining": "29"}, list(self._metadata(given))
            if given.get("fmt") != "json":
                return 200, {}, b'<?xml version="1.0" encoding="UTF-8"?><metadata/>'
            if path == "/ws/2/url":
                return 200, {}, self._pages([value for name, value in asked if name == "resource"])
            if path == "/ws/2/recording":
                return 200, {}, self._recordings(given)
            if path == "/ws/2/artist":
                return 200, {}, self._named(given)
            return self._artist(unquote(path.rpartition("/")[2]))
        except NotThere:
            return 404, {}, {"error": "Not Found", "help": HELP}

    @cached_property
    def known(self) -> list[Known]:
        """Every artist that is in MusicBrainz."""
        return [one for number in range(self.world.scale.artists) if (one := self._known(number))]

    def _known(self, number: int) -> Known | None:
        artist = self.world.catalogue.artist(number)
        dice = Dice(self.world.seed, "musicbrainz", number)
        roll = dice.unit()
        if artist.name == "Various Artists" or roll >= 0.96:
            return None
        way = "link" if roll < 0.72 else "isrc" if roll < 0.88 else "name"
        genres = {dice.pick(names.GENRES): dice.between(1, 9) for _ in range(dice.between(1, 4))}
        if dice.chance(0.03):
            genres = {}
        merged = mbid(self.world.seed, "merged", number) if dice.chance(0.05) else None
        return Known(artist, mbid(self.world.seed, "artist", number), way, tuple(genres.items()), merged)

    # MusicBrainz

    def _pages(self, resources: list[str]) -> Any:
        """One page is answered by itself, several as a list; what is not linked is left out."""
        linked = {PAGE + one.artist.id: one for one in self.known if one.way == "link"}
        pages = [self._page(linked[each]) for each in sorted(set(resources[:MOST_RESOURCES])) if each in linked]
        if len(resources) == 1:
            if not pages:
                raise NotThere
            return pages[0]
        return {"url-count": len(pages), "url-offset": 0, "urls": pages}

    def _page(self, one: Known) -> dict[str, Any]:
        relations = [relation(one.merged_from or one.mbid, one.artist.name)]
        if one.artist.number % 9 == 0:  # a link of old, which has ended
            relations.append(relation(mbid(self.world.seed, "stranger", one.artist.number), "A Stranger", ended=True))
        if one.artist.number % 11 == 0:  # somebody linked another artist to the page
            relations.append(relation(mbid(self.world.seed, "wrong", one.artist.number), f"{one.artist.name} Tribute"))
        return {"id": mbid(self.world.seed, "url", one.artist.number), "resource": PAGE + one.artist.id,
                "relations": relations}  # fmt: skip

    def _recordings(self, given: dict[str, str]) -> dict[str, Any]:
        """Recordings by their codes; search answers no more than a limit, and leaves out what is empty."""
        wanted = set(re.findall(r"[A-Z]{2}[A-Z0-9]{3}\d{7}", given.get("query", "")))
        found = [
            {"id": mbid(self.world.seed, "recording", number), "score": 100, "title": title, "length": length,
             "isrcs": [code], "artist-credit": credit(one)}
            for one in self.known
            if one.way != "name"
            for number, code, title, length in self._codes(one.artist)
            if code in wanted
        ]  # fmt: skip
        return hits("recordings", found, given)

    def _codes(self, artist: Artist) -> Iterator[tuple[int, str, str, int]]:
        catalogue = self.world.catalogue
        for release in catalogue.schedule(artist.number):
            for place in range(catalogue.album(release.number).total_tracks):
                track = catalogue.track(release.number << TRACK_BITS | place)
                if track.artists[0] == artist.number:
                    yield track.number, track.isrc, track.name, track.duration_ms

    def _named(self, given: dict[str, str]) -> dict[str, Any]:
        """Artists whose names hold all words of a query; every good hit scores 100."""
        query = given.get("query", "")
        by_id = re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", query)
        words = re.sub(r"\\(.)", r"\1", query.partition(":")[2].strip('"')).casefold().split()
        found = [
            {"id": one.mbid, "score": 100, "name": one.artist.name, "sort-name": one.artist.name,
             **({"tags": [{"count": count, "name": name} for name, count in one.genres]} if one.genres else {})}
            for one in self.known
            if (one.mbid in by_id if by_id else all(word in one.artist.name.casefold() for word in words))
        ]  # fmt: skip
        return {"created": "2026-11-20T09:15:02.000Z", **hits("artists", found, given)}

    def _artist(self, asked: str) -> Answer:
        """One artist; who was merged is redirected from."""
        for one in self.known:
            if asked == one.merged_from:
                return 301, {"Location": f"https://musicbrainz.org/ws/2/artist/{one.mbid}?fmt=json&inc=genres"}, {}
            if asked == one.mbid:
                genres = [{"id": mbid(0, name, 0), "name": name, "count": count} for name, count in sorted(one.genres)]
                return 200, {}, {"id": one.mbid, "name": one.artist.name, "type": "Group", "genres": genres}
        raise NotThere

    # ListenBrainz

    def _metadata(self, given: dict[str, str]) -> Iterator[dict[str, Any]]:
        """Artists with their tags, in an order of its own; whom it does not know it leaves out."""
        wanted = given.get("artist_mbids", "").split(",")
        for one in reversed(self.known):
            if one.mbid in wanted:
                tags: list[dict[str, Any]] = [
                    {"artist_mbid": one.mbid, "tag": name, "count": count, "genre_mbid": mbid(0, name, 0)}
                    for name, count in one.genres
                ]
                tags.append({"artist_mbid": one.mbid, "tag": "seen live", "count": 3})
                yield {"artist_mbid": one.mbid, "mbid": one.mbid, "name": one.artist.name, "rels": {},
                       "tag": {"artist": tags}}  # fmt: skip


def relation(artist_mbid: str, name: str, *, ended: bool = False) -> dict[str, Any]:
    """A link of an artist to a page, as a page shows it."""
    artist = {"id": artist_mbid, "name": name, "sort-name": name, "disambiguation": "", "type": "Group"}
    return {"type": "free streaming", "target-type": "artist", "direction": "backward", "ended": ended,
            "attributes": [], "artist": artist}  # fmt: skip


def credit(one: Known) -> list[dict[str, Any]]:
    """The artist of a recording."""
    artist = {"id": one.mbid, "name": one.artist.name, "sort-name": one.artist.name}
    return [{"name": one.artist.name, "joinphrase": "", "artist": artist}]


def hits(kind: str, found: list[dict[str, Any]], given: dict[str, str]) -> dict[str, Any]:
    """A page of what a search found."""
    limit = int(given.get("limit", USUAL_HITS))
    limit = limit if 1 <= limit <= MOST_HITS else USUAL_HITS
    return {"count": len(found), "offset": 0, kind: found[:limit]}


def mbid(seed: int, kind: str, number: int) -> str:
    """A MusicBrainz id."""
    dice = Dice(seed, f"mbid {kind}", number)
    return str(UUID(int=dice.below(1 << 62) << 64 | dice.below(1 << 62), version=4))


def encoded(body: Any) -> bytes:
    """A body as it is sent."""
    return body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
