"""Privacy exports into the lake: any product and year, zip, folder or file, in any order, again and again.

An export is read whole before anything is published (see staging.py), so that a damaged one changes nothing. Then
its raw copy goes to ``raw/history/<user>/<digest>-<name>``, its rows to ``plays_history`` in files named after the
digest of its content, and the months it touches are worked out anew (see plays/resolutions.py). Where it breaks off,
importing again goes on; nothing is doubled.

A file dropped into ``raw/history/`` or ``raw/history/<user>/`` is imported and then stands under its digest. Of a zip
that also holds other personal data, and of a folder, only what is read is kept, as a zip: listens, and what was saved,
followed and searched for (see snapshots.py). With ``KEEP_EXPORTS=false`` what is kept instead are the rows without
address, user agent and user name, as Parquet, so that tables can still be rebuilt. Those personal fields are in no
table either way."""

from __future__ import annotations

import json
import re
import shutil
import time
import zipfile
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chalicelib.clock import Clock, now, rfc3339
from chalicelib.errors import ImportRefused, InvalidRequest, NotFound
from chalicelib.exports.announced import is_asked_back
from chalicelib.exports.dropped import ImportOutcome, kept_exports, note_outcome
from chalicelib.exports.files import COPY_BLOCK, MOST_BYTES, export_files
from chalicelib.exports.observations import Observer
from chalicelib.exports.owner import owner_of
from chalicelib.exports.room import room_for
from chalicelib.exports.snapshot_tables import DatedSnapshot, write_snapshots
from chalicelib.exports.staging import STAGED, RowsByMonth, Staged, StagedFile, as_read, stage
from chalicelib.lake import KEPT, RAW_HISTORY, Lake, partition_prefix
from chalicelib.listeners import KnownListeners, everybody, listeners_kept, newcomer, note_import
from chalicelib.log import StepProgress
from chalicelib.parquet import arrow_schema, by_month, parquet_bytes, write_table
from chalicelib.plays import resolutions
from chalicelib.plays.columns import Bools, Ints, flags
from chalicelib.plays.identities import stepped
from chalicelib.quarantine import note_reason, release
from chalicelib.settings import Settings
from chalicelib.tables import PLAYS, QUALITY_RESULTS, REJECTED_ROWS

FRESH = pa.schema([("play_id", pa.string()), ("file", pa.int32())])
Edges = dict[str, list[int]]  # the files that have a row, which counts as known, in their first or last minute
COUNTS = ("read", "new", "known", "merged", "rejected")
PACKED_LEVEL = 1  # of the kept copy: histories are large, and this is a tenth of their size
NOTHING = bytes(4)  # no text and no archive begins so
SHOWN_NAMES = 10  # of files passed over, in a summary
IMPORT_AGAIN = (
    "import it again and say whose it is, a known listener or a new name (a choice on the page, --user in a terminal, "
    "user_id or new_listener over the API, a folder of that name below raw/history/)"
)


@dataclass(slots=True)
class FileSummary:
    """One file: every row read is new, known, merged or rejected.

    ``reasons`` counts the rejected by reason; ``odd`` the fields of other rows that held what they cannot and are null.
    """

    name: str
    variant: str | None
    read: int = 0
    new: int = 0
    known: int = 0
    merged: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    odd: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class ImportSummary:
    """What an import did.

    ``new``: rows that are listens nobody had reported. ``known``: rows that were there already, from another
    export, this one's other files, or an earlier import. ``merged``: rows that are listens which the API, another
    export or a richer row of this one reports too. ``raw_key``: where the raw copy lies. ``passed_over``: JSON files
    that hold no listening history, with what they hold where that is known. ``snapshots``: what its account data says
    besides listens, as counts, with the moment it was made.
    """

    source: str
    user_id: str
    raw_key: str
    files: list[FileSummary]
    passed_over: list[str] = field(default_factory=list)
    seconds: float = 0.0
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    written: list[str] = field(default_factory=list)  # keys of the tables' files; its record does without
    note: str | None = None  # key of the note about its listener, where it told something new; likewise

    def total(self, count: str) -> int:
        """The sum of one of ``COUNTS`` over all files."""
        return sum(getattr(file, count) for file in self.files)

    def as_json(self) -> dict[str, Any]:
        """The summary with its totals, as an import's record has it."""
        shown = {name: value for name, value in asdict(self).items() if name not in ("written", "note")}
        return {**shown, **{count: self.total(count) for count in COUNTS}}

    def __str__(self) -> str:
        lines = [counts_line(self.source, {count: self.total(count) for count in COUNTS})]
        if len(self.files) > 1:
            lines += [f"  {counts_line(file.name, asdict(file))}" for file in self.files]
        reasons, odd = Counter[str](), Counter[str]()
        for file in self.files:
            reasons.update(file.reasons)
            odd.update(file.odd)
        lines += [f"  rejected {count:,}: {reason}" for reason, count in reasons.most_common()]
        lines += [
            f"  left empty in {count:,} rows: {name}, which held something odd" for name, count in odd.most_common()
        ]
        lines += [f"  {each['words']}" for each in self.snapshots]
        if self.passed_over:
            names = ", ".join(self.passed_over[:SHOWN_NAMES])
            more = len(self.passed_over) - SHOWN_NAMES
            lines.append(f"  not listening history: {names}{f' and {more} more' if more > 0 else ''}")
        return "\n".join(lines)


