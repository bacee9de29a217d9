"""What compaction spares a query, and what a rebuild takes: a listener's year, fetched and transformed every hour.

``python -m bench.compaction [--runs 8760] [--rebuild]``

Each simulated run brings the last 50 plays, most of them seen before. Once a simulated day the lake is compacted as
the schedule does it (partitions of more than COMPACT_FILES files), and a typical report's bytes and files are counted:
of the raw JSON, of every file as it was transformed, and of what is there in the end. With ``--rebuild`` every table is
then rebuilt from raw, by one process and by two. Exit status 1 when a bar is missed. A year takes ten minutes on one
core, and rebuilding it as long again.
"""

from __future__ import annotations

import argparse
import bisect
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from bench import figures
from chalicelib.clock import rfc3339
from chalicelib.lake import Lake, answers_key
from chalicelib.raw import Answer, pack
from chalicelib.settings import Settings
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
    parser.add_argument("--rebuild", action="store_true", help="also rebuild the tables, with one process and with two")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        lake = Lake(UnsyncedFolder(Path(folder)))
        year = fill(lake, options.runs)
        print(f"{options.runs:,} runs: {year.raw / 1e6:,.0f} MB of raw JSON")
        print(f"transformed in {year.transforming:.1f} s, compacted in {year.compacting:.1f} s in all")
        print(f"uncompacted   {year.files:7,} files {year.size / 1e6:9.2f} MB read by the report")
        files, size = read_by_report(lake, (info.key for info in lake.store.list("transformed/")))
        print(f"compacted     {files:7,} files {size / 1e6:9.2f} MB read by the report")
        print(f"{year.raw / size:,.0f} x fewer bytes than raw JSON (at least {LEAST_BYTES} x)")
        print(f"{year.files / files:,.0f} x fewer files than uncompacted (at least {LEAST_FILES} x)", flush=True)
        figures.tell(
            "compaction",
            {figures.MEASURED["compaction"][0]: (f"{size / 1e6:.2f} MB", f"{year.raw / 1e6:,.0f} MB")},
            usual=options.runs == parser.get_default("runs"),
        )
        for workers in (1, 2) if options.rebuild else ():
            started = time.perf_counter()
            rebuild(lake, lake.publish_generation, workers=workers)
            print(f"rebuilt from raw by {workers} processes in {time.perf_counter() - started:.1f} s", flush=True)
        return int(year.raw / size < LEAST_BYTES or year.files / files < LEAST_FILES)


@dataclass(slots=True)
class Year:
    """What so many runs brought: bytes of raw JSON, and what the report would read of the files as transformed."""

    raw: int = 0
    files: int = 0
    size: int = 0
    transforming: float = 0.0  # s
    compacting: float = 0.0  # s


def fill(lake: Lake, runs: int) -> Year:
    """Transform the raw objects of so many hourly runs, and look after the lake once a day."""
    year = Year()
    most_files = Settings().compact_files
    for number, (run_id, answer) in enumerate(hours(runs)):
        key = answers_key(run_id, answer.source, 1)
        lake.store.write(key, pack([answer]))
        began = time.perf_counter()
        report = transform_object(lake, key)
        year.transforming += time.perf_counter() - began
        year.raw += len(answer.body)
        files, size = read_by_report(lake, report.files)
        year.files, year.size = year.files + files, year.size + size
        if number % 24 == 23:
            began = time.perf_counter()
            compact(lake, min_files=most_files + 1, grace=timedelta(0))
            year.compacting += time.perf_counter() - began
            if sys.stderr.isatty():
                print(f"\r{number + 1:,}", end="", file=sys.stderr)
    compact(lake, min_files=most_files + 1, grace=timedelta(0))  # what the last merges replaced
    return year


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


def read_by_report(lake: Lake, keys: Iterable[str]) -> tuple[int, int]:
    """Of these files: how many the report opens, and the bytes it reads (the needed columns and the footers)."""
    files = size = 0
    for key in keys:
        columns = REPORT.get(key.split("/")[2])
        if columns:
            footer = pq.ParquetFile(lake.store.location(key)).metadata
            files += 1
            size += footer.serialized_size
            for group in range(footer.num_row_groups):
                chunks = [footer.row_group(group).column(place) for place in range(footer.num_columns)]
                size += sum(one.total_compressed_size for one in chunks if one.path_in_schema in columns)
    return files, size


if __name__ == "__main__":
    sys.exit(main())
