"""What an answer of MusicBrainz or ListenBrainz means: which artist is which, and how genres were voted.

An answer is read from its body and from what its header says it was asked about, by extraction and by whoever makes
the tables alike. Only what is certain counts: one artist linked, or of several the one of that name; the artist of a
recording by its name, or the only one that all recordings with a code agree on; a name that one artist alone has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.musicbrainz.questions import (
    ARTIST_PAGE,
    BY_ISRC,
    BY_LINK,
    BY_NAME,
    GENRES,
    HITS,
    MERGED,
    AskedArtist,
    usable_isrc,
)
from chalicelib.names import artist_key

#: How sure a match is, by how it was found. Ours: a link is somebody's statement, a name may be borne by two.
CERTAINTY = {"link": 1.0, "link and name": 0.95, "isrc and name": 0.95, "isrc": 0.85, "name": 0.75}

#: MusicBrainz' placeholders (Constants.pm), which are no artists.
NO_ARTISTS = frozenset(
    (
        "89ad4ac3-39f7-470e-963a-56509c546377",  # Various Artists
        "125ec42a-7229-4250-afc5-e057484327fe",  # [unknown]
        "f731ccc4-e22a-43af-a747-64213329e088",  # [anonymous]
        "33cf029c-63b0-41a0-9855-be2a3665fb3b",  # [data]
        "314e1c25-dde7-4e4d-b2f4-0a7b9f7c56dc",  # [dialogue]
        "eec63d3c-3b81-4ad4-b1e4-7c147d4d2b61",  # [no artist]
        "9be7f096-97ec-4615-8957-8d40b5dcbc41",  # [traditional]
    )
)
NO_NAMES = frozenset(("various artists", "various", "unknown", "unknown artist", "anonymous", "traditional", ""))


@dataclass(frozen=True, slots=True)
class Match:
    """An artist of Spotify's that is one of MusicBrainz'; ``found_by`` is a key of CERTAINTY."""

    artist_id: str
    mbid: str
    name: str
    found_by: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that bears a code; ``length`` is in ms."""

    isrc: str
    mbid: str
    title: str | None
    length: int | None


@dataclass(frozen=True, slots=True)
class Vote:
    """A genre of an artist of Spotify's: the sum of what MusicBrainz' users voted."""

    artist_id: str
    mbid: str
    genre: str
    votes: int


@dataclass(slots=True)
class Meaning:
    """What an answer says. ``described`` holds the MBIDs whose genres it tells, also where there are none;
    ``moved`` says which MBID was merged into which."""

    matches: list[Match] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    votes: list[Vote] = field(default_factory=list)
    described: list[str] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)


def is_lookup(endpoint: str) -> bool:
    """Whether a raw answer is one of these."""
    return endpoint.startswith(("musicbrainz/", "listenbrainz/"))


def meaning(endpoint: str, status: int, about: Mapping[str, Any], document: Any) -> Meaning:
    """What an answer says. Raises ValueError, LookupError, TypeError or AttributeError for what is none."""
    if status == 404:
        return Meaning()
    if endpoint == GENRES:
        return genres_meaning(about["artists"], document)
    if endpoint.startswith(MERGED):
        return merged_meaning(endpoint.removeprefix(MERGED), about["artists"], document)
    artists = [AskedArtist(*each) for each in about["asked"]]
    if endpoint == BY_LINK:
        return Meaning(matches=list(linked(artists, document)))
    if endpoint == BY_ISRC:
        return recordings_meaning(artists, document["recordings"])
    if endpoint == BY_NAME:
        return Meaning(matches=list(named(artists[0], document)))
    raise ValueError(f"{endpoint} is no question that is asked")


def linked(artists: Sequence[AskedArtist], document: dict[str, Any]) -> Iterator[Match]:
    """The artists that pages are linked to. An answer about one page is the page itself, not a list."""
    pages = document.get("urls", [document])
    related = {page["resource"].removeprefix(ARTIST_PAGE): page["relations"] for page in pages}
    for artist in artists:
        candidates = [
            relation["artist"]
            for relation in related.get(artist.artist_id, ())
            if relation.get("target-type", "artist") == "artist" and relation.get("artist") and not relation["ended"]
        ]
        yield from settled(artist, candidates, "link", "link and name")


