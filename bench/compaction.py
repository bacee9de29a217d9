"""What compaction spares a query, and what a rebuild takes: a listener's year, fetched and transformed every hour.

``python -m bench.compaction [--runs 8760]``

Each simulated run brings the last 50 plays, most of them seen before. The lake is compacted as the schedule does it,
and a typical report's bytes and files are counted for the raw JSON, the uncompacted and the compacted tables. Exit
status 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import bisect
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from chalicelib.clock import rfc3339
from chalicelib.lake import Lake, answers_key
from chalicelib.raw import Answer, pack
from chalicelib.stores.folder import FolderStore
from chalicelib.transformation.compact import compact
from chalicelib.transformation.transform import rebuild, transform_object
from sandbox.clock import Clock, instant
from sandbox.shapes import EVERYWHERE, Shapes
from sandbox.world import World

LEAST_BYTES, LEAST_FILES = 50, 5  # times fewer than raw JSON and than uncompacted
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
# Plays by artist, as a report reads them: the columns it needs of the tables it joins
REPORT = {
    "plays_history": ("play_id", "item_id", "ended_at", "observed_at"),
    "track_artists_history": ("track_id", "position", "artist_id", "observed_at"),
    "artists_history": ("artist_id", "name", "observed_at"),
}


class UnsyncedFolder(FolderStore):
    """A folder that does not wait for the disk: thousands of small files would."""

    def write(self, key: str, data: bytes, *, content_type: str = "") -> str:  # noqa: ARG002
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8760, help="hourly runs; a year has 8,760")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        lake = Lake(UnsyncedFolder(Path(folder)))
        raw = fill(lake, options.runs)
        files, size = read_by_report(lake)
        print(f"{options.runs:,} runs: {raw / 1e6:,.0f} MB of raw JSON")
        print(f"uncompacted   {files:7,} files {size / 1e6:9.2f} MB read by the report")
        started = time.perf_counter()
        print(compact(lake))
        print(compact(lake, grace=timedelta(0)), f"({time.perf_counter() - started:.1f} s)")
        fewer_files, less = read_by_report(lake)
        print(f"compacted     {fewer_files:7,} files {less / 1e6:9.2f} MB read by the report")
        print(f"{raw / less:,.0f} x fewer bytes than raw JSON (at least {LEAST_BYTES} x)")
        print(f"{files / fewer_files:,.0f} x fewer files than uncompacted (at least {LEAST_FILES} x)")
        for workers in (1, 2):
            started = time.perf_counter()
            rebuild(lake, lake.publish_generation, workers=workers)
            print(f"rebuilt from raw by {workers} processes in {time.perf_counter() - started:.1f} s")
        return int(raw / less < LEAST_BYTES or files / fewer_files < LEAST_FILES)


def fill(lake: Lake, runs: int) -> int:
    """Transform the raw objects of so many hourly runs; answers the bytes of JSON in them."""
    size = 0
    for number, (run_id, answer) in enumerate(hours(runs)):
        key = answers_key(run_id, answer.source, 1)
        lake.store.write(key, pack([answer]))
        transform_object(lake, key)
        size += len(answer.body)
        if sys.stderr.isatty() and number % 100 == 0:
            print(f"\r{number:,}", end="", file=sys.stderr)
    return size


def hours(runs: int) -> Iterator[tuple[str, Answer]]:
    world = World(1, "medium", Clock(instant("2026-12-31T00:00:00"), frozen=True))
    shapes, listener = Shapes(world.catalogue, "development", EVERYWHERE), world.default_listener
    streams = [one for one in listener.listening.streams(0, world.clock.now_ms()) if one.kind == "track"]
    ended = [one.played_at_ms for one in streams]
    for hour in range(runs):
        moment = NEW_YEAR + timedelta(hours=hour)
        run_id = f"{moment:%Y%m%dT%H%M%SZ}-{hour:06x}"
        until = bisect.bisect_right(ended, moment.timestamp() * 1000)
        last = streams[max(until - 50, 0) : until][::-1]
        if last:
            yield run_id, said(run_id, moment, "me/player/recently-played", [shapes.play(one, "u1") for one in last])


def said(run_id: str, moment: datetime, endpoint: str, items: list[object]) -> Answer:
    body = json.dumps({"items": items, "fetched": rfc3339(moment)}, separators=(",", ":")).encode()
    return Answer(run_id, "recently_played", endpoint, {"limit": 50}, "u1", moment, moment, 200, body)


def read_by_report(lake: Lake) -> tuple[int, int]:
    """Files opened and bytes read (the needed columns and the footers) by the report."""
    files = size = 0
    for physical, columns in REPORT.items():
        for info in lake.store.list(f"transformed/{lake.generation()}/{physical}/"):
            footer = pq.ParquetFile(lake.store.location(info.key)).metadata
            files += 1
            size += footer.serialized_size
            for group in range(footer.num_row_groups):
                chunks = [footer.row_group(group).column(place) for place in range(footer.num_columns)]
                size += sum(one.total_compressed_size for one in chunks if one.path_in_schema in columns)
    return files, size


if __name__ == "__main__":
    sys.exit(main())
