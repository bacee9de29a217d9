"""Privacy exports into the lake: any product and year, zip, folder or file, in any order, again and again.

An export is read whole before anything is published (see staging.py), so that a damaged one changes nothing. Then
its raw copy goes to ``raw/history/<user>/<digest>-<name>``, its rows to ``plays_history`` in files named after the
digest of its content, and the months it touches are worked out anew (see plays.py). Where it breaks off, importing
again goes on; nothing is doubled.

A file dropped into ``raw/history/`` or ``raw/history/<user>/`` is imported and then stands under its digest. Of a
zip that also holds other personal data, and of a folder, only the history files are kept, as a zip. With
``KEEP_EXPORTS=false`` what is kept instead are the rows without address, user agent and user name, as Parquet, so that
tables can still be rebuilt. Those personal fields are in no table either way.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
import zipfile
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chalicelib.clock import Clock, now
from chalicelib.errors import ImportRefused, InvalidRequest, NotFound
from chalicelib.exports.archive import COPY_BLOCK, HistoryZip
from chalicelib.exports.dropped import KEPT, kept_exports, listeners_kept, note_outcome
from chalicelib.exports.files import ZIP, export_files, is_history
from chalicelib.exports.observations import Observer
from chalicelib.exports.staging import STAGED, Progress, Spool, Staged, StagedFile, stage
from chalicelib.lake import RAW_HISTORY, Lake, partition_prefix
from chalicelib.parquet import arrow_schema, by_month, parquet_bytes, write_table
from chalicelib.plays import resolutions
from chalicelib.plays.matching import Bools, flags
from chalicelib.quarantine import reason_key
from chalicelib.settings import Settings
from chalicelib.tables import PLAYS, REJECTED_ROWS

FRESH = pa.schema([("play_id", pa.string()), ("file", pa.int32())])


@dataclass(slots=True)
class FileSummary:
    """One file: every row read is new, known, merged or rejected. ``reasons`` counts the rejected by reason."""

    name: str
    variant: str | None
    read: int = 0
    new: int = 0
    known: int = 0
    merged: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class ImportSummary:
    """What an import did.

    ``new``: rows that are listens nobody had reported. ``known``: rows that were there already, from another
    export, this one's other files, or an earlier import. ``merged``: rows that are listens which the API, another
    export or a richer row of this one reports too. ``raw_key``: where the raw copy lies.
    """

    source: str
    user_id: str
    raw_key: str
    files: list[FileSummary]
    seconds: float = 0.0

    def total(self, count: str) -> int:
        return sum(getattr(file, count) for file in self.files)

    def as_json(self) -> dict[str, Any]:
        totals = {count: self.total(count) for count in ("read", "new", "known", "merged", "rejected")}
        return {**asdict(self), **totals}

    def __str__(self) -> str:
        lines = [told(self.source, self)]
        if len(self.files) > 1:
            lines += [f"  {told(file.name, file)}" for file in self.files]
        reasons: Counter[str] = Counter()
        for file in self.files:
            reasons.update(file.reasons)
        lines += [f"  rejected {count:,}: {reason}" for reason, count in reasons.most_common()]
        return "\n".join(lines)


def told(name: str, summary: ImportSummary | FileSummary) -> str:
    def count(what: str) -> int:
        return summary.total(what) if isinstance(summary, ImportSummary) else int(getattr(summary, what))

    return (
        f"{name}: {count('read'):,} rows read: {count('new'):,} new plays, {count('known'):,} already known, "
        f"{count('merged'):,} merged, {count('rejected'):,} rejected"
    )


def import_export(
    lake: Lake,
    settings: Settings,
    source: Path | str,
    user_id: str | None = None,
    progress: Progress | None = None,
    *,
    clock: Clock = now,
    timer: Callable[[], float] = time.monotonic,
) -> ImportSummary | None:
    """Import a privacy export: a local path, or the key of a file in ``raw/history/``.

    Answers None for a key that an earlier import has written. Raises ImportRefused (nothing is changed then),
    InvalidRequest when it is not clear whose listening it is, NotFound.
    """
    began = timer()
    if isinstance(source, Path):
        with tempfile.TemporaryDirectory(prefix="import-") as folder:
            user = listener(settings, lake, user_id)
            summary = import_path(lake, settings, source, source.name, user, Path(folder), progress, clock)
    elif KEPT.fullmatch(source) and lake.store.stat(source):
        return None
    else:
        summary = import_dropped(lake, settings, source, user_id, progress, clock)
    summary.seconds = round(timer() - began, 3)
    return summary


def import_dropped(
    lake: Lake, settings: Settings, key: str, user_id: str | None, progress: Progress | None, clock: Clock
) -> ImportSummary:
    """Import a file that somebody put into ``raw/history/``; its outcome is noted (see dropped.py)."""
    if not key.startswith(RAW_HISTORY) or lake.store.stat(key) is None:
        raise NotFound(f"there is no export {key} in the lake", key=key)
    folder_of_user, _, name = key.removeprefix(RAW_HISTORY).rpartition("/")
    try:
        user = listener(settings, lake, user_id or unquote(folder_of_user) or None)
        with tempfile.TemporaryDirectory(prefix="import-") as folder:
            local = Path(folder) / "export"
            with lake.store.open(key) as stream, local.open("wb") as target:
                shutil.copyfileobj(stream, target, COPY_BLOCK)
            summary = import_path(lake, settings, local, name, user, Path(folder), progress, clock)
    except (ImportRefused, InvalidRequest) as error:
        note_outcome(lake, key, {"state": "failed", **error.as_json()}, clock)
        lake.store.write(reason_key(key), json.dumps(error.as_json()).encode())
        raise
    note_outcome(lake, key, {"state": "succeeded", "summary": summary.as_json()}, clock)
    lake.store.delete([reason_key(key)])  # of a file that lay there under this name before
    if summary.raw_key != key:
        lake.store.delete([key])
    return summary


def import_path(
    lake: Lake,
    settings: Settings,
    path: Path,
    name: str,
    user: str,
    folder: Path,
    progress: Progress | None,
    clock: Clock,
) -> ImportSummary:
    with export_files(path, name) as files:
        if path.is_dir() and settings.keep_exports:
            with HistoryZip(folder / "kept") as packed:
                staged = stage(files, name, folder, progress, packed)
        else:
            staged = stage(files, name, folder, progress)
    pa.default_memory_pool().release_unused()
    raw_key = kept_key(settings, path, name, staged, user)
    keep(lake, settings, path, staged, raw_key, folder / "kept")
    summary = ImportSummary(name, user, raw_key, [summary_of(file) for file in staged.files])
    fresh = Spool(folder / "fresh.arrow", FRESH)
    publish(lake, staged, user, raw_key, summary, fresh)
    fresh.finish()
    sort_out(lake, staged, fresh, summary, progress, clock)
    return summary


def summary_of(file: StagedFile) -> FileSummary:
    return FileSummary(file.name, file.variant, file.read, rejected=file.rejected, reasons=dict(file.reasons))


# --- whose --------------------------------------------------------------------------------------------------------


def listener(settings: Settings, lake: Lake, user_id: str | None) -> str:
    """Whose export it is: who was named, the only one who logged in, or the only one whose exports are here."""
    if user_id:
        return user_id
    from chalicelib.spotify.auth import authorizations
    from chalicelib.stores import open_secrets

    known = {one.user_id for one in authorizations(open_secrets(settings))}
    if not known:
        known = listeners_kept(lake)
    if len(known) == 1:
        return known.pop()
    whose = f"it could be of {', '.join(sorted(known))}" if known else "nobody has logged in yet"
    raise InvalidRequest(f"whose listening is this export? {whose}: name the listener with --user", known=sorted(known))


# --- the raw copy -------------------------------------------------------------------------------------------------


def kept_key(settings: Settings, path: Path, name: str, staged: Staged, user: str) -> str:
    """Where the raw copy lies. What is kept has the same content and so the same digest."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-150:] or "export"
    if not settings.keep_exports:
        stem = f"{stem}.parquet"
    elif path.is_dir() or holds_more(path):
        stem = f"{stem.removesuffix('.zip')}.zip"
    return f"{RAW_HISTORY}{quote(user, safe='')}/{staged.digest}-{stem}"


