"""What to ask MusicBrainz next, in the fewest calls, and what its answers change in the state.

Artists of Spotify's are looked up by their link, a hundred a call; what has no link by the code of a recording, and the
rest by name, most played first. Genres follow for fifty artists at once. What is known by now is asked again after
months, each artist at its own time, so that lakes that began together do not ask together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from zlib import crc32

from chalicelib.extraction.kinds import Kind, Source, reads
from chalicelib.extraction.reading import Taken
from chalicelib.extraction.state import ArtistLookup, State
from chalicelib.musicbrainz.answers import NO_NAMES, meaning
from chalicelib.musicbrainz.questions import (
    BY_ISRC,
    BY_LINK,
    BY_NAME,
    GENRES,
    GENRES_AT_ONCE,
    ISRCS_AT_ONCE,
    LINKS_AT_ONCE,
    MERGED,
    AskedArtist,
    Question,
    by_isrc,
    by_link,
    by_name,
    genres_of,
    genres_of_one,
)
from chalicelib.names import artist_key
from chalicelib.raw import Answer

READS = "musicbrainz"

FOUND_KEPT = timedelta(days=180)  # then its link is looked at again
UNKNOWN_KEPT = timedelta(days=60)  # then somebody may have linked it
GENRES_KEPT = timedelta(days=90)  # then more may have voted
WAYS = {BY_LINK: "link", BY_ISRC: "isrc", BY_NAME: "name"}
MOST_AT_ONCE = {BY_LINK: LINKS_AT_ONCE, BY_ISRC: ISRCS_AT_ONCE, GENRES: GENRES_AT_ONCE}


@reads(**{READS: Kind()})
@dataclass(slots=True)
class ArtistLookups:
    """Finds the next question in the state. ``played`` ranks artists by their names' keys, 0 for the most played."""

    source: Source
    state: State
    played: Mapping[str, int] = field(default_factory=dict)

    def next(self, now: datetime, *, last: bool = False) -> Question | None:
        """The next question; None when there is none. ``last``: the budget has room for one more alone."""
        genres = self._for_genres(now)
        if genres and (last or len(genres) >= self._at_once(GENRES)):
            return self._genres(genres)
        return self._who(now) or (self._genres(genres) if genres else self._merged())

    def due(self, now: datetime) -> bool:
        """Whether it is time: what is left of the last look, or a day after it."""
        done = self.state.last_done(self.source.name, None)
        every = self.source.every or timedelta(0)
        return done is None or not timedelta(0) <= now - done < every * 0.9

    def calls_left(self, now: datetime) -> int:
        """About how many calls remain."""
        links = sum(1 for _ in self._for_link(now))
        isrcs = sum(1 for _ in self._for_isrc())
        names = sum(1 for _ in self._for_name())
        genres, merged = len(self._for_genres(now)), len(self._missing())
        batches = ((links, BY_LINK), (isrcs, BY_ISRC), (genres, GENRES))
        return sum(-(-many // self._at_once(endpoint)) for many, endpoint in batches) + names + merged

    def _who(self, now: datetime) -> Question | None:
        """The next question about which artist is which."""
        if linked := list(islice(self._for_link(now), self._at_once(BY_LINK))):
            return by_link(linked)
        if coded := self._most_played(self._for_isrc())[: self._at_once(BY_ISRC)]:
            return by_isrc(coded)
        named = self._most_played(self._for_name())
        return by_name(named[0]) if named else None

    def _at_once(self, endpoint: str) -> int:
        return min(MOST_AT_ONCE[endpoint], self.state.limits.get(endpoint, MOST_AT_ONCE[endpoint]))

    def _for_link(self, now: datetime) -> Iterator[AskedArtist]:
        """Artists of whom nothing was ever asked, or not for months."""
        for artist_id in self.state.details["artists"]:
            one = self.state.lookups.get(artist_id)
            kept = FOUND_KEPT if one and one.mbid else UNKNOWN_KEPT
            if one is None or old(artist_id, one.at, kept, now):
                yield self._artist(artist_id)

    def _for_isrc(self) -> Iterator[AskedArtist]:
        return (
            artist
            for artist in map(self._artist, self.state.lookups)
            if artist.isrc and self._unmatched(artist, "link")
        )

    def _for_name(self) -> Iterator[AskedArtist]:
        return (
            artist
            for artist in map(self._artist, self.state.lookups)
            if artist_key(artist.name or "") not in NO_NAMES
            and (self._unmatched(artist, "isrc") or (self._unmatched(artist, "link") and not artist.isrc))
        )

    def _unmatched(self, artist: AskedArtist, asked: str) -> bool:
        one = self.state.lookups[artist.artist_id]
        return one.mbid is None and one.asked == asked

    def _artist(self, artist_id: str) -> AskedArtist:
        return AskedArtist(artist_id, self.state.names.get(artist_id), self.state.isrcs.get(artist_id))

    def _most_played(self, artists: Iterator[AskedArtist]) -> list[AskedArtist]:
        never = len(self.played)
        return sorted(artists, key=lambda artist: self.played.get(artist_key(artist.name or ""), never))

    def _for_genres(self, now: datetime) -> dict[str, list[str]]:
        """MBIDs whose genres are to be read, with their Spotify ids."""
        found: dict[str, list[str]] = {}
        for artist_id, one in self.state.lookups.items():
            if one.mbid and not one.missing and old(artist_id, one.genres_at, GENRES_KEPT, now):
                found.setdefault(one.mbid, []).append(artist_id)
        return found

    def _genres(self, artists: Mapping[str, list[str]]) -> Question:
        return genres_of(dict(islice(artists.items(), self._at_once(GENRES))))

    def _missing(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for artist_id, one in self.state.lookups.items():
            if one.mbid and one.missing:
                found.setdefault(one.mbid, []).append(artist_id)
        return found

    def _merged(self) -> Question | None:
        missing = self._missing()
        return genres_of_one(*next(iter(missing.items()))) if missing else None


def old(artist_id: str, at: int, kept: timedelta, now: datetime) -> bool:
    """Whether what was read at ``at`` is to be asked again: each artist after a time of its own, a fifth around
    ``kept``. A time from the future was noted by a wrong clock."""
    if not at:
        return True
    age = now.timestamp() - at
    return age < -3600 or age > kept.total_seconds() * (0.8 + 0.4 * crc32(artist_id.encode()) / 2**32)


def take_lookup(state: State, answer: Answer) -> Taken:
    """Change the state by an answer. Raises what is odd about one that cannot be read; it then changes nothing."""
    said = meaning(answer.endpoint, answer.status, answer.context, json.loads(answer.body))
    at = int(answer.received_at.timestamp())
    for artist_id, *_ in answer.context.get("asked", ()):
        one = state.lookups.setdefault(artist_id, ArtistLookup())
        one.asked, one.at = WAYS[answer.endpoint], at
    for match in said.matches:
        one = state.lookups.setdefault(match.artist_id, ArtistLookup())
        if one.mbid != match.mbid:
            one.mbid, one.genres_at, one.missing = match.mbid, 0, False
    asked: Mapping[str, list[str]] = answer.context.get("artists", {})
    for mbid, artist_ids in asked.items():
        for artist_id in artist_ids:
            note_genres(state.lookups.setdefault(artist_id, ArtistLookup()), answer, at, known=mbid in said.described)
    about = len(answer.context.get("asked", ())) + len(asked)
    return Taken(about, len(said.matches) + len(said.described))


def note_genres(one: ArtistLookup, answer: Answer, at: int, *, known: bool) -> None:
    """Note that an artist's genres were asked for. One that neither of the two knows any more was deleted."""
    if known:
        one.genres_at, one.missing = at, False
    elif answer.endpoint.startswith(MERGED):
        one.mbid, one.missing, one.asked = None, False, "name"
    else:
        one.missing = True
