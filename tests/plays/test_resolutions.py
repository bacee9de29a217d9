"""Which observations are one listen: each rule by hand, then order and company that must not matter."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.clock import Clock
from chalicelib.exports.files import export_files
from chalicelib.exports.observations import Observer
from chalicelib.exports.rows import ACCOUNT, EXTENDED
from chalicelib.exports.staging import stage
from chalicelib.lake import Lake, ObjectInfo
from chalicelib.parquet import arrow_schema, parquet_of_sorted, write_table
from chalicelib.plays import resolutions
from chalicelib.plays.matching import decide, decide_apart
from chalicelib.plays.outcome import Decided
from chalicelib.stores.folder import FolderStore
from chalicelib.tables import PLAYS, PLAYS_RESOLVED
from tests.support.listening import (
    USER,
    account_row,
    api_plays,
    extended_row,
    lake_in,
    listens_in,
    observe_api,
    uri_of,
    write_export,
)

Rows = list[dict[str, Any]]


def observed(folder: Path, name: str, rows: Rows, user: str = USER) -> pa.Table:
    """The observations that an export file of these rows gives."""
    path = write_export(folder / name, rows)
    with export_files(path, name) as files:
        staged = stage(files, name, folder)
    observer = Observer(staged.files, user, datetime(2030, 1, 1))  # noqa: DTZ001
    made = [observer.observe(staged.rows.rows(month)) for month in staged.rows.months()]
    return pa.concat_tables(made).drop_columns(["file"])


def heard(played_at: str, track: str = "a") -> tuple[str, str, str, str]:
    return played_at, uri_of(track), f"Song {track}", f"Band {track}"


def told(
    folder: Path,
    *,
    extended: Rows = [],  # noqa: B006
    account: Rows = [],  # noqa: B006
    api: list[Any] = [],  # noqa: B006
    listed: str | None = None,
) -> list[dict[str, Any]]:
    """The listens that these observations are; the API's made right after each play, or when they are ``listed``."""
    parts = [api_plays(api) if listed is None else listed_at(listed, api)]
    if extended:
        parts.append(observed(folder, "Streaming_History_Audio_2023.json", extended))
    if account:
        parts.append(observed(folder, "StreamingHistory0.json", account))
    rows: list[dict[str, Any]] = decide(pa.concat_tables(parts)).listens.to_pylist()
    return rows


def listed_at(moment: str, plays: list[Any]) -> pa.Table:
    """What an answer of the API lists at a moment of the day."""
    rows = api_plays(plays)
    moments = pa.array([datetime.fromisoformat(f"2023-05-01T{moment}")] * len(plays), pa.timestamp("ms"))
    return rows.set_column(rows.column_names.index("observed_at"), "observed_at", moments)


def origins(rows: Rows) -> list[str]:
    return [row["origin"] for row in rows]


FULL = extended_row("2023-05-01T10:04:00Z", 200_000)


def test_an_api_play_stamped_at_its_end_is_the_extended_row(tmp_path: Path) -> None:
    (play,) = told(tmp_path, extended=[FULL], api=[heard("2023-05-01T10:04:00.512Z")])
    assert (play["origin"], play["ms_played"], play["context_uri"]) == (EXTENDED, 200_000, "spotify:collection")


def test_an_api_play_stamped_at_its_start_is_the_extended_row(tmp_path: Path) -> None:
    assert len(told(tmp_path, extended=[FULL], api=[heard("2023-05-01T10:00:40.100Z")])) == 1


@pytest.mark.parametrize("stamped", ["end", "start"])
def test_two_listens_back_to_back_stay_two(tmp_path: Path, stamped: str) -> None:
    extended = [FULL, extended_row("2023-05-01T10:07:20Z", 200_000)]
    ends = ["2023-05-01T10:04:00.4Z", "2023-05-01T10:07:20.4Z"]
    starts = ["2023-05-01T10:00:40.4Z", "2023-05-01T10:04:00.4Z"]
    api = [heard(moment) for moment in (ends if stamped == "end" else starts)]
    assert origins(told(tmp_path, extended=extended, api=api)) == [EXTENDED, EXTENDED]


def test_a_song_looped_all_evening_is_counted_right_whatever_the_stamp_means(tmp_path: Path) -> None:
    first = datetime(2023, 5, 1, 18, tzinfo=UTC)
    ends = [first + timedelta(seconds=200 * turn) for turn in range(1, 40)]
    extended = [extended_row(f"{end:%Y-%m-%dT%H:%M:%SZ}", 200_000) for end in ends]
    api = [heard((end - timedelta(seconds=200)).isoformat()) for end in ends]
    assert len(told(tmp_path, extended=extended, api=api)) == 39
    more = [*api, heard((ends[-1] + timedelta(minutes=10)).isoformat())]
    assert len(told(tmp_path, extended=extended, api=more)) == 40


def test_plays_of_a_loop_of_which_the_api_tells_both_ends_are_as_many_as_exports_tell(tmp_path: Path) -> None:
    first = datetime(2023, 5, 1, 18, tzinfo=UTC)
    ends = [first + timedelta(seconds=205 * turn) for turn in range(1, 5)]
    loop = [extended_row(f"{end:%Y-%m-%dT%H:%M:%SZ}", 200_000) for end in ends]
    around = [extended_row(f"2023-05-01T{hour}:00:00Z", 60_000, "b") for hour in (17, 19)]
    api = [heard((end - timedelta(seconds=seconds)).isoformat()) for end in ends for seconds in (0, 200)]
    assert origins(told(tmp_path, extended=[*around, *loop], api=api)) == [EXTENDED] * 6


