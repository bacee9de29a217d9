"""What many listeners take: hourly runs of a simulated week over one lake, with 5 and with 60 of them.

    python -m bench.listeners [--listeners 5 60] [--hours 168]
    python -m bench.listeners --plays [--listeners 1 5 20 60]

The sandbox Spotify is a process of its own, so that the memory told is that of the runs. Prints, for the first run and
for the hours after everybody's library is read, calls and processor time of a run, how many listeners' plays each read,
and at the end the bytes of state and the most memory that there was. With ``--plays``: what it takes to decide the
three listens that an hour brings of one listener, beside three months of everybody's, thirty a day.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from chalicelib.clock import now, rfc3339
from chalicelib.runs import SUCCEEDED, RunRecord
from chalicelib.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

WEEK = 168  # hours
MANY = (5, 60)
HOURS_DECIDED = 5
AN_HOUR = datetime(2026, 11, 30, 12, tzinfo=UTC)  # after what there is


@dataclass(frozen=True, slots=True)
class HourlyRun:
    """One run: its calls, seconds as they went by and of processor, and how many listeners' plays it read."""

    calls: int
    seconds: float
    processor: float
    read: int
    whole: bool


def hourly(settings: Settings, sandbox: str, hours: int) -> list[HourlyRun]:
    """A run an hour, at that hour."""
    import requests

    from chalicelib.extraction.extract import run_extraction
    from chalicelib.stores import open_lake

    runs = []
    for hour in range(hours):
        ahead = timedelta(hours=hour)
        wall, busy = time.monotonic(), time.process_time()
        record = run_extraction(settings, open_lake(settings), trigger="schedule", clock=lambda: now() + ahead)  # noqa: B023
        spent = time.monotonic() - wall, time.process_time() - busy
        runs.append(HourlyRun(record.calls, *spent, plays_read(record), record.state == SUCCEEDED))
        requests.post(f"{sandbox}/admin/advance", json={"seconds": 3600}, timeout=60).raise_for_status()
    return runs


def plays_read(record: RunRecord) -> int:
    """Of how many listeners a run read the plays."""
    return sum(one.state == SUCCEEDED for one in record.sources if one.source == "recently_played")


def told(people: int, runs: Sequence[HourlyRun], state: Sequence[int], memory: int) -> str:
    """The figures of one household, in lines."""
    after = next((place for place, run in enumerate(runs) if run.whole), len(runs) - 1) + 1
    later = runs[after:] or runs[-1:]
    calls, busy = [run.calls for run in later], [run.processor for run in later]
    return "\n".join(
        [
            f"{people} listeners, {len(runs)} hourly runs",
            f"  first run                     {runs[0].calls} calls, {runs[0].processor:.1f} s of processor",
            f"  all read whole after          {after} runs",
            f"  calls of an hour after that   {min(calls)} to {max(calls)}, median {median(calls):.0f}",
            f"  processor time of a run       {median(busy):.2f} s, at most {max(busy):.2f} s; "
            f"{max(run.seconds for run in later):.1f} s went by at most",
            f"  listeners whose plays were read each hour: at least {min(run.read for run in runs)}",
            f"  state                         {sum(state):,} bytes in {len(state)} objects, the largest {max(state):,}",
            f"  memory                        {memory / 1e6:.0f} MB at most",
        ]
    )


def household(people: int, hours: int) -> str:
    """Measure one household."""
    from chalicelib.secrets import listener_secret
    from chalicelib.spotify.auth import SCOPES, Listener
    from chalicelib.stores.secrets_folder import SecretFolder
    from sandbox.scales import SCALES
    from sandbox.server import Sandbox

    scale = replace(SCALES["household"], listeners=people)
    with tempfile.TemporaryDirectory() as folder, Sandbox(scale=scale) as sandbox:
        secrets = SecretFolder(Path(folder) / "secrets")
        for one in sandbox.world.listeners.values():
            scope = " ".join(SCOPES)
            listener = Listener(one.account_id, one.id, scope, sandbox.refresh_token(one.id, scope), rfc3339(now()))
            secrets.write(listener_secret(one.account_id), json.dumps(asdict(listener)))
        environ = {
            "LAKE_URL": f"{folder}/lake", "SECRETS_URL": f"{folder}/secrets", "LOG_LEVEL": "ERROR",
            "SPOTIPY_CLIENT_ID": sandbox.client_id, "SPOTIPY_CLIENT_SECRET": sandbox.client_secret,
            "SPOTIFY_API_URL": sandbox.api_url.rstrip("/"), "SPOTIFY_ACCOUNTS_URL": sandbox.accounts_url,
            "SANDBOX": sandbox.url,
        }  # fmt: skip
        command = [sys.executable, "-m", "bench.listeners", "--inside", str(people), str(hours)]
        return subprocess.run(
            command,
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        ).stdout


def deciding(people: int) -> str:
    """What deciding one listener's hour takes beside so many listeners' months, in a line."""
    import pyarrow as pa

    from chalicelib.parquet import write_table
    from chalicelib.plays import resolutions
    from chalicelib.tables import PLAYS
    from tests.support.listening import lake_in

    with tempfile.TemporaryDirectory() as folder:
        lake = lake_in(Path(folder))
        for month in (9, 10, 11):
            first = datetime(2026, month, 1, tzinfo=UTC)
            rows = pa.concat_tables(heard(f"listener{one}", first, 30 * 29, 48) for one in range(people))
            write_table(lake, lake.generation(), PLAYS, rows, "before")
        resolutions.resolve(lake)
        taken = []
        for hour in range(HOURS_DECIDED):
            rows = heard("listener0", AN_HOUR + timedelta(hours=hour), 3, 5)
            keys = write_table(lake, lake.generation(), PLAYS, rows, f"hour{hour}")
            busy = time.process_time()
            (key,) = resolutions.resolve_keys(lake, keys)
            taken.append(time.process_time() - busy)
        stat = lake.store.stat(key)
        return (
            f"{people} listeners: {median(taken):.2f} s of processor, {stat.size if stat else 0:,} bytes written, "
            f"{most_memory() / 1e6:.0f} MB of memory"
        )


def heard(user: str, first: datetime, count: int, minutes: int) -> pa.Table:
    """Listens of one, as the API tells them."""
    from tests.support.listening import api_plays

    moments = (first + timedelta(minutes=minutes * number) for number in range(count))
    return api_plays(
        (
            (f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"spotify:track:{n % 500:022}", f"Song {n % 500}", f"Band {n % 80}")
            for n, moment in enumerate(moments)
        ),
        user,
    )


def inside(people: int, hours: int) -> str:
    """The runs of one household, in a process of their own."""
    settings = Settings.load(os.environ, None)
    runs = hourly(settings, os.environ["SANDBOX"], hours)
    state = [path.stat().st_size for path in (Path(settings.lake_url) / "state" / "extraction").iterdir()]
    return told(people, runs, state, most_memory())


def most_memory() -> int:
    """The most bytes that this process has held; where the system counts for it what the process that began it had held
    by then (getrusage of Linux), those of its own."""
    try:
        told = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next(int(line.split()[1]) for line in told.splitlines() if line.startswith("VmHWM:")) * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description="What many listeners take.")
    parser.add_argument("--listeners", type=int, nargs="+", default=MANY)
    parser.add_argument("--hours", type=int, default=WEEK)
    parser.add_argument("--plays", action="store_true", help="what deciding which listens there are takes")
    parser.add_argument("--inside", type=int, nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        print(inside(*chosen.inside))
        return 0
    for people in chosen.listeners:
        print(deciding(people) if chosen.plays else household(people, chosen.hours), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
