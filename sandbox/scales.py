"""How big a world is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes the sandbox keeps to: means and targets, not limits, except where said."""

    name: str
    listeners: int
    """Exactly this many, at most 5: the users a development-mode app may have."""
    artists: int
    """Exactly this many, the "Various Artists" included."""
    back_albums: float
    """Releases of an artist before 2025."""
    days_between_releases: float
    """Pace of new releases by any artist since 2025: under 14 days, so that ``tag:new`` is never empty for long."""
    shows: int
    saved_tracks: int
    saved_albums: int
    followed_artists: int
    playlists: int
    playlist_length: int
    streams_a_day: int
    """Skips and podcasts included; about two thirds of them reach recently-played."""
    changes_a_day: float
    """Saves, follows and edits of playlists by one listener."""
    member_since: str
    met_later: float = 0.0
    """Share of the artists whom a listener first hears in the five years after joining, not at once."""


SCALES: dict[str, Scale] = {
    scale.name: scale
    for scale in (
        Scale(
            name="small",
            listeners=1,
            artists=45,
            back_albums=1.6,
            days_between_releases=12,
            shows=4,
            saved_tracks=150,
            saved_albums=10,
            followed_artists=14,
            playlists=8,
            playlist_length=22,
            streams_a_day=30,
            changes_a_day=5,
            member_since="2020-03-01",
        ),
        Scale(
            name="demo",
            listeners=1,
            artists=110,
            back_albums=1.3,
            days_between_releases=10,
            shows=6,
            saved_tracks=170,
            saved_albums=10,
            followed_artists=18,
            playlists=8,
            playlist_length=20,
            streams_a_day=36,
            changes_a_day=5,
            member_since="2022-01-01",
            met_later=0.6,
        ),
        Scale(
            name="household",
            listeners=5,
            artists=45,
            back_albums=1.6,
            days_between_releases=12,
            shows=4,
            saved_tracks=60,
            saved_albums=5,
            followed_artists=6,
            playlists=8,
            playlist_length=8,
            streams_a_day=20,
            changes_a_day=3,
            member_since="2024-03-01",
        ),
        Scale(
            name="medium",
            listeners=5,
            artists=420,
            back_albums=2.2,
            days_between_releases=2,
            shows=25,
            saved_tracks=2_000,
            saved_albums=110,
            followed_artists=120,
            playlists=60,
            playlist_length=60,
            streams_a_day=88,
            changes_a_day=14,
            member_since="2018-01-01",
        ),
        Scale(
            name="large",
            listeners=5,
            artists=2_900,
            back_albums=3.6,
            days_between_releases=0.27,
            shows=200,
            saved_tracks=12_000,
            saved_albums=500,
            followed_artists=400,
            playlists=200,
            playlist_length=300,
            streams_a_day=150,
            changes_a_day=30,
            member_since="2017-06-01",
        ),
    )
}
