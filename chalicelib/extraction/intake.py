"""What an answer changes in the state. Pure: the same entries give the same state, whoever takes them in and when.

What an answer means for what was asked stands beside the readers (``@takes``); here is what any answer shows besides:
artists and albums whose details are worth reading, and the mode that the app is in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from chalicelib.clock import parse_rfc3339
from chalicelib.extraction import readers  # noqa: F401 (the takers register themselves)
from chalicelib.extraction.catalogue_readers import is_whole
from chalicelib.extraction.listing import count, idle_next, offset_of, started_at_of
from chalicelib.extraction.oddities import odd_part
from chalicelib.extraction.reading import TAKERS, YIELDERS, Document, Taken
from chalicelib.extraction.shapes import child, id_of, is_id, objects
from chalicelib.extraction.state import WANTED, Shown, State, endpoint_key
from chalicelib.musicbrainz.questions import usable_isrc
from chalicelib.raw import Answer
from chalicelib.spotify.guard import Wait

NOT_OFFERED = "Spotify does not offer it to this app"


def take_in(state: State, answer: Answer, document: Document) -> Taken:
    """Change the state by one good answer (status 200)."""
    shown = shown_by(answer, document)
    state.show(shown)
    taken = taken_in(state, answer, document)
    if taken.followed is not None and state.whose is not None:
        followed = Shown(followed={state.whose: taken.followed})
        state.show(followed)
        shown.add(followed)
    taken.shown = shown
    return taken


def shown_by(answer: Answer, document: Document) -> Shown:
    """What a good answer shows of the catalogue, whatever was asked for."""
    seen = look(document)
    if (seen.full_artists or seen.full_albums) and odd_part(answer, document):  # then nobody knows what else is
        seen.full_artists, seen.full_albums = [], []
    read_at = int(answer.received_at.timestamp())
    whole = {album_id: read_at for album_id, _, _ in seen.full_albums}
    return Shown(
        mode=seen.mode,
        details={
            "artists": dict.fromkeys(seen.artists, WANTED) | dict.fromkeys(seen.full_artists, read_at),
            "albums": dict.fromkeys(seen.albums, WANTED) | whole,
        },
        pages={
            id_: (started_at_of(answer), listed, total) for id_, listed, total in seen.full_albums if total > listed
        },
        names=seen.names,
        isrcs=seen.isrcs,
    )


def taken_in(state: State, answer: Answer, document: Document) -> Taken:
    """Change the state by what an answer means for what was asked."""
    for pattern, endpoint, take in TAKERS:
        found = pattern.fullmatch(answer.endpoint)
        if found:
            forget_wait(state, endpoint.group, answer)
            state.trust(endpoint_key(endpoint.template))
            state.removed.pop(endpoint.template, None)
            taken = take(state, answer, document, *found.groups())
            taken.remarks += filter(None, (idle_next(page, offset_of(answer)) for page in pages_in(document)))
            return taken
    return Taken()


def pages_in(document: Document) -> Iterator[Document]:
    """The page that an answer is, or those that it holds."""
    return (page for page in (document, *document.values()) if isinstance(page, dict))


def forget_wait(state: State, group: str, answer: Answer) -> None:
    """Once a group answers again, its next wait is its first."""
    wait = state.waits.get(group)
    if wait is not None and not wait.in_force(answer.received_at):
        del state.waits[group]


def take_refusal(state: State, answer: Answer, listing: str) -> Taken:
    """Change the state by a no to one thing (400, 403, 404). Once it has been said often enough, it is not asked for
    again for a while."""
    for pattern, endpoint, _ in TAKERS:
        found = pattern.fullmatch(answer.endpoint)
        if found and endpoint.template in YIELDERS:
            why = f"Spotify answered {answer.status}"
            if state.doubt(listing, why, answer.run_id, answer.received_at).believed():
                YIELDERS[endpoint.template](state, answer, *found.groups())
            break
    return Taken()


def take_note(state: State, note: dict[str, Any]) -> None:
    """Change the state by a note: a group's wait, an endpoint that is not for this app, a page size, a source that is
    read."""
    state.waits.update({group: Wait(**wait) for group, wait in note.get("waits", {}).items()})
    for template, told in note.get("removed", {}).items():
        if not isinstance(told, dict):  # earlier versions noted a time alone: that no is asked for again
            continue
        doubt = state.doubt(endpoint_key(template), NOT_OFFERED, told["run_id"], parse_rfc3339(told["at"]))
        if doubt.believed():
            state.removed[template] = told["at"]
    state.limits.update(note.get("limits", {}))
    state.done.update(note.get("done", {}))


# What an answer shows besides


@dataclass(slots=True)
class Seen:
    """Artists and albums anywhere in an answer; ``full`` ones with all their details; the shape that it has."""

    artists: list[str] = field(default_factory=list)
    albums: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    isrcs: dict[str, str] = field(default_factory=dict)  # by the first artist of the track
    full_artists: list[str] = field(default_factory=list)
    full_albums: list[tuple[str, int, int]] = field(default_factory=list)  # id, tracks listed, tracks in all
    mode: str | None = None


def look(document: Document) -> Seen:
    """Walk through an answer. What distinguishes the two shapes stands in facts of 2026: development mode shows
    neither an artist's followers nor the popularity of anything."""
    seen = Seen()
    for item in objects(document):
        kind, item_id = item.get("type"), item.get("id")
        if not is_id(item_id):
            continue
        if kind == "artist":
            see_artist(seen, item, item_id)
        elif kind in ("album", "single", "compilation") and ("album_type" in item or "total_tracks" in item):
            see_album(seen, item, item_id)
        elif kind == "track":
            see_isrc(seen, item)
            if isinstance(item.get("album"), dict):
                show_mode(seen, "popularity" in item or "available_markets" in item)
    return seen


def see_artist(seen: Seen, artist: Document, artist_id: str) -> None:
    """Note an artist; short forms have neither images nor genres."""
    seen.artists.append(artist_id)
    if isinstance(name := artist.get("name"), str) and name:
        seen.names[artist_id] = name
    if "images" in artist or "genres" in artist:
        show_mode(seen, "followers" in artist or "popularity" in artist)
        if is_whole("artists", artist):
            seen.full_artists.append(artist_id)


def see_isrc(seen: Seen, track: Document) -> None:
    """Note the code of a recording for the artist that it names first."""
    artists, code = track.get("artists"), usable_isrc(text_of(child(track, "external_ids").get("isrc")))
    if code and isinstance(artists, list) and artists and (artist_id := id_of(artists[0])):
        seen.isrcs.setdefault(artist_id, code)


def text_of(value: object) -> str | None:
    """The value if it is a text."""
    return value if isinstance(value, str) else None


def see_album(seen: Seen, album: Document, album_id: str) -> None:
    """Note an album; short forms have no tracks."""
    seen.albums.append(album_id)
    tracks = album.get("tracks")
    if isinstance(tracks, dict) and isinstance(tracks.get("items"), list):
        show_mode(seen, "popularity" in album or "label" in album)
        if is_whole("albums", album):
            seen.full_albums.append((album_id, len(tracks["items"]), count(tracks.get("total"))))


def show_mode(seen: Seen, extended: bool) -> None:
    """Note a mode; what only extended mode shows outweighs what both do."""
    if extended:
        seen.mode = "extended"
    elif seen.mode is None:
        seen.mode = "development"