def keep(lake: Lake, settings: Settings, path: Path, staged: Staged, key: str, made: Path) -> None:
    """Keep the export in the raw zone, unless it is there. Of a folder ``made`` holds the copy already."""
    if lake.store.stat(key) is not None:
        return
    if not settings.keep_exports:
        keep_rows(staged, made)
    elif path.is_file() and holds_more(path):
        take_history(path, made)
    elif path.is_file():
        shutil.copyfile(path, made)
    lake.store.write_file(key, made)


def holds_more(path: Path) -> bool:
    """Whether a zip holds JSON files that are no history: account data, which is nobody else's business."""
    with path.open("rb") as stream:
        if stream.read(4) != ZIP:
            return False
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    return any(not is_history(member) and not member.is_dir() for member in members)


def take_history(path: Path, made: Path) -> None:
    """The history files of a zip as a zip of their own, each unaltered."""
    with path.open("rb") as source, zipfile.ZipFile(source) as archive, HistoryZip(made) as packed:
        for member in filter(is_history, archive.infolist()):
            packed.take_over(source, member)


def keep_rows(staged: Staged, made: Path) -> None:
    """The rows of an export without its personal fields, month by month, and what its files were."""
    files = [{"name": file.name, "family": file.family, "variant": file.variant} for file in staged.files]
    about = {"files": files, "digest": staged.digest, "newest": staged.newest and staged.newest.isoformat()}
    schema = STAGED.with_metadata({"export": json.dumps(about)})
    with pq.ParquetWriter(made, schema, compression="zstd") as writer:
        for month in staged.spool.months():
            writer.write_table(staged.spool.rows(month).replace_schema_metadata(schema.metadata))


