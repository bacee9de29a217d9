"""Exports as people have them: files of any name, folder and encoding, odd fields, several exports at once."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from chalicelib.errors import ImportRefused
from chalicelib.exports import dropped
from chalicelib.exports.importing import ImportSummary, import_export, rebuild_plays
from chalicelib.lake import Lake
from tests.support.listening import USER, account_row, extended_row, lake_in, listens_in, settings_for, write_export

Rows = list[dict[str, Any]]


def bring(folder: Path, source: Path) -> ImportSummary:
    return import_export(lake_in(folder), settings_for(folder), source, USER)


def listens(folder: Path) -> Rows:
    rows: Rows = listens_in(lake_in(folder)).to_pylist()
    return rows


def row_at(minute: int, track: str | None = "a", **more: Any) -> dict[str, Any]:
    return extended_row(f"2023-05-01T10:{minute:02}:00Z", 40_000, track, **more)


# --- names of files -----------------------------------------------------------------------------------------------

ANY_NAMES = [
    "Copy of endsong_0.json",
    "2023 Streaming_History_Audio_2023_0.json",
    "my_endsong_1.json",
    "Streaming History Audio 2018.json",
    "STREAMING_HISTORY_AUDIO_2019_2.JSON",
    "Streaming_History_Audio_2020_3 (1).json",
    "Streaming_History_Audio_2020_3 2.json",
    "backup/2021/anything at all.json",
    "endsong_2.json.txt",
    "StreamingHistory_3",
]


def a_folder_of_any_names(folder: Path) -> Path:
    for at, name in enumerate(ANY_NAMES):
        write_export(folder / name, [row_at(at)])
    write_export(folder / "chat.json", [{"ts": "1", "text": "hello"}])
    (folder / "Payments.json").write_text('{"payment_method": "card"}')
    (folder / "broken.json").write_text('[{"ts"')
    (folder / ".hidden.json").write_text("[")
    (folder / "notes.txt").write_text("nothing")
    (folder / "ReadMeFirst_ExtendedStreamingHistory.pdf").write_text("%PDF")
    return folder


@pytest.mark.parametrize("form", ["folder", "zip", "zip in zip", "zip in folder"])
def test_a_json_file_whose_rows_are_listens_is_history_and_others_are_named(tmp_path: Path, form: str) -> None:
    source = a_folder_of_any_names(tmp_path / "export")
    if form != "folder":
        inside = "" if form == "zip" else "inner.zip/"
        inner = zip_of(tmp_path / "inner.zip", source)
        source = {"zip": inner, "zip in zip": zip_of(tmp_path / "outer.zip", inner)}.get(form, tmp_path / "around")
        if form == "zip in folder":
            source.mkdir()
            inner.rename(source / "inner.zip")
    else:
        inside = ""
    summary = bring(tmp_path, source)
    assert summary.total("new") == len(ANY_NAMES) == len(listens(tmp_path))
    passed_over = [f"{inside}Payments.json (payments)", f"{inside}broken.json", f"{inside}chat.json"]
    assert summary.passed_over == passed_over
    assert f"not listening history: {', '.join(passed_over)}" in str(summary)
    again = lake_in(tmp_path).in_generation("g2")
    rebuild_plays(again)
    assert listens_in(again).equals(listens_in(lake_in(tmp_path)))
    assert not any("payments" in name.lower() or "chat" in name for name in kept_names(lake_in(tmp_path)))


def zip_of(path: Path, source: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        files = [source] if source.is_file() else sorted(source.rglob("*"))
        for file in files:
            if file.is_file():
                archive.write(file, file.name if source.is_file() else file.relative_to(source))
    return path


def kept_names(lake: Lake) -> list[str]:
    (key,) = dropped.kept_exports(lake)
    with zipfile.ZipFile(io.BytesIO(lake.store.read(key))) as archive:
        return archive.namelist()


def test_files_that_are_known_to_hold_something_else_are_not_opened_and_named_by_what_they_hold(tmp_path: Path) -> None:
    for name in ("YourLibrary.json", "Payments.json", "SearchQueries.json", "Playlist2.json"):
        path = write_export(tmp_path / name, [row_at(1)])
        with pytest.raises(ImportRefused, match=rf"{name} holds .*, not listening history"):
            bring(tmp_path, path)


def test_a_zip_without_history_says_what_it_holds(tmp_path: Path) -> None:
    write_export(tmp_path / "export" / "YourLibrary.json", [])
    with pytest.raises(
        ImportRefused, match=r"holds no listening history.*It holds YourLibrary.json \(the saved library\)"
    ):
        bring(tmp_path, zip_of(tmp_path / "my.zip", tmp_path / "export"))


# --- encodings and packings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["endsong_0.json", "whatever.json"])
def test_a_file_that_was_saved_again_in_another_encoding_is_read(tmp_path: Path, encoding: str, name: str) -> None:
    rows = [row_at(1, master_metadata_track_name="Übermut 🎈"), row_at(2)]
    path = tmp_path / "export" / name
    path.parent.mkdir()
    path.write_bytes(json.dumps(rows, ensure_ascii=False).encode(encoding))
    bring(tmp_path, tmp_path / "export")
    assert {row["item_name"] for row in listens(tmp_path)} == {"Übermut 🎈", "Song a"}


def test_a_gzip_file_is_read_alone_and_in_a_folder_and_a_bomb_is_refused(tmp_path: Path) -> None:
    content = json.dumps([row_at(1)]).encode()
    (tmp_path / "in").mkdir()
    for path in (tmp_path / "endsong_0.json", tmp_path / "in" / "endsong_1.json.gz"):
        path.write_bytes(gzip.compress(content))
    bring(tmp_path, tmp_path / "endsong_0.json")
    assert bring(tmp_path, tmp_path / "in").total("known") == 1
    large = json.dumps([row_at(1, platform="x" * 900_000)] * 40).encode()
    for name, blown in (("rows", large), ("blank", b" " * 60_000_000)):
        bomb = tmp_path / f"{name}.json"
        bomb.write_bytes(gzip.compress(blown))
        with pytest.raises(ImportRefused, match=f"{name}.json would unpack .* a gzip bomb"):
            bring(tmp_path, bomb)


def test_zips_inside_each_other_without_end_are_refused(tmp_path: Path) -> None:
    source = write_export(tmp_path / "endsong_0.json", [row_at(1)])
    for depth in range(5):
        source = zip_of(tmp_path / f"{depth}.zip", source)
    with pytest.raises(ImportRefused, match="zips inside each other"):
        bring(tmp_path, source)


# --- odd fields ---------------------------------------------------------------------------------------------------

ODD = [
    ("skipped", "false"), ("skipped", 0), ("shuffle", "yes"), ("offline", "unknown"), ("incognito_mode", []),
    ("offline_timestamp", "1714557600"), ("offline_timestamp", {}), ("platform", 7), ("conn_country", False),
    ("reason_end", ["fwdbtn"]), ("episode_name", 1), ("master_metadata_album_album_name", {"name": "Album"}),
]  # fmt: skip


def test_a_listen_outlives_an_odd_field_and_the_check_says_so(tmp_path: Path) -> None:
    rows = [{**row_at(at), name: value} for at, (name, value) in enumerate(ODD)]
    rows.append({**row_at(len(ODD)), "ms_played": 200_000.0})
    summary = bring(tmp_path, write_export(tmp_path / "endsong_0.json", rows))
    plays = listens(tmp_path)
    assert summary.total("new") == len(plays) == len(ODD) + 1
    assert {row["item_name"] for row in plays} == {"Song a"} and max(row["ms_played"] for row in plays) == 200_000
    assert summary.files[0].odd == {name: sum(other == name for other, _ in ODD) for name, _ in ODD}
    assert "left empty in 2 rows: skipped" in str(summary)
    lake = lake_in(tmp_path)
    (key,) = [info.key for info in lake.store.list("transformed/g1/quality_results_history/")]
    checks = pq.read_table(io.BytesIO(lake.store.read(key))).to_pylist()
    assert {row["check_name"]: row["failures"] for row in checks}["export_field:offline_timestamp"] == 2


@pytest.mark.parametrize("change", [{"ms_played": 1.5}, {"ms_played": "200000"}, {"ts": 5}, {"ms_played": -1.0}])
def test_a_row_without_a_sound_time_or_length_is_rejected(tmp_path: Path, change: dict[str, Any]) -> None:
    summary = bring(tmp_path, write_export(tmp_path / "endsong_0.json", [row_at(1), {**row_at(2), **change}]))
    assert (summary.total("new"), summary.total("rejected")) == (1, 1)


def test_a_file_all_of_whose_lengths_are_floats_is_read_and_so_is_account_data(tmp_path: Path) -> None:
    write_export(tmp_path / "x" / "endsong_0.json", [{**row_at(at), "ms_played": 40_000.0} for at in range(3)])
    rows = [{**account_row(f"2023-06-01 10:0{at} UTC", 40_000), "msPlayed": 40_000.0} for at in range(3)]
    write_export(tmp_path / "x" / "StreamingHistory0.json", rows)
    assert bring(tmp_path, tmp_path / "x").total("new") == 6


def test_empty_text_is_no_name(tmp_path: Path) -> None:
    local = row_at(1, None, master_metadata_track_name="Demo", master_metadata_album_artist_name="")
    bring(tmp_path, write_export(tmp_path / "endsong_0.json", [{**local, "master_metadata_album_album_name": ""}]))
    assert [(row["artist_name"], row["album_name"]) for row in listens(tmp_path)] == [(None, None)]


# --- several exports at once --------------------------------------------------------------------------------------


def told_with_podcasts_apart(folder: Path) -> tuple[Path, Path]:
    old = [
        account_row("2023-11-02 10:00", 1_800_000, None, artistName="The Tidewater Show", trackName="Episode Nine"),
        account_row("2023-11-02 11:00", 200_000),
    ]
    new = {"endTime": "2023-11-02 10:00", "podcastName": "The Tidewater Show", "episodeName": "Episode Nine"}
    write_export(folder / "MyData" / "StreamingHistory0.json", old)
    write_export(folder / "Spotify Account Data" / "StreamingHistory_music_0.json", old[1:])
    write_export(folder / "Spotify Account Data" / "StreamingHistory_podcast_0.json", [{**new, "msPlayed": 1_800_000}])
    return folder / "MyData", folder / "Spotify Account Data"


@pytest.mark.parametrize("order", [(0, 1), (1, 0), None])
def test_a_podcast_that_any_export_tells_apart_is_an_episode(tmp_path: Path, order: tuple[int, int] | None) -> None:
    folders = told_with_podcasts_apart(tmp_path / "all")
    for source in [folders[at] for at in order] if order else [tmp_path / "all"]:
        bring(tmp_path, source)
    assert sorted(row["item_type"] for row in listens(tmp_path)) == ["episode", "track"]


@pytest.mark.parametrize("together", [True, False])
def test_each_column_is_the_fuller_reports_in_one_import_or_in_two(tmp_path: Path, together: bool) -> None:
    poor, full = row_at(1), row_at(1, skipped=True, shuffle=True, conn_country="DE")
    sources = [write_export(tmp_path / "all" / f"{n}" / "endsong_0.json", [row]) for n, row in enumerate((poor, full))]
    for source in [tmp_path / "all"] if together else sources:
        bring(tmp_path, source)
    (play,) = listens(tmp_path)
    assert (play["skipped"], play["shuffle"], play["country"]) == (True, True, "DE")


@pytest.mark.parametrize("overlap", [2, 5, 8])
def test_overlapping_exports_that_were_numbered_into_one_folder_count_once(tmp_path: Path, overlap: int) -> None:
    rows = [account_row(f"2023-05-01 10:{at:02}", 40_000 + at) for at in range(10)]
    write_export(tmp_path / "all" / "StreamingHistory_music_0.json", rows[:8])
    write_export(tmp_path / "all" / "StreamingHistory_music_1.json", rows[8 - overlap :])
    bring(tmp_path, tmp_path / "all")
    assert len(listens(tmp_path)) == 10


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_ids_that_come_by_merging_are_looked_up_too(tmp_path: Path, order: tuple[int, int]) -> None:
    account = write_export(tmp_path / "StreamingHistory0.json", [account_row("2023-05-01 10:01", 40_000)])
    extended = write_export(tmp_path / "endsong_0.json", [row_at(1)])
    for source in [(account, extended)[at] for at in order]:
        bring(tmp_path, source)
    wanted = json.loads(lake_in(tmp_path).store.read("state/wanted-tracks.json"))
    assert wanted == {"tracks": [["a" * 22, 1]]}


def test_hidden_and_half_copied_files_in_the_raw_zone_are_left_alone(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    for name in (".DS_Store", "._endsong_0.json", ".endsong_0.json.part"):
        lake.store.write(f"raw/history/{USER}/{name}", b"\x00\x05")
    assert list(dropped.unimported(lake)) == []
