"""What long work holds: hourly runs with their maintenance, and raw objects transformed one after another.

    python -m bench.memory runs [--count 2000]
    python -m bench.memory objects [--count 50000]

Each is a process of its own; the sandbox Spotify, whose clock moves on by an hour a run, is another. Prints the curve
of resident memory, and ends with 1 where it rose by more than 30 MB after the first tenth.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from chalicelib.clock import now
from chalicelib.lake import Lake, answers_key
from chalicelib.raw import pack
from chalicelib.stores.folder import FolderStore

GROWTH = 30_000_000  # bytes
POINTS = 40  # of the curve


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def hourly_runs() -> Iterator[str]:
    """What the schedule does in an hour, again and again: a run, at that hour, and the maintenance."""
    import requests
    from chalice.local import LambdaContext

    from chalicelib.local.memory import return_freed, use_one_heap, use_system_allocator

    use_system_allocator()  # as `serve` does
    use_one_heap()
    from app import app, parts
    from chalicelib.extraction.extract import run_extraction
    from chalicelib.local.ticker import scheduled_event

    begun, name = now(), "maintain"
    for hour in itertools.count(1):
        requests.post(f"{os.environ['SANDBOX']}/admin/advance", json={"seconds": 3600}, timeout=30).raise_for_status()
        ahead = timedelta(hours=hour)
        run = run_extraction(parts.settings, parts.lake, trigger="schedule", clock=lambda: now() + ahead)  # noqa: B023
        app.handler_map[name](scheduled_event(name, begun + ahead), LambdaContext(name, 1_769, 900_000))
        return_freed()  # as the ticker does
        yield f"{run.state}, {'some' if run.calls else 'no'} calls"


def objects(folder: Path) -> Iterator[str]:
    """Raw objects as two answers each make them, written and transformed one after another."""
    from chalicelib.transformation.transform import transform_object
    from tests.support.raw_objects import answer, artist, play, track

    lake = Lake(FolderStore(folder))
    for number in itertools.count():
        day, second = 1 + number // 3600 % 28, number % 60
        run = f"202611{day:02d}T{number // 3600 % 24:02d}{number // 60 % 60:02d}{second:02d}Z-{number:06x}"
        heard = f"2026-11-{day:02d}T10:{number // 60 % 60:02d}:{second:02d}.{number % 1000:03d}Z"
        following = {"artists": {"items": [artist(letter, name=f"Name {number}") for letter in "abc"]}}
        answers = [
            answer("me/following", following, run_id=run),
            answer("me/player/recently-played", {"items": [play(track("t"), heard)]}, run_id=run),
        ]
        key = answers_key(run, "x", 1)
        lake.store.write(key, pack(answers))
        yield transform_object(lake, key).state


def measure(what: str, count: int, folder: Path) -> int:
    """Print the curve; answer by how much memory rose after the first tenth."""
    steps = hourly_runs() if what == "runs" else objects(folder / "lake")
    warm, most, outcomes = 0, 0, set()
    for number, outcome in enumerate(itertools.islice(steps, count), 1):
        outcomes.add(outcome)
        if number == max(1, count // 10):
            warm = resident()
        if number % max(1, count // POINTS) == 0:
            most = max(most, resident())
            print(f"{number:7,} {what}: {resident() / 1e6:6.1f} MB", flush=True)
    print(f"after {count // 10:,} {warm / 1e6:.1f} MB, at most {most / 1e6:.1f} MB; {sorted(outcomes)}")
    return most - warm


def apart(what: str, count: int) -> int:
    """The same in a process of its own, with a sandbox beside it."""
    from sandbox.server import Sandbox
    from tests.support.server import environment, logged_in

    with tempfile.TemporaryDirectory() as name, Sandbox(frozen=True) as sandbox:
        spotify = {**logged_in(Path(name), sandbox), "LOG_LEVEL": "ERROR", "SANDBOX": sandbox.url}
        command = [sys.executable, "-m", "bench.memory", what, "--count", str(count), "--inside", name]
        environ = {**environment(Path(name), spotify), "PYTHONWARNINGS": "default"}
        return subprocess.run(command, env=environ, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("runs", "objects"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    count = options.count or {"runs": 2_000, "objects": 50_000}[options.what]
    if options.inside is None:
        return apart(options.what, count)
    return 0 if measure(options.what, count, Path(options.inside)) <= GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