def kept_rows(path: Path, folder: Path) -> Staged:
    """The export that :func:`keep_rows` wrote."""
    kept = pq.ParquetFile(path)
    about = json.loads(kept.schema_arrow.metadata[b"export"])
    spool = Spool(folder / "rows.arrow", STAGED)
    for number in range(kept.num_row_groups):
        for month, rows in by_month(kept.read_row_group(number).replace_schema_metadata(None), "ended_at"):
            spool.add(month, rows)
    spool.finish()
    files = [StagedFile(**file) for file in about["files"]]
    return Staged(files, spool, about["digest"], datetime.fromisoformat(about["newest"]) if about["newest"] else None)


# --- tables -------------------------------------------------------------------------------------------------------


def publish(lake: Lake, staged: Staged, user: str, raw_key: str, summary: ImportSummary, fresh: Spool) -> None:
    """Write the observations and the rejected rows. ``fresh`` gets the observations that nobody had made yet."""
    generation = lake.generation()
    observer = observer_of(staged, user)
    with ThreadPoolExecutor(resolutions.WRITERS) as writers:
        writing: deque[Future[str]] = deque()
        for month in staged.spool.months():
            observed = observer.observe(staged.spool.rows(month))
            again = repeated(observed["play_id"])
            first = without(observed, again)
            there = known_ids(lake, generation, month, user)
            again = again | flags(pc.is_in(observed["play_id"], value_set=there))
            known = np.bincount(observed["file"].to_numpy()[again], minlength=len(summary.files))
            for number, count in enumerate(known.tolist()):
                summary.files[number].known += count
            new = without(observed.select(FRESH.names), again)
            if new.num_rows:
                fresh.add(month, new)
            writing.append(writers.submit(write_observations, lake, staged, user, month, first))
            while len(writing) > resolutions.WRITERS:
                writing.popleft().result()
        for written in writing:
            written.result()
    if staged.newest:
        write_rejects(lake, staged, user, raw_key)


def observer_of(staged: Staged, user: str) -> Observer:
    variants = [file.variant or "" for file in staged.files]
    families = [file.family for file in staged.files]
    return Observer(variants, families, user, staged.newest or resolutions.first_moment("2006-01"))


def repeated(ids: pa.ChunkedArray) -> Bools:
    """Which values have stood there before."""
    encoded = ids.combine_chunks().dictionary_encode()
    if len(encoded.dictionary) == len(encoded):
        return np.zeros(len(encoded), np.bool_)
    return np.asarray(pd.Series(encoded.indices.to_numpy()).duplicated().to_numpy(), np.bool_)


def without(rows: pa.Table, these: Bools) -> pa.Table:
    return rows.filter(pa.array(~these)) if these.any() else rows


def write_observations(lake: Lake, staged: Staged, user: str, month: str, observed: pa.Table) -> str:
    """An export's observations of one month, each once, unless they are there.

    Known ones too: exports of different years say different things of one row, and what the listen is told to be
    must not depend on which came first.
    """
    key = f"{partition_prefix(lake.generation(), PLAYS.history, month)}{file_name(staged, user)}.parquet"
    if lake.store.stat(key) is not None:
        return key
    data = parquet_bytes(PLAYS, observed.drop_columns(["file"]).combine_chunks())
    lake.store.write(key, data, content_type="application/vnd.apache.parquet")
    return key


def file_name(staged: Staged, user: str) -> str:
    """What the files of an export are called in the tables: two listeners may bring the same rows."""
    return f"history-{blake2b(f'{user}/{staged.digest}'.encode(), digest_size=16).hexdigest()}"


