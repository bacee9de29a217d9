"""Which observations are one listen: the rules of plays.py, worked out on columns.

Everything is decided from what the observations say, never from when or in which order they came, and only from
observations that can touch each other in time. So any set of whole months gives the same answer for its inner months.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.tables import PLAYS

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000  # ms
NEAR = 30 * SECOND  # how far Spotify's two accounts of one moment may lie apart
PAUSED = 15 * MINUTE  # how long a play may have been paused: it then started earlier than its length says
AWAY = 14 * DAY  # how long a device may be offline before it reports its plays
COVERED = 3 * DAY  # an export that tells of a play tells of what was heard in so long a time after it
HEARD = 30 * SECOND  # the API reports no shorter plays
BATCH = 5 * SECOND  # plays that end together and last longer than this together were reported together
TIME_BITS = 43  # ms since 1970 up to the year 2248; the user or key stands above them
LARGEST_PUZZLE = 20_000  # candidate pairs for which a best assignment is worked out

#: From the richest to the poorest; a listen is told by the richest observation of it.
BY_URI, BY_NAME, NAMELESS, API, ACCOUNT, ACCOUNT_NAMELESS = range(6)
EXTENDED = (BY_URI, BY_NAME, NAMELESS)
FILLED = {column.name for column in PLAYS.columns if column.nullable and column.name != "started_at"}


@dataclass(frozen=True, slots=True)
class Decided:
    """``listens`` has the columns of ``plays``. ``winner_of`` maps each distinct observation to the row of the
    observation that tells its listen; ``observations`` are the distinct ones."""

    listens: pa.Table
    observations: pa.Table
    winner_of: Ints


def decide(observed: pa.Table) -> Decided:
    """Each listen once, from observations with the physical columns of ``plays_history``; texts may be dictionaries."""
    rows = distinct(observed)
    if all_by_uri(rows):
        return Decided(rows.select([column.name for column in PLAYS.columns]), rows, np.arange(rows.num_rows))
    rows = plain(rows)
    board = Board.of(rows)
    board.absorb_extended()
    board.absorb_account()
    board.absorb_account_into_extended()
    board.absorb_api()
    board.absorb_account_into_api()
    return filled(rows, board)


def all_by_uri(rows: pa.Table) -> bool:
    """Whether only the richest kind is there, of which no row is another's listen."""
    origins = pc.unique(rows["origin"]).to_pylist()
    return rows["item_id"].null_count == 0 and origins in ([], ["extended_history"])


def distinct(observed: pa.Table) -> pa.Table:
    """One row per play_id in the order of time and id. Where copies differ, each column takes its least value."""
    names = [name for name in observed.column_names if name not in ("play_id", "observed_at", "month")]
    sorted_rows = observed.take(
        pc.sort_indices(observed, sort_keys=[("ended_at", "ascending"), ("play_id", "ascending")])
    )
    ids = sorted_rows.column("play_id").combine_chunks()
    if len(ids) < 2:
        return sorted_rows.select(["play_id", *names]).combine_chunks()
    same = np.zeros(len(ids), bool)
    same[1:] = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1)).to_numpy(zero_copy_only=False)
    if not same.any():
        return sorted_rows.select(["play_id", *names]).combine_chunks()
    repeated = same.copy()
    repeated[:-1] |= same[1:]
    single = sorted_rows.select(["play_id", *names]).filter(pa.array(~repeated))
    copies = sorted_rows.select(["play_id", *names]).filter(pa.array(repeated))
    merged = plain(copies).group_by("play_id").aggregate([(name, "min") for name in names])
    merged = merged.rename_columns(["play_id", *names]).cast(single.schema)
    both = pa.concat_tables([single, merged])
    order = pc.sort_indices(both, sort_keys=[("ended_at", "ascending"), ("play_id", "ascending")])
    return both.take(order).combine_chunks()


def plain(rows: pa.Table) -> pa.Table:
    """Texts as they are instead of as dictionaries, which not everything here can work with."""
    types = [field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in rows.schema]
    return rows.cast(pa.schema(list(zip(rows.column_names, types, strict=True))))