def test_a_play_the_export_does_not_know_stays(tmp_path: Path) -> None:
    api = [heard("2023-05-01T10:04:00Z"), heard("2023-05-01T10:20:00Z"), heard("2023-05-01T10:04:01Z", "b")]
    assert sorted(origins(told(tmp_path, extended=[FULL], api=api))) == ["api", "api", EXTENDED]


def test_a_short_skip_before_the_real_play_does_not_take_the_api_play(tmp_path: Path) -> None:
    skip = extended_row("2023-05-01T10:00:40Z", 4_000)
    rows = told(tmp_path, extended=[skip, FULL], api=[heard("2023-05-01T10:00:40.2Z")])
    assert [(row["ms_played"], row["context_uri"]) for row in rows] == [(4_000, None), (200_000, "spotify:collection")]


def test_a_relinked_track_is_known_by_its_title(tmp_path: Path) -> None:
    other_release = ("2023-05-01T10:04:00Z", uri_of("z"), "SONG  a", "Band a feat. Somebody")
    assert len(told(tmp_path, extended=[FULL], api=[other_release])) == 1


def test_a_paused_play_that_the_api_stamps_at_its_start_is_one(tmp_path: Path) -> None:
    before = extended_row("2023-05-01T09:00:00Z", 60_000, "b")
    assert len(told(tmp_path, extended=[before, FULL], api=[heard("2023-05-01T09:52:00Z")])) == 2


def test_offline_plays_that_report_together_meet_their_api_plays(tmp_path: Path) -> None:
    synced = "2023-05-01T18:00:00Z"
    extended = [
        extended_row("2023-05-01T06:00:00Z", 60_000, "c"),
        extended_row(synced, 200_000, "a", offline=True, offline_timestamp=0),
        extended_row(synced, 180_000, "b", offline=True, offline_timestamp=7),
    ]
    api = [heard("2023-05-01T10:04:00Z"), heard("2023-05-01T10:07:00Z", "b")]
    assert origins(told(tmp_path, extended=extended, api=api, listed="18:05:00")) == [EXTENDED] * 3
    assert len(told(tmp_path, extended=extended, api=api, listed="10:15:00")) == 5


def test_a_landing_in_account_data_is_no_play_that_the_api_listed_before_it(tmp_path: Path) -> None:
    landed = [account_row("2023-05-01 18:00", 200_000), account_row("2023-05-01 18:00", 180_000, "b")]
    before = account_row("2023-05-01 06:00", 60_000, "c")
    api = [heard("2023-05-01T10:04:00Z"), heard("2023-05-01T10:07:00Z", "b")]
    assert len(told(tmp_path, account=[before, *landed], api=api, listed="10:15:00")) == 5
    assert len(told(tmp_path, account=[before, *landed], api=api, listed="18:05:00")) == 3


@pytest.mark.parametrize("stamp", [1_682_935_440_000, 1_682_935_440])
def test_an_offline_play_is_met_at_the_time_its_device_gives(tmp_path: Path, stamp: int) -> None:
    extended = [extended_row("2023-05-01T18:00:00Z", 200_000, offline=True, offline_timestamp=stamp)]
    (play,) = told(tmp_path, extended=extended, api=[heard("2023-05-01T10:04:00Z")])
    assert play["started_at"] is None


def test_an_account_row_is_the_extended_row_of_its_minute(tmp_path: Path) -> None:
    rows = told(tmp_path, extended=[FULL], account=[account_row("2023-05-01 10:04", 200_000)])
    assert origins(rows) == [EXTENDED]


def test_an_account_row_without_names_is_the_extended_row_of_its_minute_and_length(tmp_path: Path) -> None:
    unknown = account_row("2023-05-01 10:04", 200_000, None, artistName="Unknown Artist", trackName="Unknown Track")
    assert len(told(tmp_path, extended=[FULL], account=[unknown])) == 1
    assert len(told(tmp_path, extended=[FULL], account=[{**unknown, "msPlayed": 5}])) == 2


def test_equal_account_rows_are_two_listens_and_meet_two_extended_rows(tmp_path: Path) -> None:
    account = [account_row("2023-05-01 10:04", 4_000)] * 2
    assert len(told(tmp_path, account=account)) == 2
    extended = [extended_row("2023-05-01T10:04:10Z", 4_000), extended_row("2023-05-01T10:04:15Z", 4_000)]
    assert origins(told(tmp_path, extended=extended, account=account)) == [EXTENDED, EXTENDED]


def test_a_landing_that_two_exports_cut_in_different_places_counts_once(tmp_path: Path) -> None:
    landing = [
        account_row("2023-05-01 18:00", ms, track) for ms, track in ((200_000, "a"), (180_000, "b"), (300_000, "c"))
    ]
    around = [account_row(f"2023-05-01 {hour}:00", 90_000, "d") for hour in ("07", "08", "21", "22")]
    files = {
        "StreamingHistory0.json": [around[0], landing[0]],
        "StreamingHistory1.json": [*landing[1:], around[2]],
        "older/StreamingHistory0.json": [around[1], *landing[:2]],
        "older/StreamingHistory1.json": [landing[2], around[3]],
    }
    tables = [observed(tmp_path, name, rows) for name, rows in files.items()]
    lengths = [row["ms_played"] for row in decide(pa.concat_tables(tables)).listens.to_pylist()]
    assert sorted(lengths) == [90_000] * 4 + [180_000, 200_000, 300_000]


