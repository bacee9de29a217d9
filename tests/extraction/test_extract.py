"""One extraction run after another, against the sandbox."""

from __future__ import annotations

import gc
import json
import os
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.clock import parse_rfc3339, rfc3339
from chalicelib.errors import InvalidSetting, MissingCredentials
from chalicelib.extraction.state import StateFile
from chalicelib.lake import STATE
from chalicelib.raw import unpack
from chalicelib.runs import RunRecord, SourceRecord, load_run
from chalicelib.settings import Settings
from chalicelib.transformation.run_checks import trends
from tests.support.extraction import World, contents, world

MODES = ("development", "extended")


def part(record: RunRecord, source: str) -> SourceRecord:
    return next(one for one in record.sources if one.source == source)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("mode", "most"), [("development", 1.0), pytest.param("extended", 1.02, marks=pytest.mark.soak)]
)
def test_the_first_run_makes_the_fewest_calls_and_the_next_asks_once_per_due_source(
    tmp_path: Path, mode: str, most: float
) -> None:
    """``most``: times the calls of a client that knows beforehand what there is."""
    with world(tmp_path, mode=mode, scale="medium") as made:
        first = made.run()
        assert first.state == "succeeded"
        assert first.mode == mode
        assert first.calls == made.sandbox.calls.total
        assert first.calls <= most * made.sandbox.minimum_calls()["total"]
        assert len([key for one in first.sources for key in one.raw_keys]) < 50

        made.clock.advance(hours=1)  # time stands still at Spotify: nothing changes there
        second = made.run()
        playlists = made.sandbox.service.request("me/playlists")["total"]
        assert playlists > 50
        pages = -(-playlists // 50)
        once = {"me/player/recently-played": 1, "me/tracks": 1, "me/albums": 1, "me/playlists": pages}
        assert second.calls_by_endpoint == once
        assert second.calls == 5
        assert sum(one.new_items for one in second.sources) == 0


@pytest.mark.thorough
def test_runs_of_a_spotify_that_is_well_are_not_said_to_bring_too_little(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        records: list[RunRecord] = []
        for hours in (1, 24, 24 * 8, 1):  # playlists change, a week's discographies bring a few new albums
            records.insert(0, made.run())
            volumes = [each for each in trends(records[0], records[1:]) if each.check_name.startswith("volume")]
            assert [each.detail for each in volumes if each.failures] == []
            made.advance(hours=hours)
        assert {one.source for one in records[0].sources if one.whole_readings} > {"recently_played", "my_playlists"}


@pytest.mark.thorough
def test_a_day_later_every_due_ranking_and_listing_takes_one_call(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.run()
        made.clock.advance(days=1)
        made.run(sources=["followed_artists", "new_albums", "top"])
        assert made.sandbox.calls.by_group == {"following": 1, "search": 1, "top": 6, "accounts": 2}


@pytest.mark.thorough
def test_development_mode_is_never_asked_for_what_it_does_not_have(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        for _ in range(2):
            made.run()
            assert set(made.sandbox.calls.by_status) == {200}
            made.advance(days=40)


@pytest.mark.thorough
def test_a_run_ends_at_its_budget_and_the_next_goes_on_exactly_there(tmp_path: Path) -> None:
    with world(tmp_path / "whole") as made:
        whole = made.run()
        everything = contents(made.lake)
    with world(tmp_path / "parts", calls_per_run=30) as made:
        spent = 0
        while (record := made.run()).state == "partial":
            assert record.calls == made.sandbox.calls.total == 30
            assert any(one.left for one in record.sources)
            spent += record.calls
        assert record.state == "succeeded"
        assert spent + record.calls == whole.calls
        assert contents(made.lake) == everything


def test_a_short_budget_is_spent_on_what_would_be_lost_first(tmp_path: Path) -> None:
    with world(tmp_path, calls_per_run=1) as made:
        record = made.run()
        assert record.calls_by_endpoint == {"me/player/recently-played": 1}
        assert part(record, "saved_tracks").left == "about 1 call"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not list open files")
def test_a_run_that_has_ended_leaves_no_connection_open(tmp_path: Path) -> None:
    """A service makes thousands of them: none may wait for the collector."""
    with world(tmp_path, calls_per_run=20) as made:
        before = sockets()
        gc.disable()
        try:
            assert made.run().calls == 20
            deadline = time.monotonic() + 10  # the sandbox, in this process too, closes its ends in threads
            while sockets() > before and time.monotonic() < deadline:
                time.sleep(0.05)
            assert sockets() == before
        finally:
            gc.enable()


def sockets() -> int:
    """Of this process."""
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found += os.readlink(each).startswith("socket:")
    return found


def test_idle_threads_do_not_take_calls_that_earlier_sources_need(tmp_path: Path) -> None:
    with world(tmp_path, scale="medium", calls_per_run=60, concurrency=8) as made:
        record = made.run(sources=["saved_tracks", "albums"])
        assert part(record, "saved_tracks").state == "succeeded"
        assert part(record, "albums").calls == 60 - part(record, "saved_tracks").calls


GROUPS = ("player", "library", "following", "playlists", "top", "artists", "albums", "search")
SAMPLE = {("quota", "player"), ("quota", "albums"), ("rate_limit", "library"), ("quota", "playlists")}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("kind", "group"),
    [
        pytest.param(kind, group, marks=[] if (kind, group) in SAMPLE else pytest.mark.soak)
        for kind in ("quota", "rate_limit")
        for group in GROUPS
    ],
)
def test_a_long_wait_ends_its_group_alone_and_is_kept_to(tmp_path: Path, kind: str, group: str) -> None:
    with world(tmp_path, concurrency=1) as made:
        made.sandbox.faults.add(kind, endpoint=group, retry_after=30_000)
        record = made.run()
        assert record.waited_seconds < 30
        assert record.state == "partial"
        waiting = [one for one in record.sources if one.not_before]
        assert waiting
        for one in waiting:
            assert one.not_before is not None
            assert parse_rfc3339(one.not_before) - made.clock() == pytest.approx(
                timedelta(seconds=30_000), abs=timedelta(seconds=15)
            )
        assert not made.sandbox.calls.violations
        assert {"player", "top", "search"} - {group} <= set(made.sandbox.calls.by_group)

        made.advance(seconds=29_000)
        assert made.run().state == "partial"
        assert made.sandbox.calls.by_group[group] == 0

        made.advance(seconds=1_100)
        assert made.run().state == "succeeded"
        assert not made.sandbox.calls.violations


def test_a_wait_is_stored_before_the_run_ends(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.sandbox.faults.add("quota", endpoint="albums", retry_after=61_389)
        made.run()
        waits = StateFile.load(made.lake).state.waits
        assert [group for group, wait in waits.items() if wait.in_force(made.clock())] == ["albums"]


@pytest.mark.thorough
def test_a_short_wait_is_taken_in_place(tmp_path: Path) -> None:
    with world(tmp_path, concurrency=1) as made:
        made.sandbox.faults.add("rate_limit", endpoint="top", retry_after=1)
        record = made.run(sources=["top"])
        assert record.state == "succeeded"
        assert record.retries == 1
        assert 0.5 < record.waited_seconds < 3
        assert not made.sandbox.calls.violations


@pytest.mark.thorough
def test_a_rolling_rate_limit_is_met_with_pauses_and_no_loss(tmp_path: Path) -> None:
    with world(tmp_path, rate_limit_per_30s=40, longest_wait=60.0) as made:
        record = made.run(sleep=lambda seconds: made.advance(seconds=seconds))
        assert record.state == "succeeded"
        assert record.waited_seconds > 0


FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("server_error", {"status": 500}),
    ("server_error", {"status": 503}),
    ("reset", {}),
    ("truncated", {}),
    ("truncated", {"declared": True}),
    ("html", {}),
    ("not_json", {}),
    ("unauthorized_once", {}),
    ("forbidden_once", {}),
    ("timeout", {"seconds": 0.01}),
)


def trouble(made: World, share: float) -> None:
    """Every kind of passing fault, together striking ``share`` of the calls."""
    for kind, options in FAULTS:
        made.sandbox.faults.add(kind, rate=share / len(FAULTS), **options)


@pytest.mark.thorough
@pytest.mark.parametrize("mode", MODES)
def test_passing_faults_of_every_kind_lose_and_double_nothing(tmp_path: Path, mode: str) -> None:
    with world(tmp_path / "calm", mode=mode) as made:
        calls = made.run().calls
        everything = contents(made.lake)
    with world(tmp_path / "rough", mode=mode, calls_per_run=100_000) as made:
        trouble(made, 0.2)
        record = made.run(sleep=lambda _: None)
        assert record.state == "succeeded"
        assert contents(made.lake) == everything
        assert record.retries == record.calls - calls > 0
        assert record.calls == made.sandbox.calls.total


@pytest.mark.thorough
def test_an_endpoint_that_is_taken_away_is_done_without_and_believed_gone_when_three_runs_were_told_so(
    tmp_path: Path,
) -> None:
    endpoints = ("artists", "browse/new-releases")
    with world(tmp_path, mode="extended", refresh_after=timedelta(hours=20)) as made:
        for endpoint in endpoints:
            made.sandbox.faults.add("removed", endpoint=f"/{endpoint}")
        for _ in range(3):
            record = made.run()
            assert [made.calls()[endpoint] for endpoint in endpoints] == [1, 1]
            assert made.sandbox.calls.by_endpoint["GET /artists/{id}"] > 0
            for endpoint in endpoints:
                assert any(f"does not offer {endpoint} to this app" in text for text in record.warnings), endpoint
            made.advance(days=1, hours=1)
        assert part(record, "new_releases").state == "unavailable"
        assert record.state == "succeeded"
        made.run()
        assert [made.calls()[endpoint] for endpoint in endpoints] == [0, 0]


@pytest.mark.thorough
@pytest.mark.parametrize("runs", [1, 2])
def test_an_endpoint_that_was_refused_for_a_while_is_asked_again_in_the_next_run(tmp_path: Path, runs: int) -> None:
    with world(tmp_path, mode="extended") as made:
        made.sandbox.faults.add("removed", endpoint="/browse/new-releases")
        for _ in range(runs):
            record = made.run()
            assert (record.state, part(record, "new_releases").state) == ("partial", "partial")
            made.advance(hours=1)
        made.sandbox.faults.clear()
        record = made.run()
        assert part(record, "new_releases").items > 0
        assert record.state == "succeeded"
        assert StateFile.load(made.lake).state.doubts == {}


@pytest.mark.thorough
def test_an_app_that_is_refused_everything_for_a_while_takes_nothing_for_gone(tmp_path: Path) -> None:
    with world(tmp_path, concurrency=1) as made:
        fault = made.sandbox.faults.add("server_error", status=403)
        record = made.run()
        assert fault.struck == record.calls <= 3 * 8, "each group of endpoints is given up once"
        assert record.state == "partial"
        made.sandbox.faults.clear()
        assert made.run().state == "succeeded"
        everything = contents(made.lake)
    with world(tmp_path / "alone", concurrency=1) as alone:
        alone.run()
        assert everything == contents(alone.lake)


def test_a_hole_in_the_listening_history_is_recorded_with_its_times(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        first = made.run(sources=["recently_played"])
        assert first.holes == []
        made.advance(hours=3)
        assert made.run(sources=["recently_played"]).holes == []
        ((listener, _),) = made.listeners.items()
        newest = StateFile.load(made.lake, listener).state.plays
        made.advance(days=10)
        record = made.run(sources=["recently_played"])
        ((user, after),) = newest.items()
        items = made.sandbox.service.request("me/player/recently-played", {"limit": "50"})["items"]
        assert record.holes == [{"user_id": user, "after": after, "before": min(item["played_at"] for item in items)}]
        assert load_run(made.lake, record.run_id).holes == record.holes


def saved_calls(made: World) -> int:
    return made.sandbox.calls.by_endpoint["GET /me/tracks"]


def test_a_removed_saved_track_makes_the_whole_library_be_read_and_a_new_one_does_not(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.run(sources=["saved_tracks"])
        tracks = made.sandbox.service.request("me/tracks", {"limit": "50", "offset": "100"})["items"]
        pages = -(-made.sandbox.service.request("me/tracks")["total"] // 50)
        assert saved_calls(made) == pages > 2

        made.sandbox.edit("unsave_track", id=tracks[0]["track"]["id"])
        made.clock.advance(hours=1)
        made.run(sources=["saved_tracks"])
        assert saved_calls(made) == pages

        made.advance(minutes=1)
        made.sandbox.edit("save_track", id=tracks[0]["track"]["id"])
        made.clock.advance(hours=1)
        made.run(sources=["saved_tracks"])
        assert saved_calls(made) == 1

    listings = [answer.context["listing"] for answer in made.answers()]
    complete = [one for one in listings if one["complete"]]
    total = len(tracks) + 100
    assert [one["items"] for one in complete] == [total, total - 1]
    assert listings[-1]["complete"] is False


def test_a_changed_playlist_is_read_again_and_no_other(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.run(sources=["my_playlists", "playlist_items"])
        listed = made.sandbox.service.request("me/playlists", {"limit": "50"})["items"]
        mine = next(one for one in listed if one["owner"]["id"] == made.sandbox.world.default_listener.id)
        track = made.sandbox.service.request("me/tracks")["items"][0]["track"]["id"]
        made.sandbox.edit("playlist_add", playlist_id=mine["id"], id=track)
        made.clock.advance(hours=1)
        made.run(sources=["my_playlists", "playlist_items"])
        answers = [answer for answer in made.answers() if answer.endpoint == f"playlists/{mine['id']}/items"]
        assert made.sandbox.calls.by_endpoint["GET /playlists/{playlist_id}/items"] == 1
        assert len({answer.context["snapshot_id"] for answer in answers}) == 2


@pytest.mark.thorough
def test_discographies_are_read_again_by_age_with_one_call_an_artist(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.run()
        artists = made.sandbox.service.request("me/following", {"type": "artist"})["artists"]["total"]
        made.clock.advance(days=6)
        made.run()
        assert made.sandbox.calls.by_endpoint["GET /artists/{id}/albums"] == 0
        made.clock.advance(days=1)
        made.run()
        assert made.sandbox.calls.by_endpoint["GET /artists/{id}/albums"] == artists


@pytest.mark.thorough
def test_details_are_read_once_and_again_when_they_are_old(tmp_path: Path) -> None:
    with world(tmp_path, refresh_after=timedelta(days=10)) as made:
        first = made.run()
        made.clock.advance(days=9)
        assert made.run().calls_by_endpoint.get("albums/{id}", 0) == 0
        made.clock.advance(days=2)
        again = made.run().calls_by_endpoint
        assert again["albums/{id}"] >= first.calls_by_endpoint["albums/{id}"]


@pytest.mark.parametrize("mode", MODES)
def test_tracks_that_an_imported_history_asks_for_are_read_most_played_first(tmp_path: Path, mode: str) -> None:
    with world(tmp_path, mode=mode, concurrency=1) as made:
        ids = [one["track"]["id"] for one in made.sandbox.service.request("me/tracks", {"limit": "50"})["items"]]
        plays = [[track_id, 100 - place] for place, track_id in enumerate(ids)]
        made.lake.store.write(f"{STATE}wanted-tracks.json", json.dumps({"tracks": plays}).encode())
        record = made.run(sources=["tracks"], settings={"calls_per_run": 5})
        asked = [answer.params.get("ids", answer.endpoint.partition("/")[2]) for answer in made.answers()]
        if mode == "development":
            assert asked == ids[:5]
            assert record.state == "partial"
            assert made.run(sources=["tracks"]).calls == len(ids) - 5
        else:
            made.run(sources=["tracks"])
            assert sum(len(text.split(",")) for text in asked) >= 5
        assert made.run(sources=["tracks"]).calls == 0


@pytest.mark.thorough
def test_nothing_starts_when_no_time_is_left(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        left = iter([100.0] * 20)
        record = made.run(remaining_seconds=lambda: next(left, 3.0))
        assert record.state == "partial"
        assert record.calls < 20
        assert made.run().state == "succeeded"


def test_several_listeners_have_their_own_rows_and_share_the_catalogue(tmp_path: Path) -> None:
    with world(tmp_path, scale="medium") as made:
        users = [one.id for one in made.sandbox.world.listeners.values()][:2]
        accounts = {made.log_in(user) for user in users}
        record = made.run(sources=["recently_played", "saved_albums"])
        assert record.state == "succeeded"
        answers = [answer for answer in made.answers() if answer.endpoint == "me/albums"]
        assert {answer.user_id for answer in answers} == accounts
        assert {one.user_id for one in record.sources} == accounts


def test_an_ended_authorisation_stops_the_listeners_sources_alone(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.advance(days=200)
        record = made.run()
        assert record.state == "partial"
        assert part(record, "new_albums").state == "succeeded"
        assert part(record, "albums").calls > 0
        error = part(record, "saved_tracks").error
        assert error is not None
        assert error["code"] == "authorization_ended"
        assert ".venv/bin/lake login" in error["message"]
        refreshes = made.sandbox.calls.by_endpoint["POST /api/token"]
        assert refreshes == 2, "one for the listener, one for the app"


def test_what_spotify_documents_of_playlists_is_noted_and_no_warning(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        record = made.run(sources=["my_playlists", "playlist_items"])
        assert record.warnings == []
        bare = Counter[str]()
        for answer in made.answers():
            if answer.endpoint.startswith("playlists/"):
                items = json.loads(answer.body)["items"]
                entries = items if isinstance(items, list) else items["items"]
                bare[answer.endpoint.split("/")[1]] += sum(
                    entry is None or entry["added_at"] is None for entry in entries
                )
        numbers = Counter(bare.values())
        assert max(numbers) > 1
        for number, playlists in numbers.items():
            words = (
                "1 entry of a playlist is null or bears no time" if number == 1 else f"{number} entries of a playlist"
            )
            noted = [note for note in record.notes if f": {words}" in note]
            times = f" ({playlists} times)" if playlists > 1 else ""
            assert [note.endswith(f"; it is read once more{times}") for note in noted] == [True] * (number > 0)


def test_the_run_record_warns_a_month_before_an_authorisation_ends(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        assert made.run(sources=["recently_played"]).warnings == []
        made.advance(days=160)
        (warning,) = made.run(sources=["recently_played"]).warnings
        assert "2027-05-20" in warning
        assert "login" in warning


def test_without_a_login_the_catalogue_is_read_and_the_remedy_named(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        for name in made.secrets.names():
            made.secrets.delete(name)
        record = made.run()
        assert record.state == "partial"
        assert part(record, "new_albums").state == "succeeded"
        assert ["login" in warning for warning in record.warnings] == [True]


def test_without_credentials_nothing_begins(tmp_path: Path) -> None:
    with world(tmp_path, spotipy_client_secret="") as made:
        with pytest.raises(MissingCredentials, match=r"SPOTIPY_CLIENT_ID.*SPOTIPY_CLIENT_SECRET.*login"):
            made.run()
        assert made.sandbox.calls.total == 0
        assert not (tmp_path / "lake").exists()


def test_wrong_credentials_are_one_clear_error(tmp_path: Path) -> None:
    with world(tmp_path, spotipy_client_secret="wrong") as made:
        with pytest.raises(MissingCredentials, match="SPOTIPY_CLIENT_SECRET"):
            made.run(sources=["new_albums"])
        assert made.sandbox.calls.total == 0


def test_an_unknown_source_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with world(tmp_path) as made, pytest.raises(InvalidSetting, match=r"nonsense.*recently_played"):
        made.run(sources=["nonsense"])


@pytest.mark.thorough
def test_every_answer_says_who_asked_when_and_what_and_the_bytes_are_spotifys(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        record = made.run()
        answers = list(made.answers())
        assert len(answers) == record.calls
        assert {answer.run_id for answer in answers} == {record.run_id}
        assert Counter(answer.source for answer in answers) == {
            one.source: one.calls for one in record.sources if one.calls
        }
        album = next(answer for answer in answers if answer.endpoint.startswith("albums/"))
        assert album.user_id is None
        assert album.requested_at <= album.received_at
        keys = [key for one in record.sources for key in one.raw_keys]
        assert sorted(keys) == [info.key for info in made.lake.store.list("raw/spotify/")]


@pytest.mark.thorough
def test_an_hour_that_brings_little_is_one_raw_object_of_all_sources(tmp_path: Path) -> None:
    """Each raw object is a transform of its own on AWS, and most of that is its start."""
    with world(tmp_path) as made:
        made.run()
        before = {info.key for info in made.lake.store.list("raw/spotify/")}
        assert len(before) > 5
        made.advance(hours=25)  # so that several sources are due
        record = made.run()
        busy = [one for one in record.sources if one.calls]
        (key,) = {info.key for info in made.lake.store.list("raw/spotify/")} - before
        assert len(busy) > 2 and all(one.raw_keys == [key] for one in busy)
        with made.lake.store.open(key) as stream:
            answers = list(unpack(stream))
        assert Counter(answer.source for answer in answers) == {one.source: one.calls for one in busy}


def test_pages_of_a_listing_follow_one_another_and_the_last_says_it_is_complete(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.run(sources=["saved_tracks", "followed_artists", "my_playlists"])
        for endpoint in ("me/tracks", "me/playlists", "me/following"):
            pages = [answer for answer in made.answers() if answer.endpoint == endpoint]
            listings = [page.context["listing"] for page in pages]
            assert len({one["started_at"] for one in listings}) == 1
            assert [one["complete"] for one in listings] == [False] * (len(pages) - 1) + [True]
            assert rfc3339(pages[0].requested_at) >= listings[0]["started_at"]


@pytest.mark.thorough
def test_personal_data_and_secrets_are_in_neither_zone(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.run()
        assert not [answer for answer in made.answers() if answer.endpoint == "me"]
        tokens = [made.settings.spotipy_client_secret, made.sandbox.refresh_token()[:60]]
        for path in (tmp_path / "lake").rglob("*"):
            if path.is_file():
                assert not [token for token in tokens if token.encode() in path.read_bytes()]


@pytest.mark.thorough
def test_a_mode_that_is_set_is_believed(tmp_path: Path) -> None:
    with world(tmp_path, mode="extended", spotify_mode="development") as made:
        record = made.run()
        assert record.mode == "development"
        assert part(record, "new_releases").state == "unavailable"
        assert made.sandbox.calls.by_endpoint["GET /albums"] == 0


def test_default_settings_hold_the_documented_budget() -> None:
    assert Settings().calls_per_run == 300


@pytest.mark.thorough
def test_a_listener_with_much_to_read_keeps_no_other_waiting_for_many_runs(tmp_path: Path) -> None:
    """Two libraries of 40 pages each, and runs that may read six pages: neither has to be whole before the other."""
    with world(tmp_path, scale="medium", calls_per_run=6) as here:
        others = [one.id for one in list(here.sandbox.world.listeners.values())[1:2]]
        users = {here.log_in(), *map(here.log_in, others)}
        for number in range(8):
            here.run(run_id=f"20261120T{12 + number}0000Z-{number:06x}", sources=["saved_tracks"])
            here.advance(hours=1)
        pages = Counter(answer.user_id for answer in here.answers() if answer.source == "saved_tracks")
    assert pages.keys() == users and min(pages.values()) >= 6