def counts_line(name: str, counts: Mapping[str, int]) -> str:
    """One line of a summary."""
    return (
        f"{name}: {counts['read']:,} rows read: {counts['new']:,} new plays, {counts['known']:,} already known, "
        f"{counts['merged']:,} merged, {counts['rejected']:,} rejected"
    )


def import_export(
    lake: Lake,
    settings: Settings,
    path: Path,
    user_id: str | None = None,
    progress: StepProgress | None = None,
    *,
    clock: Clock = now,
    timer: Callable[[], float] = time.monotonic,
) -> ImportSummary:
    """Import the privacy export at a local path: a zip, a folder or a file.

    Raises ImportRefused (nothing is changed then), InvalidRequest when it is not clear whose listening it is.
    """
    owner = whose(settings, lake, path, path.name, user_id, "name the listener with --user, a known one or a new name")
    with room_for(path.name) as folder:
        return ExportImport(lake, settings, path, path.name, owner, folder, "", progress, clock, timer).run()


def import_dropped(
    lake: Lake,
    settings: Settings,
    key: str,
    user_id: str | None = None,
    progress: StepProgress | None = None,
    *,
    clock: Clock = now,
    timer: Callable[[], float] = time.monotonic,
) -> ImportSummary | None:
    """Import a file that somebody put into ``raw/history/``; its outcome is noted (see dropped.py).

    Answers None for a key that an earlier import has written. Raises as :func:`import_export`, and NotFound.
    """
    info = lake.store.stat(key) if key.startswith(RAW_HISTORY) else None
    if info is None:
        raise NotFound(f"there is no export {key} in the lake", key=key)
    if KEPT.fullmatch(key):
        return None
    folder_of_user, _, name = key.removeprefix(RAW_HISTORY).rpartition("/")
    try:
        with room_for(name) as folder:
            local = fetch(lake, key, folder, info.size)
            owner = whose(settings, lake, local, name, user_id or unquote(folder_of_user) or None, IMPORT_AGAIN)
            summary = ExportImport(lake, settings, local, name, owner, folder, key, progress, clock, timer).run()
    except (ImportRefused, InvalidRequest) as error:
        note_outcome(lake, key, ImportOutcome("failed", error=error.as_json()["error"]), clock)
        asked_back = is_asked_back(key, error)
        if not asked_back:
            note_reason(lake, key, error)
        # addresses, payments and the like, and nothing that is read, is not kept: not even as it came
        if asked_back or error.details.get("holds"):
            lake.store.delete([key])
        raise
    note_outcome(lake, key, ImportOutcome("succeeded", summary=summary.as_json()), clock)
    release(lake, key)  # of a file that lay there under this name before
    if summary.raw_key != key:
        lake.store.delete([key])
    return summary


def fetch(lake: Lake, key: str, folder: Path, size: int = 0) -> Path:
    """An object of the lake as a local file. Raises ImportRefused for what is not worth copying, which takes minutes
    and room and keeps others waiting: more bytes than any export has, and a file that was given its length and no
    content."""
    name = key.rpartition("/")[2]
    if size > MOST_BYTES:
        raise ImportRefused(f"{name} has {size} bytes; an export has at most {MOST_BYTES}", file=name)
    local = folder / "export"
    with lake.store.open(key) as stream, local.open("wb") as target:
        first = stream.read(COPY_BLOCK)
        if first.startswith(NOTHING):
            raise ImportRefused(f"{name} begins with zeros: it was not copied whole", file=name)
        target.write(first)
        shutil.copyfileobj(stream, target, COPY_BLOCK)
    return local


