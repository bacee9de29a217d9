"""Ways of turning one raw object into deduplicated Parquet tables, each run in a process of its own.

``python -m bench.contenders NAME RAW_OBJECT LINES_FOLDER OUTPUT_FOLDER`` prints one line of JSON: CPU and wall
seconds, peak memory, and how many rows each table has. ``warm`` instead of a name: the median seconds of a call of a
function that has been called before.
"""

# ruff: noqa: ARG001, ARG005, E501
from __future__ import annotations

import io
import json
import resource
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WARM_CALLS = 30
Counts = dict[str, int]
Work = Callable[[], Counts]
TABLES = ("playlist_items", "saved_items", "plays", "tracks", "albums", "artists", "track_artists", "album_artists")
KEYS = {
    "playlist_items": ("playlist_id", "position"),
    "saved_items": ("item_id",),
    "plays": ("item_id", "ended_at"),
    "tracks": ("track_id",),
    "albums": ("album_id",),
    "artists": ("artist_id",),
    "track_artists": ("track_id", "position"),
    "album_artists": ("album_id", "position"),
}


def main() -> None:
    name, raw, lines, output = sys.argv[1], *map(Path, sys.argv[2:5])
    if name == "warm":
        print(json.dumps(warm(raw, output)))
        return
    work = CONTENDERS[name](raw, lines, output)
    before, started = time.process_time(), time.perf_counter()
    counts = work()
    cpu, wall = time.process_time() - before, time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    counts = counts or count_rows(output)
    print(json.dumps({"cpu": cpu, "wall": wall, "peak_mib": peak, "rows": counts}))


def warm(raw: Path, output: Path) -> dict[str, float]:
    """Medians over calls of our transform in one process, each into a lake of its own."""
    spent = []
    for call in range(WARM_CALLS + 2):
        work = ours(raw, raw, output / str(call))
        before, started = time.process_time(), time.perf_counter()
        work()
        spent.append((time.perf_counter() - started, time.process_time() - before))
    walls, cpus = zip(*spent[2:], strict=True)
    return {"wall": statistics.median(walls), "cpu": statistics.median(cpus)}


def count_rows(output: Path) -> Counts:
    """Distinct keys of each table; untimed."""
    import duckdb

    counts = {}
    for table in TABLES:
        files = [str(file) for file in output.rglob("*.parquet") if f"/{table}" in str(file)]
        if files:
            keys = ", ".join(KEYS[table])
            sql = f"SELECT count(*) FROM (SELECT DISTINCT {keys} FROM read_parquet(?, union_by_name = true))"
            counts[table] = duckdb.execute(sql, [files]).fetchall()[0][0]
    return counts


def one_core() -> None:
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    pa.array([1])


# --- ours and the lower bound -------------------------------------------------------------------------------------


def ours(raw: Path, lines: Path, output: Path, checks: bool = True) -> Work:
    from chalicelib.lake import Lake
    from chalicelib.stores.folder import FolderStore
    from chalicelib.transformation import build
    from chalicelib.transformation.transform import transform_object

    one_core()
    lake = Lake(FolderStore(output))
    key = "raw/spotify/2026/11/20/bench/bench-0001.jsonl.gz"
    target = output / key
    target.parent.mkdir(parents=True, exist_ok=True)
    target.hardlink_to(raw)
    if not checks:
        from chalicelib.transformation.quality import sort_rows

        built: Any = build  # what it imports is replaced here, so that no check runs
        built.check_rows = lambda table, rows, misfits, findings: sort_rows(table, rows)
        built.check_references = lambda published, findings: None
        built.check_times = lambda times, findings: None
        built.check_whole = lambda findings: None

    def work() -> Counts:
        transform_object(lake, key)
        return {}

    return work


def without_checks(raw: Path, lines: Path, output: Path) -> Work:
    """Ours without its quality checks: what they cost."""
    return ours(raw, lines, output, checks=False)


