"""Privacy exports the sandbox writes: every variant, every trap, and one truth."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sandbox.clock import DAY, Clock, instant, to_milliseconds
from sandbox.export import PERSONAL, VARIANTS, main, true_listens, write, write_all
from sandbox.world import World

NOW = instant("2026-11-20T12:00:00")
EXTENDED = [name for name, variant in VARIANTS.items() if not variant.account]
ACCOUNT = [name for name, variant in VARIANTS.items() if variant.account]


@pytest.fixture(scope="module")
def world() -> World:
    return World(1, "small", Clock(NOW, frozen=True))


def files(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()}


def rows(contents: dict[str, bytes]) -> list[dict[str, Any]]:
    """All rows of the history files, in the order of the files."""
    found: list[dict[str, Any]] = []
    for name, content in contents.items():
        if content and name.endswith(".json") and name.startswith(("end", "Streaming")):
            found += json.loads(content.decode("utf-8-sig"))
    return found


def identity(row: dict[str, Any]) -> tuple[object, ...]:
    """What tells listens of extended exports apart."""
    uris = (row.get("spotify_track_uri"), row.get("spotify_episode_uri"), row.get("audiobook_chapter_uri"))
    names = (row["master_metadata_track_name"], row["episode_name"])
    return row["ts"], row["ms_played"], *uris, *names


def last_months(variant: str) -> int:
    downloaded = VARIANTS[variant].downloaded
    return (NOW if downloaded is None else instant(downloaded)) - 150 * DAY


@pytest.mark.parametrize("variant", EXTENDED)
def test_rows_of_an_extended_export_are_its_listens_and_repeated_boundaries(
    tmp_path: Path, world: World, variant: str
) -> None:
    export = write(tmp_path, world, variant, since=last_months(variant), rows_per_file=1000)
    found = rows(files(export.path))
    assert len(found) == export.rows > len(export.listens)
    distinct = {identity(row): row for row in found}
    assert len(distinct) == len(export.listens)
    assert sum(row["ms_played"] for row in distinct.values()) == export.summary["ms_played"]
    assert Counter(row["ts"] for row in distinct.values()) == Counter(listen.ts for listen in export.listens)


@pytest.mark.parametrize("variant", ACCOUNT)
def test_rows_of_account_data_are_its_listens_equal_ones_included(tmp_path: Path, world: World, variant: str) -> None:
    export = write(tmp_path, world, variant)
    found = rows(files(export.path))
    assert len(found) == export.rows == len(export.listens)
    assert sum(row["msPlayed"] for row in found) == export.summary["ms_played"]
    equal = Counter(json.dumps(row) for row in found)
    assert max(equal.values()) == 2


@pytest.mark.thorough
def test_keys_change_from_era_to_era(tmp_path: Path, world: World) -> None:
    keys = {}
    for variant in EXTENDED:
        export = write(tmp_path, world, variant, since=last_months(variant))
        keys[variant] = set(rows(files(export.path))[0])
    assert "spotify_track_uri" not in keys["endsong-2020"]
    assert {"city", "region", "metro_code", "longitude", "latitude"} <= keys["endsong-2020"]
    assert {"username", "user_agent_decrypted", "ip_addr_decrypted"} <= keys["extended-2023-12"]
    assert keys["extended-2023-12"] - keys["extended-2024-11"] == {
        "username",
        "user_agent_decrypted",
        "ip_addr_decrypted",
    }
    assert "ip_addr" in keys["extended-2024-11"]
    books = {"audiobook_title", "audiobook_uri", "audiobook_chapter_uri", "audiobook_chapter_title"}
    assert keys["extended-2025"] - keys["extended-2024-11"] == books


@pytest.mark.thorough
def test_files_are_named_as_their_era_names_them(tmp_path: Path, world: World) -> None:
    def names(variant: str) -> set[str]:
        export = write(tmp_path, world, variant, since=last_months(variant), rows_per_file=2000)
        return set(files(export.path))

    assert {"endsong_0.json", "endsong_1.json", "endvideo.json"} <= names("endsong-2022")
    mixed = names("mixed-2023")
    assert "endsong_0.json" in mixed
    assert any(name.startswith("Streaming_History_Audio_2023") for name in mixed)
    assert "Streaming_History_Video_2026.json" in names("extended-2025")
    assert {"StreamingHistory0.json", "StreamingHistory1.json", "StreamingHistory2.json"} <= names("account-2022")
    assert {"StreamingHistory_music_0.json", "StreamingHistory_podcast_0.json"} <= names("account-2024")


def test_every_trap_is_laid(tmp_path: Path, world: World) -> None:
    contents = files(write(tmp_path, world, "extended-2025", since=last_months("extended-2025")).path)
    assert b"" in contents.values()
    assert b"[]" in contents.values()
    assert sum(content.startswith(b"\xef\xbb\xbf") for content in contents.values()) == 1
    assert any(name.endswith(".pdf") and PERSONAL.encode() in content for name, content in contents.items())
    found = rows(contents)
    assert any(row["ms_played"] == 0 for row in found)
    assert any(row["spotify_track_uri"] is None and row["spotify_episode_uri"] is None for row in found)
    assert any(row["audiobook_chapter_uri"] and row["spotify_episode_uri"] for row in found)
    assert {row["conn_country"] for row in found} >= {"DE", "ZZ"}
    assert max(Counter(row["ts"] for row in found if row["offline"]).values()) > 3
    assert {type(row["reason_start"]) for row in found} == {str, type(None)}
    video = [row for name, content in contents.items() if "Video_2026" in name for row in json.loads(content)]
    assert any(row["spotify_track_uri"] for row in video)
    assert any(row["spotify_episode_uri"] for row in video)


@pytest.mark.thorough
def test_older_exports_are_unsorted_and_know_no_skips_before_2022(tmp_path: Path, world: World) -> None:
    found = rows(files(write(tmp_path, world, "endsong-2022", since="2021-10-01").path))
    times = [row["ts"] for row in found]
    assert times != sorted(times)
    assert {row["skipped"] for row in found if row["ts"] < "2021-12-30"} == {None}
    assert {row["skipped"] for row in found if row["ts"] > "2022-01-02"} == {True, False}


def test_account_data_has_unknown_and_missing_names_and_personal_files(tmp_path: Path, world: World) -> None:
    contents = files(write(tmp_path, world, "account-2022").path)
    found = rows(contents)
    assert any(row.get("artistName") == "Unknown Artist" for row in found)
    assert any("artistName" not in row for row in found)
    assert any("trackName" not in row for row in found)
    assert PERSONAL.encode() in contents["Payments.json"]


def test_exports_of_different_years_tell_of_the_same_listens(tmp_path: Path, world: World) -> None:
    since = "2024-09-01"
    older = write(tmp_path, world, "extended-2024-11", since=since)
    newer = write(tmp_path, world, "extended-2025", since=since, until="2024-12-10")
    both = true_listens([older, newer])
    assert set(older.listens) <= set(newer.listens)
    assert len(both) == len(newer.listens)


def test_recently_played_shows_a_part_of_the_same_listens(tmp_path: Path, world: World) -> None:
    export = write(tmp_path, world, "extended-2025", since=NOW - 10 * DAY)
    exported = {listen.api_played_at: listen for listen in export.listens if listen.api_played_at is not None}
    for play in world.default_listener.recently_played(NOW):
        listen = exported[to_milliseconds(play.played_at_ms)]
        assert (listen.kind, listen.ms_played >= 30_000) == ("track", True)
        assert listen.uri == f"spotify:track:{world.catalogue.track(play.number).id}"


@pytest.mark.parametrize("form", ["zip", "folder", "files"])
def test_exports_come_as_zip_folder_or_files(tmp_path: Path, world: World, form: str) -> None:
    export = write(tmp_path, world, "extended-2025", form, since=NOW - 10 * DAY)
    if form == "zip":
        assert zipfile.is_zipfile(export.path)
        return
    found = [path for path in export.path.rglob("*.json") if path.read_bytes()]
    assert sum(len(json.loads(path.read_text("utf-8-sig"))) for path in found) == export.rows
    assert (export.path / "Spotify Extended Streaming History").is_dir() is (form == "folder")


def test_the_truth_is_written_beside_the_exports(tmp_path: Path, world: World) -> None:
    exports = write_all(tmp_path, world, ["extended-2025", "account-2024"], since=NOW - 30 * DAY)
    truth = json.loads((tmp_path / "truth.json").read_text())
    with (tmp_path / "listens.jsonl").open(encoding="utf-8") as lines:
        listens = [json.loads(line) for line in lines]
    assert truth["all"]["listens"] == len(listens) == len(exports[0].listens)
    assert truth["all"]["ms_played"] == sum(listen["ms_played"] for listen in listens)
    assert truth["all"]["by_kind"] == Counter(listen["kind"] for listen in listens)
    assert set(truth["exports"]) == {"extended-2025", "account-2024"}


def test_the_same_export_is_written_the_same_way(tmp_path: Path) -> None:
    written = [
        write(tmp_path / str(turn), World(1, "small", Clock(NOW, frozen=True)), since=NOW - 20 * DAY).path.read_bytes()
        for turn in range(2)
    ]
    assert written[0] == written[1]


def test_unknown_variants_forms_and_users_are_refused(tmp_path: Path, world: World) -> None:
    for wrong in ({"variant": "vinyl"}, {"form": "tape"}, {"user_id": "nobody"}):
        with pytest.raises(ValueError, match=r"."):
            write(tmp_path, world, **wrong)  # type: ignore[arg-type]


def test_the_command_writes_what_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--variant", "account-2024", "--now", "2026-11-20", "--since", "2026-11-01", "--form", "files"]
    assert main([str(tmp_path / "out"), *arguments]) == 0
    assert "listens in" in capsys.readouterr().out
    assert (tmp_path / "out" / "account-2024" / "StreamingHistory_music_0.json").exists()
    assert main([str(tmp_path / "out"), "--user-id", "nobody"]) == 1
    assert "no such user" in capsys.readouterr().err