@dataclass(slots=True)
class Board:
    """The observations as arrays, and which of them have been absorbed by which (-1: none)."""

    user: Ints
    item: Ints  # -1: no id
    names: Ints  # parent and title, normalised; -1: no title
    parent: Ints
    title: Ints
    is_episode: Bools
    ended: Ints
    length: Ints  # ms; -1: not said
    device: Ints  # when the device says it was played; -1: not said
    rank: Ints
    apart: Bools  # reported together with others after being offline
    heard: Bools  # long enough for the API to report
    absorbed_by: Ints
    taken: Bools  # has absorbed a row in this layer already

    @classmethod
    def of(cls, rows: pa.Table) -> Board:
        parent_name = pc.if_else(pc.equal(rows["item_type"], "audiobook"), rows["album_name"], rows["artist_name"])
        parent, title = normalised_codes(parent_name), normalised_codes(rows["item_name"])
        names = masked(joined(parent, title), title)
        item = codes(rows["item_id"])
        origin = rows["origin"]
        account = flags(pc.equal(origin, "account_data"))
        api = flags(pc.equal(origin, "api"))
        rank = np.where(item >= 0, BY_URI, np.where(title >= 0, BY_NAME, NAMELESS))
        rank = np.where(account, np.where((title >= 0) & (parent >= 0), ACCOUNT, ACCOUNT_NAMELESS), rank)
        rank = np.where(api, API, rank)
        board = cls(
            user=codes(rows["user_id"]),
            item=item,
            names=names,
            parent=parent,
            title=title,
            is_episode=flags(pc.equal(rows["item_type"], "episode")),
            ended=numbers(rows["ended_at"], 0),
            length=numbers(rows["ms_played"], -1),
            device=numbers(rows["offline_at"], -1),
            rank=rank.astype(np.int64),
            apart=flags(rows["offline"]),
            heard=numbers(rows["ms_played"], -1) >= HEARD,
            absorbed_by=np.full(rows.num_rows, -1, np.int64),
            taken=np.zeros(rows.num_rows, bool),
        )
        board.apart |= board.reported_together(account)
        return board

    def reported_together(self, account: Bools) -> Bools:
        """Plays that end in one second (account data: minute) and cannot have been heard one after the other."""
        frame = pd.DataFrame({"user": self.user, "account": account, "ended": self.ended, "length": self.length})
        frame = frame[self.rank != API]
        groups = frame.groupby(["user", "account", "ended"])["length"]
        others = groups.transform("sum") - groups.transform("max")
        together = others > np.where(frame["account"], MINUTE, 0) + BATCH
        found = np.zeros(len(self.user), bool)
        found[frame.index[together]] = True
        return found

    # --- layers

    def absorb_extended(self) -> None:
        """Rows of exports without URIs, or from which the names have gone, are the fuller rows of the same second."""
        if not self._present(BY_NAME, NAMELESS):
            return
        key = joined(self.user, self.ended, self.length)
        self._absorb_equal((BY_NAME,), (BY_URI,), masked(joined(key, self.names), self.names), several=True)
        self._absorb_equal((NAMELESS,), (BY_URI, BY_NAME), masked(key, self.length - 1), several=True)

    def absorb_account(self) -> None:
        """Before 2024 account data told podcasts as music: without its title such a row is the episode of its show."""
        if not self._present(ACCOUNT_NAMELESS):
            return
        same = joined(self.user, self.ended // MINUTE, self.length, self.parent)
        untitled = (self.rank == ACCOUNT_NAMELESS) & (self.title < 0) & ~self.is_episode
        episode = (self.rank == ACCOUNT) & self.is_episode
        key = np.where((untitled | episode) & (self.parent >= 0), same, -1)
        self._absorb_equal((ACCOUNT_NAMELESS,), (ACCOUNT,), key)
        self.taken[:] = False

    def absorb_account_into_extended(self) -> None:
        if not self._present(ACCOUNT, ACCOUNT_NAMELESS) or not self._present(*EXTENDED):
            return
        account = (ACCOUNT, ACCOUNT_NAMELESS)
        same = joined(self.user, self.ended // MINUTE, self.length)
        self._absorb_equal((ACCOUNT,), EXTENDED, masked(joined(same, self.names), self.names))
        self._absorb_equal(account, EXTENDED, masked(joined(same, self.title), self.title))
        self._absorb_equal(account, (NAMELESS,), same)
        self._absorb_equal((ACCOUNT_NAMELESS,), EXTENDED, same)
        span = [(self.ended - MINUTE, self.ended + 2 * MINUTE - 1)]
        for key in (masked(joined(self.user, self.names, self.length), self.names), self._by(self.names)):
            self._absorb_within((ACCOUNT,), EXTENDED, key, span, spans_of_poor=True)

    def absorb_api(self) -> None:
        """Here the richer row has a start and an end, and ``played_at`` is one of them."""
        if not self._present(API) or not self._present(*EXTENDED):
            return
        self.taken[:] = False
        started = np.where(self.length >= 0, self.ended - self.length, -1)
        sure = [around(self.ended), around(started), around(self.device)]
        keys = (self._by(self.item), self._by(self.title))
        for among in (self.heard, None):
            for key in keys:
                self._absorb_within((API,), EXTENDED, key, sure, among=among)
        self._absorb_within((API,), (NAMELESS,), self.user, sure, among=self.heard)
        covered = self.covered_by(EXTENDED)
        for spans, among in (
            ([(started - PAUSED, self.ended + NEAR)], None),
            ([(self.ended - AWAY, self.ended + NEAR)], self.apart & self.heard),
        ):
            for key in keys:
                self._absorb_within((API,), EXTENDED, masked(key, covered), spans, among=among)

    def absorb_account_into_api(self) -> None:
        """Here the poorer row has the length, and its end is known to the minute only."""
        if not self._present(API) or not self._present(ACCOUNT, ACCOUNT_NAMELESS):
            return
        self.taken[:] = False
        started = np.where(self.length >= 0, self.ended - self.length, -1)
        account = (ACCOUNT, ACCOUNT_NAMELESS)
        after = MINUTE + NEAR
        sure = [(self.ended - NEAR, self.ended + after), (started - NEAR, started + after)]
        keys = (self._by(self.names), self._by(self.title))
        for among in (self.heard, None):
            for key in keys:
                self._absorb_within(account, (API,), key, sure, among=among, spans_of_poor=True)
        nameless = (ACCOUNT_NAMELESS,)
        self._absorb_within(nameless, (API,), self.user, sure, among=self.heard, spans_of_poor=True)
        covered = self.covered_by(account)
        for spans, among in (
            ([(started - PAUSED, self.ended + after)], None),
            ([(self.ended - AWAY, self.ended + after)], self.apart & self.heard),
        ):
            for key in keys:
                self._absorb_within(account, (API,), masked(key, covered), spans, among=among, spans_of_poor=True)

    def covered_by(self, ranks: tuple[int, ...]) -> Ints:
        """0 for API rows from a time of which an export of these ranks tells, and for all its rows; -1 for others."""
        covered = np.where(self.rank == API, -1, 0)
        exported, api = np.flatnonzero(np.isin(self.rank, ranks)), np.flatnonzero(self.rank == API)
        told = np.sort((self.user[exported] << TIME_BITS) + self.ended[exported])
        moments = (self.user[api] << TIME_BITS) + self.ended[api]
        last = told[np.maximum(np.searchsorted(told, moments, "right") - 1, 0)]
        near = (last <= moments) & (moments - last <= COVERED)
        covered[api[near]] = 0
        return covered

    # --- moves

    def _absorb_equal(
        self, poorer: tuple[int, ...], richer: tuple[int, ...], key: Ints, *, several: bool = False
    ) -> None:
        """Pair the rows of equal keys in the order of time and id; with ``several`` one absorbs all."""
        poor, rich = self._free(poorer, key), self._free(richer, key)
        if not len(poor) or not len(rich):
            return
        left, right = pd.DataFrame({"poor": poor, "key": key[poor]}), pd.DataFrame({"rich": rich, "key": key[rich]})
        left["nth"] = 0 if several else left.groupby("key").cumcount()
        right["nth"] = right.groupby("key").cumcount()
        pairs = left.merge(right, on=["key", "nth"])
        self.absorbed_by[pairs["poor"]] = pairs["rich"]
        self.taken[pairs["rich"]] = not several

    def _absorb_within(
        self,
        poorer: tuple[int, ...],
        richer: tuple[int, ...],
        key: Ints,
        spans: list[tuple[Ints, Ints]],
        *,
        among: Bools | None = None,
        spans_of_poor: bool = False,
    ) -> None:
        """Pair rows of equal keys one to one where one's ``ended`` lies in a span of the other (one of ``among``)."""
        poor, rich = self._free(poorer, key), self._free(richer, key)
        point, span = (rich, poor) if spans_of_poor else (poor, rich)
        if among is not None:
            span = span[among[span]]
        if not len(point) or not len(span):
            return
        found = [within(point, span, key, self.ended, low, high) for low, high in spans]
        points, owners = assign(
            np.concatenate([points for points, _ in found]), np.concatenate([owners for _, owners in found]), self.ended
        )
        poor, rich = (owners, points) if spans_of_poor else (points, owners)
        self.absorbed_by[poor] = rich
        self.taken[rich] = True

    def _present(self, *ranks: int) -> bool:
        return bool(np.isin(self.rank, ranks).any())

    def _free(self, ranks: tuple[int, ...], key: Ints) -> Ints:
        """Rows of these ranks that have a key and are neither absorbed nor, in this layer, taken."""
        return np.flatnonzero(np.isin(self.rank, ranks) & (key >= 0) & (self.absorbed_by < 0) & ~self.taken)

    def _by(self, code: Ints) -> Ints:
        return masked(joined(self.user, code), code)

    def winners(self) -> Ints:
        """For each row the row that tells its listen."""
        winner = np.where(self.absorbed_by < 0, np.arange(len(self.absorbed_by)), self.absorbed_by)
        while not np.array_equal(winner, winner[winner]):
            winner = winner[winner]
        return winner


def filled(rows: pa.Table, board: Board) -> Decided:
    """The winners, what they do not say taken from the richest of those they absorbed that does."""
    winner = board.winners()
    own = np.arange(len(winner))
    telling = np.flatnonzero(winner == own)
    place = np.full(len(winner), -1, np.int64)
    place[telling] = np.arange(len(telling))
    absorbed = np.flatnonzero(winner != own)
    absorbed = absorbed[np.argsort(board.rank[absorbed], kind="stable")]
    columns = {}
    for column in PLAYS.columns:
        values = rows[column.name].combine_chunks()
        source = telling
        if column.name in FILLED and len(absorbed):
            there = flags(values.is_valid())
            useful = absorbed[there[absorbed] & ~there[winner[absorbed]]]
            winners, first = np.unique(winner[useful], return_index=True)
            source = telling.copy()
            source[place[winners]] = useful[first]
        columns[column.name] = values.take(pa.array(source))
    return Decided(pa.table(columns), rows, winner)


# --- columns as arrays -------------------------------------------------------------------------------------------


def numbers(column: pa.ChunkedArray, missing: int) -> Ints:
    """Integers, or timestamps as ms since 1970."""
    values = column.combine_chunks()
    whole = pc.fill_null(values.cast(pa.int64()), missing)
    return np.asarray(whole.to_numpy(zero_copy_only=False), np.int64)


def flags(column: Any) -> Bools:
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), np.bool_)


