"""Temporary files: they go with their process, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chalicelib.files import LOCK, SCRATCH, remove_orphaned, scratch_folder

HELD = """
import sys
from chalicelib.files import scratch_folder
with scratch_folder() as folder:
    (folder / "part").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""


def begun(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a scratch folder below ``temporary``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HELD], env=os.environ | {"TMPDIR": str(temporary)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_what_a_killed_process_left_goes_when_the_next_begins(tmp_path: Path) -> None:
    killed, left = begun(tmp_path)
    end(killed)
    assert (left / "part").exists(), "killed, it could not tidy up"
    next_one, its = begun(tmp_path)
    try:
        assert not left.exists()
        assert (its / "part").exists()
    finally:
        end(next_one)


def test_what_a_living_process_uses_stays(tmp_path: Path) -> None:
    living, its = begun(tmp_path)
    try:
        remove_orphaned(tmp_path)
        assert (its / "part").exists()
    finally:
        end(living)


def test_what_is_not_a_scratch_folder_stays(tmp_path: Path) -> None:
    for name in ("other", f"{SCRATCH}of-somebody"):
        (tmp_path / name).mkdir()
    remove_orphaned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{SCRATCH}of-somebody", "other"]


def test_a_pipe_in_a_locks_place_keeps_nobody_waiting(tmp_path: Path) -> None:
    """The system's temporary folder is everybody's: anybody may put a pipe there, which opens once somebody writes."""
    folder = tmp_path / f"{SCRATCH}of-somebody"
    folder.mkdir()
    os.mkfifo(folder / LOCK)
    looking = threading.Thread(target=remove_orphaned, args=(tmp_path,), daemon=True)
    looking.start()
    looking.join(20)
    assert not looking.is_alive()
    assert not folder.exists()


def test_it_goes_with_the_block_whatever_happens() -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder() as folder:
        (folder / "part").touch()
        _ = 1 / 0
    assert not folder.exists()