def test_an_account_row_gives_the_api_play_its_length(tmp_path: Path) -> None:
    account = [account_row("2023-05-01 10:04", 200_000)]
    for stamp in ("2023-05-01T10:04:33Z", "2023-05-01T10:01:10Z"):
        (play,) = told(tmp_path, account=account, api=[heard(stamp)])
        assert (play["origin"], play["ms_played"], play["item_id"]) == ("api", 200_000, "a" * 22)


def test_all_three_reports_of_one_listen_are_one(tmp_path: Path) -> None:
    account = [account_row("2023-05-01 10:04", 200_000)]
    (play,) = told(tmp_path, extended=[FULL], account=account, api=[heard("2023-05-01T10:04:00Z")])
    assert (play["origin"], play["context_uri"]) == (EXTENDED, "spotify:collection")


def test_a_podcast_among_the_music_becomes_what_the_extended_row_says(tmp_path: Path) -> None:
    episode = extended_row(
        "2023-05-01T10:04:00Z", 900_000, None, episode_name="Pilot", episode_show_name="The Show",
        spotify_episode_uri="spotify:episode:" + "e" * 22,
    )  # fmt: skip
    account = [account_row("2023-05-01 10:04", 900_000, None, artistName="The Show", trackName="Pilot")]
    assert [row["item_type"] for row in told(tmp_path, account=account)] == ["track"]
    (play,) = told(tmp_path, extended=[episode], account=account)
    assert (play["item_type"], play["artist_name"], play["item_id"]) == ("episode", "The Show", "e" * 22)


def test_an_old_row_without_uri_is_the_later_row_with_it(tmp_path: Path) -> None:
    old = {key: value for key, value in FULL.items() if key != "spotify_track_uri"}
    (play,) = told(tmp_path, extended=[old, FULL])
    assert play["item_id"] == "a" * 22


def test_a_row_whose_names_have_gone_is_the_earlier_row_that_has_them(tmp_path: Path) -> None:
    gone = extended_row("2023-05-01T10:04:00Z", 200_000, None)
    (play,) = told(tmp_path, extended=[gone, FULL])
    assert play["item_name"] == "Song a"


def test_rows_of_one_second_that_differ_in_item_or_length_are_different_listens(tmp_path: Path) -> None:
    at = "2023-05-01T18:00:00Z"
    rows = [extended_row(at, 1), extended_row(at, 2), extended_row(at, 1, "b"), extended_row(at, 1, "b")]
    assert len(told(tmp_path, extended=rows)) == 3


def test_audiobooks_are_told_before_episodes_and_episodes_before_tracks(tmp_path: Path) -> None:
    chapter = extended_row(
        "2023-05-01T10:04:00Z", 5, None, audiobook_title="Book", audiobook_chapter_title="One",
        audiobook_chapter_uri="spotify:chapter:" + "c" * 22, spotify_episode_uri="spotify:episode:" + "c" * 22,
    )  # fmt: skip
    (play,) = told(tmp_path, extended=[chapter])
    assert (play["item_type"], play["item_name"], play["album_name"]) == ("audiobook", "One", "Book")


@pytest.mark.parametrize("kind", ["show", "audiobook"])
def test_a_book_is_no_chapter(tmp_path: Path, kind: str) -> None:
    book = {"audiobook_title": "Book", "audiobook_uri": f"spotify:{kind}:" + "b" * 22}
    (play,) = told(tmp_path, extended=[extended_row("2023-05-01T10:04:00Z", 5, None, **book)])
    assert (play["item_type"], play["item_id"], play["album_name"]) == ("audiobook", None, "Book")


def test_two_listeners_of_one_household_keep_their_own_listens(tmp_path: Path) -> None:
    both = [api_plays([heard("2023-05-01T10:04:00Z")], user) for user in ("one", "two")]
    assert decide(pa.concat_tables(both)).listens.num_rows == 2


# --- offline listens ----------------------------------------------------------------------------------------------

LANDED = "2023-05-01T18:00:05Z"


def flown(device: str | int | None, track: str = "a", ms: int = 240_000, **more: Any) -> dict[str, Any]:
    """A row of a flight: what its device says of when it began, as seconds, milliseconds or nothing."""
    stamp = int(datetime.fromisoformat(device).timestamp()) if isinstance(device, str) else device
    return extended_row(LANDED, ms, track, offline=True, offline_timestamp=stamp, **more)


def test_one_song_twice_on_a_flight_is_two_plays(tmp_path: Path) -> None:
    rows = [flown("2023-05-01T10:00:00Z"), flown("2023-05-01T10:04:00Z")]
    assert [row["offline_at"].hour for row in told(tmp_path, extended=rows)] == [10, 10]
    account = [account_row("2023-05-01 18:00", 240_000)] * 2
    api = [heard("2023-05-01T10:00:00Z"), heard("2023-05-01T10:08:00.4Z")]
    for more in ({"account": account}, {"api": api}, {"account": account, "api": api}):
        assert origins(told(tmp_path, extended=rows, **more)) == [EXTENDED] * 2


