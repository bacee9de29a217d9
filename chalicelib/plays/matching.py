"""Which observations are one listen: the rules of resolutions.py, worked out on columns.

Everything is decided from what the observations say, never from when, in which file or in which order they came, and
only from observations that can touch each other in time. So any set of whole months gives the same answer for its
inner months.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.plays.columns import (
    Bools,
    Ints,
    codes,
    decoded,
    flags,
    joined,
    masked,
    normalised_codes,
    numbers,
)
from chalicelib.plays.pairing import TIME_BITS, Pairs, Points, Spans, assign, within
from chalicelib.tables import PLAYS

SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000  # ms
NEAR = 30 * SECOND  # how far Spotify's two accounts of one moment may lie apart
PAUSED = 15 * MINUTE  # how long a play may have been paused: it then started earlier than its length says
AWAY = 14 * DAY  # how long a device may be offline before it reports its plays
COVERED = 3 * DAY  # an export that tells of a play tells of what was heard in so long a time after it
HEARD = 30 * SECOND  # the API reports no shorter plays, so that two of one track end further apart than this
BATCH = 5 * SECOND  # plays that end together and last longer than this together were reported together
SAME_DEVICE_TIME = SECOND  # by era a device's time is in milliseconds or seconds

#: From the richest to the poorest; a listen is told by the richest observation of it.
BY_URI, BY_NAME, NAMELESS, API, ACCOUNT, ACCOUNT_NAMELESS = range(6)
EXTENDED = (BY_URI, BY_NAME, NAMELESS)
FROM_ACCOUNT = (ACCOUNT, ACCOUNT_NAMELESS)
NAMES = ("item_type", "item_name", "artist_name", "album_name")  # from one report, never mixed
NAMED = ["play_id", *NAMES]
EDGES = ["end", "start"]  # of a file of account data: a listen in the last minute, one in the first
FILLED = [column.name for column in PLAYS.columns if column.nullable and column.name not in (*NAMES, "started_at")]


@dataclass(frozen=True, slots=True)
class Decided:
    """``listens`` has the columns of ``plays``. ``winner_of`` maps each distinct observation to the row of the
    observation that tells its listen; ``observations`` are the distinct ones."""

    listens: pa.Table
    observations: pa.Table
    winner_of: Ints


def decide(observed: pa.Table) -> Decided:
    """Each listen once, from observations with the physical columns of ``plays_history``; texts may be dictionaries."""
    rows, other_names = distinct(observed)
    if all_are_listens(rows):
        return Decided(rows.select([column.name for column in PLAYS.columns]), rows, np.arange(rows.num_rows))
    board = Board.from_rows(decoded(rows), other_names)
    board.join_extended()
    board.join_equal_account_rows()
    board.join_renamed_account_rows()
    board.join_api()
    board.join_api_to_extended()
    board.join_account_to_extended()
    board.join_account_to_api()
    return Listens.on(board).decided()


def all_are_listens(rows: pa.Table) -> bool:
    """Whether only the richest kind is there, of which no two rows end in one second at one length."""
    origins = pc.unique(rows["origin"]).to_pylist()
    if rows["item_id"].null_count or origins not in ([], ["extended_history"]):
        return False
    ended = numbers(rows["ended_at"], 0)
    together = np.flatnonzero(ended[1:] == ended[:-1])  # they are sorted by time
    return not len(together) or not len(same_second(rows, np.unique([together, together + 1])))


def same_second(rows: pa.Table, these: Ints) -> Ints:
    """Those of some rows that share user, end and length with another of them."""
    part = rows.take(pa.array(these))
    key = joined(codes(part["user_id"]), numbers(part["ended_at"], 0), numbers(part["ms_played"], -1))
    return these[np.asarray(pd.Series(key).duplicated(keep=False), np.bool_)]


# --- one observation, told several times -------------------------------------------------------------------------


def distinct(observed: pa.Table) -> tuple[pa.Table, pa.Table]:
    """One row per play_id in the order of time and id, and the names that other copies bear.

    Where copies differ, the fullest tells the names, and each other column is the fullest's that says it. A skip is
    one if any copy says so: exports made since 2023 say false for all of 2015 to 2022.
    """
    names = [name for name in observed.column_names if name not in ("play_id", "observed_at", "month")]
    order = [("ended_at", "ascending"), ("play_id", "ascending")]
    ordered = observed.take(pc.sort_indices(observed, sort_keys=order)).select(["play_id", *names]).combine_chunks()
    same = same_as_before(ordered["play_id"].combine_chunks())
    if not same.any():
        return ordered, ordered.slice(0, 0)
    again = same.copy()
    again[:-1] |= same[1:]
    copies = decoded(ordered.filter(pa.array(again)))
    copies = copies.filter(pa.array(~equal_to_before(copies)))
    several = pd.Series(copies["play_id"].to_pandas()).duplicated(keep=False).to_numpy()
    if not several.any():
        both = pa.concat_tables([ordered.filter(pa.array(~again)), copies.cast(ordered.schema)])
        return both.take(pc.sort_indices(both, sort_keys=order)).combine_chunks(), ordered.slice(0, 0)
    copies, differing = copies.filter(pa.array(~several)), fullest_first(copies.filter(pa.array(several)))
    merged = merged_copies(differing)
    both = pa.concat_tables(
        [
            ordered.filter(pa.array(~again)),
            copies.cast(ordered.schema),
            merged.select(["play_id", *names]).cast(ordered.schema),
        ]
    )
    return both.take(pc.sort_indices(both, sort_keys=order)).combine_chunks(), differing


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


def merged_copies(copies: pa.Table) -> pa.Table:
    """One row for each play_id; copies of one stand beside each other, the fullest first."""
    as_it_is = pc.ScalarAggregateOptions(skip_nulls=False)
    first_said = [(name, "first") for name in copies.column_names if name not in (*NAMES, "play_id", "skipped")]
    names = [(name, "first", as_it_is) for name in NAMES]
    merged = copies.group_by("play_id", use_threads=False).aggregate([*first_said, *names, ("skipped", "max")])
    return merged.rename_columns(
        [name.rpartition("_")[0] if name != "play_id" else name for name in merged.column_names]
    )


# --- the board ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Board:
    """The observations as arrays, and which of them have been absorbed by which (-1: none).

    ``names``, ``parent`` and ``title`` go on after the rows with the names that other copies of some rows bear;
    ``row_of`` is the row that each of them belongs to.
    """

    rows: pa.Table
    user: Ints
    item: Ints  # -1: no id
    row_of: Ints
    names: Ints  # parent and title, normalised; -1: no title
    parent: Ints
    title: Ints
    is_episode: Bools
    ended: Ints
    length: Ints  # ms; -1: not said
    device: Ints  # when the device of a play that may have been offline says it began; -1: not said
    rank: Ints
    together: Bools  # reported together with others after being offline
    heard: Bools  # long enough for the API to report
    edge: Ints  # of account data: EDGES of its file
    absorbed_by: Ints
    taken: Bools  # has absorbed a row in this layer already
    reported: Bools  # account data tells of it
    told: Ints  # numbers of the plays and the names under which account data tells of them

    @classmethod
    def from_rows(cls, rows: pa.Table, other_names: pa.Table) -> Board:
        named = pa.concat_tables([rows.select(NAMED), decoded(other_names).select(NAMED)])
        is_book = pc.equal(named["item_type"], "audiobook")
        parent = normalised_codes(pc.if_else(is_book, named["album_name"], named["artist_name"]))
        title = normalised_codes(named["item_name"])
        row_of = pc.index_in(named["play_id"], value_set=rows["play_id"].combine_chunks())
        count = rows.num_rows
        item = codes(rows["item_id"])
        account, api = flags(pc.equal(rows["origin"], "account_data")), flags(pc.equal(rows["origin"], "api"))
        has_title, has_parent = title[:count] >= 0, parent[:count] >= 0
        rank = np.where(item >= 0, BY_URI, np.where(has_title, BY_NAME, NAMELESS))
        rank = np.where(account, np.where(has_title & has_parent, ACCOUNT, ACCOUNT_NAMELESS), rank)
        offline = flags(pc.fill_null(rows["offline"], True))
        board = cls(
            rows=rows,
            user=codes(rows["user_id"]),
            item=item,
            row_of=numbers(row_of, -1),
            names=masked(joined(parent, title), title),
            parent=parent,
            title=title,
            is_episode=flags(pc.equal(rows["item_type"], "episode")),
            ended=numbers(rows["ended_at"], 0),
            length=numbers(rows["ms_played"], -1),
            device=np.where(offline, numbers(rows["offline_at"], -1), -1),
            rank=np.where(api, API, rank).astype(np.int64),
            together=flags(rows["offline"]),
            heard=numbers(rows["ms_played"], -1) >= HEARD,
            edge=numbers(pc.index_in(rows["file_edge"], value_set=pa.array(EDGES)), -1),
            absorbed_by=np.full(count, -1, np.int64),
            taken=np.zeros(count, np.bool_),
            reported=np.zeros(count, np.bool_),
            told=np.zeros(0, np.int64),
        )
        board.together |= board.reported_together(account)
        return board

    def reported_together(self, account: Bools) -> Bools:
        """Plays that end in one second (account data: minute) and cannot have been heard one after the other."""
        frame = pd.DataFrame({"user": self.user, "account": account, "ended": self.ended, "length": self.length})
        frame = frame[self.rank != API]
        groups = frame.groupby(["user", "account", "ended"])["length"]
        others = groups.transform("sum") - groups.transform("max")
        batch = others > np.where(frame["account"], MINUTE, 0) + BATCH
        found = np.zeros(len(self.user), np.bool_)
        found[frame.index[batch]] = True
        return found

    # --- layers

    def join_extended(self) -> None:
        """Rows of one second and length are one play, unless their devices or what they play tell them apart."""
        extended = np.flatnonzero(np.isin(self.rank, EXTENDED))
        key = joined(self.user[extended], self.ended[extended], self.length[extended])
        several = pd.Series(key).duplicated(keep=False).to_numpy()
        if not several.any():
            return
        names = self.names_of_rows()
        full = fullness(self.rows, self.rows.column_names)
        for group in groups_of(extended[several], key[several]):
            order = sorted(group, key=lambda row: (self.rank[row], self.device[row] < 0, -full[row], row))
            plays: list[list[int]] = []
            for row in order:
                play = next((play for play in plays if self.are_one(row, play, names)), None)
                if play is None:
                    plays.append([row])
                    continue
                self.absorbed_by[row] = play[0]
                self.device[play[0]] = max(self.device[play[0]], self.device[row])
                play.append(row)

    def are_one(self, row: int, play: list[int], names: dict[int, set[tuple[int, int]]]) -> bool:
        """Whether a row of extended history is the play that others of its second and length are.

        Plays that were reported together, after a flight, share second and length more often: what one device played
        under two ids is one play only where its time says so.
        """
        known = [self.device[other] for other in play if self.device[other] >= 0]
        same_time = bool(known) and self.device[row] >= 0
        if same_time and abs(known[0] - self.device[row]) > SAME_DEVICE_TIME:
            return False
        if self.rank[row] == NAMELESS or all(self.rank[other] == NAMELESS for other in play):
            return True
        items = {self.item[other] for other in play if self.item[other] >= 0}
        if self.item[row] in items:
            return True
        sure = same_time or not self.together[row]
        no_other_id = self.item[row] < 0 or not items
        there = set().union(*(names[other] for other in play))
        if names[row] & there:
            return sure or no_other_id
        return bool(sure and no_other_id and self.heard[row] and alike(names[row], there))

    def join_equal_account_rows(self) -> None:
        """Equal rows are as many listens as one file tells; those of a file's last minute and of the first minute of
        the file that goes on from there add up."""
        account = np.flatnonzero(np.isin(self.rank, FROM_ACCOUNT))
        if not (self.edge[account] >= 0).any():
            return
        key = self.same_account_row(account)
        edged = np.isin(key, key[self.edge[account] >= 0])
        for group in groups_of(account[edged], key[edged]):
            inside = [row for row in group if self.edge[row] < 0]
            outside = sorted((row for row in group if self.edge[row] >= 0), key=lambda row: (self.edge[row], row))
            for row, other in zip(outside, inside, strict=False):
                self.absorbed_by[row] = other

    def same_account_row(self, account: Ints) -> Ints:
        """A number for each listener, minute, length and title (without one: artist)."""
        title, parent = self.title[account], self.parent[account]
        return joined(
            self.user[account],
            self.ended[account] // MINUTE,
            self.length[account],
            title,
            np.where(title < 0, parent, -1),
        )

    def join_renamed_account_rows(self) -> None:
        """A row whose title is gone, or has been changed between two exports, is the row of the same minute, length
        and artist (or show)."""
        account = self._free(FROM_ACCOUNT)
        account = account[self.parent[account] >= 0]
        key = joined(self.user[account], self.ended[account] // MINUTE, self.length[account], self.parent[account])
        several = pd.Series(key).duplicated(keep=False).to_numpy()
        for group in groups_of(account[several], key[several]):
            titles = [self.title[row] for row in group]
            untitled = [row for row in group if self.title[row] < 0 and not self.is_episode[row]]
            episodes = [row for row in group if self.title[row] >= 0 and self.is_episode[row]]
            for row, episode in zip(untitled, episodes, strict=False):
                self.absorbed_by[row] = episode
            if not untitled and len(set(titles)) == len(titles) and self.heard[group[0]] and self.alone(group):
                self.absorbed_by[group[1:]] = group[0]

    def alone(self, group: list[int]) -> bool:
        """Whether rows of account data that may be one play were not reported together with others."""
        first = group[0]
        minute = (self.ended == self.ended[first]) & (self.user == self.user[first])
        others = minute & np.isin(self.rank, FROM_ACCOUNT) & (self.absorbed_by < 0)
        others[group] = False
        return bool(self.length[others].sum() <= MINUTE + BATCH)

    def join_api(self) -> None:
        """A play of one track that is told again within seconds is the same: two would be further apart."""
        api = self._free((API,))
        if len(api) < 2:
            return
        for code in (self.item[api], self.names[api]):
            free = (self.absorbed_by[api] < 0) & (code >= 0)
            rows = api[free]
            key = joined(self.user[rows], code[free])
            order = np.lexsort((rows, self.ended[rows], key))
            rows, key = rows[order], key[order]
            near = (np.diff(key) == 0) & (np.diff(self.ended[rows]) < HEARD)
            if near.any():
                self._join_runs(rows, near)

    def _join_runs(self, rows: Ints, near: Bools) -> None:
        """Rows in order, of which some are near the one before: each is told by the first that it is near enough to."""
        first = rows[0]
        for row, is_near in zip(rows[1:], near, strict=True):
            if is_near and self.ended[row] - self.ended[first] < HEARD:
                self.absorbed_by[row] = first
            else:
                first = row

    def join_api_to_extended(self) -> None:
        """Here the richer row has a start and an end, and ``played_at`` is one of them."""
        if not self._present(API) or not self._present(*EXTENDED):
            return
        self.taken[:] = False
        started = np.where(self.length >= 0, self.ended - self.length, -1)
        sure = [around(self.ended), around(started), around(self.device), around(self.device_end())]
        covered = self.covered_by(EXTENDED)
        wider = (
            ([Window(started - PAUSED, self.ended + NEAR, self.ended)], None),
            ([Window(self.ended - AWAY, self.ended + NEAR, self.ended)], self.together & self.heard),
        )
        for among in (self.heard, None):
            for labels in (self.by_item, self.by_title):
                self._join_api(labels(API), labels(*EXTENDED), sure, among)
        self._join_api(self.by_listener(API), self.by_listener(NAMELESS), sure, self.heard)
        for windows, among in wider:
            for labels in (self.by_item, self.by_title):
                self._join_api(labels(API).where(covered), labels(*EXTENDED), windows, among)

    def join_account_to_extended(self) -> None:
        """Account data tells the minute of the end, or of the landing, under any name that the play ever bore."""
        if not self._present(*FROM_ACCOUNT) or not self._present(*EXTENDED):
            return
        self.reported[:] = False
        moments = self.moments_of(EXTENDED)
        minute, wide, since = (0, MINUTE - 1), (-MINUTE, 2 * MINUTE - 1), (0, AWAY)
        for ranks, labels in (((ACCOUNT,), self.by_names), (FROM_ACCOUNT, self.by_title)):
            self._join_account(labels(*ranks), labels(*EXTENDED), moments, minute, same_length=True)
        self._join_account(
            self.by_parent(ACCOUNT), self.by_parent(*EXTENDED).where(self.heard), moments, minute, same_length=True
        )
        unreported = self.by_parent(*EXTENDED).where((self.length >= SECOND) & ~self.reported)
        self._join_account(self.by_parent(ACCOUNT), unreported, moments, minute, same_length=True)
        self._join_account(self.by_listener(ACCOUNT), self.by_listener(NAMELESS), moments, minute, same_length=True)
        nameless = self.by_listener(*EXTENDED).where(~self.reported)
        self._join_account(self.by_listener(ACCOUNT_NAMELESS), nameless, moments, minute, same_length=True)
        names, extended = self.by_names(ACCOUNT), self.by_names(*EXTENDED)
        self._join_account(names, extended, moments, wide, same_length=True)
        self._join_account(names, extended, moments, wide)
        landed = extended.where(self.together & self.heard & (self.device < 0))
        self._join_account(names, landed, moments, since, same_length=True)

    def join_account_to_api(self) -> None:
        """Here the poorer row has the length, and its end is known to the minute only."""
        if not self._present(API) or not self._present(*FROM_ACCOUNT):
            return
        self.taken[:] = False
        started = np.where(self.length >= 0, self.ended - self.length, -1)
        after = MINUTE + NEAR
        sure = [Window(moment - NEAR, moment + after, moment) for moment in (self.ended, started)]
        covered = self.covered_by(FROM_ACCOUNT)
        wider = (
            ([Window(started - PAUSED, self.ended + after, self.ended)], None),
            ([Window(self.ended - AWAY, self.ended + after, self.ended)], self.together & self.heard),
        )
        for among in (self.heard, None):
            for labels in (self.by_names, self.by_title):
                self._join_lengths(labels(*FROM_ACCOUNT), labels(API), sure, among)
        self._join_lengths(self.by_listener(ACCOUNT_NAMELESS), self.by_listener(API), sure, self.heard)
        for windows, among in wider:
            for labels in (self.by_names, self.by_title):
                self._join_lengths(labels(*FROM_ACCOUNT), labels(API).where(covered), windows, among)

    def covered_by(self, ranks: tuple[int, ...]) -> Bools:
        """API rows from a time of which an export of these ranks tells."""
        covered = np.zeros(len(self.rank), np.bool_)
        exported, api = np.flatnonzero(np.isin(self.rank, ranks)), np.flatnonzero(self.rank == API)
        told = np.sort((self.user[exported] << TIME_BITS) + self.ended[exported])
        moments = (self.user[api] << TIME_BITS) + self.ended[api]
        last = told[np.maximum(np.searchsorted(told, moments, "right") - 1, 0)]
        covered[api] = (last <= moments) & (moments - last <= COVERED)
        return covered

    def device_end(self) -> Ints:
        """When a play ended by its device's time."""
        return np.where((self.device >= 0) & (self.length >= 0), self.device + self.length, -1)

    # --- moves

    def _join_api(self, api: Labels, extended: Labels, windows: list[Window], among: Bools | None) -> None:
        """Pair API rows one to one with rows whose windows hold their ``played_at``."""
        api, extended = api.where(self.absorbed_by < 0), extended.where(~self.taken)
        if among is not None:
            extended = extended.where(among)
        key, other_key = self._keys(api, extended)
        pairs = within(Points(api.row, key, api.moment), windowed(extended.row, other_key, windows))
        self._absorb(*assign(pairs))

    def _join_lengths(self, account: Labels, api: Labels, windows: list[Window], among: Bools | None) -> None:
        """Pair account rows one to one with API rows whose ``played_at`` lies in their windows."""
        account, api = account.where(self.absorbed_by < 0), api.where(~self.taken)
        if among is not None:
            account = account.where(among)
        key, other_key = self._keys(account, api)
        rich, poor = assign(within(Points(api.row, other_key, api.moment), windowed(account.row, key, windows)))
        self._absorb(poor, rich)

    def _join_account(
        self,
        account: Labels,
        extended: Labels,
        moments: pd.DataFrame,
        window: tuple[int, int],
        *,
        same_length: bool = False,
    ) -> None:
        """Pair account rows with rows of which some moment lies in a window of theirs.

        One to one for each name that account data gives: two exports may tell of one play under two names.
        """
        account = account.where(self.absorbed_by < 0)
        key, other_key = self._keys(account, extended, same_length=same_length)
        labels = pd.DataFrame({"row": extended.row, "key": other_key}).drop_duplicates()
        points = labels[np.isin(labels["key"], key)].merge(moments, on="row")
        minute = self.ended[account.row]
        spans = Spans(account.row, key, minute + window[0], minute + window[1], minute)
        pairs = within(Points(*(points[name].to_numpy(np.int64) for name in ("row", "key", "moment"))), spans)
        many = len(self.names) + 1
        play = pairs.point * many + self.names[pairs.span] + 1
        free = ~np.isin(play, self.told)
        plays, poor = assign(Pairs(play[free], pairs.span[free], pairs.distance[free]))
        self.told = np.concatenate([self.told, plays])
        rich = plays // many
        self.absorbed_by[poor] = rich
        self.reported[rich] = True

    def _absorb(self, poor: Ints, rich: Ints) -> None:
        self.absorbed_by[poor] = rich
        self.taken[rich] = True

    def _keys(self, labels: Labels, others: Labels, *, same_length: bool = False) -> tuple[Ints, Ints]:
        """Numbers that are equal where listener and label (and length) are."""
        rows = np.concatenate([labels.row, others.row])
        parts = [self.user[rows], np.concatenate([labels.code, others.code])]
        key = joined(*parts, self.length[rows]) if same_length else joined(*parts)
        return key[: len(labels.row)], key[len(labels.row) :]

    def _present(self, *ranks: int) -> bool:
        return bool(np.isin(self.rank, ranks).any())

    def _free(self, ranks: tuple[int, ...]) -> Ints:
        return np.flatnonzero(np.isin(self.rank, ranks) & (self.absorbed_by < 0))

    # --- what rows are known by

    def by_item(self, *ranks: int) -> Labels:
        """Plays of these ranks by the ids that their reports give."""
        return self._labels(self.item, np.arange(len(self.item)), ranks)

    def by_names(self, *ranks: int) -> Labels:
        """The same by the names, each with what it belongs to."""
        return self._labels(self.names, self.row_of, ranks)

    def by_title(self, *ranks: int) -> Labels:
        """The same by the titles alone."""
        return self._labels(self.title, self.row_of, ranks)

    def by_parent(self, *ranks: int) -> Labels:
        """The same by artist, show or book alone."""
        return self._labels(self.parent, self.row_of, ranks)

    def by_listener(self, *ranks: int) -> Labels:
        """The same, whatever they are plays of."""
        return self._labels(np.zeros(len(self.item), np.int64), np.arange(len(self.item)), ranks)

    def _labels(self, code: Ints, of: Ints, ranks: tuple[int, ...]) -> Labels:
        row = self.winners()[of]
        useful = np.isin(self.rank[row], ranks) & (code >= 0)
        return Labels(row[useful], code[useful], self.ended[of][useful])

    def moments_of(self, ranks: tuple[int, ...]) -> pd.DataFrame:
        """Every moment at which plays of these ranks may have ended, as any report of them says: row and moment."""
        winner = self.winners()
        told = np.flatnonzero(np.isin(self.rank[winner], ranks))
        play = winner[told]
        length = np.maximum(self.length[play], 0)
        device = self.device[told]
        later = np.where(self.rank[told] == API, self.ended[told] + length, -1)
        moments = [self.ended[told], device, np.where(device >= 0, device + length, -1), later]
        found = pd.DataFrame({"row": np.tile(play, len(moments)), "moment": np.concatenate(moments)})
        return found[found["moment"] >= 0].drop_duplicates()

    def names_of_rows(self) -> dict[int, set[tuple[int, int]]]:
        """The names that the copies of each row bear, as numbers of artist and title."""
        found: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for row, parent, title in zip(self.row_of.tolist(), self.parent.tolist(), self.title.tolist(), strict=True):
            if title >= 0:
                found[row].add((parent, title))
        return found

    def winners(self) -> Ints:
        """For each row the row that tells its listen."""
        winner = np.where(self.absorbed_by < 0, np.arange(len(self.absorbed_by)), self.absorbed_by)
        while not np.array_equal(winner, winner[winner]):
            winner = winner[winner]
        return winner