@dataclass(slots=True)
class ExportImport:
    """One export on its way into the lake; ``folder`` is where it may put temporary files."""

    lake: Lake
    settings: Settings
    path: Path
    name: str
    whose: Whose
    folder: Path
    dropped: str = ""  # the key of the file itself, where it lies in the raw zone
    progress: StepProgress | None = None
    clock: Clock = now
    timer: Callable[[], float] = time.monotonic

    @property
    def user_id(self) -> str:
        """The listener whose export it is."""
        return self.whose.user_id

    def run(self) -> ImportSummary:
        """Read, keep, publish and count it, and note what it tells of its listener. Raises ImportRefused."""
        began = self.timer()
        staged, copy = self.read()
        pa.default_memory_pool().release_unused()
        raw_key = self.keep(staged, copy)
        summary = ImportSummary(
            self.name, self.user_id, raw_key, list(map(summary_of, staged.files)), staged.passed_over
        )
        summary.snapshots = [
            {
                "exported_at": rfc3339(each.exported_at.replace(tzinfo=UTC)),
                "words": str(each),
                "counts": each.said.counts,
            }
            for each in staged.snapshots
        ]
        fresh = RowsByMonth(self.folder / "fresh.arrow", FRESH)
        tables = ExportTables(self.lake, staged, self.user_id, raw_key)
        for number, known in enumerate(tables.write(fresh)):
            summary.files[number].known += known
        summary.written += tables.written
        fresh.finish()
        self.work_out(staged, fresh, summary, tables.edges)
        summary.note = note_import(self.lake, self.user_id, self.whose.name, self.whose.owner, self.clock)
        summary.seconds = round(self.timer() - began, 3)
        return summary

    def read(self) -> tuple[Staged, Path | None]:
        """The whole export, and a zip of its history where it holds other things too."""
        with export_files(self.path, self.name) as files, ExitStack() as opened:
            if files.only_history or not self.settings.keep_exports:
                return stage(files, self.name, self.folder, self.progress), None
            copy = self.folder / "kept.zip"
            archive = zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED, compresslevel=PACKED_LEVEL)
            return stage(files, self.name, self.folder, self.progress, opened.enter_context(archive)), copy

    def keep(self, staged: Staged, copy: Path | None) -> str:
        """Put what is kept of the export into the raw zone, unless it is there; answers its key."""
        suffix = "" if self.settings.keep_exports else ".parquet"
        key = kept_key(self.name, staged, self.user_id, ".zip" if copy else suffix)
        if self.lake.store.stat(key) is None:
            if not copy and self.settings.keep_exports and self.dropped:
                self.lake.store.copy(self.dropped, key)  # a function's /tmp may not hold it twice
                return key
            if not copy:
                copy = self.folder / "kept"
                if self.settings.keep_exports:
                    shutil.copyfile(self.path, copy)
                else:
                    keep_rows(staged, copy)
            self.lake.store.write_file(key, copy)
        return key

    def work_out(self, staged: Staged, fresh: RowsByMonth, summary: ImportSummary, edges: Edges) -> None:
        """Decide which listens the export's rows are, and count which of the fresh ones nobody had reported."""

        def count(batch: resolutions.MonthBatch) -> None:
            for number, (new, merged) in enumerate(count_new(batch, fresh, len(summary.files))):
                summary.files[number].new += new
                summary.files[number].merged += merged
            for number in files_that_share(batch, self.lake, edges):
                summary.files[number].new += 1
                summary.files[number].known -= 1

        def show(done: int, total: int) -> None:
            if self.progress:
                self.progress(done, total, "plays by month")

        months = staged.rows.months()
        decided = resolutions.resolve(
            self.lake, months=months, user=self.user_id, seen=count, progress=show, clock=self.clock
        ) if months else []  # fmt: skip
        if decided:
            summary.written += decided
            resolutions.write_wanted(self.lake)


def summary_of(file: StagedFile) -> FileSummary:
    """The summary of a file of which nothing has been compared yet."""
    return FileSummary(
        file.name, file.variant, file.read, rejected=file.rejected, reasons=dict(file.reasons), odd=dict(file.odd)
    )


