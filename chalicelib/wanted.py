"""``state/wanted-tracks.json``: tracks that were played and whose details nobody has read, most played first.

Whoever decides which listens there are writes it (plays/resolutions.py), extraction reads it.
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
