"""What is asked of MusicBrainz and ListenBrainz: one question is one call, and says what it was asked about.

==========================  =================================================================  ==============
Spotify's link              ``/ws/2/url?resource=…&resource=…&inc=artist-rels``                100 a call
ISRC, for what has no link  ``/ws/2/recording?query=isrc:(A OR B …)``                          25 a call
name, for the rest          ``/ws/2/artist?query=artist:"…"``                                  1 a call
genres                      ListenBrainz ``/1/metadata/artist/?artist_mbids=…&inc=tag``         50 a call
genres of merged artists    ``/ws/2/artist/{mbid}?inc=genres``                                 1 a call
==========================  =================================================================  ==============

Sources: musicbrainz-server Controller/WS/2/URL.pm (at most 100 resources; one has another answer), listenbrainz-server
metadata_api.py, and MusicBrainz' API documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LINKS_AT_ONCE = 100
ISRCS_AT_ONCE = 25  # each has one to four recordings, and an answer holds a hundred
GENRES_AT_ONCE = 50
HITS = 100
ARTIST_PAGE = "https://open.spotify.com/artist/"
ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}")

BY_LINK, BY_ISRC, BY_NAME = "musicbrainz/url", "musicbrainz/recording", "musicbrainz/artist"
GENRES, MERGED = "listenbrainz/metadata/artist", "musicbrainz/artist/"
LUCENE = re.compile(r'([+\-&|!(){}\[\]^"~*?:\\/])')


@dataclass(frozen=True, slots=True)
class AskedArtist:
    """An artist of Spotify's: its id, and of its name and a recording of its own what is known."""

    artist_id: str
    name: str | None = None
    isrc: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One call. ``about`` goes into the raw answer's header, so that the answer can be read by itself."""

    endpoint: str
    params: Mapping[str, str | list[str]]
    about: Mapping[str, Any]

    @property
    def of_one_thing(self) -> bool:
        """Whether a 404 is an answer to it: there is no such thing."""
        return self.endpoint.startswith(MERGED) or (self.endpoint == BY_LINK and len(self.params["resource"]) == 1)

    @property
    def template(self) -> str:
        """Its endpoint as runs count calls."""
        return f"{MERGED}{{id}}" if self.endpoint.startswith(MERGED) else self.endpoint


def by_link(artists: Sequence[AskedArtist]) -> Question:
    """Who is linked to these artists' pages on open.spotify.com."""
    pages = [ARTIST_PAGE + artist.artist_id for artist in artists]
    return Question(BY_LINK, {"resource": pages, "inc": "artist-rels", "fmt": "json"}, asked(artists))


def by_isrc(artists: Sequence[AskedArtist]) -> Question:
    """Whose recordings have one of these codes."""
    query = f"isrc:({' OR '.join(str(artist.isrc) for artist in artists)})"
    return Question(BY_ISRC, {"query": query, "limit": str(HITS), "fmt": "json"}, asked(artists))


def by_name(artist: AskedArtist) -> Question:
    """Who is called so."""
    escaped = LUCENE.sub(r"\\\1", str(artist.name))
    return Question(BY_NAME, {"query": f'artist:"{escaped}"', "limit": str(HITS), "fmt": "json"}, asked([artist]))


def genres_of(artists: Mapping[str, Sequence[str]]) -> Question:
    """The tags of these artists (by MBID, with their Spotify ids); those that are genres say so."""
    return Question(GENRES, {"artist_mbids": ",".join(artists), "inc": "tag"}, {"artists": dict(artists)})


def genres_of_one(mbid: str, artist_ids: Sequence[str]) -> Question:
    """The genres of an artist that ListenBrainz does not know: MusicBrainz redirects from what was merged."""
    about = {"artists": {mbid: list(artist_ids)}}
    return Question(f"{MERGED}{mbid}", {"inc": "genres", "fmt": "json"}, about)


def asked(artists: Sequence[AskedArtist]) -> dict[str, Any]:
    """What a raw answer's header says of the artists that were asked about."""
    return {"asked": [[artist.artist_id, artist.name, artist.isrc] for artist in artists]}


def usable_isrc(code: str | None) -> str | None:
    """A code as MusicBrainz takes it; None for what would be refused."""
    code = (code or "").upper().replace("-", "").strip()
    return code if ISRC.fullmatch(code) else None