def bound(raw: Path, lines: Path, output: Path) -> Work:
    """What cannot be avoided: read, the fastest decompression, a parse that keeps nothing, a write of ready tables."""
    import pyarrow.parquet as pq
    import simdjson
    from isal import isal_zlib

    from chalicelib.parquet import parquet_writer
    from chalicelib.tables import PHYSICAL

    ours(raw, lines, output / "ready")()
    one_core()
    files = sorted((output / "ready/transformed").rglob("*.parquet"))
    ready = [(PHYSICAL[file.parts[-3]], pq.ParquetFile(file).read()) for file in files]

    def work() -> Counts:
        data = raw.read_bytes()
        text = isal_zlib.decompress(data, 31, bufsize=struct.unpack("<I", data[-4:])[0])
        parser, view, at = simdjson.Parser(), memoryview(text), 0
        while at < len(text):
            end = text.index(b"\n", at)
            length = int(text[text.rindex(b'"bytes":', at, end) + 8 : end - 1])
            parser.parse(view[end + 1 : end + 1 + length])
            at = end + 2 + length
        for number, (table, rows) in enumerate(ready):
            sink = io.BytesIO()
            with parquet_writer(table, sink) as writer:
                writer.write_table(rows, row_group_size=131_072)
            (output / f"bound-{number}").write_bytes(sink.getvalue())
        return {"playlist_items": -1}

    return work


# --- pandas -------------------------------------------------------------------------------------------------------


