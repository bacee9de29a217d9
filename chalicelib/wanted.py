"""What an imported history asks extraction to look up, most played first.

``state/wanted-tracks.json`` has tracks that were played and whose details nobody has read,
``state/played-artists.json`` the artists that were played, by name. plays/resolutions.py, which decides on listens,
writes both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chalicelib.lake import STATE, Lake
from chalicelib.records import RecordKind

WANTED_TRACKS = f"{STATE}wanted-tracks.json"


@dataclass(frozen=True, slots=True)
class Wanted:
    """``tracks``: id and number of plays of each, most played first."""

    tracks: list[tuple[str, int]] = field(default_factory=list)


WANTED = RecordKind(Wanted, "the list of tracks to look up", "it is written anew by the next import", derived=True)


def wanted_tracks(lake: Lake) -> list[str]:
    """Ids of the tracks that an imported history asks for, most played first."""
    record = WANTED.read(lake.store, WANTED_TRACKS)
    return [track for track, _ in record.tracks] if record else []


def write_wanted_tracks(lake: Lake, tracks: list[tuple[str, int]]) -> None:
    """Replace the list by ``tracks``: id and number of plays of each, most played first."""
    WANTED.write(lake.store, WANTED_TRACKS, Wanted(tracks))


PLAYED_ARTISTS = f"{STATE}played-artists.json"


@dataclass(frozen=True, slots=True)
class Played:
    """``artists``: names as plays have them, most played first."""

    artists: list[str] = field(default_factory=list)


PLAYED = RecordKind(Played, "the list of artists played", "it is written anew by the next import", derived=True)


def played_artists(lake: Lake) -> list[str]:
    """Names of the artists of an imported history, most played first."""
    record = PLAYED.read(lake.store, PLAYED_ARTISTS)
    return record.artists if record else []


def write_played_artists(lake: Lake, artists: list[str]) -> None:
    """Replace the list."""
    PLAYED.write(lake.store, PLAYED_ARTISTS, Played(artists))
