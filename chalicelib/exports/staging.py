"""An export read whole before any of it is published: its rows on disk by month, and what each file held.

Memory stays bounded however large the export is, and a file that turns out to be damaged at its end has changed
nothing.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.errors import ImportRefused
from chalicelib.exports.files import ExportFile, ExportFiles, damage_is_refused
from chalicelib.exports.json_array import NotAnArray
from chalicelib.exports.rows import SHOWN_REJECTS, NotAnExport, Reject
from chalicelib.exports.scrobbles import SCROBBLES, read_history
from chalicelib.exports.snapshot_tables import DatedSnapshot, dated, keep_file
from chalicelib.log import StepProgress
from chalicelib.parquet import by_month

SHOWN_NAMES = 20  # of files that are no history
HELD_ROWS = 65_536  # rows held in memory before they go to disk
STAGED = SCROBBLES.append(pa.field("file", pa.int32()))


@dataclass(slots=True)
class StagedFile:
    """What one file of an export held.

    ``first`` and ``last`` are the moments between which its rows lie. ``odd`` counts the fields that were left null
    because they held what they cannot.
    """

    name: str
    variant: str | None = None
    read: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)
    digest: str = ""
    first: datetime | None = None
    last: datetime | None = None

    @property
    def rejected(self) -> int:
        """Rows that are no listens."""
        return self.reasons.total()

    def span(self, moments: pa.ChunkedArray) -> None:
        """Note that the file has rows of these moments."""
        bounds = pc.min_max(moments).as_py()
        self.first = min(filter(None, (self.first, bounds["min"])), default=None)
        self.last = max(filter(None, (self.last, bounds["max"])), default=None)


class RowsByMonth:
    """Arrow tables of one schema on disk, to be had again month by month."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._held: dict[str, list[pa.Table]] = defaultdict(list)
        self._rows = 0
        self._batches: dict[str, list[int]] = defaultdict(list)
        self._written = 0
        self._reader: Any = None
        self._sink = pa.OSFile(str(path), "wb")
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_file(self._sink, schema, options=options)

    def add(self, month: str, rows: pa.Table) -> None:
        """Add rows of a month."""
        self._held[month].append(rows)
        self._rows += rows.num_rows
        if self._rows >= HELD_ROWS:
            self._flush()

    def _flush(self) -> None:
        for month, tables in self._held.items():
            for batch in pa.concat_tables(tables).combine_chunks().to_batches():
                self._writer.write_batch(batch)
                self._batches[month].append(self._written)
                self._written += 1
        self._held.clear()
        self._rows = 0

    def finish(self) -> None:
        """Write what is still in memory; then rows can be had again."""
        self._flush()
        self._writer.close()
        self._sink.close()

    def months(self) -> list[str]:
        """Months that have rows, ascending."""
        return sorted(self._batches)

    def rows(self, month: str) -> pa.Table:
        """The rows of a month, in the order in which they were added."""
        if month not in self._batches:
            return self._schema.empty_table()
        if self._reader is None:
            self._reader = pa.ipc.open_file(pa.OSFile(str(self._path), "rb"))
        numbers = self._batches[month]
        return pa.Table.from_batches([self._reader.get_batch(number) for number in numbers], self._schema)


@dataclass(slots=True)
class Staged:
    """A whole export: its files, its rows, the digest of these, the JSON files that are no history, and what it says
    besides."""

    files: list[StagedFile]
    rows: RowsByMonth
    digest: str
    passed_over: list[str] = field(default_factory=list)
    snapshots: list[DatedSnapshot] = field(default_factory=list)

    @property
    def kept_digest(self) -> str:
        """The digest of all that is kept of it: of its listens alone where it says nothing else."""
        told = "".join(sorted(each.snapshot_id for each in self.snapshots))
        return blake2b(f"{self.digest}{told}".encode(), digest_size=16).hexdigest() if told else self.digest

    @property
    def newest(self) -> datetime | None:
        """The last moment that the export tells of; None for one without rows."""
        return max((file.last for file in self.files if file.last), default=None)