def count_new(batch: resolutions.MonthBatch, fresh: RowsByMonth, files: int) -> list[tuple[int, int]]:
    """For each file of an export how many of its fresh rows in these months are new listens, and how many are
    listens that somebody else reports too."""
    near = sorted(resolutions.with_neighbours(batch.months))
    rows = pa.concat_tables([fresh.rows(month) for month in near]).combine_chunks()
    if not rows.num_rows:
        return [(0, 0)] * files
    observed = batch.decided.observations
    place = pc.index_in(observed["play_id"], value_set=rows["play_id"].combine_chunks())
    is_fresh = place.is_valid().to_numpy(zero_copy_only=False)
    winner = batch.decided.winner_of
    reported_before = np.zeros(len(winner), np.bool_)  # listens of which some observation is not of this export
    reported_before[winner[~is_fresh]] = True
    inside = np.isin(month_numbers(observed["ended_at"]), [month_number(month) for month in batch.months])
    counted = is_fresh & inside  # the months beside these are counted with their own
    tells = (winner == np.arange(len(winner))) & ~reported_before  # the one row of its listen that tells it
    file = rows["file"].to_numpy()[pc.fill_null(place, 0).to_numpy(zero_copy_only=False)]
    new, merged = (np.bincount(file[counted & chosen], minlength=files).tolist() for chosen in (tells, ~tells))
    return list(zip(new, merged, strict=True))


def files_that_share(batch: resolutions.MonthBatch, lake: Lake, edges: Edges) -> list[int]:
    """For each listen that is new because two files share out equal rows, the file whose row had counted as known."""
    shared = {play_id: first for play_id, first in batch.decided.shared.items() if any(edges.values())}
    if not shared:
        return []
    listens = pa.concat_tables([batch.listens_of(month).select(["play_id"]) for month in batch.months])
    is_new = set(listens["play_id"].to_pylist()) & set(shared)
    for month in batch.months:
        is_new -= set(resolutions.resolved(lake, lake.generation(), month, batch.highest[month])["play_id"].to_pylist())
    found = []
    for play_id in sorted(is_new):
        number = next((edges[one].pop() for one in equals_of(shared[play_id], play_id) if edges.get(one)), None)
        found += [] if number is None else [number]
    return found


def equals_of(first: str, last: str) -> Iterator[str]:
    """The ids of equal rows of account data, from one to another."""
    step, play_id = 0, first
    while play_id != last:
        yield play_id
        step += 1
        play_id = stepped(first, step)


def month_numbers(moments: pa.ChunkedArray) -> Ints:
    """The month of each moment, as :func:`month_number` has it."""
    numbers = pc.add(pc.multiply(pc.year(moments), 12), pc.month(moments))
    return np.asarray(numbers.to_numpy(), np.int64)


def month_number(month: str) -> int:
    """Months since the year 0 of ``YYYY-MM``."""
    return int(month[:4]) * 12 + int(month[5:])


# --- whose --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose export it is: the listener, the name that was said, and the user name that the export itself tells."""

    user_id: str
    name: str
    owner: str


def whose(settings: Settings, lake: Lake, path: Path, name: str, said: str | None, remedy: str) -> Whose:
    """Whose export it is: who was named, else whom the export itself names, else the only one who has logged in, else
    the only one whose exports are here.

    Raises InvalidRequest when it could be several people's, or nobody is known; ``remedy`` is what to do about it.
    """
    known = everybody(lake)
    with export_files(path, name) as files:
        owner = owner_of(files) or ""
    if said:
        person = known.find(said)
        return Whose(person.user_id if person else newcomer(lake, said), said, owner)
    alike = [person for person in known.people() if owner in (*person.ids, *person.spotify_user_ids)]
    if owner and len(alike) == 1:
        return Whose(alike[0].user_id, "", owner)
    likely = logged_in(settings, known) or sorted(listeners_kept(lake))
    if len(likely) == 1 and not (owner and known.person(likely[0]).spotify_user_ids):
        return Whose(known.listener_of(likely[0]), "", owner)
    if not likely and owner:
        return Whose(newcomer(lake, owner), owner, owner)
    raise InvalidRequest(
        f"whose listening is this export? {possibilities(known, likely, owner)}: {remedy}", known=likely, owner=owner
    )


def logged_in(settings: Settings, known: KnownListeners) -> list[str]:
    """Who has logged in, as far as this process may know."""
    found = {person.user_id for person in known.people() if person.has_logged_in}
    if not settings.on_aws:  # there those who import may not read Spotify's secrets
        from chalicelib.spotify.auth import authorizations
        from chalicelib.stores import open_secrets

        found |= {known.listener_of(one.user_id) for one in authorizations(open_secrets(settings))}
    return sorted(found)


def possibilities(known: KnownListeners, likely: list[str], owner: str) -> str:
    """Whose it could be, in words."""
    if owner and likely:
        return f"It says it is of {owner}, and the lake knows {', '.join(map(known.label_of, likely))}"
    return f"it could be of {', '.join(map(known.label_of, likely))}" if likely else "nobody has logged in yet"