def raw_pages(raw: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Answers and their parsed bodies, by the standard library as tutorials do."""
    import gzip

    with gzip.open(raw, "rb") as stream:
        while header := stream.readline():
            asked = json.loads(header)
            body = json.loads(stream.read(asked["bytes"]))
            stream.read(1)
            yield asked, body


def page_rows(asked: Any, body: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The rows of one page, as dicts."""
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    for position, entry in enumerate(body["items"], int(asked["params"].get("offset", 0))):
        item = entry and (entry.get("item") or entry.get("track"))
        if not item:
            continue
        if "played_at" in entry:
            rows["plays"].append({"item_id": item["id"], "ended_at": entry["played_at"], "name": item["name"]})
        elif asked["endpoint"] == "me/tracks":
            rows["saved_items"].append({"item_id": item["id"], "added_at": entry["added_at"]})
        else:
            told = {"playlist_id": asked["context"]["playlist_id"], "position": position}
            added = {"added_at": entry["added_at"], "added_by_id": entry["added_by"]["id"]}
            shown = {"item_id": item["id"], "item_uri": item["uri"], "name": item["name"], "item_type": item["type"]}
            rows["playlist_items"].append({**told, **shown, **added})
        if item["id"] is not None and item["type"] == "track":
            add_track(rows, item)
    return rows


def add_track(rows: dict[str, list[dict[str, Any]]], item: dict[str, Any]) -> None:
    album = item["album"]
    rows["tracks"].append(
        {
            "track_id": item["id"],
            "name": item["name"],
            "album_id": album["id"],
            "duration_ms": int(item["duration_ms"]),
            "explicit": item["explicit"],
            "disc_number": int(item["disc_number"]),
            "track_number": int(item["track_number"]),
            "isrc": item["external_ids"].get("isrc"),
            "popularity": item.get("popularity"),
            "spotify_url": item["external_urls"]["spotify"],
        }
    )
    rows["albums"].append(
        {
            "album_id": album["id"],
            "name": album["name"],
            "album_type": album["album_type"],
            "release_date": album["release_date"],
            "release_date_precision": album["release_date_precision"],
            "total_tracks": int(album["total_tracks"]),
            "image_url": album["images"][0]["url"] if album["images"] else None,
            "spotify_url": album["external_urls"]["spotify"],
        }
    )
    for table, key, holder in (("track_artists", "track_id", item), ("album_artists", "album_id", album)):
        for position, artist in enumerate(holder["artists"]):
            rows[table].append({key: holder["id"], "position": position, "artist_id": artist["id"]})
            url = artist["external_urls"]["spotify"]
            rows["artists"].append({"artist_id": artist["id"], "name": artist["name"], "spotify_url": url})


def page_frames(asked: Any, body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The DataFrames of one page, without duplicates, times parsed."""
    import pandas as pd

    for table, rows in page_rows(asked, body).items():
        if rows:
            frame = pd.DataFrame(rows).drop_duplicates(subset=list(KEYS[table]))
            for column in ("added_at", "ended_at"):
                if column in frame:
                    frame[column] = pd.to_datetime(frame[column])
            yield table, frame


def tutorial(raw: Path, lines: Path, output: Path) -> Work:
    """As tutorials do in a function that is called for each page: a loop of dicts into DataFrames, each a file."""
    import pandas as pd  # noqa: F401 (not what is measured)

    def work() -> Counts:
        for number, (asked, body) in enumerate(raw_pages(raw)):
            for table, frame in page_frames(asked, body):
                (output / table).mkdir(exist_ok=True)
                frame.to_parquet(output / table / f"{number}.parquet", compression="zstd")
        return {}

    return work


def loop_of_dicts(raw: Path, lines: Path, output: Path) -> Work:
    """The same loop of dicts into DataFrames, all kept to the end and written together."""
    import pandas as pd

    def work() -> Counts:
        frames: dict[str, list[Any]] = {table: [] for table in TABLES}
        for asked, body in raw_pages(raw):
            for table, frame in page_frames(asked, body):
                frames[table].append(frame)
        for table, parts in frames.items():
            whole = pd.concat(parts).drop_duplicates(subset=list(KEYS[table]))
            whole.to_parquet(output / f"{table}.parquet", compression="zstd")
        return {}

    return work


def json_normalize(raw: Path, lines: Path, output: Path) -> Work:
    """pandas.json_normalize on each page, then the tables out of its columns."""
    import pandas as pd

    def work() -> Counts:
        parts: dict[str, list[Any]] = {"playlist_items": [], "saved_items": [], "plays": []}
        tracks, bridges, albums = [], [], []
        for asked, body in raw_pages(raw):
            items = [
                {**{k: v for k, v in entry.items() if k != "track"}, "item": entry.get("item") or entry.get("track")}
                for entry in body["items"]
                if entry
            ]
            positions = [place for place, entry in enumerate(body["items"]) if entry]
            flat = pd.json_normalize(items)
            flat["position"] = [int(asked["params"].get("offset", 0)) + place for place in positions]
            flat = flat[flat["item.uri"].notna()]
            if "played_at" in flat:
                parts["plays"].append(flat[["item.id", "played_at", "item.name"]])
            elif asked["endpoint"] == "me/tracks":
                parts["saved_items"].append(flat[["item.id", "added_at"]])
            else:
                flat["playlist_id"] = asked["context"]["playlist_id"]
                parts["playlist_items"].append(flat[["playlist_id", "position", "item.id", "item.uri", "added_at"]])
            flat = flat[flat["item.id"].notna() & (flat["item.type"] == "track")]
            tracks.append(flat[["item.id", "item.name", "item.album.id", "item.duration_ms", "item.explicit"]])
            albums.append(flat[["item.album.id", "item.album.name", "item.album.release_date"]])
            real = [
                item["item"] for item in items if item["item"] and item["item"].get("id") and "album" in item["item"]
            ]
            bridges.append(pd.json_normalize(real, "artists", ["id"], record_prefix="artist."))
            bridges[-1]["of"] = "track"
            bridges.append(
                pd.json_normalize([one["album"] for one in real], "artists", ["id"], record_prefix="artist.")
            )
            bridges[-1]["of"] = "album"
        write_normalized(parts, tracks, albums, bridges, output)
        return {}

    return work


def write_normalized(parts: dict[str, list[Any]], tracks: Any, albums: Any, bridges: Any, output: Path) -> None:
    import pandas as pd

    renamed = {"item.id": "item_id", "played_at": "ended_at", "item.uri": "item_uri"}
    for table, frames in parts.items():
        whole = pd.concat(frames).rename(columns=renamed).drop_duplicates(subset=list(KEYS[table]))
        whole.to_parquet(output / f"{table}.parquet", compression="zstd")
    whole = pd.concat(tracks).rename(columns={"item.id": "track_id"}).drop_duplicates("track_id")
    whole.to_parquet(output / "tracks.parquet", compression="zstd")
    whole = pd.concat(albums).rename(columns={"item.album.id": "album_id"}).drop_duplicates("album_id")
    whole.to_parquet(output / "albums.parquet", compression="zstd")
    bridge = pd.concat(bridges)
    names = bridge[["artist.id", "artist.name"]].rename(columns={"artist.id": "artist_id"}).drop_duplicates("artist_id")
    names.to_parquet(output / "artists.parquet", compression="zstd")
    for of in ("track", "album"):
        pairs = bridge[bridge["of"] == of].rename(columns={"id": f"{of}_id", "artist.id": "artist_id"})
        pairs = pairs[[f"{of}_id", "artist_id"]].drop_duplicates()
        pairs["position"] = pairs.groupby(f"{of}_id").cumcount()
        pairs.to_parquet(output / f"{of}_artists.parquet", compression="zstd")


# --- engines ------------------------------------------------------------------------------------------------------

ARTIST = "STRUCT(id VARCHAR, name VARCHAR, external_urls STRUCT(spotify VARCHAR))"
ALBUM = (
    "STRUCT(id VARCHAR, name VARCHAR, album_type VARCHAR, release_date VARCHAR, release_date_precision VARCHAR, "
    f"total_tracks INTEGER, images STRUCT(url VARCHAR, width INTEGER)[], artists {ARTIST}[], "
    "external_urls STRUCT(spotify VARCHAR))"
)
ITEM = (
    f"STRUCT(id VARCHAR, name VARCHAR, type VARCHAR, uri VARCHAR, album {ALBUM}, artists {ARTIST}[], "
    "duration_ms BIGINT, explicit BOOLEAN, disc_number INTEGER, track_number INTEGER, popularity INTEGER, "
    "external_ids STRUCT(isrc VARCHAR), external_urls STRUCT(spotify VARCHAR), is_local BOOLEAN, "
    "linked_from STRUCT(id VARCHAR))"
)
SHARED = "observed_at: 'TIMESTAMP', position: 'INTEGER'"
DUCKDB = f"""
CREATE TEMP TABLE entries AS FROM read_json('{{lines}}/entries.jsonl.zst', format = 'newline_delimited', columns =
  {{{{playlist_id: 'VARCHAR', {SHARED}, added_at: 'TIMESTAMP', added_by: 'STRUCT(id VARCHAR)', is_local: 'BOOLEAN',
    item: '{ITEM}'}}}});
CREATE TEMP TABLE saved AS FROM read_json('{{lines}}/saved.jsonl.zst', format = 'newline_delimited', columns =
  {{{{{SHARED}, added_at: 'TIMESTAMP', track: '{ITEM}'}}}});
CREATE TEMP TABLE plays AS FROM read_json('{{lines}}/plays.jsonl.zst', format = 'newline_delimited', columns =
  {{{{{SHARED}, played_at: 'TIMESTAMP', context: 'STRUCT(uri VARCHAR)', track: '{ITEM}'}}}});
COPY (SELECT playlist_id, 'S1' AS snapshot_id, position, CASE WHEN is_local THEN 'local' ELSE item.type END AS item_type,
  item.id AS item_id, item.uri AS item_uri, item.name AS name, added_at, added_by.id AS added_by_id, observed_at
  FROM entries WHERE item IS NOT NULL ORDER BY 1, 3) TO '{{output}}/playlist_items.parquet' (COMPRESSION zstd);
COPY (SELECT 'track' AS item_type, track.id AS item_id, added_at, observed_at FROM saved ORDER BY 2)
  TO '{{output}}/saved_items.parquet' (COMPRESSION zstd);
COPY (SELECT played_at AS ended_at, track.id AS item_id, track.name AS item_name, track.artists[1].name AS artist_name,
  track.album.name AS album_name, context.uri AS context_uri, observed_at FROM plays ORDER BY 1)
  TO '{{output}}/plays.parquet' (COMPRESSION zstd);
CREATE TEMP TABLE distinct_tracks AS SELECT DISTINCT ON (track.id) track, observed_at FROM (
  SELECT item AS track, observed_at FROM entries WHERE item.id IS NOT NULL AND item.type = 'track'
  UNION ALL SELECT track, observed_at FROM saved UNION ALL SELECT track, observed_at FROM plays);
COPY (SELECT track.id AS track_id, track.name AS name, track.album.id AS album_id, track.duration_ms AS duration_ms,
  track.explicit AS explicit, track.disc_number AS disc_number, track.track_number AS track_number,
  track.external_ids.isrc AS isrc, track.popularity AS popularity, track.linked_from.id AS linked_from_id,
  track.external_urls.spotify AS spotify_url, observed_at FROM distinct_tracks ORDER BY 1)
  TO '{{output}}/tracks.parquet' (COMPRESSION zstd);
CREATE TEMP TABLE distinct_albums AS SELECT DISTINCT ON (track.album.id) track.album AS album, observed_at
  FROM distinct_tracks;
COPY (SELECT album.id AS album_id, album.name AS name, album.album_type AS album_type, album.release_date AS
  release_date, album.release_date_precision AS release_date_precision, try_cast(album.release_date[:4] AS INTEGER)
  AS release_year, album.total_tracks AS total_tracks, album.images[1].url AS image_url, album.external_urls.spotify
  AS spotify_url, observed_at FROM distinct_albums ORDER BY 1) TO '{{output}}/albums.parquet' (COMPRESSION zstd);
COPY (SELECT track.id AS track_id, unnest(range(len(track.artists))) AS position, unnest(track.artists).id AS artist_id,
  observed_at FROM distinct_tracks ORDER BY 1, 2) TO '{{output}}/track_artists.parquet' (COMPRESSION zstd);
COPY (SELECT album.id AS album_id, unnest(range(len(album.artists))) AS position, unnest(album.artists).id AS artist_id,
  observed_at FROM distinct_albums ORDER BY 1, 2) TO '{{output}}/album_artists.parquet' (COMPRESSION zstd);
COPY (SELECT DISTINCT ON (artist.id) artist.id AS artist_id, artist.name AS name, artist.external_urls.spotify AS
  spotify_url, observed_at FROM (SELECT unnest(track.artists) AS artist, observed_at FROM distinct_tracks
  UNION ALL SELECT unnest(album.artists), observed_at FROM distinct_albums) ORDER BY 1)
  TO '{{output}}/artists.parquet' (COMPRESSION zstd);
"""


def duckdb_sql(raw: Path, lines: Path, output: Path) -> Work:
    """DuckDB on the items as JSON Lines, one thread."""
    import duckdb

    connection = duckdb.connect(config={"threads": 1})

    def work() -> Counts:
        connection.execute(DUCKDB.format(lines=lines, output=output))
        return {}

    return work


def polars(raw: Path, lines: Path, output: Path) -> Work:
    """polars on the items as JSON Lines."""
    import polars as pl
    import zstandard

    def read(kind: str) -> Any:
        with (lines / f"{kind}.jsonl.zst").open("rb") as stream:
            text = zstandard.ZstdDecompressor().stream_reader(stream).read()
        return pl.read_ndjson(io.BytesIO(text), infer_schema_length=None)

    def work() -> Counts:
        entries, saved, plays = read("entries"), read("saved"), read("plays")
        item = pl.col("item").struct
        shown = entries.filter(item.field("uri").is_not_null())
        shown.select(
            "playlist_id",
            "position",
            item.field("id").alias("item_id"),
            item.field("uri").alias("item_uri"),
            pl.col("added_at").str.to_datetime(time_zone="UTC"),
        ).write_parquet(output / "playlist_items.parquet")
        track = pl.col("track").struct
        saved.select(
            track.field("id").alias("item_id"), pl.col("added_at").str.to_datetime(time_zone="UTC")
        ).write_parquet(output / "saved_items.parquet")
        plays.select(
            track.field("id").alias("item_id"), pl.col("played_at").str.to_datetime(time_zone="UTC").alias("ended_at")
        ).write_parquet(output / "plays.parquet")
        wanted = ("id", "name", "album", "artists", "duration_ms", "explicit", "external_ids", "external_urls")
        whole = shown.filter(item.field("id").is_not_null() & (item.field("type") == "track"))
        tracks = pl.concat(
            [
                whole.select(item.field(*wanted)),
                saved.select(track.field(*wanted)),
                plays.select(track.field(*wanted)),
            ],
            how="diagonal_relaxed",
        ).unique("id", keep="first")
        tracks.rename({"id": "track_id"}).drop("artists", "album").write_parquet(output / "tracks.parquet")
        albums = tracks.select(pl.col("album").struct.unnest()).unique("id", keep="first")
        albums.drop("artists").rename({"id": "album_id"}).write_parquet(output / "albums.parquet")
        artists = []
        for table, key, holder in (("track_artists", "track_id", tracks), ("album_artists", "album_id", albums)):
            bridge = holder.select(pl.col("id").alias(key), "artists").explode("artists")
            bridge = bridge.with_columns(pl.int_range(pl.len()).over(key).alias("position"))
            bridge = bridge.with_columns(pl.col("artists").struct.field("id").alias("artist_id"))
            artists.append(bridge.select(pl.col("artists").struct.unnest()))
            bridge.drop("artists").write_parquet(output / f"{table}.parquet")
        pl.concat(artists, how="diagonal_relaxed").unique("id").rename({"id": "artist_id"}).write_parquet(
            output / "artists.parquet"
        )
        return {}

    return work


def dlt(raw: Path, lines: Path, output: Path) -> Work:
    """dlt with its defaults, to Parquet files."""
    import os

    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"
    import dlt as tool

    def entries() -> Iterator[dict[str, Any]]:
        for asked, body in raw_pages(raw):
            for position, entry in enumerate(body["items"], int(asked["params"].get("offset", 0))):
                if entry:
                    yield {"endpoint": asked["endpoint"], "position": position, **entry}

    def work() -> Counts:
        pipeline = tool.pipeline(
            "bench",
            pipelines_dir=str(output / "state"),
            destination=tool.destinations.filesystem(bucket_url=f"file://{output}/dlt"),
            dataset_name="spotify",
        )
        pipeline.run(tool.resource(entries, name="entries"), loader_file_format="parquet")
        files = list((output / "dlt/spotify/entries").rglob("*.parquet"))
        import pyarrow.parquet as pq

        return {"entries": sum(pq.ParquetFile(file).metadata.num_rows for file in files)}

    return work


CONTENDERS: dict[str, Callable[[Path, Path, Path], Work]] = {
    "bound": bound,
    "ours": ours,
    "without_checks": without_checks,
    "duckdb_sql": duckdb_sql,
    "polars": polars,
    "tutorial": tutorial,
    "loop_of_dicts": loop_of_dicts,
    "json_normalize": json_normalize,
    "dlt": dlt,
}

if __name__ == "__main__":
    main()