def test_a_flight_told_in_seconds_milliseconds_or_not_at_all_is_one_flight(tmp_path: Path) -> None:
    seconds = flown("2023-05-01T10:00:00Z")
    milliseconds = {**seconds, "offline_timestamp": seconds["offline_timestamp"] * 1000 + 740}
    for other in (milliseconds, {**seconds, "offline_timestamp": 0}, {**seconds, "offline_timestamp": None}):
        (play,) = told(tmp_path, extended=[seconds, other])
        assert play["offline_at"] == datetime(2023, 5, 1, 10)  # noqa: DTZ001


@pytest.mark.parametrize("minute", ["2023-05-01 10:04", "2023-05-01 18:00", "2023-05-01 10:00"])
def test_account_data_meets_an_offline_listen_at_its_devices_time_or_its_landing(tmp_path: Path, minute: str) -> None:
    account = [account_row(minute, 240_000)]
    assert origins(told(tmp_path, extended=[flown("2023-05-01T10:00:00Z")], account=account)) == [EXTENDED]


def test_account_data_meets_an_offline_listen_whose_device_says_nothing(tmp_path: Path) -> None:
    account = [account_row("2023-05-01 10:04", 240_000)]
    assert origins(told(tmp_path, extended=[flown(7)], account=account)) == [EXTENDED]
    assert len(told(tmp_path, extended=[flown(7, ms=239_000)], account=account)) == 2


def test_one_device_that_played_a_song_from_two_albums_played_it_twice(tmp_path: Path) -> None:
    single = flown("2023-05-01T10:00:00Z")
    album = {**flown("2023-05-01T10:04:00Z"), "spotify_track_uri": uri_of("z")}
    assert len(told(tmp_path, extended=[single, album])) == 2
    assert len(told(tmp_path, extended=[flown(0), {**flown(0), "spotify_track_uri": uri_of("z")}])) == 2


def test_a_stream_that_stands_under_another_id_in_a_newer_export_is_one_play(tmp_path: Path) -> None:
    assert len(told(tmp_path, extended=[FULL, {**FULL, "spotify_track_uri": uri_of("z")}])) == 1


# --- names --------------------------------------------------------------------------------------------------------

RENAMED = {**FULL, "master_metadata_track_name": "SONG A (2024 Version)", "master_metadata_album_album_name": "New"}


@pytest.mark.parametrize("title", ["Song a", "SONG A (2024 Version)"])
@pytest.mark.parametrize("extended", [[FULL, RENAMED], [RENAMED, FULL], [FULL], [RENAMED]], ids=len)
def test_every_name_that_a_listen_ever_bore_meets_account_data(tmp_path: Path, extended: Rows, title: str) -> None:
    account = [account_row("2023-05-01 10:04", 200_000, None, artistName="Band a", trackName=title)]
    assert origins(told(tmp_path, extended=extended, account=account)) == [EXTENDED]


def test_two_exports_of_account_data_may_tell_of_one_listen_under_two_names(tmp_path: Path) -> None:
    account = [
        account_row("2023-05-01 10:04", 200_000, None, artistName="Band a", trackName=title)
        for title in ("Song a", "SONG A (2024 Version)")
    ]
    assert len(told(tmp_path, account=account)) == 1
    assert origins(told(tmp_path, extended=[FULL], account=account)) == [EXTENDED]


def told_by_files(folder: Path, *files: Rows) -> Rows:
    """The listens that files of account data, of one export or of several, tell together."""
    parts = [observed(folder / str(at), f"StreamingHistory{at}.json", rows) for at, rows in enumerate(files)]
    rows: Rows = decide(pa.concat_tables(parts)).listens.to_pylist()
    return rows


def titled(title: str, length: int, minute: str = "14:06") -> dict[str, Any]:
    return account_row(f"2023-05-01 {minute}", length, None, artistName="Band a", trackName=title)


BEFORE, AFTER = titled("Other", 90_000, "08:00"), titled("Another", 90_000, "19:00")


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_renamed_track_that_was_heard_again_on_a_flight_counts_as_often_as_it_was_heard(
    tmp_path: Path, times: int
) -> None:
    others = [account_row("2023-05-01 14:06", 200_000, "b"), account_row("2023-05-01 14:06", 210_000, "c")]
    old, new = (
        [BEFORE, *[titled(title, 63_378)] * times, *others, AFTER] for title in ("Song a", "Song a - 2023 Version")
    )
    for files in ((old, new), (new, old)):
        listens = told_by_files(tmp_path, *files)
        assert len([row for row in listens if row["ms_played"] == 63_378]) == times


@pytest.mark.parametrize("length", [900, 12_000, 29_000])
def test_two_songs_that_one_file_tells_side_by_side_are_two_whatever_other_files_tell(
    tmp_path: Path, length: int
) -> None:
    both = [BEFORE, titled("Song a", length), titled("Song b", length), AFTER]
    renamed = [BEFORE, titled("Song a (Live)", length), titled("Song b", length), AFTER]
    for files in ((both,), (both, both[:-1]), (both, renamed), (renamed, both)):
        assert len(told_by_files(tmp_path, *files)) == 4


def test_two_songs_at_the_end_of_a_file_and_the_start_of_the_next_are_two_if_both_could_be_heard(
    tmp_path: Path,
) -> None:
    """No file tells of both; that they were reported together says that they are no one song under two names."""
    landed = [account_row("2023-05-01 14:06", 150_000, "c"), titled("Song a", 60_500), titled("Song b", 60_500)]
    assert len(told_by_files(tmp_path, [BEFORE, *landed[:2]], [landed[2], AFTER])) == 5


