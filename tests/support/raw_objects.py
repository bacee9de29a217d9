"""Raw objects for tests: answers of a few items, put into a lake as a run would put them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chalicelib.lake import Lake, answers_key
from chalicelib.raw import Answer, pack
from chalicelib.stores.folder import FolderStore
from chalicelib.tables import BY_NAME

RUN = "20261120T101500Z-1a2b3c"
START = datetime(2026, 11, 20, 10, 15, tzinfo=UTC)
PLAYLIST_ID = "3cEYpjA9oz9GiPac4AsH4n"
Rows = list[dict[str, Any]]


def folder_lake(folder: Path) -> Lake:
    return Lake(FolderStore(folder))


def spotify_id(letter: str) -> str:
    """A well-formed id that is easy to tell apart."""
    return (letter * 22)[:22]


def answer(endpoint: str, body: Any, *, second: int = 0, user_id: str | None = "u1", **told: Any) -> Answer:
    """``told``: params, context, status, source, run_id."""
    moment = START + timedelta(seconds=second)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(
        run_id=told.get("run_id", RUN),
        source=told.get("source", "test"),
        endpoint=endpoint,
        params=told.get("params", {}),
        user_id=user_id,
        requested_at=moment,
        received_at=moment,
        status=told.get("status", 200),
        body=content,
        context=told.get("context", {}),
    )


def put(lake: Lake, answers: Iterable[Answer], *, source: str = "test", part: int = 1, run_id: str = RUN) -> str:
    """Write one raw object; answers its key."""
    key = answers_key(run_id, source, part)
    lake.store.write(key, pack(answers))
    return key


def stored(lake: Lake, table: str) -> Rows:
    """Every stored row of a table, files in the order of their keys."""
    rows: Rows = []
    prefix = f"transformed/{lake.generation()}/{BY_NAME[table].history}/"
    for info in lake.store.list(prefix):
        rows += read_file(lake, info.key).to_pylist()
    return rows


def read_file(lake: Lake, key: str) -> pa.Table:
    return pq.ParquetFile(io.BytesIO(lake.store.read(key))).read()


def files(lake: Lake, prefix: str = "transformed/") -> dict[str, bytes]:
    return {info.key: lake.store.read(info.key) for info in lake.store.list(prefix)}


# --- items --------------------------------------------------------------------------------------------------------


def artist(letter: str, **more: Any) -> dict[str, Any]:
    return {"id": spotify_id(letter), "name": f"Artist {letter}", "type": "artist", **more}


def album(letter: str, artists: Iterable[str] = ("a",), **more: Any) -> dict[str, Any]:
    return {
        "id": spotify_id(letter),
        "name": f"Album {letter}",
        "album_type": "album",
        "release_date": "1981-12-15",
        "release_date_precision": "day",
        "total_tracks": 9,
        "artists": [artist(each) for each in artists],
        "images": [{"url": "https://i/64", "width": 64}, {"url": "https://i/640", "width": 640}],
        **more,
    }


def track(letter: str, artists: Iterable[str] = ("a",), **more: Any) -> dict[str, Any]:
    return {
        "id": spotify_id(letter),
        "name": f"Track {letter}",
        "type": "track",
        "uri": f"spotify:track:{spotify_id(letter)}",
        "album": album("B"),
        "artists": [artist(each) for each in artists],
        "duration_ms": 200_000,
        "explicit": False,
        "disc_number": 1,
        "track_number": 3,
        "external_ids": {"isrc": "USABC8112345"},
        **more,
    }


def episode(letter: str, **more: Any) -> dict[str, Any]:
    return {
        "id": spotify_id(letter),
        "name": f"Episode {letter}",
        "type": "episode",
        "uri": f"spotify:episode:{spotify_id(letter)}",
        "duration_ms": 1_800_000,
        "release_date": "2026-01-02",
        "show": {"id": spotify_id("S"), "name": "Show"},
        **more,
    }


def local_track(name: str) -> dict[str, Any]:
    return {"id": None, "name": name, "type": "track", "uri": f"spotify:local:A:B:{name}:273", "is_local": True}


def entry(item: Any, **more: Any) -> dict[str, Any]:
    return {"added_at": "2026-01-01T00:00:00Z", "added_by": {"id": "me"}, "is_local": False, "item": item, **more}


def play(item: Any, played_at: str, **more: Any) -> dict[str, Any]:
    return {"track": item, "played_at": played_at, "context": None, **more}


def playlist_page(
    entries: list[Any], *, offset: int = 0, second: int = 0, snapshot: str = "S1", run_id: str = RUN
) -> Answer:
    return answer(
        f"playlists/{PLAYLIST_ID}/items",
        {"items": entries, "offset": offset},
        second=second,
        params={"offset": offset},
        context={"playlist_id": PLAYLIST_ID, "snapshot_id": snapshot},
        run_id=run_id,
    )
