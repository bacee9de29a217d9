"""The observations of listens as arrays, and the layers in which the richer absorb the poorer.

The rules are told in resolutions.py. Labels are what plays are known by, windows when they can have been reported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, takewhile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.plays.columns import Bools, Ints, codes, decoded, flags, joined, masked, normalised_codes, numbers
from chalicelib.plays.copies import NAMES, fullness
from chalicelib.plays.identities import stepped
from chalicelib.plays.pairing import TIME_BITS, Pairs, Points, Spans, assign, within

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
NAMED = ["play_id", *NAMES]


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
    landed: Bools  # the same, but for rows that may be one play because they are equally long
    heard: Bools  # long enough for the API to report
    absorbed_by: Ints
    taken: Bools  # has absorbed a row in this layer already
    reported: Bools  # account data tells of it
    first_listed: Ints  # when (ms) the API listed a play of its first; -1: it did not
    last_listed: Ints
    told: Ints  # numbers of the plays and the names under which account data tells of them

    @classmethod
    def from_rows(cls, rows: pa.Table, other_names: pa.Table) -> Board:
        """The board of distinct observations; ``other_names`` are their copies that bear other names."""
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
            landed=flags(rows["offline"]),
            heard=numbers(rows["ms_played"], -1) >= HEARD,
            absorbed_by=np.full(count, -1, np.int64),
            taken=np.zeros(count, np.bool_),
            reported=np.zeros(count, np.bool_),
            first_listed=np.full(count, -1, np.int64),
            last_listed=np.full(count, -1, np.int64),
            told=np.zeros(0, np.int64),
        )
        board.together |= board.reported_together(account)
        board.landed |= board.reported_together(account, equal_lengths=False)
        return board

    def reported_together(self, account: Bools, *, equal_lengths: bool = True) -> Bools:
        """Plays that end in one second (account data: minute) and cannot have been heard one after the other.

        Without ``equal_lengths`` plays of one length count once.
        """
        keys = ["user", "account", "ended"]
        frame = pd.DataFrame({"user": self.user, "account": account, "ended": self.ended, "length": self.length})
        frame = frame[self.rank != API]
        counted = frame if equal_lengths else frame.drop_duplicates()
        sums = counted.groupby(keys)["length"].agg(["sum", "max"])
        others = (sums["sum"] - sums["max"]).reindex(pd.MultiIndex.from_frame(frame[keys])).to_numpy()
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
        sure = same_time or not self.landed[row]
        no_other_id = self.item[row] < 0 or not items
        there = set().union(*(names[other] for other in play))
        if names[row] & there:
            return sure or no_other_id
        return bool(sure and no_other_id and self.heard[row] and alike(names[row], there))

    def join_api_to_extended(self) -> None:
        """Here the richer row has a start and an end, and ``played_at`` is one of them."""
        if not self._present(API) or not self._present(*EXTENDED):
            return
        self.taken[:] = False
        started = np.where(self.length >= 0, self.ended - self.length, -1)
        sure = [around(self.ended), around(started), around(self.device), around(self.device_end())]
        covered = self.covered_by(EXTENDED)
        wider = (
            ([Window(started - PAUSED, self.ended + NEAR, self.ended)], None, None),
            (
                [Window(self.ended - AWAY, self.ended + NEAR, self.ended)],
                self.together & self.heard & (self.device < 0),
                self.listed_since,
            ),
        )
        for among in (self.heard, None):
            for labels in (self.by_item, self.by_title):
                self._join_api(labels(API), labels(*EXTENDED), sure, among)
        self._join_api(self.by_listener(API), self.by_listener(NAMELESS), sure, self.heard)
        for windows, among, may_be in wider:
            for labels in (self.by_item, self.by_title):
                self._join_api(labels(API).where(covered), labels(*EXTENDED), windows, among, may_be)
        settled = covered & self.covered_by(EXTENDED, later=True)
        for labels in (self.by_item, self.by_title):
            self._join_other_ends(labels(API).where(settled), labels(*EXTENDED).where(self.taken), sure)

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
            ([Window(started - PAUSED, self.ended + after, self.ended)], None, None),
            (
                [Window(self.ended - AWAY, self.ended + after, self.ended)],
                self.together & self.heard,
                self.listed_since,
            ),
        )
        for among in (self.heard, None):
            for labels in (self.by_names, self.by_title):
                self._join_lengths(labels(*FROM_ACCOUNT), labels(API), sure, among)
        self._join_lengths(self.by_listener(ACCOUNT_NAMELESS), self.by_listener(API), sure, self.heard)
        exact = [Window(moment, moment + MINUTE - 1, moment) for moment in (self.ended, started)]
        renamed = self.by_parent(API).where(covered & self.covered_by(FROM_ACCOUNT, later=True))
        self._join_lengths(self.by_parent(ACCOUNT), renamed, exact, self.heard)
        alone = self.heard & ~self.together & ~self.is_episode  # the API lists no podcasts
        self._join_lengths(self.by_parent(ACCOUNT), self.by_parent(API), exact[1:], alone, self.listed_after)
        for windows, among, may_be in wider:
            for labels in (self.by_names, self.by_title):
                self._join_lengths(labels(*FROM_ACCOUNT), labels(API).where(covered), windows, among, may_be)

    def drop_shared(self, shared: dict[str, str]) -> None:
        """Rows that were put in for two files to share out are no listens where a richer report counts them."""
        if not shared:
            return
        place = {play_id: row for row, play_id in enumerate(self.rows["play_id"].to_pylist())}
        for play_id, first in shared.items():
            equal = list(takewhile(place.__contains__, (stepped(first, step) for step in count())))
            rows = [place[each] for each in equal]
            told = [row for row in rows if self.absorbed_by[row] >= 0]
            free = [row for row in (place[play_id], *reversed(rows)) if self.absorbed_by[row] < 0]
            if told and free:
                self.absorbed_by[free[0]] = self.absorbed_by[told[0]]

    def covered_by(self, ranks: tuple[int, ...], *, later: bool = False) -> Bools:
        """API rows from a time of which an export of these ranks tells: something before them or, with ``later``,
        after them."""
        covered = np.zeros(len(self.rank), np.bool_)
        exported, api = np.flatnonzero(np.isin(self.rank, ranks)), np.flatnonzero(self.rank == API)
        told = np.sort((self.user[exported] << TIME_BITS) + self.ended[exported])
        moments = (self.user[api] << TIME_BITS) + self.ended[api]
        place = np.searchsorted(told, moments, "right") - (0 if later else 1)
        nearest = told[np.clip(place, 0, len(told) - 1)]
        apart = nearest - moments if later else moments - nearest
        covered[api] = (apart >= 0) & (apart <= COVERED)
        return covered

    def listed_since(self, pairs: Pairs) -> Pairs:
        """Those whose API play was first listed when the other row was reported, or later: what landed then Spotify
        did not know before."""
        return pairs.where(self.first_listed[pairs.point] >= self.ended[pairs.span] - NEAR)

    def listed_after(self, pairs: Pairs) -> Pairs:
        """Those whose API play was listed after the other row's end: an answer that goes back to the one lists the
        other too, under whatever name."""
        return pairs.where(self.last_listed[pairs.point] >= self.ended[pairs.span] + MINUTE)

    def device_end(self) -> Ints:
        """When a play ended by its device's time."""
        return np.where((self.device >= 0) & (self.length >= 0), self.device + self.length, -1)

    # --- moves

    def _join_api(
        self,
        api: Labels,
        extended: Labels,
        windows: list[Window],
        among: Bools | None,
        may_be: Callable[[Pairs], Pairs] | None = None,
    ) -> None:
        """Pair API rows one to one with rows whose windows hold their ``played_at``."""
        api, extended = api.where(self.absorbed_by < 0), extended.where(~self.taken)
        if among is not None:
            extended = extended.where(among)
        if not len(api.row) or not len(extended.row):
            return
        key, other_key = self._keys(api, extended)
        pairs = within(Points(api.row, key, api.moment), windowed(extended.row, other_key, windows))
        self._absorb(*assign(may_be(pairs) if may_be else pairs))

    def _join_other_ends(self, api: Labels, extended: Labels, windows: list[Window]) -> None:
        """Absorb API rows that tell the other end of a play of which another API row told one: exports that tell what
        was heard before and after tell all that was heard."""
        api = api.where(self.absorbed_by < 0)
        if not len(api.row) or not len(extended.row):
            return
        key, other_key = self._keys(api, extended)
        pairs = within(Points(api.row, key, api.moment), windowed(extended.row, other_key, windows))
        frame = pd.DataFrame({"point": pairs.point, "span": pairs.span, "distance": pairs.distance})
        nearest = frame.sort_values(["point", "distance", "span"]).drop_duplicates("point")
        self.absorbed_by[nearest["point"].to_numpy()] = nearest["span"].to_numpy()

    def _join_lengths(
        self,
        account: Labels,
        api: Labels,
        windows: list[Window],
        among: Bools | None,
        may_be: Callable[[Pairs], Pairs] | None = None,
    ) -> None:
        """Pair account rows one to one with API rows whose ``played_at`` lies in their windows."""
        account, api = account.where(self.absorbed_by < 0), api.where(~self.taken)
        if among is not None:
            account = account.where(among)
        if not len(account.row) or not len(api.row):
            return
        key, other_key = self._keys(account, api)
        pairs = within(Points(api.row, other_key, api.moment), windowed(account.row, key, windows))
        rich, poor = assign(may_be(pairs) if may_be else pairs)
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
        if not len(account.row) or not len(extended.row):
            return
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

    def free(self, ranks: tuple[int, ...]) -> Ints:
        """Rows of these ranks that no other has absorbed."""
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
    """The time within ``NEAR`` of each moment."""
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
