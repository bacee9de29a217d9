"""One ``plays`` table from everything that reports listens: each listen once, told by its richest report.

**Observations.** Every report of a listen is a row of ``plays_history`` and stays there. Its ``play_id`` is a digest
of what identifies it, so that the same report read twice, from another file or another year's export, is the same
row: for the extended streaming history (user, ts, URI or, where there is none, its names, ms_played, and of what may
have been offline the second at which its device played it); for account data (user, endTime, title or else artist,
msPlayed, and which of several equal rows of its file it is: those are all true); for the API (user, played_at, URI).

Equal rows of account data are as many listens as the file that has most of them tells, and one more where one file
ends with such a row and the next goes on with another (see copies.py). Neither names nor numbers of files matter, nor
whether they are brought together.

**Which observations are one listen.** From the richest to the poorest: extended history with a URI, with names only,
with neither; the API; account data, with and without names. The richer absorbs the poorer, and takes from it what it
does not say itself; names only all together. Names are compared without regard to case, spacing and Unicode form, and
every name that any report of a listen bears can match.

1. *Extended and extended*: same user, second and ms_played, and the same id, the same names, or none on one side,
   unless their devices played them at different times: offline plays share the second of reconnection. A stream that
   stands under another id in a newer export is so the same play; of what was offline only if the device says so.
2. *Account into account*: a row of the years when podcasts stood among the music, without its title, is the episode
   of the same show, minute and msPlayed; two titles of one artist, minute and msPlayed are one that was renamed
   unless one file tells of both.
3. *API into API*: a play of one track told again within 30 s is the same; the API reports nothing shorter. But what one
   answer lists twice, more than some seconds apart, two devices played. The same, too, is one that is listed no more
   although older ones are, or that was listed beside newer ones where now another of its track stands: its start was
   told first and then its end, or the other way round.
4. *API into extended*, one to one, as many as go together: same id or else same title, and ``played_at`` within 30 s
   of the play's end, its start, or either by its device's clock (Spotify has meant each of them); plays of 30 s and
   more first, which are all that the API reports. Then plays that may have been paused (started up to 15 minutes
   earlier than their length says) and plays of a device that was offline and does not say when (up to 14 days; what the
   API had listed before the device reported was none of them). Then rows without names. What is left beside such a
   play, within 30 s of its other end, is the same play told again, where extended history tells of what was heard
   before and after it.
5. *Account into extended*, one to one: same msPlayed in the minute of the end, or of the end by the device's clock,
   and the same names, or the same title, or the same artist (it was renamed), or no names on one side; then the same
   names within a minute; then, of what was offline and does not say when, within 14 days.
6. *Account into API*, one to one, likewise, for what is left on both sides. A title that was renamed is known by artist
   and minute, where account data tells of what was heard before and after it, or where the API listed, after the end
   that account data says, a play from its start. The end of the play then lies in the minute that account data says,
   whatever ``played_at`` means.

Two listens of one song back to back stay two, because pairing is one to one. Podcasts, audiobooks and videos are
plays like others; a row of old account data that does not say what it is becomes what a richer report says it is.

**Order does not matter.** The outcome of a month follows from the observations of that month and its neighbours
alone (see matching.py). ``resolve`` works out whole months and writes each as a new *resolution*: the next number
after the highest, created only if nobody else has, so that of several processes at work the last has seen every
observation. A month whose listens have not changed is left as it is. Superseded files go after ``GRACE``, when no
query can still be reading them.

**Years.** What is in force of a month before the previous one is copied into the folder of its year, and what it was
copied from goes like a superseded file: so that a query over all years lists a folder a year. A new decision about
such a month lies in the month's own folder again, and is in force because its number is higher.

**Whose they are.** One person may have been known by several ids (see listeners.py). Each observation counts for the
listener whom its id means now; of account data, whose equal rows are told apart by their ids, those ids are made anew
for that listener, so that a file which was brought for both counts once.

Listens of different listeners never touch. An import works out its own listener's and takes the others' over from the
resolution before; whoever brings observations of theirs works them out in turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chalicelib.clock import Clock, now
from chalicelib.errors import NotFound, StorageUnavailable, WriteConflict
from chalicelib.lake import (
    Lake,
    ObjectInfo,
    Resolution,
    first_month_apart,
    partition_prefix,
    resolution_of,
    table_prefix,
)
from chalicelib.listeners import noted
from chalicelib.parquet import arrow_schema, parquet_of_sorted
from chalicelib.tables import PLAYS, PLAYS_RESOLVED, TRACKS
from chalicelib.wanted import write_played_artists, write_wanted_tracks

if TYPE_CHECKING:
    from chalicelib.plays.outcome import Decided

GRACE = timedelta(hours=1)  # a superseded resolution stays that long; queries take at most half an hour
BATCH_ROWS = 40_000  # observations worked out together, about 40 MB
MOST_OF_NOTHING = 20_000  # bytes of the file of a month without listens
MOST_TRIES = 20  # times a month is worked out again because somebody else was faster
WRITERS = 2  # files written at once
MOST_WANTED = 50_000  # tracks
MOST_COUNTS = 200_000  # counts of tracks that are held before they are summed up
COLUMNS = [column.name for column in PLAYS.columns]

MonthsProgress = Callable[[int, int], None]  # months done, months in all


@dataclass(frozen=True, slots=True)
class MonthBatch:
    """Some months worked out together, for one listener or all (None).

    ``highest`` is each month's resolution from before its observations were read, 0 for none: who has decided it since
    may have seen more.
    """

    months: tuple[str, ...]
    highest: dict[str, int]
    decided: Decided
    user: str | None = None

    def listens_of(self, month: str) -> pa.Table:
        """The listens of one of the months."""
        return in_month(self.decided.listens, month).cast(LISTENS)


def resolve(
    lake: Lake,
    generation: str | None = None,
    months: Iterable[str] | None = None,
    *,
    user: str | None = None,
    seen: Callable[[MonthBatch], None] | None = None,
    progress: MonthsProgress | None = None,
    clock: Clock = now,
) -> list[str]:
    """Work out the listens of ``months`` (``YYYY-MM``; all by default) and of the months beside them.

    ``user``: only that listener's; the others' stay as they are. ``seen`` is called with each batch as it was worked
    out. Answers the keys written: none where nothing has changed.
    Raises StorageUnavailable when others keep writing the same month.
    """
    generation = generation or lake.generation()
    user = user and noted(lake).listener_of(user)
    known = known_months(lake, generation)
    wanted = sorted(known if months is None else with_neighbours(months) & known)
    written: list[str] = []
    done = 0
    moment = clock()
    with ThreadPoolExecutor(WRITERS) as writers:
        writing: Iterable[list[str]] = ()
        for batch in batches(lake, generation, wanted, user):
            if seen:
                seen(batch)
            for keys in writing:  # of the batch before, while this one was worked out
                written += keys
            writing = writers.map(partial(write_month, lake, generation, batch, moment), batch.months)
            done += len(batch.months)
            if progress:
                progress(done, len(wanted))
        for keys in writing:
            written += keys
    pa.default_memory_pool().release_unused()
    return written


def resolve_keys(lake: Lake, keys: Iterable[str], *, clock: Clock = now) -> list[str]:
    """Work out the months that new files of ``plays_history`` (any other keys do not matter) have changed.

    Files of a generation that is not in force do not count: who builds it calls :func:`resolve` in the end.
    """
    prefix = table_prefix(lake.generation(), PLAYS.history)
    months = {match[1] for key in keys if key.startswith(prefix) and (match := re.search(r"/month=(\d{4}-\d\d)/", key))}
    return resolve(lake, months=months, clock=clock) if months else []


# --- working out -------------------------------------------------------------------------------------------------


def batches(lake: Lake, generation: str, months: Sequence[str], user: str | None = None) -> Iterator[MonthBatch]:
    """``months`` (ascending) worked out, as many together as memory allows, each with the months beside it."""
    from chalicelib.plays.matching import decide_apart  # needs pandas, which only those who get here have to carry
    from chalicelib.plays.owners import of_their_listeners

    known = noted(lake)
    ids = set(known.ids_of(user)) if user is not None else None
    moved = known.moved()
    loaded: dict[str, pa.Table] = {}
    before_that: dict[str, dict[str, int]] = {}  # of each month loaded, what was in force when it was not read yet
    at = 0
    while at < len(months):
        in_force = highest_resolutions(lake, generation)
        batch: list[str] = []
        highest: dict[str, int] = {}
        rows = 0
        while at < len(months) and (not batch or rows < BATCH_ROWS):
            month = months[at]
            needed = (before(month), month, after(month))
            for near in needed:
                if near not in loaded:
                    found = of_users(observations(lake, generation, near, users=ids), ids)
                    loaded[near] = of_their_listeners(found, moved)
                    before_that[near] = in_force
                    rows += loaded[near].num_rows
            highest[month] = min(before_that[near].get(month, 0) for near in needed)
            batch.append(month)
            at += 1
        together = pa.concat_tables([loaded[month] for month in sorted(with_neighbours(batch))])
        yield MonthBatch(tuple(batch), highest, decide_apart(together, BATCH_ROWS, LISTENS), user)
        last = batch[-1]
        loaded = {month: loaded[month] for month in (last, after(last))}


def observations(
    lake: Lake, generation: str, month: str, columns: Sequence[str] = (), users: Set[str] | None = None
) -> pa.Table:
    """Every row of ``plays_history`` of one month, however many files hold it; all columns or those named.

    With ``users`` the files that hold nothing of these ids are left out. Texts are dictionaries (see coded).
    """
    prefix = partition_prefix(generation, PLAYS.history, month)
    schema = pa.schema([OBSERVED.field(name) for name in columns]) if columns else OBSERVED
    for _ in range(MOST_TRIES):
        try:
            keys = [info.key for info in lake.store.list(prefix) if info.key.endswith(".parquet")]
            return pa.concat_tables([schema.empty_table(), *(read_parquet(lake, key, schema, users) for key in keys)])
        except NotFound:  # merged into another file meanwhile
            continue
    raise StorageUnavailable(f"the files of {prefix} keep changing: try again", prefix=prefix)


def coded(schema: pa.Schema) -> pa.Schema:
    """Texts as dictionaries: a quarter of the time and memory, but for ids, of which no two are the same."""
    return pa.schema(
        [
            pa.field(field.name, CODED) if field.type == pa.string() and field.name != "play_id" else field
            for field in schema
        ]
    )


CODED = pa.dictionary(pa.int32(), pa.string())
OBSERVED = coded(arrow_schema(PLAYS))
RESOLVED = coded(arrow_schema(PLAYS_RESOLVED))
LISTENS = pa.schema([OBSERVED.field(name) for name in COLUMNS])


def read_parquet(lake: Lake, key: str, schema: pa.Schema = OBSERVED, users: Set[str] | None = None) -> pa.Table:
    """The columns of ``schema``; those that an old file lacks are null. No row of a file without any of ``users``."""
    texts = [field.name for field in schema if field.type == CODED]
    file = pq.ParquetFile(BytesIO(lake.store.read(key)), read_dictionary=texts)
    if users is not None and not any(may_hold(file.metadata, user) for user in users):
        return schema.empty_table()
    there = set(file.schema_arrow.names)
    table = file.read([name for name in schema.names if name in there], use_threads=False)
    if table.schema.equals(schema):
        return table
    columns = [
        table[field.name].cast(field.type) if field.name in there else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def may_hold(metadata: pq.FileMetaData, user: str) -> bool:
    """Whether a file can have rows of a listener, as its statistics tell."""
    at = metadata.schema.names.index("user_id")
    for number in range(metadata.num_row_groups):
        told = metadata.row_group(number).column(at).statistics
        if told is None or not told.has_min_max or told.min <= user <= told.max:
            return True
    return False


def of_user(rows: pa.Table, user: str | None) -> pa.Table:
    """The rows of a listener; all for None."""
    return of_users(rows, None if user is None else {user})


def of_users(rows: pa.Table, users: Set[str] | None) -> pa.Table:
    """The rows of some ids; all for None."""
    if users is None or rows.num_rows == 0:
        return rows
    return rows.filter(pc.is_in(rows["user_id"].cast(pa.string()), value_set=pa.array(sorted(users))))


# --- writing -----------------------------------------------------------------------------------------------------


def write_month(lake: Lake, generation: str, batch: MonthBatch, moment: datetime, month: str) -> list[str]:
    """Write the listens of a month unless they are what is there; work them out again when somebody was faster."""
    lake.store.delete(superseded([info for _, info in resolutions(lake, generation, month)], moment))
    for _ in range(MOST_TRIES):
        number = batch.highest[month]
        listens = batch.listens_of(month)
        there = resolved(lake, generation, month, number)
        if same(listens, of_user(there, batch.user)):
            return []
        key = resolution_key(generation, month, number + 1)
        whole = with_resolution(plain(beside_others(listens, there, batch.user)), number + 1, month)
        try:
            lake.store.replace(key, parquet_of_sorted(PLAYS_RESOLVED, whole), if_match=None)
            return [key]
        except WriteConflict:
            batch = next(batches(lake, generation, [month], batch.user))
    raise StorageUnavailable(f"the plays of {month} keep changing: try again", month=month)


def beside_others(listens: pa.Table, there: pa.Table, user: str | None) -> pa.Table:
    """A listener's listens of a month, and those of the others as they were."""
    others = there.slice(0, 0) if user is None else there.filter(pc.not_equal(there["user_id"], user))
    return in_order(pa.concat_tables([listens, others])) if others.num_rows else listens


