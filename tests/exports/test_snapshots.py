"""What account data says besides listens: it stands in where nothing newer is known, whatever the order."""

from __future__ import annotations

import io
import json
import os
import random
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from chalicelib import pipeline
from chalicelib.errors import ImportRefused
from chalicelib.exports import dropped
from chalicelib.exports.importing import ImportSummary, import_dropped, import_export, rebuild_plays
from chalicelib.exports.snapshots import read_snapshot
from tests.support.engines import Opened, embedded, on
from tests.support.listening import USER, account_row, listens_in, settings_for

SECRET = "nobody's business"
A, B, C = ("a" * 22, "b" * 22, "c" * 22)
API_LIST = "p" * 22
SENSITIVE = (
    "Payments.json", "Inferences.json", "Identity.json", "Userdata.json", "UserAttributes.json", "UserAddress.json",
    "Identifiers.json", "MessageData.json", "UserPrompts.json", "DuoNewFamily.json", "VoiceInput.json",
    "AgentGateway.json",
    "payments (1).json", "Copy of Payments.json", "my payments 2024.JSON", "Inferences.json.gz", "notes.csv",
)  # fmt: skip


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    with embedded(tmp_path) as running:
        yield running


def library(*tracks: str, **more: Any) -> dict[str, Any]:
    told = [
        {"artist": f"By {each[0]}", "album": "LP", "track": each[0].upper(), "uri": f"spotify:track:{each}"}
        for each in tracks
    ]
    return {"tracks": told, "albums": [], "shows": [], "episodes": [], "bannedTracks": [], "artists": [], **more}


def playlist(name: str, *tracks: str, day: str = "2024-03-01") -> dict[str, Any]:
    items = [
        {"track": {"trackName": each[0], "artistName": "x", "albumName": "y", "trackUri": f"spotify:track:{each}"},
         "episode": None, "audiobook": None, "localTrack": None, "addedDate": day}
        for each in tracks
    ]  # fmt: skip
    return {"name": name, "lastModifiedDate": day, "items": items, "description": None, "numberOfFollowers": 0}


def typed(at: str, query: str, platform: str, *opened: str) -> dict[str, Any]:
    return {"platform": platform, "searchTime": at, "searchQuery": query, "searchInteractionURIs": list(opened)}


def export(path: Path, made: str, files: dict[str, Any], folder: str = "Spotify Account Data/") -> Path:
    """A zip as Spotify makes it, with members of that day."""
    day = datetime.fromisoformat(made)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(f"{folder}{name}", day.timetuple()[:6])
            archive.writestr(entry, content if isinstance(content, bytes) else json.dumps(content))
    return path


def bring(tmp_path: Path, opened: Opened, source: Path, user: str = USER, **settings: Any) -> ImportSummary:
    return import_export(opened.lake, settings_for(tmp_path, **settings), source, user)


def saved(opened: Opened) -> list[tuple[Any, ...]]:
    return opened.ask("SELECT item_type, item_id, origin, name FROM saved_items ORDER BY 1, 2")


def observe(opened: Opened, day: int, *tracks: str) -> None:
    """The API lists the whole library on a day of November 2026."""
    rows = [
        {"user_id": USER, "item_type": "track", "item_id": each, "added_at": on(1), "observed_at": on(day)}
        for each in tracks
    ]
    opened.put("saved_items", *rows, name=f"api-{day}")
    listing = {
        "listing_id": f"l{day}",
        "table_name": "saved_items",
        "user_id": USER,
        "item_type": "track",
        "items": len(tracks),
    }
    opened.put("listings", {**listing, "started_at": on(day), "observed_at": on(day)}, name=f"api-{day}")


# --- what it says -------------------------------------------------------------------------------------------------