def stage(
    files: ExportFiles,
    export: str,
    folder: Path,
    progress: StepProgress | None = None,
    copy: zipfile.ZipFile | None = None,
) -> Staged:
    """Read every row of an export to disk below ``folder``. Raises ImportRefused naming the file at fault.

    The files' bytes are put into ``copy`` on the way, so that they are read once.
    """
    if not files.history and not files.snapshots:
        held = {"passed_over": files.passed_over, "holds": sorted(set(files.others))}
        raise ImportRefused(no_history(export, files.passed_over), file=export, **held)
    total = sum(file.size for file in files.history)
    rows_by_month = RowsByMonth(folder / "rows.arrow", STAGED)
    staged: list[StagedFile] = []
    done = 0
    with ThreadPoolExecutor(1) as aside:
        for number, file in enumerate(files.history):
            found = StagedFile(file.name)
            for rows, position in rows_of(file, export, found, copy, aside):
                if rows.num_rows:
                    found.span(rows["ended_at"])
                    numbered = rows.append_column("file", pa.array(np.full(rows.num_rows, number, np.int32)))
                    for month, part in by_month(numbered, "ended_at"):
                        rows_by_month.add(month, part)
                if progress:
                    progress(done + position, total, file.name)
            done += file.size
            staged.append(found)
    rows_by_month.finish()
    snapshots = dated(files.snapshots, last_listens(files.history, staged))
    for snapshot, told in snapshots if copy else []:
        for file in told:
            keep_file(cast(zipfile.ZipFile, copy), file, snapshot.exported_at, kept_name(file.name))
    digest = blake2b("".join(sorted(file.digest for file in staged)).encode(), digest_size=16)
    return Staged(staged, rows_by_month, digest.hexdigest(), files.passed_over, [each for each, _ in snapshots])


def last_listens(files: Sequence[ExportFile], staged: Sequence[StagedFile]) -> dict[str, datetime]:
    """The last listen that the files in each folder tell of."""
    found: dict[str, datetime] = {}
    for file, read in zip(files, staged, strict=True):
        if read.last:
            found[file.folder] = max(read.last, found.get(file.folder, read.last))
    return found


def no_history(export: str, passed_over: Sequence[str]) -> str:
    """Why an export without history is refused."""
    there = f" It holds {', '.join(passed_over[:SHOWN_NAMES])}." if passed_over else ""
    return (
        f"{export} holds no listening history: an export has files such as Streaming_History_Audio_2023_0.json, "
        f"endsong_0.json or StreamingHistory_music_0.json.{there}"
    )


def rows_of(
    file: ExportFile, export: str, found: StagedFile, copy: zipfile.ZipFile | None, aside: ThreadPoolExecutor
) -> Iterator[tuple[pa.Table, int]]:
    """The rows of one file, and how many of its bytes have been read; fills in ``found``."""
    name = file.name if file.name == export else f"{export}: {file.name}"
    with damage_is_refused(name), ExitStack() as opened:
        stream = opened.enter_context(file.open())
        digest = blake2b(digest_size=16)
        takers: list[Callable[[bytes], Any]] = [digest.update]
        if copy:
            takers.append(opened.enter_context(copy.open(kept_name(file.name), "w", force_zip64=True)).write)
        shared = SharedStream(stream, takers, aside)
        try:
            for piece in read_history(cast(BinaryIO, shared)):
                found.variant = piece.variant
                found.read += piece.read
                found.reasons.update(reject.reason for reject in piece.rejects)
                found.rejects += piece.rejects[: SHOWN_REJECTS - len(found.rejects)]
                found.odd.update(piece.odd)
                yield as_read(piece.rows), shared.position
        except (NotAnArray, NotAnExport) as error:
            raise ImportRefused(f"{name}: {error}", file=export, member=file.name) from error
        finally:
            shared.settle()
        found.digest = digest.hexdigest()
    if found.read and found.rejected == found.read:
        reason = found.reasons.most_common(1)[0][0]
        raise ImportRefused(f"{name}: none of its {found.read} rows is a listen: {reason}", file=export)


def as_read(rows: pa.Table, schema: pa.Schema = SCROBBLES) -> pa.Table:
    """Rows with the columns that those of other sources have, null where these say nothing of it."""
    there = set(rows.column_names)
    columns = [rows[each.name] if each.name in there else pa.nulls(rows.num_rows, each.type) for each in schema]
    return pa.table(columns, schema=schema)


def kept_name(name: str) -> str:
    """What a file is called in the kept copy, where it is no longer packed by itself."""
    return name.removesuffix(".gz").removesuffix(".GZ")


class SharedStream(io.RawIOBase):
    """Reads through, and hands each block to others in a thread beside the reader, one block at a time."""

    def __init__(self, stream: BinaryIO, takers: Sequence[Callable[[bytes], Any]], aside: ThreadPoolExecutor) -> None:
        self._stream = stream
        self._takers = takers
        self._aside = aside
        self._handing: Future[None] | None = None
        self.position = 0

    def read(self, size: int = -1) -> bytes:
        """Bytes of the stream, which the others get meanwhile."""
        data = self._stream.read(size)
        self.settle()
        self.position += len(data)
        self._handing = self._aside.submit(self._hand_out, data)
        return data

    def settle(self) -> None:
        """Wait until what has been read has been taken; raises what went wrong there."""
        handing, self._handing = self._handing, None
        if handing:
            handing.result()

    def _hand_out(self, data: bytes) -> None:
        for take in self._takers:
            take(data)
