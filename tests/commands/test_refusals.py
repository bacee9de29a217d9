"""Spotify forbids what every app may read: doctor and health name the source, run after run, and it is asked again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.commands import doctor
from chalicelib.extraction.reading import ENDPOINTS
from chalicelib.rest.health import Health
from chalicelib.spotify.guard import NOT_IN_DEVELOPMENT
from chalicelib.wanted import write_wanted_tracks
from chalicelib.wiring import Parts
from tests.support.extraction import World, world
from tests.support.odd_spotify import ODDITIES, OddSpotify, odd_spotify

RUNS = 4  # an hour apart
#: Endpoints that development mode has, and the source that cannot be read where one is forbidden. Those of a set are
#: forbidden together: none of them leads to another.
FORBIDDEN = (
    {
        "me/player/recently-played": "recently_played",
        "me/top/artists": "top_artists_short_term",
        "search": "new_albums",
        "playlists/{id}/items": "playlist_items",
        "albums/{id}/tracks": "albums",
        "tracks/{id}": "tracks",
    },
    {
        "me/tracks": "saved_tracks",
        "me/top/tracks": "top_tracks_short_term",
        "playlists/{id}": "playlist_items",
        "artists/{id}/albums": "discographies",
        "artists/{id}": "artists",
    },
    {
        "me/albums": "saved_albums",
        "me/following": "followed_artists",
        "me/playlists": "my_playlists",
        "albums/{id}": "albums",
    },
)


@contextmanager
def listening(folder: Path) -> Iterator[tuple[World, OddSpotify]]:
    """Somebody whose Spotify stands behind a proxy, and who has played tracks that are not known yet."""
    with world(folder) as made, odd_spotify(made.sandbox.url) as spotify:
        made.settings = replace(made.settings, spotify_api_url=f"{spotify.url}/v1")
        tracks = made.sandbox.service.request("me/tracks")["items"]
        write_wanted_tracks(made.lake, [(each["track"]["id"], 1) for each in tracks])
        yield made, spotify


def said_by_doctor(made: World) -> list[str]:
    parts = Parts({"LAKE_URL": made.settings.lake_url}, None)
    return [finding.line() for finding in doctor.newest_run(parts, made.clock)]


def test_every_endpoint_that_development_mode_has_is_forbidden_once() -> None:
    assert sorted(template for some in FORBIDDEN for template in some) == sorted(ENDPOINTS.keys() - NOT_IN_DEVELOPMENT)


@pytest.mark.thorough
@pytest.mark.parametrize("forbidden", FORBIDDEN, ids=" ".join)
def test_doctor_and_health_name_a_source_that_is_forbidden_and_it_is_asked_again_in_every_run(
    tmp_path: Path, forbidden: dict[str, str]
) -> None:
    with listening(tmp_path) as (made, spotify):
        for _ in range(RUNS):
            spotify.be(list(forbidden), ODDITIES["403 Forbidden"])
            record = made.run(sleep=lambda _: None)
            assert record.state == "partial"
            assert spotify.struck.keys() == forbidden.keys()
            found = said_by_doctor(made)
            (warning,) = Health(made.settings, made.lake, made.clock).report().warnings
            named, _, remedy = warning.partition(" could not be read whole: ")
            assert remedy == f"GET /runs/{record.run_id}"
            for template, source in forbidden.items():
                begins = f"warning {source}: Spotify answered 403 to {template}"
                assert any(line.startswith(begins) for line in found), (template, found)
                assert source in named.split(", "), template
            made.clock.advance(hours=1)
        spotify.be((), None)
        assert made.run().state == "succeeded"
        assert not [line for line in said_by_doctor(made) if line.startswith("warning")]
        assert Health(made.settings, made.lake, made.clock).report().warnings == []
