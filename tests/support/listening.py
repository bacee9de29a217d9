"""Small histories for tests: observations as the API and exports make them, and what the lake then holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.lake import Lake
from chalicelib.parquet import arrow_schema, write_table
from chalicelib.plays import resolutions
from chalicelib.settings import Settings
from chalicelib.stores.folder import FolderStore
from chalicelib.tables import PLAYS
from chalicelib.transformation.tabulate import play_id
from sandbox.history import Listen

USER = "listener"


def lake_in(folder: Path) -> Lake:
    return Lake(FolderStore(folder / "lake"))


def settings_for(folder: Path, **more: Any) -> Settings:
    return Settings(lake_url=str(folder / "lake"), secrets_url=str(folder / "secrets"), **more)


def api_plays(heard: Iterable[tuple[str, str, str, str]], user: str = USER) -> pa.Table:
    """Observations of the API from (played_at, URI, title, artist)."""
    rows = []
    for played_at, uri, title, artist in heard:
        moment = datetime.fromisoformat(played_at).replace(tzinfo=None)
        rows.append(
            {
                "play_id": play_id(user, uri, played_at),
                "user_id": user,
                "ended_at": moment,
                "item_type": "track",
                "item_id": uri.rpartition(":")[2],
                "item_name": title,
                "artist_name": artist,
                "origin": "api",
                "context_uri": "spotify:collection",
                "observed_at": moment + timedelta(minutes=5),
            }
        )
    return pa.Table.from_pylist(rows, schema=arrow_schema(PLAYS))


def api_plays_of(listens: Iterable[Listen], user: str = USER) -> pa.Table:
    """What polling often enough would have brought of some listens of the sandbox."""
    return api_plays(
        (
            (one.api_played_at, one.uri, one.name or "", one.artist or "")
            for one in listens
            if one.api_played_at is not None and one.uri is not None
        ),
        user,
    )


def observe_api(lake: Lake, rows: pa.Table, name: str = "api") -> None:
    """Put API observations into the lake as a transform does, and decide their listens."""
    resolutions.resolve_keys(lake, write_table(lake, lake.generation(), PLAYS, rows, name))


def listens_in(lake: Lake) -> pa.Table:
    """The ``plays`` table: what is in force of every month."""
    tables = [
        resolutions.read_parquet(lake, key, resolutions.RESOLVED)
        for key in resolutions.files_in_force(lake, lake.generation())
    ]
    rows = pa.concat_tables([resolutions.RESOLVED.empty_table(), *tables])
    rows = rows.filter(pc.not_equal(rows["play_id"], "")).drop_columns(["resolution"])
    return resolutions.plain(resolutions.in_order(rows))


def kinds_and_total(rows: pa.Table) -> tuple[int, int]:
    """Listens, and milliseconds in all."""
    return rows.num_rows, pc.sum(rows["ms_played"]).as_py() or 0


def truth_of(listens: Sequence[Listen]) -> tuple[int, int]:
    return len(listens), sum(one.ms_played for one in listens)


def extended_row(ts: str, ms_played: int, track: str | None = "a", **more: Any) -> dict[str, Any]:
    """A row of an extended export; ``track`` is a letter, None for one that has no names any more."""
    return {
        "ts": ts,
        "ms_played": ms_played,
        "ip_addr": "203.0.113.9",
        "master_metadata_track_name": track and f"Song {track}",
        "master_metadata_album_artist_name": track and f"Band {track}",
        "master_metadata_album_album_name": track and f"Album {track}",
        "spotify_track_uri": track and uri_of(track),
        **more,
    }


def account_row(end_time: str, ms_played: int, track: str | None = "a", **more: Any) -> dict[str, Any]:
    names = {"artistName": f"Band {track}", "trackName": f"Song {track}"} if track else {}
    return {"endTime": end_time, "msPlayed": ms_played, **names, **more}


def uri_of(track: str) -> str:
    return f"spotify:track:{track * 22}"


def write_export(path: Path, rows: Sequence[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), "utf-8")
    return path