def test_an_export_without_a_single_listen_says_what_was_saved_followed_and_searched_for(
    tmp_path: Path, opened: Opened
) -> None:
    files = {
        "YourLibrary.json": library(
            A,
            albums=[{"artist": "x", "album": "LP", "uri": f"spotify:album:{B}"}],
            shows=[{"name": "Tide Tables", "publisher": "Pier", "uri": f"spotify:show:{C}"}],
            artists=[{"name": "Ann", "uri": f"spotify:artist:{A}"}],
        ),
        "Playlist1.json": {"playlists": [playlist("Rain", A, B), playlist("Rain", C)]},
        "Follow.json": {"userIsFollowing": ["friend"], "userIsFollowedBy": [], "userIsBlocking": ["foe"]},
        "SearchQueries.json": [
            typed("2024-05-01T10:00:00.123Z[UTC]", "rai", ""),
            typed("2024-05-01T10:00:01Z[UTC]", "rain", "IOS", "u"),
        ],
    }  # fmt: skip
    summary = bring(tmp_path, opened, export(tmp_path / "x.zip", "2024-06-02 10:00:00", files))
    (told,) = summary.snapshots
    assert told["exported_at"] == "2024-06-02T10:00:00.000Z"
    assert told["counts"] == {
        "saved items": 4, "playlists": 2, "items of playlists": 3, "names followed": 1, "searches": 2
    }  # fmt: skip
    assert "as of 2024-06-02: 4 saved items" in str(summary) and summary.total("read") == 0
    assert saved(opened) == [
        ("album", B, "account_data", "LP"),
        ("show", C, "account_data", "Tide Tables"),
        ("track", A, "account_data", "A"),
    ]  # fmt: skip
    assert opened.ask("SELECT artist_id, name, origin FROM followed_artists") == [(A, "Ann", "account_data")]
    assert opened.ask("SELECT name, total_items, origin FROM playlists ORDER BY 2") == [
        ("Rain", 1, "account_data"), ("Rain", 2, "account_data")
    ]  # fmt: skip
    assert opened.ask("SELECT item_id FROM playlist_items ORDER BY 1") == [(A,), (B,), (C,)]
    assert opened.ask("SELECT query, platform, opened FROM searches ORDER BY searched_at") == [
        ("rai", None, []), ("rain", "IOS", ["u"])
    ]  # fmt: skip
    assert opened.ask("SELECT kind, name FROM exported_follows") == [("following", "friend")]


@pytest.mark.parametrize(
    ("name", "content", "counts"),
    [
        ("YourLibrary.json", {"tracks": [{"artist": "x", "album": "y", "track": "z"}]}, {"saved items": 1}),
        ("yourlibrary (1).json", {"albums": [7, None, {"album": "y", "uri": 5}]}, {"saved items": 1}),
        ("2021.json", library(A), {"saved items": 1}),
        ("Playlist.json", {"playlists": [{"name": "old", "items": [{"track": {"trackName": "t"}}]}]},
         {"playlists": 1, "items of playlists": 1}),
        ("Playlist7.json", {"playlists": [playlist("a"), {"name": None, "items": []}]}, {"playlists": 2}),
        ("Follow.json", {"followerCount": 2, "followingArtists": ["Ann"]}, {"names followed": 1}),
        ("SearchQueries.json", [{"searchTime": "x", "searchQuery": "y"}], {}),
    ],
)  # fmt: skip
def test_every_years_form_is_read_and_what_says_nothing_is_left_out(
    name: str, content: Any, counts: dict[str, int]
) -> None:
    for text in (
        json.dumps(content).encode(),
        json.dumps(content).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps(content).encode(),
    ):
        found = read_snapshot(io.BytesIO(text), is_named_so=not name.startswith("2021"))
        assert found is not None and found.counts == counts


@pytest.mark.parametrize("content", ["", "[]", "7", '{"tracks": 1}', '{"note": "x"}', '{"tracks": [', '[{"a": 1}]'])
def test_what_is_of_no_known_form_is_named_and_costs_no_listen(tmp_path: Path, opened: Opened, content: str) -> None:
    files = {"StreamingHistory0.json": [account_row("2024-05-01 10:00", 40_000)], "YourLibrary.json": content.encode()}
    summary = bring(tmp_path, opened, export(tmp_path / "x.zip", "2024-06-01", files))
    assert summary.total("new") == 1 and summary.snapshots == []
    assert summary.passed_over == ["Spotify Account Data/YourLibrary.json (the saved library)"]


# --- whose word counts --------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_the_newest_export_counts_whatever_the_order_and_again_changes_nothing(tmp_path: Path) -> None:
    exports = [
        export(tmp_path / f"{year}.zip", f"{year}-06-01", {
            "YourLibrary.json": library(*tracks),
            "Playlist1.json": {"playlists": [playlist("Rain", *tracks, day=f"{year}-01-01")]},
        })
        for year, tracks in (("2022", (A, B)), ("2023", (A,)), ("2024", (A, C)))
    ]  # fmt: skip
    answers = []
    for seed in range(4):
        order = [*exports, exports[0]]
        random.Random(seed).shuffle(order)
        with embedded(tmp_path / str(seed)) as opened:
            for each in order:
                bring(tmp_path / str(seed), opened, each)
            assert [row[1] for row in saved(opened)] == [A, C]
            assert opened.ask("SELECT count(*), count(DISTINCT exported_at) FROM exported_library") == [(5, 3)]
            assert opened.ask("SELECT name, total_items FROM playlists") == [("Rain", 2)]
            assert opened.ask("SELECT count(DISTINCT snapshot_id), count(*) FROM playlist_items") == [(3, 5)]
            answers.append(opened.ask("SELECT * FROM playlist_items ORDER BY observed_at, position"))
            pipeline.rebuild(opened.lake, opened.lake.publish_generation)
            assert opened.ask("SELECT * FROM playlist_items ORDER BY observed_at, position") == answers[-1]
            assert [row[1] for row in saved(opened)] == [A, C]
    assert answers.count(answers[0]) == len(answers)