def resolved(lake: Lake, generation: str, month: str, number: int) -> pa.Table:
    """The listens of a month as resolution ``number`` has them; none for 0."""
    if number == 0:
        return LISTENS.empty_table()
    try:
        rows = read_parquet(lake, resolution_key(generation, month, number), RESOLVED)
    except NotFound:
        rows = read_parquet(lake, gathered_key(generation, month, number), RESOLVED)
    return rows.filter(pc.not_equal(rows["play_id"], "")).select(COLUMNS)


def same(listens: pa.Table, others: pa.Table) -> bool:
    """Whether two months' listens are equal."""
    return bool(listens.num_rows == others.num_rows and plain(listens).equals(plain(others)))


def plain(listens: pa.Table) -> pa.Table:
    """Texts as they are: dictionaries of the same texts may differ, and hold texts of other months too, all of which
    would be written."""
    return listens.cast(PLAIN)


PLAIN = pa.schema([arrow_schema(PLAYS).field(name) for name in COLUMNS])
MOMENT = PLAIN.field("ended_at").type


def with_resolution(listens: pa.Table, number: int, month: str) -> pa.Table:
    """The rows of ``plays_resolved``; a month without listens is one row of nobody, without an id, at its
    first moment."""
    if listens.num_rows == 0:
        told = {"play_id": pa.array([""]), "ended_at": pa.array([first_moment(month)], MOMENT)}
        nothing = [told.get(field.name, pa.nulls(1, field.type)) for field in listens.schema]
        listens = pa.table(nothing, schema=listens.schema)
    number_of_each = pa.array([number] * listens.num_rows, pa.int64())
    return listens.append_column("resolution", number_of_each).select(RESOLVED.names)


