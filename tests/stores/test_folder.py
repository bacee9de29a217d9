"""A lake in a folder on a real file system: who may read it, what is not followed, what the system refuses."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import NotFound, StorageFailed
from chalicelib.files import READERS, storage_errors
from chalicelib.lake import Lake
from chalicelib.settings import Settings
from chalicelib.stores import open_lake
from chalicelib.stores.folder import FolderStore
from tests.support import PROJECT

NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def store(root: Path) -> FolderStore:
    return FolderStore(root)


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def fill(store: FolderStore, other: Path) -> None:
    """One file by each way of writing."""
    store.write("state/a", b"a")
    store.replace("raw/spotify/2026/b", b"b", if_match=None)
    with_appender = store.appender("state/journal/r/000001")
    with_appender.append(b"c")
    with_appender.close()
    other.write_bytes(b"d")
    other.chmod(0o666)
    store.write_file("transformed/g1/t/month=2026-11/d.parquet", other)


def modes(root: Path) -> tuple[set[str], set[str]]:
    """The modes of the files and of the folders of a lake."""
    paths = [root, *root.rglob("*")]
    files = {oct(stat.S_IMODE(path.stat().st_mode)) for path in paths if path.is_file()}
    return files, {oct(stat.S_IMODE(path.stat().st_mode)) for path in paths if path.is_dir()}


@pytest.mark.parametrize(
    ("readers", "mask", "file", "folder"),
    [
        ("owner", 0o022, "0o600", "0o700"),
        ("owner", 0o000, "0o600", "0o700"),
        ("group", 0o022, "0o640", "0o750"),
        ("group", 0o077, "0o600", "0o700"),
        ("everyone", 0o022, "0o644", "0o755"),
        ("everyone", 0o027, "0o640", "0o750"),
    ],
)
def test_files_are_the_owners_unless_a_setting_shares_them_and_the_umask_allows_it(
    tmp_path: Path, umask: Callable[[int], int], readers: str, mask: int, file: str, folder: str
) -> None:
    umask(mask)
    lake = open_lake(Settings(lake_url=str(tmp_path / "lake"), lake_readers=readers))
    assert isinstance(lake.store, FolderStore)
    fill(lake.store, tmp_path / "other")
    assert modes(tmp_path / "lake") == ({file}, {folder})


def test_a_lake_of_ones_own_is_not_shared_by_default(tmp_path: Path, umask: Callable[[int], int]) -> None:
    umask(0)
    fill(FolderStore(tmp_path / "lake"), tmp_path / "other")
    assert modes(tmp_path / "lake") == ({"0o600"}, {"0o700"})
    assert READERS.keys() == {"owner", "group", "everyone"}


def test_links_in_the_raw_zone_lead_nowhere(store: FolderStore, root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "passwords").write_text("s3cret")
    store.write("raw/history/u1/a.json", b"[]")
    (root / "raw/history/elsewhere").symlink_to(secret)
    (root / "raw/history/one.json").symlink_to(secret / "passwords")
    (root / "raw/history/loop").symlink_to(root / "raw")
    (root / "raw/history/itself").symlink_to("itself")
    assert [info.key for info in store.list("raw/")] == ["raw/history/u1/a.json"]
    for key in ("raw/history/elsewhere/passwords", "raw/history/one.json", "raw/history/loop/history/u1/a.json"):
        assert store.stat(key) is None
        for act in (store.read, store.open, lambda key: store.write(key, b"x")):
            with pytest.raises(NotFound, match="link"):
                act(key)
    assert (secret / "passwords").read_text() == "s3cret"


def test_a_zone_may_lie_on_another_disk_behind_a_link(store: FolderStore, root: Path, tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    root.mkdir()
    (root / "raw").symlink_to(tmp_path / "large disk")
    store.write("raw/spotify/a", b"a")
    assert store.read("raw/spotify/a") == (tmp_path / "large disk/spotify/a").read_bytes() == b"a"
    assert [info.key for info in store.list("raw/")] == ["raw/spotify/a"]


def test_a_listing_looks_into_no_folder_of_another_name(
    store: FolderStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("t/month=2023-12/a", "t/month=2024-01/a", "t/month=2024-02/b/c", "t/month=2025-01/a", "u/month=2024/a"):
        store.write(key, b"x")
    looked: list[str] = []

    def noted(folder: Path) -> Any:
        looked.append(folder.relative_to(root).as_posix())
        return scandir(folder)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", noted)
    assert [info.key for info in store.list("t/month=2024")] == ["t/month=2024-01/a", "t/month=2024-02/b/c"]
    assert looked == ["t", "t/month=2024-01", "t/month=2024-02", "t/month=2024-02/b"]


def test_odd_names_and_what_is_no_file_stop_nothing(store: FolderStore, root: Path) -> None:
    store.write("raw/history/a", b"a")
    folder = root / "raw/history"
    (folder / "a name\nof two lines").write_bytes(b"b")
    os.close(os.open(os.fsencode(folder) + b"/not utf-8 \xff", os.O_CREAT))
    os.mkfifo(folder / "pipe")
    assert [info.key for info in store.list("raw/")] == ["raw/history/a", "raw/history/a name\nof two lines"]
    assert store.stat("raw/history/pipe") is None and store.stat("raw/history") is None
    with pytest.raises(NotFound):
        store.open("raw/history/pipe")


@pytest.mark.parametrize("key", ["raw/history/./a", "raw/history/.tmp/a", ".tmp/a", "raw/\ud800/a", "raw/history/.."])
def test_what_could_not_be_found_again_is_no_key(store: FolderStore, key: str) -> None:
    for act in (lambda: store.write(key, b"x"), lambda: store.read(key), lambda: store.appender(key)):
        with pytest.raises(NotFound, match="not a key"):
            act()
    assert store.stat(key) is None


@pytest.mark.thorough
def test_writing_does_not_look_at_what_another_may_have_taken_away(store: FolderStore) -> None:
    done = threading.Event()

    def take_away() -> None:
        while not done.is_set():
            store.delete(["state/open"])

    thread = threading.Thread(target=take_away)
    thread.start()
    try:
        etags = [store.write("state/open", str(number).encode()) for number in range(1500)]
    finally:
        done.set()
        thread.join()
    assert all(etags)


def test_the_etag_of_a_write_is_that_of_what_was_written(store: FolderStore) -> None:
    etag = store.write("state/a", b"one")
    info = store.stat("state/a")
    assert info and info.etag == etag
    assert store.replace("state/a", b"two", if_match=etag) != etag


# --- what went away -----------------------------------------------------------------------------------------------


def acts(store: FolderStore) -> list[Callable[[], object]]:
    return [
        lambda: Lake(store).generation(),
        lambda: store.read("raw/a"),
        lambda: store.stat("raw/a"),
        lambda: list(store.list("raw/")),
        lambda: store.write("raw/b", b"b"),
        lambda: store.replace("raw/d", b"d", if_match=None),
        lambda: store.appender("raw/c"),
    ]


def test_a_lake_that_was_never_there_is_empty(store: FolderStore) -> None:
    assert list(store.list("")) == [] and store.stat("raw/a") is None and Lake(store).generation() == "g1"


@pytest.mark.parametrize("mount_point", [False, True])
def test_a_lake_whose_folder_goes_away_is_missed_and_comes_back(
    store: FolderStore, root: Path, tmp_path: Path, mount_point: bool
) -> None:
    store.write("raw/a", b"a")
    root.rename(tmp_path / "unplugged")
    if mount_point:
        root.mkdir()
    for act in acts(store):
        with pytest.raises(StorageFailed, match="went away: put it back"):
            act()
    assert not root.exists() or not list(root.iterdir())
    if mount_point:
        root.rmdir()
    (tmp_path / "unplugged").rename(root)
    assert store.read("raw/a") == b"a"
    for act in acts(store):
        act()


def test_a_lake_that_was_restored_from_a_copy_is_taken(store: FolderStore, root: Path, tmp_path: Path) -> None:
    store.write("raw/a", b"a")
    shutil.copytree(root, tmp_path / "copy")
    shutil.rmtree(root)
    (tmp_path / "copy").rename(root)
    assert store.read("raw/a") == b"a" and store.write("raw/b", b"b")


# --- what the system refuses --------------------------------------------------------------------------------------


def refused(program: str, root: Path, *, as_nobody: bool = False) -> list[str]:
    """What a process of its own says of each line of ``program``: the error's type and message."""
    lines = [line.strip() for line in program.strip().splitlines()]
    code = f"""
import os, resource, sys
from pathlib import Path
from chalicelib.errors import LakeError
from chalicelib.stores.folder import FolderStore
store = FolderStore(Path({str(root)!r}))
other = Path({str(root)!r} + ".file"); other.write_bytes(b"x" * 5000); other.chmod(0o666)
if {as_nobody} and os.getuid() == 0:
    os.setuid({NOBODY})
if not {as_nobody}:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for line in {lines!r}:
    try:
        eval(line)
    except LakeError as error:
        print(type(error).__name__, error.message.replace(chr(10), " "))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_file_that_cannot_be_written_to_its_end_is_a_storage_error_and_leaves_nothing(
    store: FolderStore, root: Path
) -> None:
    """A full disk and a limit end a write in its middle alike."""
    store.write("state/a", b"before")
    said = refused(
        """
        store.write("state/a", b"x" * 5000)
        store.replace("state/b", b"x" * 5000, if_match=None)
        store.appender("state/c").append(b"x" * 5000)
        """,
        root,
    )
    assert len(said) == 3 and all("StorageFailed cannot write" in line and "too large" in line for line in said)
    assert store.read("state/a") == b"before" and store.stat("state/b") is None
    assert [path.name for path in (root / ".tmp").iterdir() if path.name != "lock"] == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs setuid where root runs the tests")
def test_a_folder_without_permission_is_a_storage_error_that_says_what_helps() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        root = Path(folder) / "lake"
        store = FolderStore(root)
        store.write("raw/spotify/a", b"a")
        for path in (root / "raw/spotify/a", root / "raw/spotify", root / ".tmp"):
            path.chmod(0)
        root.chmod(0o755)
        (root / "raw").chmod(0o755)
        try:
            said = refused(
                """
                store.read("raw/spotify/a")
                store.stat("raw/spotify/a")
                list(store.list("raw/"))
                store.write("state/a", b"a")
                store.write_file("state/b", other)
                store.replace("state/b", b"b", if_match=None)
                store.delete(["raw/spotify/a"])
                store.appender("state/b")
                """,
                root,
                as_nobody=True,
            )
        finally:
            for path in (root / "raw/spotify", root / ".tmp"):
                path.chmod(0o700)
    assert len(said) == 8
    assert all(line.startswith("StorageFailed") and "LAKE_URL" in line for line in said), said


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_a_refusal_says_what_helps(number: int) -> None:
    helps = rf"^cannot write it: {os.strerror(number).lower()}; [a-z]+ "
    with pytest.raises(StorageFailed, match=helps), storage_errors("write it"):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("days", [0, 2])
def test_what_a_killed_writer_left_is_removed_once_nobody_can_be_writing_it(
    store: FolderStore, root: Path, days: int
) -> None:
    store.write("state/a", b"")
    program = """
import os, sys
from pathlib import Path
from chalicelib.files import replacing
with replacing(Path(sys.argv[1]) / "state" / "b", scratch=Path(sys.argv[1]) / ".tmp") as stream:
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", program, str(root)], cwd=PROJECT, check=False)
    (left,) = [path for path in (root / ".tmp").iterdir() if path.name != "lock"]
    os.utime(left, (time.time() - days * 86_400,) * 2)
    FolderStore(root).write("state/a", b"")
    assert left.exists() == (days == 0)