def test_a_renamed_track_of_the_api_meets_account_data_that_tells_of_its_time(tmp_path: Path) -> None:
    around = [account_row("2023-05-01 09:50", 200_000, "b"), account_row("2023-05-01 10:20", 200_000, "c")]
    renamed = account_row("2023-05-01 10:04", 200_000, None, artistName="Band a", trackName="Song a (Live)")
    api = [heard("2023-05-01T10:04:33Z")]
    assert sorted(origins(told(tmp_path, account=[*around, renamed], api=api))) == [ACCOUNT, ACCOUNT, "api"]
    assert len(told(tmp_path, account=[renamed], api=api)) == 2


def test_a_renamed_track_that_both_tell_of_first_is_one_where_the_api_would_list_two(tmp_path: Path) -> None:
    renamed = titled("Song a - 2024 Version", 200_000, "10:04")
    api = [heard("2023-05-01T10:01:10Z")]
    assert len(told(tmp_path, account=[renamed], api=api, listed="10:30:00")) == 1
    assert len(told(tmp_path, account=[renamed], api=api, listed="10:03:00")) == 2


def test_names_come_from_one_report_and_other_columns_from_the_fuller(tmp_path: Path) -> None:
    old = {**FULL, "master_metadata_track_name": "Zebra", "master_metadata_album_album_name": "Alpha Album"}
    new = {**FULL, "master_metadata_track_name": "Alpha", "master_metadata_album_album_name": "Zeta", "shuffle": True}
    for rows in ([old, new], [new, old]):
        (play,) = told(tmp_path, extended=rows)
        assert (play["item_name"], play["album_name"], play["shuffle"]) in {("Alpha", "Zeta", True)}


def test_a_skip_that_an_older_export_tells_stays_one(tmp_path: Path) -> None:
    for rows in (
        [{**FULL, "skipped": True}, {**FULL, "skipped": False}],
        [{**FULL, "skipped": False}, {**FULL, "skipped": True}],
    ):
        (play,) = told(tmp_path, extended=rows)
        assert play["skipped"] is True


# --- what the API tells -------------------------------------------------------------------------------------------


def test_a_play_that_the_api_tells_again_within_seconds_is_one(tmp_path: Path) -> None:
    again = [heard(f"2023-05-01T10:03:{second}Z") for second in ("20.381", "20.000", "22.100")]
    assert len(told(tmp_path, api=again)) == 1
    assert origins(told(tmp_path, api=again, extended=[extended_row("2023-05-01T10:03:21Z", 200_000)])) == [EXTENDED]
    relinked = ("2023-05-01T10:03:21.000Z", uri_of("z"), "Song a", "Band a")
    assert len(told(tmp_path, api=[*again, relinked])) == 1
    assert len(told(tmp_path, api=[again[0], heard("2023-05-01T10:06:40.381Z")])) == 2
    assert len(told(tmp_path, api=[again[0], heard("2023-05-01T10:03:50.381Z")])) == 2


def test_a_track_that_one_answer_lists_twice_was_played_twice_however_near() -> None:
    first, second = (heard(f"2023-05-01T10:03:{second}Z") for second in ("13.346", "26.336"))
    late, later = (heard(f"2023-05-01T10:03:{second}Z") for second in ("15.500", "28.600"))
    assert len(polled(("11:00:00", [first, second]))) == 2  # on two devices
    assert len(polled(("11:00:00", [first, second]), ("12:00:00", [late, later]))) == 2
    assert len(polled(("11:00:00", [first, later]), ("12:00:00", [late, second]))) == 2
    assert len(polled(("11:00:00", [first]), ("12:00:00", [second]))) == 1
    assert len(polled(("11:00:00", [first, late]))) == 1


def polled(*polls: tuple[str, list[tuple[str, str, str, str]]]) -> Rows:
    """The listens that answers of the API tell, each at a time with all the plays that it lists."""
    parts = [listed_at(moment, plays) for moment, plays in polls]
    rows: Rows = decide(pa.concat_tables(parts)).listens.to_pylist()
    return rows


def at_ten(*plays: str) -> list[tuple[str, str, str, str]]:
    """Plays in the hour after ten: ``03:20 a``."""
    return [heard(f"2023-05-01T10:{play[:5]}.000Z", play[6:]) for play in plays]


ONE_PLAY: list[tuple[list[str], list[str], list[str]]] = [
    (["00:00 a"], ["03:20 a"], ["00:00", "03:20"]),  # its start, then its end
    (["03:20 a"], ["00:00 a"], ["00:00", "03:20"]),  # its end, then its start
    (["00:00 a", "03:21 b"], ["03:20 a", "07:00 b"], ["00:00", "03:20"]),  # all of them
]


@pytest.mark.parametrize(("before", "after", "moments"), ONE_PLAY)
def test_a_play_in_whose_place_later_polls_tell_another_moment_of_its_track_is_one(
    before: list[str], after: list[str], moments: list[str]
) -> None:
    older = heard("2023-05-01T09:50:00.000Z", "z")
    listens = polled(("10:08:00", [older, *at_ten(*before)]), ("11:00:00", [older, *at_ten(*after)]))
    assert len(listens) == 1 + len(before)
    (play,) = [row for row in listens if row["item_name"] == "Song a"]
    assert [f"{play[name]:%M:%S}" for name in ("started_at", "ended_at")] == moments