def codes(column: pa.ChunkedArray) -> Ints:
    """A number for each distinct value; -1 for null."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False), np.int64)


def normalised_codes(column: Any) -> Ints:
    """A number for each distinct name, whatever its case, spacing and Unicode form; -1 for none."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = values.dictionary_encode()
    numbers_of: dict[str, int] = {}
    same = [numbers_of.setdefault(normalised(name), len(numbers_of)) for name in encoded.dictionary.to_pylist()]
    indices = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    return np.asarray(np.asarray([*same, -1], np.int64)[indices], np.int64)


def normalised(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def joined(*parts: Ints) -> Ints:
    """One number for each distinct combination."""
    frame = pd.DataFrame(dict(enumerate(parts)))
    return np.asarray(frame.groupby(list(frame.columns), sort=False).ngroup().to_numpy(), np.int64)


def masked(key: Ints, by: Ints) -> Ints:
    """``key``, but -1 where ``by`` is negative."""
    return np.asarray(np.where(by < 0, -1, key), np.int64)


def around(moment: Ints) -> tuple[Ints, Ints]:
    return moment - NEAR, np.where(moment < 0, -1, moment + NEAR)


# --- pairing -----------------------------------------------------------------------------------------------------


def within(point: Ints, span: Ints, key: Ints, moment: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Every pair of a point and a span of equal keys where the point's moment lies in the span."""
    known = np.unique(key[point])
    span = span[np.isin(key[span], known) & (high[span] >= 0)]
    times = np.sort((np.searchsorted(known, key[point]) << TIME_BITS) + moment[point])
    order = np.argsort((np.searchsorted(known, key[point]) << TIME_BITS) + moment[point], kind="stable")
    base = np.searchsorted(known, key[span]) << TIME_BITS
    first = np.searchsorted(times, base + np.maximum(low[span], 0), "left")
    after = np.searchsorted(times, base + high[span], "right")
    counts = np.maximum(after - first, 0)
    owners = np.repeat(span, counts)
    steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return point[order[np.repeat(first, counts) + steps]], owners


def assign(points: Ints, owners: Ints, ended: Ints) -> tuple[Ints, Ints]:
    """As many of the candidate pairs as go together one to one, the nearer first."""
    pairs = pd.DataFrame({"point": points, "owner": owners}).drop_duplicates()
    alone = ~pairs["point"].duplicated(keep=False) & ~pairs["owner"].duplicated(keep=False)
    chosen = [
        (int(point), int(owner)) for point, owner in zip(pairs["point"][alone], pairs["owner"][alone], strict=True)
    ]
    for puzzle in puzzles(pairs[~alone]):
        chosen += solve(puzzle, ended)
    both = np.asarray(sorted(chosen), np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def puzzles(pairs: pd.DataFrame) -> list[list[tuple[int, int]]]:
    """The pairs in groups that have no row in common."""
    leader: dict[tuple[str, int], tuple[str, int]] = {}

    def find(node: tuple[str, int]) -> tuple[str, int]:
        while leader.setdefault(node, node) != node:
            leader[node] = leader[leader[node]]
            node = leader[node]
        return node

    listed = [(int(point), int(owner)) for point, owner in zip(pairs["point"], pairs["owner"], strict=True)]
    for point, owner in listed:
        leader[find(("point", point))] = find(("owner", owner))
    groups: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for point, owner in listed:
        groups[find(("point", point))].append((point, owner))
    return list(groups.values())


def solve(pairs: list[tuple[int, int]], ended: Ints) -> list[tuple[int, int]]:
    """The most pairs that go together one to one (augmenting paths); very large groups take the nearest first."""
    by_distance = sorted(pairs, key=lambda pair: (abs(int(ended[pair[0]]) - int(ended[pair[1]])), pair))
    candidates: dict[int, list[int]] = defaultdict(list)
    for point, owner in by_distance:
        candidates[point].append(owner)
    owner_of: dict[int, int] = {}
    point_of: dict[int, int] = {}
    if len(pairs) > LARGEST_PUZZLE:
        for point, owner in by_distance:
            if point not in owner_of and owner not in point_of:
                owner_of[point], point_of[owner] = owner, point
        return list(owner_of.items())
    for point in sorted(candidates):
        augment(point, candidates, owner_of, point_of)
    return list(owner_of.items())


def augment(start: int, candidates: dict[int, list[int]], owner_of: dict[int, int], point_of: dict[int, int]) -> None:
    """Find ``start`` an owner, moving points already placed to other owners where that makes room."""
    reached_from: dict[int, int] = {}
    queue = [start]
    for point in queue:
        for owner in candidates[point]:
            if owner in reached_from:
                continue
            reached_from[owner] = point
            if owner in point_of:
                queue.append(point_of[owner])
                continue
            while True:
                point = reached_from[owner]
                before = owner_of.get(point)
                owner_of[point], point_of[owner] = owner, point
                if before is None:
                    return
                owner = before
