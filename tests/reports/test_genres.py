"""Genres where Spotify gives none: how much of a listener's time is under one, and what reports say of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from chalicelib.exports.importing import import_export
from chalicelib.pipeline import catch_up
from chalicelib.reports import catalogue
from chalicelib.wiring import open_engine
from sandbox import export
from sandbox.server import Sandbox
from tests.support.engines import ENGINES, Opened
from tests.support.extraction import START, World

OLD = {"observed_at": datetime(2025, 1, 1)}  # noqa: DTZ001 - UTC without a zone, as everywhere in tables
ARTIST = {"artist_id": "0123456789abcdefghijkl", "name": "Ann"}


@pytest.mark.thorough
def test_a_listener_whom_spotify_tells_no_genre_has_85_percent_of_the_time_under_one(tmp_path: Path) -> None:
    with Sandbox(now=START, frozen=True, genres=False) as sandbox:
        made = World(
            tmp_path,
            sandbox,
            musicbrainz_contact="listener@example.org",
            musicbrainz_url=sandbox.musicbrainz_url,
            listenbrainz_url=sandbox.listenbrainz_url,
        )
        made.log_in()
        history = export.write(tmp_path, sandbox.world, "extended-2025", since="2025-06-01")
        import_export(made.lake, made.settings, history.path)
        record = made.run(sleep=lambda _: None)
        catch_up(made.lake, made.settings)
        asked = next(one for one in record.sources if one.source == "musicbrainz")
        assert asked.calls <= made.settings.musicbrainz_calls
        engine = open_engine(made.settings, made.lake)
        try:
            opened = Opened(engine, made.lake, made.settings)
            page = catalogue.run(engine, catalogue.report("genres"), {"period": "all"}, wait=60).page
            assert page is not None
            *_, of_plays, of_time, source = page.rows[0]
            assert source == "musicbrainz"
            assert of_time >= 85
            assert of_plays >= 85
            assert opened.ask("SELECT count(*) FROM artists WHERE cardinality(genres) > 0") == [(0,)]
            genres = "SELECT listed.artist FROM (SELECT DISTINCT artist_id AS artist FROM artist_genres) AS listed"
            known = {one.artist.id: dict(one.genres) for one in sandbox.musicbrainz.known}
            assert all(known[artist] for (artist,) in opened.ask(genres))
        finally:
            engine.close()


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_spotifys_genres_come_before_musicbrainz_and_weak_votes_do_not_count(engine: str, tmp_path: Path) -> None:
    with ENGINES[engine](tmp_path) as opened:
        other, unvoted = ARTIST["artist_id"][::-1], "9" * 22
        opened.put(
            "artists",
            {**ARTIST, "genres": ["pop"], **OLD},
            {"artist_id": other, "name": "Bob", "genres": [], **OLD},
            {"artist_id": unvoted, "name": "Cat", "genres": None, **OLD},
        )
        votes = {"dub": 10, "ska": 4, "folk": 2, "seen": 1}
        opened.put(
            "musicbrainz_genres",
            *(
                {"artist_id": artist, "mbid": "m", "genre": genre, "votes": count, **OLD}
                for artist in (ARTIST["artist_id"], other)
                for genre, count in votes.items()
            ),
        )
        opened.crawl()
        listed = opened.ask("SELECT name, genres, source, stands_for_name FROM artist_genres_in_force ORDER BY name")
        assert listed == [("ann", ["pop"], "spotify", True), ("bob", ["dub", "ska", "folk"], "musicbrainz", True)]
        counts = "SELECT source, count(*), count(votes) FROM artist_genres GROUP BY 1 ORDER BY 1"
        assert opened.ask(counts) == [("musicbrainz", 8, 8), ("spotify", 1, 0)]