def test_the_oldest_play_that_is_listed_is_known_by_a_newer_one() -> None:
    polls = ("10:08:00", at_ten("00:00 a", "03:21 b")), ("11:00:00", at_ten("03:20 a", "03:21 b"))
    assert len(polled(*polls)) == 2


@pytest.mark.thorough
def test_a_track_heard_again_is_told_beside_the_first_play_and_stays_two() -> None:
    first, second = at_ten("00:00 a"), at_ten("03:20 a")
    older = heard("2023-05-01T09:50:00.000Z", "z")
    assert len(polled(("10:01:00", [older, *first]), ("11:00:00", [older, *first, *second]))) == 3
    assert len(polled(("10:01:00", first), ("11:00:00", second))) == 2  # the first may be older than the last 50
    assert len(polled(("10:01:00", [older, *first]), ("10:30:00", [*first, *second]), ("11:00:00", second))) == 3


def test_a_loop_whose_plays_are_told_anew_keeps_its_length() -> None:
    loop = [f"{minute:02}:00 a" for minute in range(0, 41, 4)]
    older = heard("2023-05-01T09:50:00.000Z", "z")
    assert len(polled(("10:45:00", [older, *at_ten(*loop[:-1])]), ("11:00:00", [older, *at_ten(*loop[1:])]))) == 11


@pytest.mark.parametrize(
    ("played_at", "minute", "ended", "started"),
    [
        ("2023-05-01T17:56:05.500Z", "2023-05-01 18:00", "18:00:05.500", "17:56:05.500"),  # it was the start
        ("2023-05-01T18:00:05.500Z", "2023-05-01 18:00", "18:00:05.500", "17:56:05.500"),  # it was the end
        ("2023-05-01T17:50:00.000Z", "2023-05-01 18:00", "18:00:00", "17:50:00"),  # the start of a paused play
        ("2023-05-01T17:59:50.000Z", "2023-05-01 18:00", "18:00:00", "17:56:00"),  # the end, told a little early
    ],
)
def test_the_end_of_a_play_is_its_end_as_soon_as_account_data_says_so(
    tmp_path: Path, played_at: str, minute: str, ended: str, started: str
) -> None:
    before = account_row("2023-05-01 17:00", 100_000, "b")
    rows = told(tmp_path, account=[before, account_row(minute, 240_000)], api=[heard(played_at)])
    (play,) = [row for row in rows if row["origin"] == "api"]
    assert [play["ended_at"], play["started_at"]] == [
        datetime.fromisoformat(f"2023-05-01T{moment}") for moment in (ended, started)
    ]


# --- order and company do not matter ------------------------------------------------------------------------------

