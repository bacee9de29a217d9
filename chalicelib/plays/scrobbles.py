"""Which scrobbles tell of listens that Spotify tells of too: what is left are listens of their own.

A scrobble has names, the second at which it began and, at best, its track's length. It is the listen of the same track
(its id, or artist and title by names.py; a title of one or two letters only with its album) whose start or end lies
within ``NEAR`` of it, or within ``COARSE`` where it is known to the minute; failing that the one during which it began,
or which may have been paused. One to one, the nearest first, so that a track on repeat keeps its plays.

The richer kinds are looked at first, and what they leave over counts for the poorer: listens that another lake has
decided on and exported (the same by their ids, else as any scrobble), what ListenBrainz read from a Spotify export,
what its Spotify reader saw, what was sent to it, what Last.fm has, what was written for Last.fm's scrobblers. Two
scrobbles of one kind are never one listen. In doubt both stay: a listen that is lost is worse than one that counts
twice, and both can be told apart by their origin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.names import artist_key, first_artist_key, folded, title_key
from chalicelib.plays.columns import Bools, Ints, codes, decoded, flags, numbers
from chalicelib.plays.copies import distinct
from chalicelib.plays.outcome import Decided
from chalicelib.plays.pairing import Points, Spans, assign, reassign, within
from chalicelib.tables import PLAYS

NEAR = 10_000  # ms by which two reports of one moment differ
COARSE = 60_000  # ms, where one of them is cut to its minute
PAUSED = 15 * 60_000  # ms by which a play that was paused may have begun earlier than its length says
LISTENBRAINZ, LASTFM = "listenbrainz", "lastfm"
BEGUN, OVER = 0, 1
SHORT_TITLE = 2  # letters up to which a title needs its album
NAMED = ["user_id", "item_id", "artist_name", "item_name", "album_name"]
COLUMNS = [column.name for column in PLAYS.columns]


def stands_apart(observed: pa.Table) -> Bools:
    """Which observations are scrobbles, or listens that another lake has decided on."""
    origin = decoded(observed.select(["origin"]))["origin"]
    return flags(pc.is_in(origin, pa.array([LISTENBRAINZ, LASTFM]))) | flags(observed["settled"])


def with_scrobbles(decided: Decided, observed: pa.Table) -> Decided:
    """The listens, with those that ``observed`` scrobbles alone tell of."""
    rows = distinct(observed).rows
    known_ids = decided.observations["play_id"].combine_chunks()
    rows = rows.filter(pc.invert(pc.is_in(rows["play_id"], value_set=known_ids))).combine_chunks()
    listens = decoded(decided.listens)
    known = [name for name in rows.column_names if name in listens.column_names]
    together = pa.concat_tables([listens.select(known), decoded(rows.select(known))]).combine_chunks()
    told = Told.of(together, rows, listens.num_rows)
    told.add_names(decided, listens)
    for rank in range(1, int(told.rank.max(initial=0)) + 1):
        told.join(rank)
    left = np.flatnonzero((told.teller == np.arange(len(told.teller))) & (told.rank > 0)) - listens.num_rows
    fresh = decoded(rows).take(pa.array(left)).select(COLUMNS).cast(listens.schema)
    merged = pa.concat_tables([listens, fresh])
    order = pc.sort_indices(merged, sort_keys=[("ended_at", "ascending"), ("play_id", "ascending")])
    observed, winner = observations(decided, rows, told, listens)
    return replace(decided, listens=merged.take(order), observations=observed, winner_of=winner)


def observations(decided: Decided, rows: pa.Table, told: Told, listens: pa.Table) -> tuple[pa.Table, Ints]:
    """All distinct observations, and for each the row of the one that tells its listen."""
    shown = ["play_id", "ended_at"]
    before = decided.observations.num_rows
    place = pc.index_in(listens["play_id"], value_set=decided.observations["play_id"].combine_chunks())
    row_of = np.concatenate([numbers(place, -1), before + np.arange(rows.num_rows)])
    winner = row_of[told.teller[listens.num_rows :]]
    together = pa.concat_tables([decoded(part.select(shown)) for part in (decided.observations, rows)])
    return together, np.concatenate([decided.winner_of, winner])


@dataclass(slots=True)
class Told:
    """Listens and scrobbles in one row of numbers: ``rank`` is 0 for what Spotify tells, higher for poorer kinds.

    ``teller`` is for each the one that tells its listen. Moments are ms since 1970, -1 where not known.
    """

    user: Ints
    rank: Ints
    started: Ints
    ended: Ints
    device: Ints
    length: Ints  # heard or, of scrobbles, of the track
    coarse: Bools
    named: pa.Table
    keys: list[tuple[int, ...]]
    teller: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.teller = np.arange(len(self.user))

    @classmethod
    def of(cls, together: pa.Table, scrobbles: pa.Table, listens: int) -> Told:
        """The numbers of ``listens`` rows that are listens and of the scrobbles behind them."""
        ended, played = numbers(together["ended_at"], -1), numbers(together["ms_played"], -1)
        started, device = numbers(together["started_at"], -1), numbers(together["offline_at"], -1)
        lengths = np.concatenate([np.full(listens, -1), numbers(scrobbles["length_ms"], -1)])
        coarse = np.concatenate([np.zeros(listens, np.bool_), flags(scrobbles["to_the_minute"])])
        settled = np.concatenate([np.zeros(listens, np.bool_), flags(scrobbles["settled"])])
        rank = ranks(together, started, played, coarse, settled, lengths >= 0)
        rank[:listens] = 0
        length = np.where(played >= 0, played, lengths)
        named = together.select(NAMED)
        return cls(
            codes(together["user_id"]), rank, started, ended, device, length, coarse, named, list(keys_of(named))
        )

    def add_names(self, decided: Decided, listens: pa.Table) -> None:
        """Let listens be known by every name that a report of theirs bears: tracks are renamed."""
        absorbed = np.flatnonzero(decided.winner_of != np.arange(len(decided.winner_of)))
        if not len(absorbed):
            return
        tellers = decided.observations["play_id"].take(pa.array(decided.winner_of[absorbed]))
        places = numbers(pc.index_in(tellers, value_set=listens["play_id"].combine_chunks()), -1)
        others = decoded(decided.observations.select(NAMED).take(pa.array(absorbed)))
        known = pa.concat_tables([self.named, others.cast(self.named.schema)])
        self.keys = list(keys_of(known))[: len(self.user)]
        for place, more in zip(places.tolist(), list(keys_of(known))[len(self.user) :], strict=True):
            if place >= 0:
                self.keys[place] = tuple(dict.fromkeys((*self.keys[place], *more)))

    def join(self, rank: int) -> None:
        """Find the listens that scrobbles of a rank tell of; each listen is told of by one of them."""
        all_poor = np.flatnonzero((self.rank == rank) & (self.teller == np.arange(len(self.user))))
        taken = np.zeros(len(self.user), np.bool_)
        whole_before = (self.teller == np.arange(len(self.user))) & (self.rank < rank)
        for crossed, windows in ((False, self.sure), (True, self.sure), (True, self.during)):
            poor = np.flatnonzero((self.rank == rank) & (self.teller == np.arange(len(self.user))))
            if not len(poor):
                return
            whole = (self.teller == np.arange(len(self.user))) & (self.rank < rank) & ~taken
            reach = COARSE if self.coarse[poor].any() else NEAR
            pairs = within(self.points(poor, crossed=crossed), windows(np.flatnonzero(whole), reach))
            scrobbles, listens = assign(pairs) if len(pairs.point) else (pairs.point, pairs.span)
            self.teller[scrobbles] = listens
            taken[listens] = True
        self.make_room(all_poor, np.flatnonzero(whole_before), taken)

    def make_room(self, poor: Ints, whole: Ints, taken: Bools) -> None:
        """Of a track on repeat Spotify may tell moments alone: where a scrobble and a listen of it are left over, and
        others between them could be paired otherwise, they are all of one row."""
        is_left = self.teller[poor] == poor
        keys = {key for row in poor[is_left].tolist() for key in self.keys[row]}
        vague = whole[(self.rank[whole] == 0) & (self.length[whole] < 0)]
        near = np.asarray([row for row in vague.tolist() if keys.intersection(self.keys[row])], np.int64)
        if taken[near].all():
            return
        alike = [row for row in poor.tolist() if keys.intersection(self.keys[row])]
        held = np.isin(self.teller[alike], near)
        movable = np.asarray(alike, np.int64)[held | (self.teller[alike] == np.asarray(alike))]
        paired = movable[self.teller[movable] != movable]
        reach = COARSE if self.coarse[movable].any() else NEAR
        pairs = within(self.points(movable, crossed=True), self.during(near, reach))
        scrobbles, listens = reassign(pairs, paired, self.teller[paired])
        self.teller[scrobbles] = listens

    def points(self, rows: Ints, *, crossed: bool) -> Points:
        """When scrobbles say that they began and ended, under each of their keys. ``crossed``: what is said to be one
        may be the other."""
        only_end = self.started < 0
        begun = np.where(only_end & (self.length >= 0), self.ended - self.length, self.started)
        over = np.where(only_end, self.ended, -1)
        moments = [(BEGUN, begun), (OVER, over), *([(OVER, begun), (BEGUN, over)] if crossed else [])]
        found = [
            (row, 2 * key + kind, moment[row])
            for row in rows.tolist()
            for key in self.keys[row]
            for kind, moment in moments
            if moment[row] >= 0
        ]
        return Points(*columns_of(found, 3))

    def sure(self, rows: Ints, reach: int) -> Spans:
        """The times around every moment at which listens may have begun or ended."""
        begun = np.where((self.started < 0) & (self.length >= 0), self.ended - self.length, self.started)
        landed = np.where((self.device >= 0) & (self.length >= 0), self.device + self.length, -1)
        over = np.where((self.started >= 0) & (self.length >= 0), self.started + self.length, -1)
        either = np.where((self.rank == 0) & (self.started < 0) & (self.length < 0), self.ended, -1)  # of the API
        moments = (
            (OVER, self.ended),
            (BEGUN, either),
            (BEGUN, begun),
            (BEGUN, self.device),
            (OVER, landed),
            (OVER, over),
        )
        return self.spans(rows, [(kind, moment - reach, moment + reach, moment) for kind, moment in moments])

    def during(self, rows: Ints, reach: int) -> Spans:
        """The times in which listens may have begun, however often they were paused."""
        begun = np.where(self.started >= 0, self.started, np.where(self.length >= 0, self.ended - self.length, -1))
        begun = np.where(begun >= 0, begun, self.ended)
        known = ((self.rank == 0) | (self.started < 0)) & (self.ended >= 0)
        low, high = np.where(known, begun - PAUSED, -1), np.where(known, self.ended + reach, -1)
        return self.spans(rows, [(BEGUN, low, high, begun)])

    def spans(self, rows: Ints, windows: Sequence[tuple[int, Ints, Ints, Ints]]) -> Spans:
        """Windows of some rows, under each of their keys; those around no moment are none."""
        found = [
            (row, 2 * key + kind, low[row], high[row], middle[row])
            for row in rows.tolist()
            for key in self.keys[row]
            for kind, low, high, middle in windows
            if middle[row] >= 0 and high[row] >= 0
        ]
        return Spans(*columns_of(found, 5))


def columns_of(found: Sequence[tuple[int, ...]], count: int) -> list[Ints]:
    """Tuples as columns."""
    together = np.asarray(found, np.int64).reshape(-1, count)
    return [np.ascontiguousarray(together[:, at]) for at in range(count)]


def ranks(rows: pa.Table, started: Ints, played: Ints, coarse: Bools, settled: Bools, measured: Bools) -> Ints:
    """From the richest kind of scrobble to the poorest, from 1 on. Last.fm tells no length: what has one (``measured``)
    was written for its scrobblers, by a lake for one, of listens that others may tell of too."""
    lastfm = flags(pc.equal(rows["origin"], LASTFM))
    kinds = [settled, ~lastfm & (played >= 0), ~lastfm & (started < 0), ~lastfm, ~coarse & ~measured, coarse]
    return np.select(kinds, [1, 2, 3, 4, 5, 6], 7).astype(np.int64)


def keys_of(rows: pa.Table) -> Iterator[tuple[int, ...]]:
    """What each row is known by, with its listener: numbers that are equal where the id is, or artist and title."""
    known: dict[tuple[str, ...], int] = {}
    columns = [rows[name].to_pylist() for name in NAMED]
    for user, item, artist, title, album in zip(*columns, strict=True):
        texts: list[tuple[str, ...]] = [(user, item)] if item else []
        if artist and title:
            called = title_key(title)
            if len(called) <= SHORT_TITLE:
                called = f"{called}\x1f{folded(album)}" if album else ""
            if called:
                texts += [(user, name, called) for name in sorted({artist_key(artist), first_artist_key(artist)})]
        yield tuple(known.setdefault(text, len(known)) for text in texts)