def write_rejects(lake: Lake, staged: Staged, user: str, raw_key: str) -> None:
    rejects = [(number, reject) for number, file in enumerate(staged.files) for reject in file.rejects]
    if not rejects:
        return
    rows = [
        {
            "raw_key": raw_key,
            "answer": number,
            "item": reject.row,
            "table_name": PLAYS.name,
            "check_name": "export_row",
            "occurrence": 0,
            "reason": reject.reason,
            "content": reject.content,
            "observed_at": staged.newest,
        }
        for number, reject in rejects
    ]
    rejected = pa.Table.from_pylist(rows, schema=arrow_schema(REJECTED_ROWS))
    write_table(lake, lake.generation(), REJECTED_ROWS, rejected, file_name(staged, user))


def known_ids(lake: Lake, generation: str, month: str, user: str) -> pa.Array:
    """The play_ids of every observation of a month, but for files that have none of the listener's."""
    return resolutions.observations(lake, generation, month, ["play_id"], user)["play_id"].combine_chunks()


def sort_out(
    lake: Lake, staged: Staged, fresh: Spool, summary: ImportSummary, progress: Progress | None, clock: Clock
) -> None:
    """Work out the months of an export, and count which of its fresh rows are new listens."""
    ours = set(staged.spool.months())

    def count(batch: resolutions.Batch) -> None:
        near = sorted(resolutions.with_neighbours(batch.months))
        rows = pa.concat_tables([fresh.rows(month) for month in near]).combine_chunks()
        if not rows.num_rows:
            return
        observed = batch.decided.observations
        place = pc.index_in(observed["play_id"], value_set=rows["play_id"].combine_chunks())
        is_fresh = place.is_valid().to_numpy(zero_copy_only=False)
        winner = batch.decided.winner_of
        old_too = np.zeros(len(winner), np.bool_)
        old_too[winner[~is_fresh]] = True
        inside = np.isin(months_of(observed["ended_at"]), [month_number(month) for month in batch.months])
        file = rows["file"].to_numpy()[pc.fill_null(place, 0).to_numpy(zero_copy_only=False)]
        tells = (winner == np.arange(len(winner))) & ~old_too
        for chosen, name in ((is_fresh & inside & tells, "new"), (is_fresh & inside & ~tells, "merged")):
            for number, found in enumerate(np.bincount(file[chosen], minlength=len(summary.files)).tolist()):
                setattr(summary.files[number], name, getattr(summary.files[number], name) + found)

    def tell(done: int, total: int) -> None:
        if progress:
            progress(done, total, "plays by month")

    if ours:
        resolutions.resolve(lake, months=ours, user=summary.user_id, seen=count, progress=tell, clock=clock)
    if any(file.new for file in summary.files):
        resolutions.write_wanted(lake)


def months_of(moments: pa.ChunkedArray) -> Any:
    return pc.add(pc.multiply(pc.year(moments), 12), pc.month(moments)).to_numpy()


def month_number(month: str) -> int:
    return int(month[:4]) * 12 + int(month[5:])


# --- again from raw -----------------------------------------------------------------------------------------------


def transform_export(lake: Lake, key: str, progress: Progress | None = None) -> set[str]:
    """Write the observations of a kept export into the generation that ``lake`` works on; answers their months.

    Who calls it works the months out afterwards (:func:`chalicelib.plays.resolutions.resolve`). Raises ImportRefused,
    NotFound.
    """
    match = KEPT.fullmatch(key)
    if not match:
        raise NotFound(f"{key} is not a kept export", key=key)
    with tempfile.TemporaryDirectory(prefix="import-") as name:
        folder = Path(name)
        local = folder / "export"
        with lake.store.open(key) as stream, local.open("wb") as target:
            shutil.copyfileobj(stream, target, COPY_BLOCK)
        if key.endswith(".parquet"):
            staged = kept_rows(local, folder)
        else:
            with export_files(local, match[3]) as files:
                staged = stage(files, match[3], folder, progress)
        user = unquote(match[1])
        observer = observer_of(staged, user)
        for month in staged.spool.months():
            observed = observer.observe(staged.spool.rows(month))
            once = without(observed, repeated(observed["play_id"]))
            write_observations(lake, staged, user, month, once)
        if staged.newest:
            write_rejects(lake, staged, user, key)
        return set(staged.spool.months())


def rebuild(lake: Lake) -> None:
    """Every kept export, and then every listen, into the generation that ``lake`` works on."""
    for key in kept_exports(lake):
        transform_export(lake, key)
    resolutions.resolve(lake)
    resolutions.write_wanted(lake)
