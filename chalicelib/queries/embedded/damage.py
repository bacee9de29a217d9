"""Files of the tables that cannot be read: which, why, and what heals them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from chalicelib.clock import Clock, now
from chalicelib.errors import QueryFailed
from chalicelib.lake import TRANSFORMED, Lake
from chalicelib.queries.embedded.listing import File
from chalicelib.stores.folder import open_file
from chalicelib.transformation.backlog import losses, noted_files

MAGIC = b"PAR1"
LEAST = 12  # bytes of a Parquet file: the mark twice, and the length of a footer
HEAL = "`.venv/bin/lake transform --all` builds the tables again from the raw answers"
NAMED = 3  # files named in one message


@dataclass(frozen=True, slots=True)
class Damage:
    """One file by its key in the lake, and what is wrong with it."""

    key: str
    reason: str


def found_damaged(files: Iterable[File], *, thorough: bool = False) -> list[Damage]:
    """Those of ``files`` that are no whole Parquet files. ``thorough`` reads all that they hold."""
    found = []
    for file in files:
        reason = reason_of(file) or (unreadable(Path(file.path)) if thorough else None)
        if reason:
            found.append(Damage(key_of(file.path), reason))
    return found


def found_missing(lake: Lake, files: Iterable[File], clock: Clock = now) -> list[Damage]:
    """Files that the tables had when their raw objects were last looked at, and have lost since."""
    prefix = f"{TRANSFORMED}{lake.generation()}/"
    there: dict[str, set[str]] = {}
    for file in files:
        partition, _, name = key_of(file.path).removeprefix(prefix).rpartition("/")
        there.setdefault(partition, set()).add(name)
    lost = [
        f"{prefix}{partition}/{name}"
        for partition, names in noted_files(lake, clock).items()
        for name in sorted(losses(partition, names, there.get(partition, set())))
    ]  # or not in force: replaced by a merge
    return [Damage(key, "it is gone") for key in lost if lake.store.stat(key) is None]


def damaged(found: list[Damage]) -> QueryFailed:
    """The error that names damaged files and the remedy."""
    listed = "; ".join(f"{each.key}: {each.reason}" for each in found[:NAMED])
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return QueryFailed(f"the lake has damaged files ({listed}{more}): {HEAL}", damaged=[each.key for each in found])


@lru_cache(65_536)
def reason_of(file: File) -> str | None:
    """What is wrong with a file as its ends tell; None where they are a Parquet file's."""
    try:
        with open_file(Path(file.path)) as stream:
            if file.size < LEAST or stream.read(len(MAGIC)) != MAGIC:
                return "it is no Parquet file"
            stream.seek(-8, os.SEEK_END)
            length, magic = int.from_bytes(stream.read(4), "little"), stream.read(4)
            if magic != MAGIC or length > file.size - LEAST:
                return "its end is missing"
    except FileNotFoundError:
        return None if not os.path.lexists(file.path) else "it is no file"  # a compaction took it away meanwhile
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return None


def unreadable(path: Path) -> str | None:
    """What is wrong with a file's pages, read a row group at a time; None where all is well."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_file(path) as stream, pq.ParquetFile(stream) as file:
            for group in range(file.num_row_groups):
                file.read_row_group(group, use_threads=False)
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException, ValueError):
        return "what it holds is damaged"
    return None


def key_of(path: str) -> str:
    """``transformed/…`` of a path."""
    _, zone, below = path.rpartition(f"/{TRANSFORMED}")
    return f"{TRANSFORMED}{below}" if zone else Path(path).name
