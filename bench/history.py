"""``python -m bench.history [--plays N]``: how fast a household's history comes in, and how fast reports answer.

Beside it, on the same files and in processes of their own: pandas (``read_json``, ``concat``, ``drop_duplicates``),
DuckDB reading only (``read_json``), and DuckDB doing the import's own work (read, one row per identity, Parquet by
month) with and without the import's bound of memory. Then every report, beside DuckDB summing up the same Parquet
files. Peak memory is the process's, in MB; times are wall-clock seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from bench import figures

HOUSEHOLD = ("anna", "ben", "chris")
YEARS = 20
FIRST = datetime(2006, 11, 1, tzinfo=UTC)
TRACKS, ARTISTS = 40_000, 3_000  # of each listener
ROWS_PER_FILE = 16_000
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
BOUND = "300MB"
IDENTITY = "ts, spotify_track_uri, ms_played"


def write_history(folder: Path, plays: int, seed: int) -> int:
    """An extended export as a folder of files; answers its bytes."""
    rng = Random(seed)
    ids = ["".join(rng.choices(LETTERS, k=22)) for _ in range(TRACKS)]
    step = timedelta(days=365.25 * YEARS) / plays
    moment, size = FIRST, 0
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, plays, ROWS_PER_FILE)):
        rows = []
        for _ in range(min(ROWS_PER_FILE, plays - start)):
            moment += step * (0.2 + 1.6 * rng.random())
            rows.append(row(moment, int(rng.random() ** 3 * TRACKS), ids, rng))
        text = "[\n" + ",\n".join(rows) + "\n]"
        (folder / f"Streaming_History_Audio_{moment.year}_{number}.json").write_text(text)
        size += len(text)
    return size


def row(moment: datetime, track: int, ids: list[str], rng: Random) -> str:
    artist = track * ARTISTS // TRACKS
    skipped = rng.random() < 0.3
    played = rng.randrange(400, 29_000) if skipped else rng.randrange(120_000, 300_000)
    return (
        f'{{"ts":"{moment:%Y-%m-%dT%H:%M:%SZ}","platform":"{"ios" if played % 3 else "windows"}",'
        f'"ms_played":{played},"conn_country":"DE","ip_addr":"203.0.113.{played % 250}",'
        f'"master_metadata_track_name":"The song number {track}",'
        f'"master_metadata_album_artist_name":"Artist {artist}",'
        f'"master_metadata_album_album_name":"Album {track // 9}",'
        f'"spotify_track_uri":"spotify:track:{ids[track]}","episode_name":null,"episode_show_name":null,'
        '"spotify_episode_uri":null,"audiobook_title":null,"audiobook_uri":null,"audiobook_chapter_uri":null,'
        '"audiobook_chapter_title":null,"reason_start":"trackdone",'
        f'"reason_end":"{"fwdbtn" if skipped else "trackdone"}","shuffle":true,"skipped":{str(skipped).lower()},'
        '"offline":false,"offline_timestamp":null,"incognito_mode":false}'
    )


# --- contenders: each runs in a process of its own ----------------------------------------------------------------


def ours(work: Path) -> int:
    from chalicelib.exports.importing import import_export
    from chalicelib.settings import Settings
    from chalicelib.stores import open_lake

    settings = Settings(lake_url=str(work / "lake"), secrets_url=str(work / "secrets"))
    lake = open_lake(settings)
    found = 0
    for listener in HOUSEHOLD:
        summary = import_export(lake, settings, work / "exports" / listener, listener)
        assert summary is not None
        found += summary.total("new")
    return found


def ours_reading(work: Path) -> int:
    from chalicelib.exports.rows import read_export

    found = 0
    for path in files(work):
        with path.open("rb") as stream:
            found += sum(piece.rows.num_rows for piece in read_export(stream))
    return found


def with_pandas(work: Path) -> int:
    import pandas as pd

    found = 0
    for listener in HOUSEHOLD:
        frames = [pd.read_json(path) for path in sorted((work / "exports" / listener).glob("*.json"))]
        found += len(pd.concat(frames).drop_duplicates(IDENTITY.split(", ")))
    return found


def duckdb_reading(work: Path) -> int:
    connection = duck()
    connection.execute(f"CREATE TABLE rows AS SELECT * FROM read_json('{work}/exports/*/*.json', format = 'array')")
    return int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])


def duckdb_reading_bounded(work: Path) -> int:
    """Not even into a table: the least that reading can be."""
    connection = duck()
    connection.execute(f"SET memory_limit = '{BOUND}'")
    connection.execute(f"SET temp_directory = '{work}/spill'")
    connection.execute("SET preserve_insertion_order = false")
    least = f"SELECT count(*), sum(ms_played), max(ts) FROM read_json('{work}/exports/*/*.json', format = 'array')"
    return int(connection.execute(least).fetchone()[0])


def duckdb_importing(work: Path, bound: str = "") -> int:
    connection = duck()
    if bound:
        connection.execute(f"SET memory_limit = '{bound}'")
        connection.execute(f"SET temp_directory = '{work}/spill'")
        connection.execute("SET preserve_insertion_order = false")
    target = work / f"duckdb{bound}"
    shutil.rmtree(target, ignore_errors=True)
    source = f"read_json('{work}/exports/*/*.json', format = 'array', filename = true)"
    whose = "split_part(filename, '/', -2)"
    once = f"SELECT DISTINCT ON ({whose}, {IDENTITY}) *, strftime(ts, '%Y-%m') AS month FROM {source}"
    connection.execute(
        f"COPY ({once}) TO '{target}' (FORMAT parquet, PARTITION_BY (month), COMPRESSION zstd, COMPRESSION_LEVEL 1)"
    )
    return int(connection.execute(f"SELECT count(*) FROM read_parquet('{target}/*/*.parquet')").fetchone()[0])


def duckdb_importing_bounded(work: Path) -> int:
    return duckdb_importing(work, BOUND)


def duckdb_importing_by_file(work: Path) -> int:
    """The way that fits: each file into a database on disk, then one row per identity and the Parquet, spilling."""
    database = work / "duckdb-by-file.db"
    database.unlink(missing_ok=True)
    target = work / "duckdb-by-file"
    shutil.rmtree(target, ignore_errors=True)
    connection = duck(str(database))
    connection.execute(f"SET memory_limit = '{BOUND}'")
    connection.execute(f"SET temp_directory = '{work}/spill'")
    connection.execute("SET preserve_insertion_order = false")
    made = False
    for path in files(work):
        read = f"read_json('{path}', format = 'array', maximum_object_size = 1048576)"
        rows = f"SELECT *, '{path.parent.name}' AS listener FROM {read}"
        connection.execute(f"INSERT INTO rows {rows}" if made else f"CREATE TABLE rows AS {rows}")
        made = True
    once = f"SELECT DISTINCT ON (listener, {IDENTITY}) *, strftime(ts, '%Y-%m') AS month FROM rows"
    years = [row[0] for row in connection.execute("SELECT DISTINCT year(ts) FROM rows ORDER BY 1").fetchall()]
    for year in years:  # all at once does not fit
        connection.execute(
            f"COPY ({once} WHERE year(ts) = {year}) TO '{target}' "
            "(FORMAT parquet, PARTITION_BY (month), COMPRESSION zstd, COMPRESSION_LEVEL 1, OVERWRITE_OR_IGNORE)"
        )
    return int(connection.execute(f"SELECT count(*) FROM read_parquet('{target}/*/*.parquet')").fetchone()[0])


def duck(database: str = ":memory:") -> Any:
    import duckdb

    return duckdb.connect(database, config={"threads": "2"})


def files(work: Path) -> list[Path]:
    return sorted((work / "exports").glob("*/*.json"))


OURS = "this lake: import to plays"
DUCKDB = "DuckDB: read, distinct, Parquet by month"
PANDAS = "pandas: read_json, concat, drop_duplicates"
CONTENDERS: dict[str, Callable[[Path], int]] = {
    OURS: ours,
    "this lake: reading only": ours_reading,
    "DuckDB: read_json only": duckdb_reading,
    f"  the least of it within {BOUND}": duckdb_reading_bounded,
    DUCKDB: duckdb_importing,
    f"  the same within {BOUND}": duckdb_importing_bounded,
    f"  file by file, year by year within {BOUND}": duckdb_importing_by_file,
    PANDAS: with_pandas,
}


def measured(name: str, work: Path) -> dict[str, Any]:
    """Run one contender in a fresh process."""
    command = [sys.executable, "-m", "bench.history", "--contender", name, "--work", str(work)]
    as_the_command_does = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=as_the_command_does)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "Error" in line]
        return {"failed": (said or ["?"])[-1][:90]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run_contender(name: str, work: Path) -> None:
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    rows = CONTENDERS[name](work)
    seconds = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = usage.ru_utime + usage.ru_stime
    print(
        json.dumps(
            {"rows": rows, "seconds": seconds, "cpu": cpu, "peak": usage.ru_maxrss / 1024, "start": start / 1024}
        )
    )


# --- reports ------------------------------------------------------------------------------------------------------


def time_reports(work: Path) -> tuple[str, float]:
    """Print the median of each report; the slowest one and its seconds."""
    from chalicelib.plays.resolutions import files_in_force
    from chalicelib.reports import catalogue
    from chalicelib.settings import Settings
    from chalicelib.stores import open_lake
    from chalicelib.wiring import open_engine

    settings = Settings(lake_url=str(work / "lake"), query_reuse=0.0)
    lake = open_lake(settings)
    engine = open_engine(settings, lake)
    fill_details(lake)
    bare = duck()
    in_force = [lake.store.location(key) for key in files_in_force(lake, lake.generation())]
    parquet = f"read_parquet({in_force})"
    whole = "SELECT artist_name, count(*), sum(ms_played) FROM {} GROUP BY 1 ORDER BY 2 DESC LIMIT 20"
    by_hour = "SELECT hour(timezone('Europe/Berlin', timezone('UTC', ended_at))), count(*) FROM {} GROUP BY 1"
    for name, sql in (("artists", whole), ("hours", by_hour)):
        seconds = best(partial(fetched, bare, sql.format(parquet)))
        print(f"  {'bare DuckDB: ' + name:<34}{seconds:>10.2f}")
    print(f"  {'report, over all years, Berlin':<34}{'median s':>10}{'rows':>8}")
    values = {"period": "all", "timezone": "Europe/Berlin"}
    found: dict[str, float] = {}
    for report in catalogue.reports():
        if report.name.startswith("dashboard_"):
            continue
        given = {key: value for key, value in values.items() if report.parameter(key)}
        taken, rows = [], 0
        for _ in range(3):
            began = time.perf_counter()
            page = catalogue.run(engine, report, given, wait=120).page
            taken.append(time.perf_counter() - began)
            rows = len(page.rows) if page else -1
        median = sorted(taken)[1]
        found[report.name] = median
        print(f"  {report.name:<34}{median:>10.2f}{rows:>8}", flush=True)
    slow = [name for name, median in found.items() if median > 1]
    print(f"  above 1 s: {', '.join(slow) or 'none'}")
    engine.close()
    return max(found.items(), key=lambda item: item[1])


def fetched(connection: Any, sql: str) -> Any:
    return connection.execute(sql).fetchall()


def best(call: Callable[[], Any]) -> float:
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return min(taken)


def fill_details(lake: Any) -> None:
    """Details of every track, its artist and its album, as later runs would have brought them."""
    import pyarrow as pa

    from chalicelib.parquet import arrow_schema, write_table
    from chalicelib.tables import BY_NAME

    moment = datetime(2026, 11, 1)  # noqa: DTZ001
    rows: dict[str, list[dict[str, Any]]] = {"tracks": [], "track_artists": [], "artists": [], "albums": []}
    for listener in range(len(HOUSEHOLD)):
        rng = Random(listener)
        for track in range(TRACKS):
            track_id = "".join(rng.choices(LETTERS, k=22))
            artist = track * ARTISTS // TRACKS
            common = {"track_id": track_id, "observed_at": moment}
            rows["tracks"].append({**common, "name": f"The song number {track}", "album_id": f"b{track // 9}",
                                   "duration_ms": 200_000, "isrc": f"I{track}"})  # fmt: skip
            rows["track_artists"].append({**common, "position": 0, "artist_id": f"a{artist}"})
            if track % 5 == 0:
                rows["track_artists"].append({**common, "position": 1, "artist_id": f"a{(artist + 1) % ARTISTS}"})
    for artist in range(ARTISTS):
        genres = [f"genre {artist % 80}", f"genre {artist % 13}"]
        rows["artists"].append(
            {"artist_id": f"a{artist}", "name": f"Artist {artist}", "genres": genres, "observed_at": moment}
        )
    for album in range(TRACKS // 9 + 1):
        rows["albums"].append(
            {
                "album_id": f"b{album}",
                "name": f"Album {album}",
                "release_year": 1960 + album % 65,
                "observed_at": moment,
            }
        )
    for name, made in rows.items():
        table = BY_NAME[name]
        write_table(lake, lake.generation(), table, pa.Table.from_pylist(made, schema=arrow_schema(table)), "bench")


# --- the whole ----------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.history", description=__doc__)
    parser.add_argument("--plays", type=int, default=3_000_000)
    parser.add_argument("--work", type=Path, help="keep everything here (default: a temporary folder)")
    parser.add_argument("--contender", choices=tuple(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--only", action="append", help="contenders whose name holds this")
    parser.add_argument("--no-reports", action="store_true")
    chosen = parser.parse_args()
    if chosen.contender:
        run_contender(chosen.contender, chosen.work)
        return
    work = chosen.work or Path(tempfile.mkdtemp(prefix="bench-history-"))
    try:
        taken = compare(work, chosen.plays, chosen.only)
        if not chosen.no_reports:
            slowest, seconds = time_reports(work)
            if not chosen.only:
                names = figures.MEASURED["history"]
                found = {names[0]: imported(taken), names[1]: (f"{seconds:.1f} s", f"`{slowest}`")}
                figures.tell("history", found, usual=chosen.plays == parser.get_default("plays"))
    finally:
        if not chosen.work:
            shutil.rmtree(work)


def imported(taken: dict[str, dict[str, Any]]) -> tuple[str, str]:
    """The figure of the import, and those of doing the same with other means."""

    def told(name: str) -> str:
        one = taken[name]
        return "failed" if "failed" in one else f"{one['seconds']:.0f} s, {one['peak']:,.0f} MB"

    ours, theirs, pandas = (told(name) for name in (OURS, DUCKDB, PANDAS))
    return ours, f"DuckDB, no identities {theirs}; pandas, in memory alone {pandas}"


def compare(work: Path, plays: int, only: list[str] | None) -> dict[str, dict[str, Any]]:
    """Print what each contender takes, and answer it."""
    taken: dict[str, dict[str, Any]] = {}
    if not (work / "exports").exists():
        for seed, listener in enumerate(HOUSEHOLD):
            write_history(work / "exports" / listener, plays // len(HOUSEHOLD), seed)
    size = sum(path.stat().st_size for path in files(work))
    shutil.rmtree(work / "lake", ignore_errors=True)
    print(f"{plays:,} plays of {len(HOUSEHOLD)} listeners, {YEARS} years, {size / 1e6:,.0f} MB of JSON; "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    print(f"  {'':<44}{'s':>8}{'cpu s':>8}{'rows/s':>11}{'MB/s':>7}{'peak MB':>9}")
    for name in CONTENDERS:
        if only and not any(part in name for part in only):
            continue
        result = taken[name] = measured(name, work)
        if "failed" in result:
            print(f"  {name:<44}  {result['failed']}", flush=True)
            continue
        seconds = result["seconds"]
        print(
            f"  {name:<44}{seconds:>8.1f}{result['cpu']:>8.1f}{result['rows'] / seconds:>11,.0f}"
            f"{size / 1e6 / seconds:>7.0f}{result['peak']:>9.0f}",
            flush=True,
        )
    return taken


if __name__ == "__main__":
    main()