def test_a_list_that_has_become_empty_is_empty(tmp_path: Path, opened: Opened) -> None:
    for year, tracks in (("2024", ()), ("2023", (A,))):
        bring(tmp_path, opened, export(tmp_path / "x.zip", f"{year}-06-01", {"YourLibrary.json": library(*tracks)}))
    assert saved(opened) == []


def test_spotifys_own_word_counts_unless_an_export_is_newer(tmp_path: Path, opened: Opened) -> None:
    bring(tmp_path, opened, export(tmp_path / "old.zip", "2026-10-01", {"YourLibrary.json": library(C)}))
    assert [row[1:3] for row in saved(opened)] == [(C, "account_data")]
    observe(opened, 3, A, B)
    assert [row[1:3] for row in saved(opened)] == [(A, "api"), (B, "api")]
    newer = export(tmp_path / "new.zip", "2026-11-09", {"YourLibrary.json": library(B, C)})
    bring(tmp_path, opened, newer)
    assert opened.ask("SELECT item_id, origin, added_at IS NULL FROM saved_items ORDER BY 1") == [
        (B, "account_data", False), (C, "account_data", True)
    ]  # fmt: skip
    observe(opened, 10, A)
    assert [row[1:3] for row in saved(opened)] == [(A, "api")]
    bring(tmp_path, opened, newer)
    assert [row[1:3] for row in saved(opened)] == [(A, "api")]


def test_a_playlist_that_spotify_knows_is_not_there_twice(tmp_path: Path, opened: Opened) -> None:
    told = {"playlist_id": API_LIST, "name": "rain ", "owner_id": "somebody", "snapshot_id": "s1", "total_items": 1}
    opened.put("playlists", {**told, "observed_at": on(3)})
    item = {"playlist_id": API_LIST, "snapshot_id": "s1", "position": 0, "item_type": "track", "item_id": A}
    opened.put("playlist_items", {**item, "item_uri": f"spotify:track:{A}", "observed_at": on(3)})
    files = {"Playlist1.json": {"playlists": [playlist("Rain", A, B), playlist("Sun", C)]}}
    bring(tmp_path, opened, export(tmp_path / "old.zip", "2026-10-01", files))
    named = "SELECT name, origin, total_items FROM playlists ORDER BY 1"
    assert opened.ask(named) == [("Sun", "account_data", 1), ("rain ", "api", 1)]
    assert opened.ask(f"SELECT count(*) FROM playlist_items WHERE playlist_id = '{API_LIST}'") == [(1,)]
    bring(tmp_path, opened, export(tmp_path / "new.zip", "2026-11-05", files))
    assert opened.ask(named) == [("Rain", "account_data", 2), ("Sun", "account_data", 1)]
    current = """SELECT items.item_id FROM playlist_items AS items
        JOIN playlists ON items.playlist_id = playlists.playlist_id AND items.snapshot_id = playlists.snapshot_id
        WHERE items.playlist_id = ? ORDER BY position"""
    assert opened.ask(current, API_LIST) == [(A,), (B,)]


def test_each_listener_has_their_own(tmp_path: Path, opened: Opened) -> None:
    for user, tracks in (("ann", (A, B)), ("ben", (C,))):
        files = {"YourLibrary.json": library(*tracks), "Playlist1.json": {"playlists": [playlist("Rain", *tracks)]}}
        bring(tmp_path, opened, export(tmp_path / "x.zip", "2024-06-01", files), user)
    assert opened.ask("SELECT user_id, count(*) FROM saved_items GROUP BY 1 ORDER BY 1") == [("ann", 2), ("ben", 1)]
    assert opened.ask("SELECT owner_id, total_items FROM playlists ORDER BY 1") == [("ann", 2), ("ben", 1)]


# --- when it was made ---------------------------------------------------------------------------------------------


