"""An export read whole before any of it is published: its rows on disk by month, and what each file held.

Memory stays bounded however large the export is, and a file that turns out to be damaged at its end has changed
nothing.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.errors import ImportRefused
from chalicelib.exports.archive import HistoryZip
from chalicelib.exports.files import ExportFile, damage_is_refused
from chalicelib.exports.json_array import NotAnArray
from chalicelib.exports.rows import ROWS, SHOWN_REJECTS, NotAnExport, Reject, read_export
from chalicelib.parquet import by_month

HELD_ROWS = 65_536  # rows held in memory before they go to disk
STAGED = ROWS.append(pa.field("file", pa.int32()))

Progress = Callable[[int, int, str], None]  # bytes done, of how many, the file at hand


@dataclass(slots=True)
class StagedFile:
    """What one file of an export held. ``family`` tells files of one export apart from another's beside it."""

    name: str
    family: str
    variant: str | None = None
    read: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)
    digest: str = ""

    @property
    def rejected(self) -> int:
        return self.reasons.total()


class Spool:
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
        self._flush()
        self._writer.close()
        self._sink.close()

    def months(self) -> list[str]:
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
    """A whole export: its files, its rows, the digest of its content and its last moment."""

    files: list[StagedFile]
    spool: Spool
    digest: str
    newest: datetime | None


def stage(
    files: Iterable[ExportFile],
    export: str,
    folder: Path,
    progress: Progress | None = None,
    packed: HistoryZip | None = None,
) -> Staged:
    """Read every row of an export to disk below ``folder``. Raises ImportRefused naming the file at fault.

    The files' bytes are put into ``packed`` on the way, so that they are read once.
    """
    listed = list(files)
    if not listed:
        raise ImportRefused(
            f"{export} holds no listening history: an export has files such as Streaming_History_Audio_2023_0.json, "
            "endsong_0.json or StreamingHistory_music_0.json",
            file=export,
        )
    total = sum(file.size for file in listed)
    spool = Spool(folder / "rows.arrow", STAGED)
    staged: list[StagedFile] = []
    newest: datetime | None = None
    done = 0
    with ThreadPoolExecutor(1) as aside:
        for number, file in enumerate(listed):
            noted = StagedFile(file.name, family_of(file.name))
            for rows, position in rows_of(file, export, noted, packed, aside):
                if rows.num_rows:
                    newest = max(filter(None, (newest, pc.max(rows["ended_at"]).as_py())))
                    numbered = rows.append_column("file", pa.array(np.full(rows.num_rows, number, np.int32)))
                    for month, part in by_month(numbered, "ended_at"):
                        spool.add(month, part)
                if progress:
                    progress(done + position, total, file.name)
            done += file.size
            same = [other for other in staged if other.digest == noted.digest]
            if same:  # the same file twice: its rows are not more listens
                noted.family = f"{noted.family} again {len(same)}"
            staged.append(noted)
    spool.finish()
    whole = hashlib.blake2b("".join(sorted(file.digest for file in staged)).encode(), digest_size=16)
    return Staged(staged, spool, whole.hexdigest(), newest)


def rows_of(
    file: ExportFile, export: str, noted: StagedFile, packed: HistoryZip | None, aside: ThreadPoolExecutor
) -> Iterator[tuple[pa.Table, int]]:
    """The rows of one file, and how many of its bytes have been read; fills in ``noted``."""
    name = file.name if file.name == export else f"{export}: {file.name}"
    with (
        damage_is_refused(name),
        file.open() as opened,
        packed.member(file.name) if packed else nullcontext() as member,
    ):
        digest = hashlib.blake2b(digest_size=16)
        takers = [digest.update, member.write] if member else [digest.update]
        stream = SharedStream(opened, takers, aside)
        try:
            for piece in read_export(cast(BinaryIO, stream)):
                noted.variant = piece.variant
                noted.read += piece.read
                noted.reasons.update(reject.reason for reject in piece.rejects)
                noted.rejects += piece.rejects[: SHOWN_REJECTS - len(noted.rejects)]
                yield piece.rows, stream.position
        except (NotAnArray, NotAnExport) as error:
            raise ImportRefused(f"{name}: {error}", file=export, member=file.name) from error
        finally:
            stream.settle()
        noted.digest = digest.hexdigest()
    if noted.read and noted.rejected == noted.read:
        reason = noted.reasons.most_common(1)[0][0]
        raise ImportRefused(f"{name}: none of its {noted.read} rows is a listen: {reason}", file=export)


class SharedStream(io.RawIOBase):
    """Reads through, and hands each block to others in a thread beside the reader, one block at a time."""

    def __init__(self, stream: BinaryIO, takers: Sequence[Callable[[bytes], Any]], aside: ThreadPoolExecutor) -> None:
        self._stream = stream
        self._takers = takers
        self._aside = aside
        self._handing: Future[None] | None = None
        self.position = 0

    def read(self, size: int = -1) -> bytes:
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


def family_of(name: str) -> str:
    """A file's folder and name without its number: files of one family of one export share no row."""
    return re.sub(r"[_ ]?\(?\d*\)?\.json$", "", name)
