"""A process that transforms object after object does not grow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PROJECT

WARM_UP = 300  # objects after which everything is loaded
GROWTH = 30_000_000  # bytes

PROGRAM = """
import resource, sys
from itertools import count
from pathlib import Path
from chalicelib.lake import Lake, answers_key
from chalicelib.raw import pack
from chalicelib.stores.folder import FolderStore
from chalicelib.transformation.transform import pending_transforms
from tests.support.raw_objects import answer, artist, play, track

lake, objects, warm_up = Lake(FolderStore(Path(sys.argv[1]))), int(sys.argv[2]), int(sys.argv[3])
for number in range(objects):
    run = f"20261120T{number // 3600 % 24:02d}{number // 60 % 60:02d}{number % 60:02d}Z-{number:06x}"
    heard = f"2026-11-20T10:{number // 60 % 60:02d}:{number % 60:02d}.{number % 1000:03d}Z"
    following = {"artists": {"items": [artist(letter, name=f"Name {number}") for letter in "abc"]}}
    answers = [
        answer("me/following", following, run_id=run),
        answer("me/player/recently-played", {"items": [play(track("t"), heard)]}, run_id=run),
    ]
    lake.store.write(answers_key(run, "x", 1), pack(answers))
page = resource.getpagesize()
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * page
warm, most = 0, 0
for number, report in enumerate(pending_transforms(lake), 1):
    assert report.state == "done"
    if number == warm_up:
        warm = resident()
    if number % 50 == 0:
        most = max(most, resident())
print(most - warm)
"""


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("objects", [1_000, pytest.param(50_000, marks=[pytest.mark.soak, pytest.mark.timeout(7200)])])
def test_transforming_many_objects_takes_no_more_memory_than_a_few(tmp_path: Path, objects: int) -> None:
    """Measured in a process of its own, whose memory is its alone."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "lake"), str(objects), str(WARM_UP)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < GROWTH