def test_unpacked_files_are_as_old_as_what_they_tell_of(tmp_path: Path, opened: Opened) -> None:
    bring(tmp_path, opened, export(tmp_path / "new.zip", "2024-06-01", {"YourLibrary.json": library(A)}))
    old = tmp_path / "old" / "MyData"
    old.mkdir(parents=True)
    for name, content in (
        ("YourLibrary.json", library(B)),
        ("StreamingHistory0.json", [account_row("2021-05-01 10:00", 40_000)]),
    ):
        (old / name).write_text(json.dumps(content))  # unpacked today
    summary = bring(tmp_path, opened, tmp_path / "old")
    assert summary.snapshots[0]["exported_at"] == "2021-06-01T10:00:00.000Z"
    assert [row[1] for row in saved(opened)] == [A]


def test_a_file_of_no_date_is_older_than_all_else(tmp_path: Path, opened: Opened) -> None:
    alone = tmp_path / "YourLibrary.json"
    alone.write_text(json.dumps(library(B)))
    assert "of an unknown date" in str(bring(tmp_path, opened, alone))
    assert [row[1] for row in saved(opened)] == [B]
    bring(tmp_path, opened, export(tmp_path / "x.zip", "2019-06-01", {"YourLibrary.json": library(A)}))
    assert [row[1] for row in saved(opened)] == [A]


# --- what is kept -------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("form", ["zip", "zip in zip", "folder", "zip in folder"])
@pytest.mark.parametrize("keep_exports", [True, False])
def test_what_is_sensitive_is_nowhere_in_the_lake_and_a_rebuild_has_the_rest(
    tmp_path: Path, opened: Opened, form: str, keep_exports: bool
) -> None:
    files: dict[str, Any] = {name: json.dumps({"note": SECRET}).encode() for name in SENSITIVE}
    files |= {"StreamingHistory0.json": [account_row("2024-05-01 10:00", 40_000)], "YourLibrary.json": library(A)}
    source = export(tmp_path / "inner.zip", "2024-06-02", {**files, "Read_Me_First.pdf": SECRET.encode()})
    around = tmp_path / "around"
    if form == "folder":
        zipfile.ZipFile(source).extractall(around)
        for path in around.rglob("*"):
            os.utime(path, (1_717_300_000, 1_717_300_000))
    elif form == "zip in folder":
        around.mkdir()
        source.rename(around / "inner.zip")
    elif form == "zip in zip":
        around = export(tmp_path / "outer.zip", "2025-01-01", {"inner.zip": source.read_bytes(), **files}, "x/")
    bring(tmp_path, opened, source if form == "zip" else around, keep_exports=keep_exports)
    assert SECRET.encode() not in everything(tmp_path / "lake")
    before = opened.ask("SELECT * FROM exported_library ORDER BY 1"), saved(opened), listens_in(opened.lake)
    again = opened.lake.in_generation("g2")
    rebuild_plays(again)
    opened.lake.publish_generation("g2")
    assert (opened.ask("SELECT * FROM exported_library ORDER BY 1"), saved(opened)) == before[:2]
    assert listens_in(opened.lake).equals(before[2]) and before[1]


def everything(folder: Path) -> bytes:
    """What lies below a folder, unpacked."""
    found = b""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found += data
            if data[:2] == b"PK":
                with zipfile.ZipFile(path) as archive:
                    found += b"".join(archive.read(name) for name in archive.namelist())
    return found


def test_an_export_of_nothing_but_sensitive_files_is_refused_and_not_kept(tmp_path: Path, opened: Opened) -> None:
    path = export(tmp_path / "x.zip", "2024-06-02", {name: json.dumps({"note": SECRET}).encode() for name in SENSITIVE})
    where = "raw/history/me/x.zip"
    opened.lake.store.write(where, path.read_bytes())
    with pytest.raises(ImportRefused, match="holds no listening history"):
        import_dropped(opened.lake, settings_for(tmp_path), where)
    assert SECRET.encode() not in everything(tmp_path / "lake")
    assert list(dropped.unimported(opened.lake)) == []


def test_what_is_lost_of_the_tables_is_made_again(tmp_path: Path, opened: Opened) -> None:
    files = {"YourLibrary.json": library(A), "StreamingHistory0.json": [account_row("2024-05-01 10:00", 40_000)]}
    bring(tmp_path, opened, export(tmp_path / "x.zip", "2024-06-02", files))
    pipeline.catch_up(opened.lake, opened.settings)
    opened.lake.store.delete([info.key for info in opened.lake.store.list("transformed/g1/exported_library_history/")])
    assert saved(opened) == []
    pipeline.catch_up(opened.lake, opened.settings)
    assert [row[1] for row in saved(opened)] == [A]
