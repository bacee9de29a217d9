"""`lake copy`: from a folder to a bucket and back, whatever happens between."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.commands.copying import copy_lake, objects
from chalicelib.errors import Conflict, InvalidRequest
from chalicelib.lake import Lake, ObjectStore
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from chalicelib.stores.folder import FolderStore
from chalicelib.stores.s3 import BucketStore
from chalicelib.transformation.compact import compact
from chalicelib.transformation.transform import pending_transforms
from tests.commands.test_cli import one_line, run
from tests.emulator import shared
from tests.emulator.stage import make_bucket
from tests.support import server
from tests.support.engines import Opened, embedded, fill, on

LARGE = b"0123456789abcdef" * (1 << 20) + b"end"  # more than is held in memory


@pytest.fixture
def bucket(tmp_path: Path) -> Lake:
    name = f"copied-{tmp_path.name.replace('_', '-').lower()}"[:60].strip("-")
    make_bucket(shared(), name)
    client = shared().client("s3")
    return Lake(BucketStore(name, "mine/", s3=lambda: client))


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_what_was_transformed_needs_no_transform_after_a_copy(filled: Path, bucket: Lake, tmp_path: Path) -> None:
    there, back = open_lake(Settings(lake_url=str(filled / "lake"))), open_lake(Settings(lake_url=str(tmp_path / "b")))
    for source, target in ((there, bucket), (bucket, back)):
        copy_lake(source, target)
        assert [report.raw_key for report in pending_transforms(target)] == []


def test_a_stages_own_records_stay_when_a_lake_is_copied_to_it(bucket: Lake, tmp_path: Path) -> None:
    own = {"state/deploy/chalice.json": b"{}", "raw/runs/2026/11/20/20261120T101500Z-1a2b3c.json": b"{}"}
    for key, content in own.items():
        bucket.store.write(key, content)
    lake = open_lake(Settings(lake_url=str(tmp_path)))
    lake.store.write("raw/history/a.json", b"[1]")
    lake.store.write("state/deploy/done.json", b"of elsewhere")
    assert copy_lake(lake, bucket).written == 1
    assert sorted(info.key for info in bucket.store.list("")) == sorted([*own, "raw/history/a.json"])


# --- while the lake is at work ------------------------------------------------------------------------------------


class AtWork(FolderStore):
    """A lake's folder in which the next thing happens each time that something is read of it."""

    def __init__(self, root: Path, happens: Iterator[None]) -> None:
        super().__init__(root)
        self.happens, self._one = happens, threading.Lock()

    def read(self, key: str) -> bytes:
        with self._one:
            next(self.happens, None)
        return super().read(key)


def work(opened: Opened) -> Iterator[None]:
    """What a lake does in an hour: rows that come, a merge of files, files that are replaced, a rebuild in force."""
    store = opened.lake.store
    for number in range(3):
        store.write(f"raw/history/{number}.json", b"[%d]" % number)
        store.write("state/at.json", b"%d" % number)
        yield
        opened.put("tracks", {"track_id": f"n{number}", "name": "New", "observed_at": on(9)}, name=f"new-{number}")
        yield
    compact(opened.lake, ["tracks"])
    yield
    store.write("raw/history/moved.json", b"[1]")
    yield
    store.delete(["raw/history/moved.json"])
    store.delete([info.key for info in store.list("transformed/g1/albums_history/")])
    yield
    opened.put("tracks", {"track_id": "t9", "name": "Nine", "observed_at": on(9)}, generation="g2")
    opened.lake.publish_generation("g2")
    store.delete([info.key for info in store.list("transformed/g1/")])


@pytest.mark.parametrize("before", range(0, 24, 3))
def test_a_lake_at_work_is_copied_as_it_was_at_one_moment(tmp_path: Path, before: int) -> None:
    """``before``: how many objects are read before the work begins."""
    with embedded(tmp_path) as opened:
        fill(opened)
        opened.lake.name_generation()
        opened.lake.store.write("raw/history/first.json", b"[0]")
        at_work = AtWork(tmp_path / "lake", itertools.chain(itertools.repeat(None, before), work(opened)))
        target = Lake(FolderStore(tmp_path / "copy"))
        copy_lake(Lake(at_work), target, sleep=lambda _: None)
        assert contents(target.store) == contents(opened.lake.store)
        assert before or next(at_work.happens, "all has happened") == "all has happened"


def contents(store: ObjectStore) -> dict[str, bytes]:
    return {info.key: store.read(info.key) for info in objects(store)}


@pytest.mark.thorough
def test_a_lake_that_never_stands_still_is_said_to(tmp_path: Path) -> None:
    lake, moments = open_lake(Settings(lake_url=str(tmp_path / "lake"))), itertools.count()

    def goes_on(_seconds: float = 0) -> None:
        lake.store.write("state/at.json", b"%d" % next(moments))

    def always() -> Iterator[None]:
        while True:
            goes_on()
            yield

    goes_on()
    at_work = AtWork(tmp_path / "lake", always())
    with pytest.raises(Conflict, match="half an hour"):
        copy_lake(Lake(at_work), Lake(FolderStore(tmp_path / "copy")), sleep=goes_on)


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


@pytest.mark.thorough
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


# --- as a person does it ------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_a_backup_of_a_served_lake_is_taken_while_it_runs_and_goes_on_from_there(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder = server.filled(tmp_path_factory, "backed-up")
    with server.sandboxed(folder) as spotify, server.LakeServer(folder, spotify) as serving:
        started = serving.post("/runs", json={}).json()["run_id"]
        assert "read back and compared" in run(folder, "copy", str(tmp_path / "backup"), **spotify).stdout
        asked = "SELECT count(*) FROM runs WHERE run_id = ?"
        assert server.eventually(lambda: serving.rows(asked, started) == [[1]])
        assert run(folder, "copy", str(tmp_path / "backup"), **spotify).returncode == 0
        assert run(folder, "copy", "--from", str(tmp_path / "backup"), str(tmp_path / "restored")).returncode == 0
        restored = {**spotify, "LAKE_URL": str(tmp_path / "restored")}
        sql = "SELECT run_id, state, calls FROM runs ORDER BY run_id"
        assert [line.split(",")[0] for line in run(folder, "query", sql, **restored).stdout.splitlines()[1:]]
        assert run(folder, "transform", **restored).stdout.startswith("0 raw objects")
        assert run(folder, "query", sql, **restored).stdout == run(folder, "query", sql, **spotify).stdout
        again = run(folder, "extract", **restored).stdout
        calls = int(again.split(": ")[1].split()[0])
        assert calls < 20, again  # what was read is known there too


@pytest.mark.thorough
def test_a_copy_that_is_killed_goes_on_where_it_was(filled: Path, bucket: Lake) -> None:
    assert isinstance(bucket.store, BucketStore)
    aws = {**shared().environ, "AWS_DEFAULT_REGION": shared().environ["AWS_REGION"]}
    target = bucket.store.location("")
    command = [sys.executable, "-m", "chalicelib", "copy", target]
    with subprocess.Popen(command, env=server.environment(filled, aws), stderr=subprocess.DEVNULL) as process:
        assert server.eventually(lambda: next(iter(bucket.store.list("")), None) or process.poll() is not None)
        process.kill()
    done = run(filled, "copy", target, **aws)
    assert done.returncode == 0, done.stderr
    there = open_lake(Settings(lake_url=str(filled / "lake"))).store
    assert {info.key for info in objects(bucket.store)} == {info.key for info in objects(there)}