moments = st.integers(0, 70 * 24 * 60).map(
    lambda minutes: datetime(2023, 4, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
tracks = st.sampled_from("ab")
lengths = st.sampled_from([0, 4_000, 40_000, 200_000])


@st.composite
def histories(draw: st.DrawFn) -> tuple[Rows, Rows, list[Any]]:
    """True listens, some of which each origin tells, each in its own way."""
    extended, account, api = [], [], []
    for _ in range(draw(st.integers(1, 14))):
        end, track, length = draw(moments), draw(tracks), draw(lengths)
        tells = draw(st.sets(st.sampled_from(["extended", "account", "api"]), min_size=1))
        if "extended" in tells:
            name = draw(st.sampled_from([track, None])) if length else track
            extended.append(extended_row(f"{end:%Y-%m-%dT%H:%M:%SZ}", length, name))
        if "account" in tells:
            account.append(account_row(f"{end:%Y-%m-%d %H:%M}", length, draw(st.sampled_from([track, track, None]))))
        if "api" in tells:
            stamp = end - timedelta(milliseconds=draw(st.sampled_from([0, length])))
            api.append(heard(stamp.isoformat(), track))
    return extended, account, api


@pytest.mark.thorough
@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_observations_does_not_matter(
    tmp_path: Path, history: tuple[Rows, Rows, list[Any]], shuffler: random.Random
) -> None:
    extended, account, api = history
    parts = [api_plays(api)]
    parts += [observed(tmp_path, "endsong_0.json", extended)] if extended else []
    parts += [observed(tmp_path, "StreamingHistory0.json", account)] if account else []
    together = pa.concat_tables(parts)
    places = list(range(together.num_rows)) * 2
    shuffler.shuffle(places)
    expected = decide(together).listens
    assert resolutions.in_order(decide(together.take(places)).listens).equals(resolutions.in_order(expected))


@pytest.mark.thorough
@given(histories())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_listen_is_lost_and_none_is_told_by_a_poorer_report_than_there_is(
    tmp_path: Path, history: tuple[Rows, Rows, list[Any]]
) -> None:
    extended, account, api = history
    rows = told(tmp_path, extended=extended, account=account, api=api)
    told_by = [origins(rows).count(origin) for origin in (EXTENDED, "api", ACCOUNT)]
    distinct = len({(row["ts"], row["spotify_track_uri"], row["ms_played"]) for row in extended})
    uris = len(
        {(row["ts"], row["spotify_track_uri"], row["ms_played"]) for row in extended if row["spotify_track_uri"]}
    )
    assert uris <= told_by[0] <= distinct
    assert told_by[1] <= len(set(api))
    assert told_by[2] <= len(account)
    assert len(rows) >= max(uris, len(account) and 1)


@pytest.mark.thorough
@given(histories())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_months_decided_apart_give_what_they_give_together(
    tmp_path_factory: pytest.TempPathFactory, history: tuple[Rows, Rows, list[Any]]
) -> None:
    folder = tmp_path_factory.mktemp("months")
    extended, account, api = history
    parts = [api_plays(api)]
    parts += [observed(folder, "endsong_0.json", extended)] if extended else []
    parts += [observed(folder, "StreamingHistory0.json", account)] if account else []
    lake = lake_in(folder)
    for number, part in enumerate(parts):
        write_table(lake, lake.generation(), PLAYS, part, f"part{number}")
    for month in sorted(resolutions.known_months(lake, lake.generation()), reverse=True):
        resolutions.resolve(lake, months=[month])
    assert listens_in(lake).equals(resolutions.in_order(decide(pa.concat_tables(parts)).listens))


# --- resolutions --------------------------------------------------------------------------------------------------


def test_nothing_is_written_where_nothing_has_changed(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    observe_api(lake, api_plays([heard("2023-05-01T10:04:00Z")]))
    assert resolutions.resolve(lake) == []
    observe_api(lake, api_plays([heard("2023-05-01T10:04:00Z"), heard("2023-05-02T10:04:00Z")]), "more")
    assert resolutions.highest_resolutions(lake, lake.generation())["2023-05"] == 2
    assert listens_in(lake).num_rows == 2


def test_a_month_whose_only_listen_belongs_to_the_next_becomes_empty(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    account = observed(tmp_path, "StreamingHistory0.json", [account_row("2023-04-30 23:59", 200_000)])
    observe_api(lake, account, "account")
    assert listens_in(lake)["origin"].to_pylist() == [ACCOUNT]
    extended = observed(tmp_path, "endsong_0.json", [extended_row("2023-05-01T00:00:10Z", 200_000)])
    observe_api(lake, extended, "extended")
    assert listens_in(lake)["origin"].to_pylist() == [EXTENDED]
    assert len(resolutions.files_in_force(lake, lake.generation())) == 2


def test_superseded_resolutions_go_when_no_query_can_be_reading_them(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    for day in range(1, 5):
        observe_api(lake, api_plays([heard(f"2023-05-0{day}T10:04:00Z")]), f"day{day}")
    generation = lake.generation()
    assert len(resolutions.resolutions(lake, generation, "2023-05")) == 4
    resolutions.resolve(lake, clock=lambda: datetime.now(UTC) + timedelta(minutes=59))
    assert len(resolutions.resolutions(lake, generation, "2023-05")) == 4
    resolutions.resolve(lake, clock=lambda: datetime.now(UTC) + timedelta(minutes=61))
    assert [number for number, _ in resolutions.resolutions(lake, generation, "2023-05")] == [4]
    assert listens_in(lake).num_rows == 4


def hours_later(hours: int) -> Clock:
    return lambda: datetime.now(UTC) + timedelta(hours=hours)


def test_old_months_are_gathered_by_year_and_can_be_decided_anew(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    generation = lake.generation()
    observe_api(lake, api_plays([heard(f"2023-{month:02d}-03T10:04:00Z") for month in (1, 2, 5)]))
    before = listens_in(lake)
    assert len(resolutions.gather_years(lake)) == 3
    assert listens_in(lake).equals(before)  # copied, and the old ones wait for queries under way
    assert resolutions.gather_years(lake) == []
    assert not resolutions.has_superseded(lake) and resolutions.has_superseded(lake, hours_later(2))
    resolutions.gather_years(lake, clock=hours_later(2))
    assert not resolutions.has_superseded(lake, hours_later(2))
    keys = resolutions.files_in_force(lake, generation)
    assert [key.rpartition("plays_resolved/")[2] for key in keys] == [
        f"month=2023/2023-{month:02d}-resolution-000001.parquet" for month in (1, 2, 5)
    ]
    assert listens_in(lake).equals(before)
    assert resolutions.resolve(lake) == []  # what lies there is compared with
    observe_api(lake, api_plays([heard("2023-05-02T10:04:00Z")]), "more")
    assert resolutions.highest_resolutions(lake, generation)["2023-05"] == 2
    assert listens_in(lake).num_rows == 4
    for hours in (2, 4, 6):
        resolutions.gather_years(lake, clock=hours_later(hours))
        assert listens_in(lake).num_rows == 4
    assert all("/month=2023/" in key for key in resolutions.files_in_force(lake, generation))


def test_an_empty_month_of_an_earlier_release_stays_where_it_is(tmp_path: Path) -> None:
    """Its one row says no time: among those of its year nobody could tell which month it empties."""
    lake = lake_in(tmp_path)
    generation = lake.generation()
    observe_api(lake, api_plays([heard("2023-05-01T10:04:00Z")]))
    key = resolutions.resolution_key(generation, "2023-05", 2)
    nothing = {"play_id": "", "resolution": 2}
    row = pa.Table.from_pylist([nothing], schema=arrow_schema(PLAYS_RESOLVED).remove_metadata())
    lake.store.write(key, parquet_of_sorted(PLAYS_RESOLVED, row))
    assert resolutions.gather_years(lake) == []
    assert listens_in(lake).num_rows == 0


def test_this_months_listens_and_the_last_ones_lie_apart(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    observe_api(lake, api_plays([heard(f"2023-{month:02d}-03T10:04:00Z") for month in (3, 4, 5)]))
    (gathered,) = resolutions.gather_years(lake, clock=lambda: datetime(2023, 5, 31, 23, tzinfo=UTC))
    assert gathered.endswith("/month=2023/2023-03-resolution-000001.parquet")


@pytest.mark.thorough
def test_processes_that_decide_at_once_leave_every_listen(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    failures: list[BaseException] = []

    def bring(day: int) -> None:
        try:
            observe_api(lake, api_plays([heard(f"2023-05-{day:02d}T10:04:00Z")]), f"day{day}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=bring, args=(day,)) for day in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert listens_in(lake).num_rows == 8


class Overtaken(FolderStore):
    """A lake in which somebody else brings and decides a play right after a month's files have been listed."""

    month: str
    brings: Callable[[], None] | None

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        yield from super().list(prefix, start_after=start_after)
        if self.brings and prefix.endswith(f"/plays_history/month={self.month}/"):
            brings, self.brings = self.brings, None
            brings()


@pytest.mark.parametrize("batch", [1, 40_000])
@pytest.mark.parametrize("month", range(1, 7))
def test_a_play_that_is_decided_while_many_months_are_worked_out_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, month: int, batch: int
) -> None:
    monkeypatch.setattr(resolutions, "BATCH_ROWS", batch)
    lake = lake_in(tmp_path)
    rows = [heard(f"2023-{each:02d}-03T10:04:00Z") for each in range(1, 7)]
    write_table(lake, lake.generation(), PLAYS, api_plays(rows), "many")
    store = Overtaken(tmp_path / "lake")
    store.month = f"2023-{month:02d}"
    store.brings = lambda: observe_api(lake, api_plays([heard(f"2023-{month:02d}-09T10:04:00Z")]), "one")
    resolutions.resolve(Lake(store))
    assert listens_in(lake).num_rows == 7


def test_files_of_other_tables_and_generations_decide_nothing(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    lake.name_generation()
    assert (
        resolutions.resolve_keys(lake, ["transformed/g1/tracks_history/month=2023-05/x.parquet", "state/x.json"]) == []
    )
    keys = write_table(lake, "g9", PLAYS, api_plays([heard("2023-05-01T10:04:00Z")]), "x")
    assert resolutions.resolve_keys(lake, keys) == []
    assert resolutions.resolve(lake, "g9") != []


def test_a_listener_is_worked_out_alone_and_the_others_stay_as_they_were(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    generation = lake.generation()
    observe_api(lake, api_plays([heard("2023-05-01T10:04:00Z")], "anna"))
    write_table(lake, generation, PLAYS, api_plays([heard("2023-05-02T10:04:00Z")], "anna"), "later")
    write_table(lake, generation, PLAYS, api_plays([heard("2023-05-01T10:04:00Z", "b")], "ben"), "ben")
    resolutions.resolve(lake, user="ben")
    assert listens_in(lake)["user_id"].to_pylist().count("ben") == 1
    assert listens_in(lake).num_rows == 2  # whoever brought anna's later play works it out
    resolutions.resolve(lake, user="anna")
    assert sorted(listens_in(lake)["user_id"].to_pylist()) == ["anna", "anna", "ben"]
    assert resolutions.resolve(lake) == []


def test_a_month_is_stored_without_the_texts_of_others(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    rows = [
        extended_row(f"2023-0{month}-1{at}T10:04:00Z", 200_000 + at, track)
        for month, tracks in ((5, "abcdefghij"), (6, "klmnopqrst"))
        for at, track in enumerate(tracks)
    ]
    write_table(lake, lake.generation(), PLAYS, observed(tmp_path, "endsong_0.json", rows), "x")
    resolutions.resolve(lake)
    for key in resolutions.files_in_force(lake, lake.generation()):
        stored = pq.ParquetFile(lake.store.location(key), read_dictionary=["item_name"]).read(["item_name"])
        assert len(stored["item_name"].chunk(0).dictionary) == 10


@given(st.lists(histories(), min_size=2, max_size=4), st.integers(1, 40))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_listeners_decided_apart_give_what_they_give_together(
    tmp_path_factory: pytest.TempPathFactory, everybodys: list[tuple[Rows, Rows, list[Any]]], most: int
) -> None:
    folder = tmp_path_factory.mktemp("listeners")
    parts = []
    for number, (extended, account, api) in enumerate(everybodys):
        user = f"listener{number}"
        parts.append(api_plays(api, user))
        parts += [observed(folder, f"endsong_{number}.json", extended, user)] if extended else []
        parts += [observed(folder, f"StreamingHistory{number}.json", account, user)] if account else []
    rows = pa.concat_tables(parts)
    rows = rows.take(pa.array(random.Random(most).sample(range(rows.num_rows), rows.num_rows)))
    whole, apart = decide(rows), decide_apart(rows, most, resolutions.LISTENS)
    assert apart.listens.cast(resolutions.PLAIN).equals(whole.listens.cast(resolutions.PLAIN))
    assert told_by(apart) == told_by(whole)
    assert apart.shared == whole.shared


def told_by(decided: Decided) -> dict[str, str]:
    """For each observation the one that tells its listen."""
    ids = decided.observations["play_id"].to_pylist()
    return {ids[row]: ids[winner] for row, winner in enumerate(decided.winner_of)}
