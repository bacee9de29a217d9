"""What leaves a lake as files for others comes back as the same plays, within the bounds of those who take it."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import InvalidRequest
from chalicelib.exports.importing import import_export
from chalicelib.exports.leaving import write_listens
from sandbox import export as sandbox
from sandbox.clock import Clock, instant
from sandbox.world import World
from tests.support.listening import (
    USER,
    api_plays_of,
    extended_row,
    lake_in,
    listens_in,
    observe_api,
    settings_for,
    write_export,
)


def filled(folder: Path) -> list[dict[str, Any]]:
    """A lake with exports of both products, polls and scrobbles; its plays."""
    world = World(3, "small", Clock(instant("2022-09-01"), frozen=True))
    lake, config = lake_in(folder), settings_for(folder)
    extended = sandbox.write(folder / "a", world, "extended-2023-12", "zip", since="2022-06-10", until="2022-06-28")
    account = sandbox.write(folder / "b", world, "account-2022", "zip", since="2022-06-15")
    for one in (extended, account):
        import_export(lake, config, one.path, USER)
    observe_api(lake, api_plays_of(account.listens[-60:]))
    header = "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid"
    scrobble = f'{header}\n"1655000000","","A","","","","T",""\n'
    (folder / "recent.csv").write_text(scrobble, "utf-8")
    import_export(lake, config, folder / "recent.csv", USER)
    plays: list[dict[str, Any]] = listens_in(lake).to_pylist()
    return plays


def test_what_leaves_comes_back_as_the_same_plays(tmp_path: Path) -> None:
    plays = filled(tmp_path / "one")
    path = tmp_path / "listens.zip"
    said = write_listens(lake_in(tmp_path / "one"), path, "listenbrainz", USER)
    nameless = [row for row in plays if not (row["artist_name"] and row["item_name"])]
    assert said.listens == len(plays) - len(nameless)
    assert said.left_out.total() == len(nameless)
    for _ in range(2):
        import_export(lake_in(tmp_path / "other"), settings_for(tmp_path / "other"), path, USER)
    assert listens_in(lake_in(tmp_path / "other")).to_pylist() == [row for row in plays if row not in nameless]


def test_it_adds_nothing_to_the_lake_that_it_left(tmp_path: Path) -> None:
    plays = filled(tmp_path)
    write_listens(lake_in(tmp_path), tmp_path / "listens.zip", "listenbrainz")
    import_export(lake_in(tmp_path), settings_for(tmp_path), tmp_path / "listens.zip", USER)
    assert listens_in(lake_in(tmp_path)).to_pylist() == plays


def test_every_listen_is_as_listenbrainz_takes_it(tmp_path: Path) -> None:
    filled(tmp_path)
    write_listens(lake_in(tmp_path), tmp_path / "listens.zip", "listenbrainz")
    with zipfile.ZipFile(tmp_path / "listens.zip") as archive:
        names = archive.namelist()
        assert all(re.fullmatch(r"listens/\d{4}/\d{1,2}\.jsonl", name) for name in names)
        assert len(names) <= 500
        lines = [line for name in names for line in archive.read(name).splitlines()]
    for line in lines:
        assert len(line) <= 10_240
        listen = json.loads(line)
        assert set(listen) == {"listened_at", "track_metadata"}
        assert isinstance(listen["listened_at"], int)
        assert 1_033_410_600 < listen["listened_at"] < datetime.now(UTC).timestamp() + 3600
        about = listen["track_metadata"]
        assert about["artist_name"].strip()
        assert about["track_name"].strip()
        assert about.get("release_name") != ""
        info = about["additional_info"]
        assert not {"duration", "duration_ms"} <= set(info)
        assert all(info[name] > 0 for name in ("duration_ms", "duration_played") if name in info)
        assert None not in info.values()


def test_only_what_counts_leaves_if_that_is_asked_for(tmp_path: Path) -> None:
    rows = [extended_row("2023-01-01T10:00:00Z", ms, "a") for ms in (5_000, 31_000)]
    import_export(lake_in(tmp_path), settings_for(tmp_path), write_export(tmp_path / "endsong_0.json", rows), USER)
    said = write_listens(lake_in(tmp_path), tmp_path / "out.zip", "listenbrainz", counted=True)
    assert (said.listens, said.left_out.total()) == (1, 1)
    assert "left out 1 that do not count there" in str(said)


def test_the_csv_has_a_line_a_listen_and_comes_back_as_scrobbles(tmp_path: Path) -> None:
    row = extended_row("2023-01-01T10:03:20Z", 200_000, "a", master_metadata_track_name='Say "hej", now')
    import_export(lake_in(tmp_path), settings_for(tmp_path), write_export(tmp_path / "endsong_0.json", [row]), USER)
    write_listens(lake_in(tmp_path), tmp_path / "out.csv", "lastfm")
    lines = list(csv.reader((tmp_path / "out.csv").read_text("utf-8").splitlines()))
    assert lines == [["Band a", 'Say "hej", now', "Album a", "2023-01-01 10:00:00", "", "200"]]
    import_export(lake_in(tmp_path / "x"), settings_for(tmp_path / "x"), tmp_path / "out.csv", USER)
    (play,) = listens_in(lake_in(tmp_path / "x")).to_pylist()
    assert (play["origin"], play["item_name"], play["ms_played"]) == ("lastfm", 'Say "hej", now', None)


def test_of_several_listeners_one_is_to_be_named(tmp_path: Path) -> None:
    rows = write_export(tmp_path / "endsong_0.json", [extended_row("2023-01-01T10:00:00Z", 200_000)])
    for user in ("u", "v"):
        import_export(lake_in(tmp_path), settings_for(tmp_path), rows, user)
    with pytest.raises(InvalidRequest, match="--user"):
        write_listens(lake_in(tmp_path), tmp_path / "out.zip", "listenbrainz")
    assert write_listens(lake_in(tmp_path), tmp_path / "out.zip", "listenbrainz", "v").listens == 1