def in_month(listens: pa.Table, month: str) -> pa.Table:
    """Those of a month, in the order in which they were."""
    ended = listens["ended_at"]
    return listens.filter(
        pc.and_(pc.greater_equal(ended, first_moment(month)), pc.less(ended, first_moment(after(month))))
    )


def in_order(listens: pa.Table) -> pa.Table:
    """Listens by time and id."""
    order = [("ended_at", "ascending"), ("play_id", "ascending")]
    return listens.take(pc.sort_indices(listens, sort_keys=order)).combine_chunks()


def resolution_key(generation: str, month: str, number: int) -> str:
    """Where a resolution of a month is written."""
    return f"{partition_prefix(generation, PLAYS_RESOLVED.name, month)}resolution-{number:06d}.parquet"


def gathered_key(generation: str, month: str, number: int) -> str:
    """Where its copy among those of its year lies."""
    return f"{partition_prefix(generation, PLAYS_RESOLVED.name, month[:4])}{month}-resolution-{number:06d}.parquet"


Found = list[tuple[Resolution, ObjectInfo]]  # lowest first


def resolutions(lake: Lake, generation: str, month: str) -> list[tuple[int, ObjectInfo]]:
    """The numbers and files of a month's resolutions, lowest first; a copy comes after what it was copied from."""
    year = partition_prefix(generation, PLAYS_RESOLVED.name, month[:4]).removesuffix("/")
    return [(resolution.number, info) for resolution, info in found_below(lake, year).get(month, [])]