def recordings_meaning(artists: Sequence[AskedArtist], recordings: Sequence[dict[str, Any]]) -> Meaning:
    """The artists credited on recordings, and the recordings. Hits need not say which codes they bear."""
    found = Meaning()
    for artist in artists:
        theirs = [each for each in recordings if artist.isrc in codes(each)]
        namesakes = [
            credit
            for each in theirs or [one for one in recordings if not codes(one)]
            for credit in credited(each)
            if is_called(artist.name, credit)
        ]
        if namesakes:
            found.matches += settled(artist, namesakes, "isrc and name", "isrc and name")
        elif theirs:
            found.matches += settled(artist, agreed(theirs), "isrc", "isrc and name")
        found.recordings += [
            Recording(str(artist.isrc), each["id"], each.get("title"), each.get("length")) for each in theirs
        ]
    return found


def named(artist: AskedArtist, document: dict[str, Any]) -> Iterator[Match]:
    """The one artist of that name. Where more were found than are shown, nobody knows whether it is the only one."""
    hits = document["artists"]
    if document["count"] > max(len(hits), HITS) or artist_key(artist.name or "") in NO_NAMES:
        return
    namesakes = {hit["id"]: hit for hit in hits if is_called(artist.name, hit)}
    if len(namesakes) == 1:
        yield from settled(artist, list(namesakes.values()), "name", "name")


def settled(artist: AskedArtist, candidates: Iterable[Any], by: str, by_name: str) -> Iterator[Match]:
    """The match with the only candidate, or with the only one of that name; none where that does not decide."""
    different = {each["id"]: each for each in candidates if each["id"] not in NO_ARTISTS}
    if len(different) > 1:
        different = {mbid: each for mbid, each in different.items() if is_called(artist.name, each)}
        by = by_name
    if len(different) == 1:
        ((mbid, one),) = different.items()
        yield Match(artist.artist_id, mbid, one["name"], by)


def agreed(recordings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The artists that every one of some recordings credits."""
    by_recording = [{each["id"]: each for each in credited(recording)} for recording in recordings]
    return [artist for mbid, artist in by_recording[0].items() if all(mbid in other for other in by_recording)]


def credited(recording: dict[str, Any]) -> list[dict[str, Any]]:
    """The artists of a recording, each also by the name it is credited as."""
    return [
        {**credit["artist"], "credited_as": credit.get("name")}
        for credit in recording.get("artist-credit", ())
        if credit.get("artist")
    ]


def codes(recording: dict[str, Any]) -> list[str | None]:
    """The codes that a hit says it bears; search leaves empty lists out."""
    return [usable_isrc(code) for code in recording.get("isrcs", ())]


def is_called(name: str | None, artist: dict[str, Any]) -> bool:
    """Whether an artist of MusicBrainz' bears a name, as its own or on a recording."""
    key = artist_key(name or "")
    return key not in NO_NAMES and key in (artist_key(artist["name"]), artist_key(artist.get("credited_as") or ""))


def genres_meaning(artists: Mapping[str, Sequence[str]], document: Any) -> Meaning:
    """The tags that are genres, of each artist that ListenBrainz knows."""
    if not isinstance(document, list):
        raise ValueError("ListenBrainz answers a list of artists")
    found = Meaning()
    for artist in document:
        mbid = artist["artist_mbid"]
        if mbid not in artists:
            continue
        tags = (artist.get("tag") or {}).get("artist") or ()
        genres = [(tag["tag"], tag["count"]) for tag in tags if tag.get("genre_mbid")]
        found.described.append(mbid)
        found.votes += votes(artists[mbid], mbid, genres)
    return found


def merged_meaning(mbid: str, artists: Mapping[str, Sequence[str]], document: dict[str, Any]) -> Meaning:
    """The genres of one artist, whom MusicBrainz may have redirected to the one that it was merged into."""
    now = document["id"]
    genres = [(genre["name"], genre["count"]) for genre in document["genres"]]
    moved = {} if now == mbid else {mbid: now}
    matches = [Match(each, now, document["name"], "link") for each in artists[mbid]] if moved else []
    return Meaning(matches, votes=list(votes(artists[mbid], now, genres)), described=[mbid], moved=moved)


def votes(artist_ids: Sequence[str], mbid: str, genres: Iterable[tuple[str, int]]) -> Iterator[Vote]:
    """Genres that more voted for than against, of each Spotify artist that one of MusicBrainz' is."""
    if mbid in NO_ARTISTS:
        return
    for genre, count in genres:
        if isinstance(count, int) and count > 0 and isinstance(genre, str) and genre:
            for artist_id in artist_ids:
                yield Vote(artist_id, mbid, genre, count)
