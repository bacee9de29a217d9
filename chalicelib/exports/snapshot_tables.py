"""Snapshots of account data in the tables: each as it was when its export was made, and when that was.

The date is the zip's, for nothing inside says it, but never before the last moment that the export itself tells of.
Where files lie in a folder their dates may be those of their unpacking: such a date counts for a month after the last
moment that they tell of, and what has none is taken to be older than all else.
"""

from __future__ import annotations

import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec
import pyarrow as pa

from chalicelib.exports.files import ExportFile
from chalicelib.exports.snapshots import LIBRARY, OLDEST, Snapshot
from chalicelib.lake import Lake
from chalicelib.parquet import arrow_schema, write_table
from chalicelib.tables import (
    EXPORTED_FOLLOWS,
    EXPORTED_LIBRARY,
    EXPORTED_PLAYLIST_ITEMS,
    EXPORTED_PLAYLISTS,
    LISTINGS,
    SEARCHES,
    Table,
)

UNPACKED_WITHIN = timedelta(days=31)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DatedSnapshot:
    """What one export says, and when it was made, to two seconds, as a zip has it."""

    exported_at: datetime
    said: Snapshot

    @property
    def snapshot_id(self) -> str:
        """A digest of what it says and when."""
        return blake2b(msgspec.json.encode(self), digest_size=12).hexdigest()

    def __str__(self) -> str:
        when = f"as of {self.exported_at:%Y-%m-%d}" if self.exported_at > OLDEST else "of an unknown date"
        counts = ", ".join(f"{count:,} {what}" for what, count in self.said.counts.items())
        return f"{when}: {counts or 'nothing saved'}"


def dated(
    files: Sequence[tuple[ExportFile, Snapshot]], heard: dict[str, datetime]
) -> list[tuple[DatedSnapshot, list[ExportFile]]]:
    """What each folder of an export says, with the files that say it; ``heard`` is the last listen of each folder."""
    together: dict[str, list[tuple[ExportFile, Snapshot]]] = defaultdict(list)
    for file, said in files:
        together[file.folder].append((file, said))
    found = []
    for folder, group in sorted(together.items()):
        whole = Snapshot()
        for _, said in group:
            whole.add(said)
        moment = moment_of([file for file, _ in group], max_known(whole.newest, heard.get(folder)))
        found.append((DatedSnapshot(moment, whole), [file for file, _ in group]))
    return found


def moment_of(files: Sequence[ExportFile], newest: datetime | None) -> datetime:
    """When an export was made whose last moment is ``newest``."""
    written = max_known(*(file.written_at for file in files))
    if written and not all(file.in_zip for file in files):
        written = min(written, newest + UNPACKED_WITHIN) if newest else None
    moment = max_known(written, newest) or OLDEST
    return moment.replace(microsecond=0, second=moment.second // 2 * 2)


def max_known(*moments: datetime | None) -> datetime | None:
    """The last of those that are known."""
    return max((each for each in moments if each), default=None)


def keep_file(copy: zipfile.ZipFile, file: ExportFile, exported_at: datetime, name: str) -> None:
    """Put a file into the kept copy, with the date of its export."""
    entry = zipfile.ZipInfo(name, exported_at.timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    with file.open() as stream, copy.open(entry, "w") as target:
        while block := stream.read(1 << 20):
            target.write(block)


# --- rows ---------------------------------------------------------------------------------------------------------


def write_snapshots(lake: Lake, user_id: str, snapshots: Sequence[DatedSnapshot]) -> list[str]:
    """The snapshots' rows in the generation that ``lake`` works on, unless they are there; answers the keys."""
    written: list[str] = []
    for snapshot in snapshots:
        name = f"snapshot-{blake2b(f'{user_id}/{snapshot.snapshot_id}'.encode(), digest_size=16).hexdigest()}"
        for table, rows in tables_of(user_id, snapshot):
            if rows:
                found = pa.Table.from_pylist(rows, schema=arrow_schema(table))
                written += write_table(lake, lake.generation(), table, found, name)
    return written


def tables_of(user_id: str, snapshot: DatedSnapshot) -> Iterator[tuple[Table, list[Row]]]:
    """The rows of each table."""
    shared = {"snapshot_id": snapshot.snapshot_id, "user_id": user_id, "exported_at": snapshot.exported_at}
    said = snapshot.said
    yield EXPORTED_LIBRARY, list(library_rows(said, shared))
    yield LISTINGS, list(listing_rows(said, shared))
    playlists = list(playlist_rows(said, shared))
    yield EXPORTED_PLAYLISTS, [row for row, _ in playlists]
    yield EXPORTED_PLAYLIST_ITEMS, [item for _, items in playlists for item in items]
    yield EXPORTED_FOLLOWS, [{**shared, "kind": kind, "name": name} for kind, name in said.follows]
    yield (
        SEARCHES,
        [
            {
                "user_id": user_id,
                "searched_at": each.searched_at,
                "query": each.query,
                "platform": each.platform,
                "opened": each.opened,
                "exported_at": snapshot.exported_at,
            }
            for each in said.searches
        ],
    )


def library_rows(said: Snapshot, shared: Row) -> Iterator[Row]:
    """What was saved, in the order of the export."""
    places = Counter[str]()
    for item in said.library:
        yield {
            **shared,
            "item_type": item.item_type,
            "position": places[item.item_type],
            "item_id": item.item_id,
            "name": item.name,
            "artist_name": item.artist_name,
            "album_name": item.album_name,
        }
        places[item.item_type] += 1


def listing_rows(said: Snapshot, shared: Row) -> Iterator[Row]:
    """Of which types it tells all: what it does not show was not saved."""
    counts = Counter(item.item_type for item in said.library)
    kinds = [kind for kind, *_ in LIBRARY.values() if kind in said.lists]
    for kind in kinds:
        yield {
            "listing_id": f"{shared['snapshot_id']}-{kind}",
            "table_name": EXPORTED_LIBRARY.name,
            "user_id": shared["user_id"],
            "item_type": kind,
            "started_at": shared["exported_at"],
            "items": counts[kind],
            "observed_at": shared["exported_at"],
        }


def playlist_rows(said: Snapshot, shared: Row) -> Iterator[tuple[Row, list[Row]]]:
    """Each playlist, and its items. Exports name no ids: one is known again by its name, and the how manieth of that
    name it is."""
    names = Counter[str]()
    for told in said.playlists:
        name = told.name or ""
        digest = blake2b(f"{shared['user_id']}/{name}/{names[name]}".encode(), digest_size=8).hexdigest()
        names[name] += 1
        own = {**shared, "playlist_id": f"export-{digest}"}
        yield (
            {
                **own,
                "name": told.name,
                "description": told.description,
                "modified_on": told.modified_on,
                "followers": told.followers,
                "collaborative": told.collaborative,
                "total_items": len(told.items),
            },
            [
                {
                    **own,
                    "position": position,
                    "item_type": item.item_type,
                    "item_id": item.item_id,
                    "item_uri": item.item_uri,
                    "name": item.name,
                    "artist_name": item.artist_name,
                    "album_name": item.album_name,
                    "added_at": item.added_on and datetime(*item.added_on.timetuple()[:3]),  # noqa: DTZ001 - UTC
                }
                for position, item in enumerate(told.items)
            ],
        )