def found_below(lake: Lake, prefix: str) -> dict[str, Found]:
    """The resolutions below a prefix, by month."""
    found: dict[str, Found] = {}
    for info in lake.store.list(prefix):
        if resolution := resolution_of(info.key):
            found.setdefault(resolution.month, []).append((resolution, info))
    return {month: sorted(each, key=lambda pair: pair[0]) for month, each in found.items()}


def highest_resolutions(lake: Lake, generation: str) -> dict[str, int]:
    """The number of the resolution in force of each month that has one."""
    found = found_below(lake, table_prefix(generation, PLAYS_RESOLVED.name))
    return {month: each[-1][0].number for month, each in found.items()}


def superseded(files: Iterable[ObjectInfo], moment: datetime) -> list[str]:
    """Of a month's files, lowest resolution first, those whose successor is older than ``GRACE``."""
    return [info.key for info, successor in pairwise(files) if successor.modified < moment - GRACE]


def gather_years(lake: Lake, *, clock: Clock = now) -> list[str]:
    """Copy old months into the folders of their years, and delete what was copied or superseded long enough ago;
    answers the keys written. Safe to interrupt, to repeat and to run beside anything."""
    generation, moment = lake.generation(), clock()
    written: list[str] = []
    for month, found in found_below(lake, table_prefix(generation, PLAYS_RESOLVED.name)).items():
        resolution, info = found[-1]
        if month >= first_month_apart(moment):
            continue
        lake.store.delete(superseded([each for _, each in found], moment))
        if not resolution.gathered and says_when(lake, info):
            written.append(gathered_key(generation, month, resolution.number))
            lake.store.copy(info.key, written[-1])
    return written


