"""What one raw object becomes: rows, rejected rows, quarantine, and nothing twice."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from chalicelib.errors import InvalidRequest, NotFound, RawObjectInvalid
from chalicelib.lake import Lake, run_key
from chalicelib.parquet import TableFiles, arrow_schema
from chalicelib.raw import pack
from chalicelib.tables import ARTISTS
from chalicelib.transformation.backlog import pending
from chalicelib.transformation.transform import MOST_ATTEMPTS, drive, transform_object, transform_pending
from tests.support import SHARED
from tests.support.raw_objects import (
    PLAYLIST_ID,
    RUN,
    START,
    album,
    answer,
    artist,
    entry,
    episode,
    files,
    folder_lake,
    local_track,
    play,
    playlist_page,
    put,
    spotify_id,
    stored,
    track,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return folder_lake(tmp_path / "lake")


def naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def utc(*parts: int) -> datetime:
    """A time as tables hold it: UTC without saying so."""
    return naive(datetime(*parts, tzinfo=UTC))  # type: ignore[misc, arg-type]


def transformed(lake: Lake, *answers: Any) -> Any:
    return transform_object(lake, put(lake, answers))


# --- what feeds what ----------------------------------------------------------------------------------------------


def test_a_playlist_page_feeds_items_tracks_albums_and_artists(lake: Lake) -> None:
    transformed(lake, playlist_page([entry(track("t", artists="ab"))], offset=50))
    (item,) = stored(lake, "playlist_items")
    assert item == {
        "playlist_id": PLAYLIST_ID,
        "snapshot_id": "S1",
        "position": 50,
        "item_type": "track",
        "item_id": spotify_id("t"),
        "item_uri": f"spotify:track:{spotify_id('t')}",
        "name": "Track t",
        "added_at": utc(2026, 1, 1),
        "added_by_id": "me",
        "observed_at": naive(START),
    }
    (one,) = stored(lake, "tracks")
    assert one["album_id"] == spotify_id("B")
    assert one["isrc"] == "USABC8112345"
    assert one["popularity"] is None
    assert [(row["position"], row["artist_id"]) for row in stored(lake, "track_artists")] == [
        (0, spotify_id("a")),
        (1, spotify_id("b")),
    ]
    assert [row["artist_id"] for row in stored(lake, "artists")] == [spotify_id("a"), spotify_id("b")]
    (release,) = stored(lake, "albums")
    assert (release["released_on"], release["release_year"], release["image_url"]) == (
        date(1981, 12, 15),
        1981,
        "https://i/640",
    )


@pytest.mark.parametrize("keyed", ["item", "track", "both"])
def test_entries_may_be_keyed_item_or_track_or_both(lake: Lake, keyed: str) -> None:
    one = entry(track("t"))
    if keyed != "item":
        one["track"] = one["item"]
    if keyed == "track":
        del one["item"]
    transformed(lake, playlist_page([one]))
    assert [row["item_id"] for row in stored(lake, "playlist_items")] == [spotify_id("t")]
    assert len(stored(lake, "tracks")) == 1


def test_saved_tracks_keyed_item_are_understood_too(lake: Lake) -> None:
    body = {"items": [{"added_at": "2026-01-01T00:00:00Z", "item": track("t")}]}
    transformed(lake, answer("me/tracks", body))
    assert [row["item_id"] for row in stored(lake, "saved_items")] == [spotify_id("t")]


def test_null_entries_and_null_items_keep_their_position(lake: Lake) -> None:
    report = transformed(lake, playlist_page([None, entry(None), entry(track("t"))]))
    assert [row["position"] for row in stored(lake, "playlist_items")] == [2]
    assert report.built.rejected == 0


def test_local_files_are_playlist_items_only(lake: Lake) -> None:
    transformed(lake, playlist_page([entry(local_track("Demo"), is_local=True)]))
    (item,) = stored(lake, "playlist_items")
    assert (item["item_type"], item["item_id"], item["name"]) == ("local", None, "Demo")
    assert stored(lake, "tracks") == stored(lake, "artists") == stored(lake, "rejected_rows") == []


def test_episodes_of_a_playlist_are_episodes(lake: Lake) -> None:
    transformed(lake, playlist_page([entry(episode("e"))]))
    (item,) = stored(lake, "playlist_items")
    assert item["item_type"] == "episode"
    (one,) = stored(lake, "episodes")
    assert (one["show_id"], one["show_name"], one["released_on"]) == (spotify_id("S"), "Show", date(2026, 1, 2))
    assert stored(lake, "tracks") == []


def test_a_playlist_by_itself_brings_its_first_page(lake: Lake) -> None:
    body = {
        "id": PLAYLIST_ID,
        "name": "Mix",
        "snapshot_id": "S7",
        "owner": {"id": "me"},
        "items": {"items": [None, entry(track("t"))], "offset": 0, "total": 2},
    }
    transformed(lake, answer(f"playlists/{PLAYLIST_ID}", body))
    (one,) = stored(lake, "playlists")
    assert (one["snapshot_id"], one["total_items"], one["public"]) == ("S7", 2, None)
    (item,) = stored(lake, "playlist_items")
    assert (item["snapshot_id"], item["position"]) == ("S7", 1)


@pytest.mark.parametrize("offset", [1e300, 2**70, -1, None])
def test_an_offset_that_is_none_counts_from_the_start(lake: Lake, offset: Any) -> None:
    page = {"items": [entry(track("t"))], "offset": offset, "total": 1}
    body = {"id": PLAYLIST_ID, "name": "Mix", "snapshot_id": "S", "items": page}
    transformed(lake, answer(f"playlists/{PLAYLIST_ID}", body))
    assert [row["position"] for row in stored(lake, "playlist_items")] == [0]


def test_a_playlist_without_its_items_is_known_without_their_number(lake: Lake) -> None:
    transformed(lake, answer(f"playlists/{PLAYLIST_ID}", {"id": PLAYLIST_ID, "name": "Mix"}))
    assert [row["total_items"] for row in stored(lake, "playlists")] == [None]


def test_tracks_of_an_album_have_its_id(lake: Lake) -> None:
    short = {name: value for name, value in track("t").items() if name not in ("album", "external_ids")}
    transformed(
        lake,
        answer(f"albums/{spotify_id('C')}/tracks", {"items": [short]}),
        answer(f"albums/{spotify_id('D')}", album("D", tracks={"items": [{**short, "id": spotify_id("u")}]})),
    )
    assert [(row["track_id"], row["album_id"], row["listed_album_id"]) for row in stored(lake, "tracks")] == [
        (spotify_id("t"), None, spotify_id("C")),
        (spotify_id("u"), None, spotify_id("D")),
    ]


def test_relinked_tracks_name_the_one_that_was_asked_for(lake: Lake) -> None:
    transformed(lake, answer("tracks", {"tracks": [track("t", linked_from={"id": spotify_id("o")}), None]}))
    assert [row["linked_from_id"] for row in stored(lake, "tracks")] == [spotify_id("o")]


def test_plays_keep_when_they_ended_and_have_one_id(lake: Lake) -> None:
    body = {"items": [play(track("t"), "2026-10-31T23:59:59.497Z", context={"uri": "spotify:album:x"})]}
    transformed(lake, answer("me/player/recently-played", body))
    (one,) = stored(lake, "plays")
    assert one["ended_at"] == utc(2026, 10, 31, 23, 59, 59, 497_000)
    assert (one["started_at"], one["ms_played"], one["origin"]) == (None, None, "api")
    assert (one["artist_name"], one["album_name"], one["context_uri"]) == ("Artist a", "Album B", "spotify:album:x")
    assert [key for key in files(lake) if "plays_history/month=2026-10/" in key]


def test_top_items_are_ranked_across_pages(lake: Lake) -> None:
    pages = [
        answer(
            "me/top/artists",
            {"items": [artist("a"), artist("b")]},
            params={"time_range": "short_term", "offset": 0},
        ),
        answer("me/top/artists", {"items": [artist("c")]}, params={"time_range": "short_term", "offset": 2}, second=1),
    ]
    transformed(lake, *pages)
    assert [(row["rank"], row["item_id"][0], row["observed_on"]) for row in stored(lake, "top_items")] == [
        (1, "a", date(2026, 11, 20)),
        (2, "b", date(2026, 11, 20)),
        (3, "c", date(2026, 11, 20)),
    ]


def test_a_complete_listing_is_recorded_when_its_last_page_comes(lake: Lake) -> None:
    saved = {"items": [{"added_at": "2026-01-01T00:00:00Z", "track": track("t")}]}
    listing = {"started_at": "2026-11-20T10:15:00.000Z", "complete": False}
    first = answer("me/tracks", saved, context={"listing": listing})
    last = answer("me/tracks", {"items": []}, second=9, context={"listing": {**listing, "complete": True, "items": 1}})
    transformed(lake, first, last)
    (row,) = stored(lake, "listings")
    assert (row["table_name"], row["item_type"], row["user_id"], row["items"]) == ("saved_items", "track", "u1", 1)
    assert (row["started_at"], row["observed_at"]) == (naive(START), naive(START + timedelta(seconds=9)))


def test_followed_artists_say_what_they_are_like(lake: Lake) -> None:
    body = {"artists": {"items": [artist("a", genres=[], popularity=63.0, followers={"total": 12})]}}
    transformed(lake, answer("me/following", body))
    (row,) = stored(lake, "artists")
    assert (row["genres"], row["popularity"], row["followers"]) == ([], 63, 12)
    assert [(row["user_id"], row["artist_id"]) for row in stored(lake, "followed_artists")] == [("u1", spotify_id("a"))]


def test_a_search_feeds_whatever_it_found(lake: Lake) -> None:
    body = {"tracks": {"items": [track("t"), None]}, "albums": {"items": [album("C")]}, "artists": None}
    transformed(lake, answer("search", body))
    assert [row["album_id"] for row in stored(lake, "albums")] == [spotify_id("B"), spotify_id("C")]
    assert len(stored(lake, "tracks")) == 1


def test_a_show_brings_its_episodes(lake: Lake) -> None:
    short = {name: value for name, value in episode("e").items() if name != "show"}
    transformed(
        lake,
        answer(f"shows/{spotify_id('S')}", {"id": spotify_id("S"), "name": "Show", "episodes": {"items": [short]}}),
        answer(f"shows/{spotify_id('R')}/episodes", {"items": [{**short, "id": spotify_id("f")}]}),
    )
    assert [(row["episode_id"][0], row["show_id"][0], row["show_name"]) for row in stored(lake, "episodes")] == [
        ("e", "S", "Show"),
        ("f", "R", None),
    ]


@pytest.mark.parametrize(
    ("given", "precision", "day", "year"),
    [
        ("1981", "year", date(1981, 1, 1), 1981),
        ("1981-12", "month", date(1981, 12, 1), 1981),
        ("1981-12-15", "day", date(1981, 12, 15), 1981),
        ("0000", "year", None, None),
        ("soon", "day", None, None),
        (None, None, None, None),
    ],
)
def test_release_dates_are_kept_as_given(
    lake: Lake, given: str | None, precision: str | None, day: date | None, year: int | None
) -> None:
    one = album("C", release_date=given, release_date_precision=precision)
    transformed(lake, answer(f"albums/{spotify_id('C')}", one))
    (row,) = stored(lake, "albums")
    assert (row["release_date"], row["released_on"], row["release_year"]) == (given, day, year)


def test_what_is_said_twice_in_one_object_is_kept_once(lake: Lake) -> None:
    transformed(
        lake,
        playlist_page([entry(track("t")), entry(track("t"))]),
        playlist_page([entry(track("t"))], second=5, snapshot="S2"),
    )
    assert len(stored(lake, "playlist_items")) == 3
    assert len(stored(lake, "tracks")) == 1


def test_what_changes_within_one_object_is_kept_each_time(lake: Lake) -> None:
    said = enumerate((50, 51, 50))
    pages = [answer(f"artists/{spotify_id('a')}", artist("a", popularity=n), second=second) for second, n in said]
    transformed(lake, *pages)
    assert [row["popularity"] for row in stored(lake, "artists")] == [50, 51, 50]


def test_answers_that_say_no_feed_nothing(lake: Lake) -> None:
    report = transformed(
        lake,
        answer(f"playlists/{PLAYLIST_ID}/items", {"error": {"status": 403, "message": "Forbidden"}}, status=403),
        answer("me", {"id": "u1"}),
    )
    assert report.built.rejected == 0
    assert report.built.failures == {".known_endpoint": 1}
    assert set(report.built.rows) <= {"quality_results", "rejected_rows"}


# --- what cannot be right -----------------------------------------------------------------------------------------


def rejected(lake: Lake) -> list[tuple[int, int, str, str]]:
    rows = stored(lake, "rejected_rows")
    return [(row["answer"], row["item"], row["table_name"], row["check_name"]) for row in rows]


def test_an_item_that_is_none_is_rejected_alone(lake: Lake) -> None:
    bad = {**entry(track("x")), "item": 5}
    report = transformed(lake, playlist_page([entry(track("t")), bad, entry(track("u"))]))
    assert [row["position"] for row in stored(lake, "playlist_items")] == [0, 2]
    assert rejected(lake) == [(0, 1, "playlist_items", "readable")]
    (row,) = stored(lake, "rejected_rows")
    assert "Expected `object | null`, got `int`" in row["reason"]
    assert json.loads(row["content"])["item"] == 5
    assert report.built.rejected == 1


@pytest.mark.parametrize(
    "body",
    [b"<html>Bad gateway</html>", b'{"items":[', b"", b"null", b"[]", b'{"items":' + b"[" * 100_000, b'{"next":null}'],
)
def test_an_answer_that_cannot_be_read_is_rejected_whole(lake: Lake, body: bytes) -> None:
    transformed(lake, answer("me/tracks", body), answer("me/tracks", {"items": []}, second=1))
    assert rejected(lake) == [(0, -1, "saved_items", "readable")]


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"id": "too-short"}, "pattern:track_id"),
        ({"id": None}, "not_null:track_id"),
    ],
)
def test_rows_that_cannot_be_right_are_rejected_with_the_reason(lake: Lake, change: dict[str, Any], check: str) -> None:
    transformed(lake, answer("tracks", {"tracks": [track("t"), {**track("x"), **change}]}))
    assert [row["track_id"] for row in stored(lake, "tracks")] == [spotify_id("t")]
    assert (0, 1, "tracks", check) in rejected(lake)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"popularity": 101}, "range:popularity"),
        ({"popularity": 63.5}, "type:popularity"),
        ({"duration_ms": -1}, "range:duration_ms"),
        ({"duration_ms": 1.5}, "type:duration_ms"),
        ({"duration_ms": 2**63}, "type:duration_ms"),
        ({"disc_number": 2**31}, "type:disc_number"),
        ({"track_number": 1e300}, "type:track_number"),
    ],
)
def test_a_value_that_cannot_be_right_is_null_and_the_check_says_so(
    lake: Lake, change: dict[str, Any], check: str
) -> None:
    tracks = [track("t", popularity=50), {**track("x", popularity=50), **change}]
    report = transformed(lake, answer("tracks", {"tracks": tracks}))
    (column,) = change
    first, second = stored(lake, "tracks")
    assert (second["track_id"], second[column]) == (spotify_id("x"), None) and first[column] is not None
    assert {name: value for name, value in second.items() if name not in (column, "track_id", "name", "isrc")} == {
        name: value for name, value in first.items() if name not in (column, "track_id", "name", "isrc")
    }
    assert rejected(lake) == [] and report.built.failures[f"tracks.{check}"] == 1


def test_a_library_row_without_a_listener_is_rejected(lake: Lake) -> None:
    body = {"items": [{"added_at": "2026-01-01T00:00:00Z", "track": track("t")}]}
    transformed(lake, answer("me/tracks", body, user_id=None))
    assert rejected(lake) == [(0, 0, "saved_items", "not_null:user_id")]


@pytest.mark.parametrize("moment", ["yesterday", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00Z", "2026-01-01T00:00:00"])
def test_a_time_that_is_none_is_rejected(lake: Lake, moment: str) -> None:
    transformed(lake, answer("me/player/recently-played", {"items": [play(track("t"), moment)]}))
    assert stored(lake, "plays") == []
    assert "type:ended_at" in {check for *_, check in rejected(lake)}


def test_the_same_key_said_differently_in_one_answer_is_rejected(lake: Lake) -> None:
    transformed(lake, answer("artists", {"artists": [artist("a"), artist("a", name="Somebody else")]}))
    assert [row["name"] for row in stored(lake, "artists")] == ["Artist a"]
    assert rejected(lake) == [(0, 1, "artists", "unique")]


def test_partial_descriptions_in_one_answer_are_put_together(lake: Lake) -> None:
    body = {"tracks": {"items": [track("t")]}, "artists": {"items": [artist("a", genres=["pop"])]}}
    transformed(lake, answer("search", body))
    assert [(row["name"], row["genres"]) for row in stored(lake, "artists")] == [("Artist a", ["pop"])]
    assert rejected(lake) == []


def test_every_check_leaves_a_result(lake: Lake) -> None:
    key = put(lake, [playlist_page([entry(track("t")), entry(track("x", popularity=101))])], source="playlist_items")
    transform_object(lake, key)
    results = {(row["table_name"], row["check_name"]): row for row in stored(lake, "quality_results")}
    popularity = results["tracks", "range:popularity"]
    assert (popularity["rows_checked"], popularity["failures"]) == (2, 1)
    assert popularity["raw_key"] == key
    assert popularity["run_id"] == RUN
    assert "popularity 101 is not between 0 and 100" in popularity["detail"]
    assert results["track_artists", "references:track_id"]["rows_checked"] == 2
    assert results["playlist_items", "readable"]["rows_checked"] == 2


def test_what_was_rejected_as_a_contradiction_counts_when_it_is_said_again_later(lake: Lake) -> None:
    first = answer("me/following", {"artists": {"items": [artist("a"), artist("a", name="Renamed")]}})
    later = answer("me/following", {"artists": {"items": [artist("a", name="Renamed")]}}, second=5)
    transformed(lake, first, later)
    said = sorted((row["observed_at"], row["name"]) for row in stored(lake, "artists"))
    assert [name for _, name in said] == ["Artist a", "Renamed"]


def test_files_that_grow_long_wait_on_the_disk_and_are_the_same(tmp_path: Path) -> None:
    rows = [{"artist_id": spotify_id(x), "name": x * 3000, "observed_at": naive(START)} for x in "abcdefgh"]
    batches = [pa.Table.from_pylist([row], schema=arrow_schema(ARTISTS)) for row in rows]
    short, long = TableFiles("g1", "some"), TableFiles("g1", "some", spill=1000)
    with short, long:
        for batch in batches:
            short.add(ARTISTS, batch)
            long.add(ARTISTS, batch)
        ((key, held),) = short.finish().items()
        ((same, path),) = long.finish().items()
        assert isinstance(path, Path) and (key, held) == (same, path.read_bytes())
        store = folder_lake(tmp_path / "lake").store
        store.write_file(key, path)
        assert store.read(key) == held
    assert not path.parent.exists()


# --- objects that are not ours ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", gzip.compress(b"hello"), gzip.compress(b""), pack([answer("me/tracks", {"items": []})])[:-9]],
    ids=["empty", "text", "no header", "no answer", "cut short"],
)
def test_an_object_that_is_not_ours_goes_to_quarantine(lake: Lake, content: bytes) -> None:
    key = "raw/spotify/2026/11/20/dropped.gz"
    lake.store.write(key, content)
    with pytest.raises(RawObjectInvalid) as caught:
        transform_object(lake, key)
    assert lake.store.read("quarantine/spotify/2026/11/20/dropped.gz") == content
    reason = json.loads(lake.store.read("quarantine/spotify/2026/11/20/dropped.gz.reason.json"))
    assert reason["message"] == caught.value.message
    assert files(lake) == {}
    assert list(pending(lake)) == []


def test_nothing_of_an_object_that_breaks_off_is_published(lake: Lake) -> None:
    whole = pack([playlist_page([entry(track("t"))])])
    key = "raw/spotify/2026/11/20/dropped.gz"
    lake.store.write(key, gzip.compress(gzip.decompress(whole) + b"{}\n"))
    with pytest.raises(RawObjectInvalid):
        transform_object(lake, key)
    assert files(lake) == {}


def test_an_object_that_has_become_unreadable_takes_its_rows_back(lake: Lake) -> None:
    key = put(lake, [playlist_page([entry(track("t"))])])
    transform_object(lake, key)
    lake.store.write(key, b"broken")
    with pytest.raises(RawObjectInvalid):
        transform_object(lake, key)
    assert files(lake) == {}


def test_a_missing_object_and_a_strange_key_are_named(lake: Lake) -> None:
    with pytest.raises(NotFound, match="there is no object"):
        transform_object(lake, "raw/spotify/none.gz")
    lake.store.write("raw/other/x", b"")
    with pytest.raises(InvalidRequest, match="raw/other/x"):
        transform_object(lake, "raw/other/x")


# --- nothing twice, nothing lost ----------------------------------------------------------------------------------


def test_transforming_twice_changes_nothing(lake: Lake) -> None:
    key = put(lake, [playlist_page([entry(track("t"))])])
    first = transform_object(lake, key)
    before = files(lake)
    assert transform_object(lake, key).state == "unchanged"
    assert transform_object(lake, key, again=True).files == first.files
    assert files(lake) == before


def test_files_of_an_earlier_transform_disappear(lake: Lake) -> None:
    key = put(lake, [playlist_page([entry(track("t"))])])
    transform_object(lake, key)
    put(lake, [answer("me/following", {"artists": {"items": [artist("a")]}})])
    report = transform_object(lake, key)
    assert set(files(lake)) == set(report.files)
    assert stored(lake, "tracks") == []


def test_an_interrupted_publication_is_found_and_done_again(lake: Lake) -> None:
    key = put(lake, [playlist_page([entry(track("t"))])])
    whole = transform_object(lake, key)
    before = files(lake)
    # as if it had died after writing one file: the others and the note that it is done are missing
    done = next(info.key for info in lake.store.list("state/transforms/g1/done/"))
    lake.store.delete([done, *whole.files[1:]])
    assert list(pending(lake)) == [key]
    (report,) = transform_pending(lake)
    assert report.state == "done"
    assert files(lake) == before
    assert list(pending(lake)) == []


def test_an_object_that_never_gets_done_ends_in_quarantine(lake: Lake) -> None:
    key = put(lake, [playlist_page([entry(track("t"))])])
    for _ in range(MOST_ATTEMPTS):
        drive(lake, key)
        lake.store.delete([f"state/transforms/g1/done/{key.removeprefix('raw/')}.json"])
        note = {"raw_key": key, "files": [], "attempts": MOST_ATTEMPTS}
    lake.store.write(f"state/transforms/g1/open/{key.removeprefix('raw/')}.json", json.dumps(note).encode())
    assert drive(lake, key) is None
    reason = json.loads(lake.store.read(f"quarantine/{key.removeprefix('raw/')}.reason.json"))
    assert "5 times" in reason["message"]
    assert list(pending(lake)) == []


# --- the records of runs ------------------------------------------------------------------------------------------


def run_record(**more: Any) -> dict[str, Any]:
    return {
        "run_id": RUN,
        "state": "succeeded",
        "trigger": "command",
        "started_at": "2026-11-20T10:15:00.000Z",
        "ended_at": "2026-11-20T10:15:30.000Z",
        "mode": "development",
        "calls": 12,
        "items": 340,
        **more,
    }


def test_a_run_and_the_holes_it_found_become_rows(lake: Lake) -> None:
    hole = {"user_id": "u1", "after": "2026-11-20T08:00:00.000Z", "before": "2026-11-20T10:00:00.000Z"}
    lake.store.write(run_key(RUN), json.dumps(run_record(holes=[hole])).encode())
    transform_object(lake, run_key(RUN))
    (run,) = stored(lake, "runs")
    assert (run["calls"], run["holes"], run["ended_at"]) == (12, 1, utc(2026, 11, 20, 10, 15, 30))
    (found,) = [row for row in stored(lake, "quality_results") if row["check_name"] == "recently_played_hole"]
    assert (found["severity"], found["window_start"], found["window_end"]) == (
        "warn",
        utc(2026, 11, 20, 8),
        utc(2026, 11, 20, 10),
    )


@pytest.mark.parametrize("content", [b"", b"[]", b'{"run_id": 5}', json.dumps(run_record(ended_at=None)).encode()])
def test_a_run_record_that_is_none_goes_to_quarantine(lake: Lake, content: bytes) -> None:
    lake.store.write(run_key(RUN), content)
    with pytest.raises(RawObjectInvalid, match="not the record of a run"):
        transform_object(lake, run_key(RUN))
    assert files(lake) == {}


# --- recorded answers ---------------------------------------------------------------------------------------------

SAMPLES = SHARED / "spotify" / "samples"
ENDPOINT_OF = {
    "album": f"albums/{spotify_id('A')}",
    "album-tracks": f"albums/{spotify_id('A')}/tracks",
    "artist": f"artists/{spotify_id('A')}",
    "artist-albums": f"artists/{spotify_id('A')}/albums",
    "followed-artists": "me/following",
    "my-playlists": "me/playlists",
    "playlist": f"playlists/{spotify_id('A')}",
    "playlist-items": f"playlists/{spotify_id('A')}/items",
    "recently-played": "me/player/recently-played",
    "saved-tracks": "me/tracks",
    "search": "search",
    "top-artists": "me/top/artists",
    "top-tracks": "me/top/tracks",
}
FED = {
    "album": {"albums", "tracks", "artists"},
    "album-tracks": {"tracks", "track_artists"},
    "artist": {"artists"},
    "artist-albums": {"albums", "album_artists"},
    "followed-artists": {"followed_artists", "artists"},
    "my-playlists": {"playlists"},
    "playlist": {"playlists", "playlist_items"},
    "playlist-items": {"playlist_items", "tracks"},
    "recently-played": {"plays", "tracks"},
    "saved-tracks": {"saved_items", "tracks", "albums"},
    "search": {"tracks"},
    "top-artists": {"top_items", "artists"},
    "top-tracks": {"top_items", "tracks"},
}


@pytest.mark.parametrize("kind", sorted(ENDPOINT_OF))
def test_recorded_answers_feed_their_tables_without_a_rejected_row(lake: Lake, kind: str) -> None:
    samples = sorted((SAMPLES / kind).glob("*.json"))
    if not samples:
        pytest.skip("no recorded answers at ../shared")
    told: dict[str, Any] = {"params": {"time_range": "long_term"}, "context": {"snapshot_id": "S"}}
    for number, sample in enumerate(samples):
        recorded = answer(ENDPOINT_OF[kind], sample.read_bytes(), second=number, **told)
        report = transform_object(lake, put(lake, [recorded], part=number))
        assert report.built.rejected == 0, sample.name
        assert report.built.failures == {}, sample.name
        assert {table for table, rows in report.built.rows.items() if rows} >= FED[kind], sample.name


def test_recorded_errors_feed_nothing(lake: Lake) -> None:
    samples = sorted((SAMPLES / "errors").glob("*.json"))
    if not samples:
        pytest.skip("no recorded answers at ../shared")
    for number, sample in enumerate(samples):
        said = json.loads(sample.read_bytes())["error"]
        status = said["status"] if isinstance(said, dict) else 400
        recorded = answer("me/tracks", sample.read_bytes(), status=status)
        report = transform_object(lake, put(lake, [recorded], part=number))
        assert report.built.rejected == 0


def test_the_day_of_a_run_does_not_decide_where_its_rows_go(lake: Lake) -> None:
    new_year = int((datetime(2027, 1, 1, tzinfo=UTC) - START).total_seconds())
    run_id = "20261231T233000Z-1a2b3c"
    pages = [playlist_page([entry(track("t"))], second=new_year + moved, run_id=run_id) for moved in (-60, 60)]
    transform_object(lake, put(lake, pages, run_id=run_id))
    months = {key.split("month=")[1][:7] for key in files(lake) if "/playlist_items_history/" in key}
    assert months == {"2026-12", "2027-01"}