# --- the raw copy -------------------------------------------------------------------------------------------------


def kept_key(name: str, staged: Staged, user_id: str, suffix: str) -> str:
    """Where the raw copy lies. What is kept has the same content and so the same digest."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-150:] or "export"
    stem = stem.removesuffix(".zip") + suffix if suffix == ".zip" else stem + suffix
    return f"{RAW_HISTORY}{quote(user_id, safe='')}/{staged.kept_digest}-{stem}"


def keep_rows(staged: Staged, path: Path) -> None:
    """The rows of an export without its personal fields, month by month, and what its files were."""
    files = [{"name": file.name, "variant": file.variant, "digest": file.digest} for file in staged.files]
    told = [msgspec.json.encode(each).decode() for each in staged.snapshots]
    about = {"files": files, "digest": staged.digest, "snapshots": told}
    schema = STAGED.with_metadata({"export": json.dumps(about)})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for month in staged.rows.months():
            writer.write_table(staged.rows.rows(month).replace_schema_metadata(schema.metadata))


def kept_rows(path: Path, folder: Path) -> Staged:
    """The export that :func:`keep_rows` wrote."""
    kept = pq.ParquetFile(path)
    about = json.loads(kept.schema_arrow.metadata[b"export"])
    files = [StagedFile(file["name"], file["variant"], digest=file.get("digest", "")) for file in about["files"]]
    rows_by_month = RowsByMonth(folder / "rows.arrow", STAGED)
    for group in range(kept.num_row_groups):
        rows = as_read(kept.read_row_group(group).replace_schema_metadata(None), STAGED)
        for number in pc.unique(rows["file"]).to_pylist():
            files[number].span(rows.filter(pc.equal(rows["file"], number))["ended_at"])
        for month, part in by_month(rows, "ended_at"):
            rows_by_month.add(month, part)
    rows_by_month.finish()
    snapshots = [msgspec.json.decode(each, type=DatedSnapshot) for each in about.get("snapshots", ())]
    return Staged(files, rows_by_month, about["digest"], snapshots=snapshots)


# --- tables -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ExportTables:
    """What an export becomes in the tables of the generation that ``lake`` works on."""

    lake: Lake
    staged: Staged
    user_id: str
    raw_key: str
    written: list[str] = field(default_factory=list)  # the keys of its files
    edges: Edges = field(default_factory=lambda: defaultdict(list))

    @property
    def file_name(self) -> str:
        """What its files are called in the tables: two listeners may bring the same rows."""
        return f"history-{blake2b(f'{self.user_id}/{self.staged.digest}'.encode(), digest_size=16).hexdigest()}"

    @property
    def newest(self) -> datetime:
        """The last moment that the export tells of, UTC."""
        return self.staged.newest or resolutions.first_moment("2006-01")

    def write(self, fresh: RowsByMonth | None = None) -> list[int]:
        """Write the observations and the checks; answers for each file how many of its rows were known.

        ``fresh`` gets the observations that nobody had made yet; without it nothing is looked up and counted.
        """
        observer = Observer(self.staged.files, self.user_id, self.newest)
        generation = self.lake.generation()
        known = np.zeros(len(self.staged.files), np.int64)
        with ThreadPoolExecutor(resolutions.WRITERS) as writers:
            waiting: deque[Future[None]] = deque()
            for month in self.staged.rows.months():
                observed = observer.observe(self.staged.rows.rows(month))
                if fresh:
                    known += self.count_known(generation, month, observed, fresh)
                waiting.append(writers.submit(self.write_observations, generation, month, once(observed)))
                while len(waiting) > resolutions.WRITERS:
                    waiting.popleft().result()
            for writing in waiting:
                writing.result()
        self.write_checks()
        self.written += write_snapshots(self.lake, self.user_id, self.staged.snapshots)
        return [int(count) for count in known]

    def count_known(self, generation: str, month: str, observed: pa.Table, fresh: RowsByMonth) -> Ints:
        """How many rows of each file have been there before; the others go to ``fresh``."""
        there = resolutions.observations(self.lake, generation, month, ["play_id"], {self.user_id})
        again = repeated(observed["play_id"])
        again = again | flags(pc.is_in(observed["play_id"], value_set=there["play_id"].combine_chunks()))
        new = without(observed.select(FRESH.names), again)
        if new.num_rows:
            fresh.add(month, new)
        at_edge = observed.filter(pa.array(again & flags(observed["file_edge"].is_valid())))
        for play_id, file in zip(at_edge["play_id"].to_pylist(), at_edge["file"].to_pylist(), strict=True):
            self.edges[play_id].append(file)
        return np.bincount(observed["file"].to_numpy()[again], minlength=len(self.staged.files))

    def write_observations(self, generation: str, month: str, observed: pa.Table) -> None:
        """The observations of one month, unless they are there.

        Known ones too: exports of different years say different things of one row, and what the listen is told to be
        must not depend on which came first.
        """
        key = f"{partition_prefix(generation, PLAYS.history, month)}{self.file_name}.parquet"
        self.written.append(key)
        if self.lake.store.stat(key) is None:
            data = parquet_bytes(PLAYS, observed.drop_columns(["file"]).combine_chunks())
            self.lake.store.write(key, data, content_type="application/vnd.apache.parquet")

    def write_checks(self) -> None:
        """The rows that are no listens, and what the fields that held something odd come to."""
        rejects = [
            {
                "raw_key": self.raw_key,
                "answer": number,
                "item": reject.row,
                "table_name": PLAYS.name,
                "check_name": "export_row",
                "occurrence": 0,
                "reason": reject.reason,
                "content": reject.content,
                "observed_at": self.newest,
            }
            for number, file in enumerate(self.staged.files)
            for reject in file.rejects
        ]
        odd = sum((file.odd for file in self.staged.files), Counter[str]())
        results = [
            {
                "raw_key": self.raw_key,
                "table_name": PLAYS.name,
                "check_name": f"export_field:{name}",
                "severity": "warn",
                "rows_checked": sum(file.read for file in self.staged.files),
                "failures": failures,
                "detail": f"{name} holds what it cannot and is null",
                "observed_at": self.newest,
            }
            for name, failures in sorted(odd.items())
        ]
        for table, rows in ((REJECTED_ROWS, rejects), (QUALITY_RESULTS, results)):
            if rows:
                found = pa.Table.from_pylist(rows, schema=arrow_schema(table))
                self.written += write_table(self.lake, self.lake.generation(), table, found, self.file_name)


def once(observed: pa.Table) -> pa.Table:
    """The observations without those that say of a listen nothing but what another one says of it."""
    again = repeated(observed["play_id"], keep=False)
    if not again.any():
        return observed
    copies = observed.filter(pa.array(again))
    said = [name for name in copies.column_names if name != "file"]
    distinct = copies.group_by(said, use_threads=False).aggregate([("file", "min")])
    distinct = distinct.rename_columns([*said, "file"]).select(observed.column_names)
    return pa.concat_tables([without(observed, again), distinct.cast(observed.schema)])


def repeated(ids: pa.ChunkedArray, *, keep: bool = True) -> Bools:
    """Which values have stood there before; all of those that stand there several times where none is kept."""
    encoded = ids.combine_chunks().dictionary_encode()
    if len(encoded.dictionary) == len(encoded):
        return np.zeros(len(encoded), np.bool_)
    series = pd.Series(encoded.indices.to_numpy())
    return np.asarray(series.duplicated(keep="first" if keep else False).to_numpy(), np.bool_)


def without(rows: pa.Table, these: Bools) -> pa.Table:
    """The rows but for these."""
    return rows.filter(pa.array(~these)) if these.any() else rows


# --- again from raw -----------------------------------------------------------------------------------------------


def transform_export(lake: Lake, key: str, progress: StepProgress | None = None) -> set[str]:
    """Write the observations of a kept export into the generation that ``lake`` works on; answers their months.

    Who calls it works the months out afterwards (:func:`chalicelib.plays.resolutions.resolve`). Raises ImportRefused,
    NotFound.
    """
    match = KEPT.fullmatch(key)
    if not match:
        raise NotFound(f"{key} is not a kept export", key=key)
    with room_for(match[3]) as folder:
        local = fetch(lake, key, folder)
        if key.endswith(".parquet"):
            staged = kept_rows(local, folder)
        else:
            with export_files(local, match[3]) as files:
                staged = stage(files, match[3], folder, progress)
        ExportTables(lake, staged, unquote(match[1]), key).write()
        return set(staged.rows.months())


def rebuild_plays(lake: Lake) -> None:
    """Every kept export, and then every listen, into the generation that ``lake`` works on."""
    for key in kept_exports(lake):
        transform_export(lake, key)
    resolutions.resolve(lake)
    resolutions.write_wanted(lake)