def has_superseded(lake: Lake, clock: Clock = now) -> bool:
    """Whether an old month has files that can go by now."""
    moment = clock()
    return any(
        superseded([info for _, info in found], moment)
        for month, found in found_below(lake, table_prefix(lake.generation(), PLAYS_RESOLVED.name)).items()
        if month < first_month_apart(moment)
    )


def says_when(lake: Lake, info: ObjectInfo) -> bool:
    """Whether the rows of a file tell of which month they are: the one of an empty month did not, before releases that
    gather."""
    if info.size > MOST_OF_NOTHING:
        return True
    return bool(read_parquet(lake, info.key, pa.schema([RESOLVED.field("ended_at")]))["ended_at"].null_count == 0)


# --- what is in force --------------------------------------------------------------------------------------------


def files_in_force(lake: Lake, generation: str) -> list[str]:
    """The highest resolution of each month, months ascending."""
    found = found_below(lake, table_prefix(generation, PLAYS_RESOLVED.name))
    return [found[month][-1][1].key for month in sorted(found)]


def write_wanted(lake: Lake, generation: str | None = None) -> int:
    """Write what extraction is asked to look up: tracks played whose details are not known, and artists."""
    generation = generation or lake.generation()
    plays, artists = counted(lake, generation, ("item_id", "artist_name"))
    artists = artists.sort_by([("plays", "descending"), ("track", "ascending")]).slice(0, MOST_WANTED)
    write_played_artists(lake, artists["track"].to_pylist())
    plays = plays.filter(pc.invert(pc.is_in(plays["track"], value_set=detailed_tracks(lake, generation))))
    plays = plays.sort_by([("plays", "descending"), ("track", "ascending")]).slice(0, MOST_WANTED)
    wanted = list(zip(plays["track"].to_pylist(), plays["plays"].to_pylist(), strict=True))
    write_wanted_tracks(lake, wanted)
    return len(wanted)