@dataclass(frozen=True, slots=True)
class Labels:
    """What plays are known by: the row that tells a play, a number for an id or a name, and when it was reported."""

    row: Ints
    code: Ints
    moment: Ints

    def where(self, chosen: Bools) -> Labels:
        """Those of the chosen rows."""
        kept = chosen[self.row]
        return Labels(self.row[kept], self.code[kept], self.moment[kept])


@dataclass(frozen=True, slots=True)
class Window:
    """A time (ms since 1970) for each row; distances are measured to the middle. One that ends before 1970 is none."""

    low: Ints
    high: Ints
    middle: Ints


def around(moment: Ints) -> Window:
    return Window(moment - NEAR, np.where(moment < 0, -1, moment + NEAR), moment)


def windowed(row: Ints, key: Ints, windows: list[Window]) -> Spans:
    """The windows of some rows, each under its key."""
    return Spans(
        np.tile(row, len(windows)),
        np.tile(key, len(windows)),
        np.concatenate([window.low[row] for window in windows]),
        np.concatenate([window.high[row] for window in windows]),
        np.concatenate([window.middle[row] for window in windows]),
    )


def groups_of(rows: Ints, key: Ints) -> Iterator[list[int]]:
    """The rows of each key, in order."""
    for _, group in pd.Series(rows).groupby(key, sort=True):
        yield group.tolist()


