"""Observations that were told several times: copies of one, and equal rows of account data in several files."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.plays.columns import Bools, Ints, decoded, flags, numbers
from chalicelib.plays.identities import stepped

NAMES = ("item_type", "item_name", "artist_name", "album_name")  # from one report, never mixed
ABOUT_REPORTS = ("observed_at", "file_edge", "file_digest", "month")  # what differs between copies that say the same
START, END = "start", "end"  # of a file of account data: its first minute, its last
MINUTE = 60_000  # ms
ORDER = [("ended_at", "ascending"), ("play_id", "ascending")]


@dataclass(frozen=True, slots=True)
class Distinct:
    """One row per play_id in the order of time and id. ``copies`` are those that bear other names; ``shared`` gives
    the first of its equals for the id of each row that was put in; ``observed`` is what all this was made of."""

    rows: pa.Table
    copies: pa.Table
    observed: pa.Table
    shared: dict[str, str] = field(default_factory=dict)


def distinct(observed: pa.Table) -> Distinct:
    """Each observation once.

    Where copies differ, the fullest tells the names, and each other column is the fullest's that says it. A skip is
    one if any copy says so: exports made since 2023 say false for all of 2015 to 2022.
    """
    names = [name for name in observed.column_names if name not in ("play_id", *ABOUT_REPORTS)]
    ordered = observed.take(pc.sort_indices(observed, sort_keys=ORDER)).select(["play_id", *names]).combine_chunks()
    same = same_as_before(ordered["play_id"].combine_chunks())
    other_names = ordered.slice(0, 0)
    if same.any():
        again = same.copy()
        again[:-1] |= same[1:]
        once, other_names = merged_copies(ordered.filter(pa.array(again)))
        rows = pa.concat_tables([ordered.filter(pa.array(~again)), once])
        ordered = rows.take(pc.sort_indices(rows, sort_keys=ORDER)).combine_chunks()
    return with_shared_rows(Distinct(ordered, other_names, observed))


def merged_copies(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """One row for each play_id, of copies that stand beside each other; and those copies that say different things."""
    copies = decoded(rows)
    copies = copies.filter(pa.array(~equal_to_before(copies)))
    several = np.asarray(pd.Series(copies["play_id"].to_pandas()).duplicated(keep=False), np.bool_)
    differing = fullest_first(copies.filter(pa.array(several)))
    as_it_is = pc.ScalarAggregateOptions(skip_nulls=False)
    first_said = [(name, "first") for name in copies.column_names if name not in (*NAMES, "play_id", "skipped")]
    names = [(name, "first", as_it_is) for name in NAMES]
    merged = differing.group_by("play_id", use_threads=False).aggregate([*first_said, *names, ("skipped", "max")])
    merged = merged.rename_columns(["play_id", *(name.rpartition("_")[0] for name in merged.column_names[1:])])
    both = [copies.filter(pa.array(~several)), merged.select(copies.column_names)]
    return pa.concat_tables([part.cast(rows.schema) for part in both]), differing


# --- equal rows of account data -----------------------------------------------------------------------------------


def with_shared_rows(found: Distinct) -> Distinct:
    """The rows with those that two files of account data share out.

    Equal rows are as many listens as one file tells. Those of a file's last minute and of the first minute of the
    file that goes on from there add up: the rows that are missing then are put in.
    """
    rows, observed = found.rows, found.observed
    if observed["file_edge"].null_count == observed.num_rows:
        return found
    copies: dict[str, set[str]] = defaultdict(set)
    account = decoded(observed.filter(pc.equal(observed["origin"], "account_data")))
    for play_id, edge in zip(account["play_id"].to_pylist(), account["file_edge"].to_pylist(), strict=True):
        copies[play_id].add(edge or "")
    edges = edges_of_files(account)
    missing = {
        stepped(group[0], steps): group[0]
        for group in equal_rows(copies)
        for steps in range(len(group), as_many_listens(group, edges))
        if goes_on(group[0], rows, copies)
    }
    if not missing:
        return found
    place = {play_id: at for at, play_id in enumerate(rows["play_id"].to_pylist())}
    more = rows.take(pa.array([place[first] for first in missing.values()]))
    more = more.set_column(more.column_names.index("play_id"), "play_id", pa.array(list(missing)))
    together = pa.concat_tables([rows, more])
    order = pc.sort_indices(together, sort_keys=ORDER)
    return Distinct(together.take(order).combine_chunks(), found.copies, observed, missing)


def equal_rows(copies: dict[str, set[str]]) -> list[list[str]]:
    """The ids of equal rows of account data, from the first copy on, where two files end and begin with them."""
    groups = []
    for first in sorted(play_id for play_id, edges in copies.items() if edges & {START, END}):
        group = [first]
        while stepped(first, len(group)) in copies:
            group.append(stepped(first, len(group)))
        edges = set().union(*(copies[play_id] for play_id in group))
        if {START, END} <= edges and stepped(first, -1) not in copies:
            groups.append(group)
    return groups


Edges = dict[tuple[object, ...], dict[str, list[set[str]]]]  # by user and minute: the rows of files that end or start


def edges_of_files(account: pa.Table) -> Edges:
    """The ids of the rows in the first and the last minute of each file of account data."""
    names = ("user_id", "ended_at", "file_edge", "file_digest", "play_id")
    edged = account.filter(account["file_edge"].is_valid()).select(names)
    files: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for *key, play_id in zip(*(edged[name].to_pylist() for name in names), strict=True):
        files[tuple(key)].add(play_id)
    found: Edges = defaultdict(lambda: {START: [], END: []})
    for (user, minute, edge, _), ids in files.items():
        found[user, minute][str(edge)].append(ids)
    return found


def as_many_listens(group: list[str], edges: Edges) -> int:
    """How many listens equal rows are that stand in two files: a file that starts with some goes on from the one that
    ends in that minute and has least in common with it."""
    equal = set(group)
    most = 0
    for files in edges.values():
        for starts in files[START]:
            if files[END] and starts & equal:
                ends = min(files[END], key=lambda ids: (len(ids & starts), len(ids), sorted(ids)))
                most = max(most, len(ends & equal) + len(starts & equal))
    return most


def goes_on(play_id: str, rows: pa.Table, copies: dict[str, set[str]]) -> bool:
    """Whether a file that begins with a row may go on from one that ends with an equal row: both fit into the minute,
    or it is the minute of a landing; and only files that end in it tell of others in it, or none ends right before."""
    here = rows.filter(pc.equal(rows["play_id"], play_id)).slice(0, 1)
    account = rows.filter(
        pc.and_(pc.equal(rows["origin"], "account_data"), pc.equal(rows["user_id"], here["user_id"][0]))
    )
    length = numbers(here["ms_played"], 0)[0]
    minute = account.filter(pc.equal(account["ended_at"], here["ended_at"][0]))
    others = numbers(minute["ms_played"], 0)
    if length >= MINUTE and others[others != length].sum() <= MINUTE:
        return False
    if any(copies[other] == {END} for other in minute["play_id"].to_pylist()):
        return True
    earlier = account.filter(pc.less(account["ended_at"], here["ended_at"][0]))
    last = earlier.filter(pc.equal(earlier["ended_at"], pc.max(earlier["ended_at"])))["play_id"].to_pylist()
    return not any(END in copies[other] for other in last)


# --- columns ------------------------------------------------------------------------------------------------------


def same_as_before(column: pa.Array) -> Bools:
    """Which values are what stands before them; nulls are alike."""
    same = np.zeros(len(column), np.bool_)
    if len(column) > 1:
        here, before = column.slice(1), column.slice(0, len(column) - 1)
        equal = pc.or_(pc.fill_null(pc.equal(here, before), False), pc.and_(here.is_null(), before.is_null()))
        same[1:] = equal.to_numpy(zero_copy_only=False)
    return same


def equal_to_before(rows: pa.Table) -> Bools:
    """Which rows are what stands before them."""
    same = np.ones(rows.num_rows, np.bool_)
    for column in rows.columns:
        same &= same_as_before(column.combine_chunks())
    return same


def fullness(rows: pa.Table, names: list[str] | tuple[str, ...]) -> Ints:
    """How many of some columns each row has."""
    there = np.zeros(rows.num_rows, np.int64)
    for name in names:
        there += flags(rows[name].is_valid())
    return there


def fullest_first(copies: pa.Table) -> pa.Table:
    """Copies by play_id, those that have the most names and then the most columns first; then by what they say."""
    keyed = copies.append_column("_named", pa.array(-fullness(copies, NAMES)))
    keyed = keyed.append_column("_full", pa.array(-fullness(copies, copies.column_names)))
    said = [(name, "ascending") for name in copies.column_names if name != "play_id"]
    order = pc.sort_indices(
        keyed, sort_keys=[("play_id", "ascending"), ("_named", "ascending"), ("_full", "ascending"), *said]
    )
    return copies.take(order)