def counted(lake: Lake, generation: str, columns: Sequence[str]) -> list[pa.Table]:
    """How many plays of tracks there are by each value of each column; a file is read once."""
    found: list[list[pa.Table]] = [[] for _ in columns]
    for key in files_in_force(lake, generation):
        for counts, more in zip(found, plays_of_tracks(lake, key, columns), strict=True):
            counts.append(more)
            if sum(each.num_rows for each in counts[1:]) > MOST_COUNTS:  # the first are the sums so far
                counts[:] = [summed(counts)]
    return [summed(counts) for counts in found]


COUNTS = pa.schema([("track", pa.string()), ("plays", pa.int64())])


def plays_of_tracks(lake: Lake, key: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    """How often tracks were played by each value of each column, as one file of listens tells."""
    names = [*columns, "item_type"]
    file = pq.ParquetFile(BytesIO(lake.store.read(key)), read_dictionary=names)
    rows = file.read(names, use_threads=False)
    rows = rows.filter(pc.equal(rows["item_type"], "track"))
    for column in columns:
        counts = pc.value_counts(rows[column].drop_null())
        yield pa.table([counts.field(0).cast(pa.string()), counts.field(1)], schema=COUNTS)


def summed(counts: Sequence[pa.Table]) -> pa.Table:
    """Counts of each track in one table."""
    together = pa.concat_tables([COUNTS.empty_table(), *counts])
    return together.group_by("track", use_threads=False).aggregate([("plays", "sum")]).rename_columns(COUNTS.names)


def detailed_tracks(lake: Lake, generation: str) -> pa.Array:
    """Tracks whose length is known: their details have been read."""
    found = [pa.array([], pa.string())]
    for info in lake.store.list(table_prefix(generation, TRACKS.history)):
        if info.key.endswith(".parquet"):
            columns = pq.ParquetFile(BytesIO(lake.store.read(info.key))).read(["track_id", "duration_ms"])
            found += columns.filter(pc.is_valid(columns["duration_ms"]))["track_id"].chunks
    return pa.concat_arrays(found)


# --- months ------------------------------------------------------------------------------------------------------


def known_months(lake: Lake, generation: str) -> set[str]:
    """Months that have observations or listens."""
    observed = {
        match[1]
        for info in lake.store.list(table_prefix(generation, PLAYS.history))
        if (match := re.search(r"/month=(\d{4}-\d\d)/", info.key))
    }
    return observed | found_below(lake, table_prefix(generation, PLAYS_RESOLVED.name)).keys()


def with_neighbours(months: Iterable[str]) -> set[str]:
    """The months and those beside them."""
    return {near for month in months for near in (before(month), month, after(month))}


def before(month: str) -> str:
    """The month before."""
    return f"{first_moment(month) - timedelta(days=1):%Y-%m}"


def after(month: str) -> str:
    """The month after."""
    return f"{first_moment(month) + timedelta(days=32):%Y-%m}"


def first_moment(month: str) -> datetime:
    """When a month begins, UTC without a zone."""
    return datetime.strptime(month, "%Y-%m")  # noqa: DTZ007 - UTC without a zone, as Parquet holds it