def alike(names: set[tuple[int, int]], others: set[tuple[int, int]]) -> bool:
    """Whether two plays have an artist or a title in common."""
    parents = {parent for parent, _ in names if parent >= 0} & {parent for parent, _ in others}
    return bool(parents or {title for _, title in names} & {title for _, title in others})


# --- what each listen is told to be ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listens:
    """Who tells each listen: ``winner`` for each row, ``telling`` the winners in order, ``absorbed`` the others, the
    richest first."""

    board: Board
    winner: Ints
    telling: Ints
    absorbed: Ints

    @classmethod
    def on(cls, board: Board) -> Listens:
        winner = board.winners()
        own = winner == np.arange(len(winner))
        absorbed = np.flatnonzero(~own)
        absorbed = absorbed[np.argsort(board.rank[absorbed], kind="stable")]
        return cls(board, winner, np.flatnonzero(own), absorbed)

    def decided(self) -> Decided:
        """The listens; what a winner does not say is taken from the richest of those it absorbed that does."""
        rows = self.board.rows
        named = self.named()
        columns = {}
        for column in PLAYS.columns:
            values = rows[column.name].combine_chunks()
            source = self.telling
            if column.name in NAMES:
                source = named
            elif column.name in FILLED:
                there = flags(values.is_valid())
                source = self.first(there[self.absorbed], instead_of=~there)
            columns[column.name] = values.take(pa.array(source))
        columns["skipped"] = self.skips(columns["skipped"])
        columns["started_at"], columns["ended_at"] = self.times(columns["started_at"], columns["ended_at"])
        listens = pa.table(columns)
        order = pc.sort_indices(listens, sort_keys=[("ended_at", "ascending"), ("play_id", "ascending")])
        return Decided(listens.take(order), rows, self.winner)

    def first(self, useful: Bools, instead_of: Bools) -> Ints:
        """The row that tells each listen or, of winners in ``instead_of``, the first useful one that it absorbed."""
        chosen = self.absorbed[useful]
        chosen = chosen[instead_of[self.winner[chosen]]]
        winners, at = np.unique(self.winner[chosen], return_index=True)
        source = self.telling.copy()
        source[np.searchsorted(self.telling, winners)] = chosen[at]
        return source

    def named(self) -> Ints:
        """Whose names each listen has: all from one report, the richest that has title and artist, else any title."""
        count = len(self.winner)
        titled = self.board.title[:count] >= 0
        full = titled & (self.board.parent[:count] >= 0)
        source = self.first(full[self.absorbed], instead_of=~full)
        partly = self.first(titled[self.absorbed], instead_of=~titled)
        return np.where(full[source], source, partly)

    def skips(self, told: pa.Array) -> pa.Array:
        """A listen was skipped if any report says so: exports made since 2023 say false for all of 2015 to 2022."""
        skipped = np.zeros(len(self.winner), np.bool_)
        skipped[self.winner[flags(self.board.rows["skipped"])]] = True
        return pc.if_else(pa.array(skipped[self.telling]), True, told)

    def times(self, started: pa.Array, ended: pa.Array) -> tuple[pa.Array, pa.Array]:
        """When each listen started and ended. Of a play of the API that account data tells of too, whose ``played_at``
        may be either, the end lies in the minute that account data says."""
        board = self.board
        account = self.absorbed[np.isin(board.rank[self.absorbed], FROM_ACCOUNT)]
        account = account[board.rank[self.winner[account]] == API]
        if not len(account):
            return started, ended
        play, at = np.unique(self.winner[account], return_index=True)
        minute, length, played_at = board.ended[account[at]], board.length[account[at]], board.ended[play]
        last = minute + MINUTE - 1
        whole = played_at + length
        is_end = (played_at >= minute) & (played_at <= last)
        is_start = ~is_end & (whole >= minute) & (whole <= last)
        is_end |= ~is_start & (played_at >= minute - NEAR)
        is_start |= ~is_end & (whole >= minute - PAUSED - NEAR)
        end = np.where(is_end | is_start, np.clip(np.where(is_end, played_at, whole), minute, last), played_at)
        start = np.where(is_start, played_at, end - length)
        place = np.searchsorted(self.telling, play)
        return changed(started, place, start, is_start | is_end), changed(ended, place, end, is_start | is_end)


def changed(moments: pa.Array, place: Ints, values: Ints, these: Bools) -> pa.Array:
    """The moments with some of them changed."""
    found = numbers(moments, -1).copy()
    found[place[these]] = values[these]
    return pa.array(found, pa.int64(), mask=found < 0).cast(moments.type)
