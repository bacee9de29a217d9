"""`lake copy`: from a folder to a bucket and back, whatever happens between."""

from __future__ import annotations

from pathlib import Path

import pytest

from chalicelib.commands.copying import copy_lake
from chalicelib.errors import InvalidRequest
from chalicelib.lake import Lake
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from chalicelib.stores.s3 import BucketStore
from tests.commands.test_cli import one_line, run
from tests.emulator import shared
from tests.emulator.stage import make_bucket
from tests.support import server
from tests.support.engines import embedded, fill, on

LARGE = b"0123456789abcdef" * (1 << 20) + b"end"  # more than is held in memory


@pytest.fixture
def bucket(tmp_path: Path) -> Lake:
    name = f"copied-{tmp_path.name.replace('_', '-').lower()}"[:60].strip("-")
    make_bucket(shared(), name)
    client = shared().client("s3")
    return Lake(BucketStore(name, "mine/", s3=lambda: client))


def test_a_lake_goes_to_a_bucket_and_comes_back_with_the_same_answers(tmp_path: Path, bucket: Lake) -> None:
    with embedded(tmp_path) as opened:
        fill(opened)
        opened.lake.store.write("raw/history/large.zip", LARGE)
        opened.lake.name_generation()
        copied = copy_lake(opened.lake, bucket)
        assert copied.written > 5 and copied.same == 0
        assert copy_lake(opened.lake, bucket).written == 0
        back = open_lake(Settings(lake_url=str(tmp_path / "back" / "lake")))
        assert copy_lake(bucket, back).written == copied.written
        assert back.store.read("raw/history/large.zip") == LARGE
        wanted = opened.ask("SELECT * FROM plays ORDER BY play_id")
    with embedded(tmp_path / "back") as returned:
        assert returned.ask("SELECT * FROM plays ORDER BY play_id") == wanted


def test_a_copy_that_was_cut_short_goes_on_and_mends_what_is_half(tmp_path: Path, bucket: Lake) -> None:
    with embedded(tmp_path) as opened:
        fill(opened)
        opened.lake.store.write("raw/history/a.json", b"[1]")
        whole = copy_lake(opened.lake, bucket)
        bucket.store.write("raw/history/a.json", b"[2]")  # of the same size
        (lost, *_) = [info.key for info in bucket.store.list("transformed/")]
        bucket.store.delete([lost])
        again = copy_lake(opened.lake, bucket)
        assert (again.written, again.same) == (2, whole.written - 2)
        assert bucket.store.read("raw/history/a.json") == b"[1]"


def test_a_lake_that_went_on_is_copied_again_and_what_it_has_no_more_is_gone(tmp_path: Path, bucket: Lake) -> None:
    with embedded(tmp_path) as opened:
        fill(opened)
        copy_lake(opened.lake, bucket)
        (gone, *_) = [info.key for info in opened.lake.store.list("transformed/g1/tracks_history/")]
        opened.lake.store.delete([gone])
        opened.put("tracks", {"track_id": "t3", "name": "Three", "observed_at": on(3)}, name="later")
        copied = copy_lake(opened.lake, bucket)
        assert copied.deleted == 1 and bucket.store.stat(gone) is None
        keys = [sorted(info.key for info in lake.store.list("transformed/")) for lake in (opened.lake, bucket)]
        assert keys[0] == keys[1]


def test_another_lake_is_not_written_over(tmp_path: Path) -> None:
    one, other = (open_lake(Settings(lake_url=str(tmp_path / name))) for name in ("one", "other"))
    one.store.write("raw/history/a.json", b"[1]")
    other.store.write("raw/history/b.json", b"[2]")
    with pytest.raises(InvalidRequest, match=r"raw/history/b\.json"):
        copy_lake(one, other)
    assert [info.key for info in other.store.list("")] == ["raw/history/b.json"]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return server.filled(tmp_path_factory, "copying")


def test_the_command_says_what_it_did_and_can_take_a_lake_back(filled: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    assert "0 were there" in run(filled, "copy", str(target)).stdout
    assert "0 objects copied" in run(filled, "copy", str(target)).stdout
    restored = tmp_path / "restored"
    assert run(filled, "copy", "--from", str(target), str(restored)).returncode == 0
    sql = "SELECT count(*) AS plays FROM plays"
    assert run(filled, "query", sql, LAKE_URL=str(restored)).stdout == run(filled, "query", sql).stdout
    (restored / "raw" / "stray.json").write_text("[]")
    assert "stray.json" in one_line(run(filled, "copy", str(restored)))
