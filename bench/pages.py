"""Raw data for the benchmarks: the sandbox's answers as a raw object, and the same items as JSON Lines."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from chalicelib.raw import Answer, unpack
from sandbox.answers import pages

RUN = "20261120T120000Z-abcdef"
START = datetime(2026, 11, 20, 12, tzinfo=UTC)


def answers(items: int, mode: str, seed: int = 1) -> Iterator[Answer]:
    """Pages of playlist items, saved tracks and plays in turn, as a run would have received them."""
    for number, (path, params, body) in enumerate(pages(items, mode, seed)):
        moment = START + timedelta(milliseconds=120 * number)
        context = {"snapshot_id": "S1", "playlist_id": path.split("/")[1]} if path.startswith("playlists/") else {}
        yield Answer(RUN, "bench", path, dict(params), "listener", moment, moment, 200, body, context)


def write_object(path: Path, items: int, mode: str, seed: int = 1) -> int:
    """One raw object of ``items`` items; answers the bytes of JSON in it."""
    size = 0
    with gzip.open(path, "wb", compresslevel=6) as stream:
        for answer in answers(items, mode, seed):
            header = json.dumps(answer.header(), separators=(",", ":")).encode()
            stream.write(header + b"\n" + answer.body + b"\n")
            size += len(answer.body)
    return size


def write_lines(raw: Path, folder: Path) -> None:
    """The items of a raw object as JSON Lines for engines that read those: one zstd file a kind, one item a line."""
    folder.mkdir()
    kinds = ("entries", "saved", "plays")
    streams = {kind: pa.output_stream(folder / f"{kind}.jsonl.zst", compression="zstd") for kind in kinds}
    with raw.open("rb") as source:
        for answer in unpack(source):
            kind = kind_of(answer.endpoint)
            told = {"playlist_id": answer.context.get("playlist_id"), "observed_at": answer.received_at.isoformat()}
            offset = int(answer.params.get("offset", 0))
            for position, item in enumerate(json.loads(answer.body)["items"], offset):
                if item is not None:
                    line = json.dumps({**told, "position": position, **item}, ensure_ascii=False)
                    streams[kind].write(line.encode() + b"\n")
    for stream in streams.values():
        stream.close()


def kind_of(endpoint: str) -> str:
    return {"me/tracks": "saved", "me/player/recently-played": "plays"}.get(endpoint, "entries")
