"""What each listen is told to be: by its richest report, and where that says nothing by the richest that does."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.plays.board import API, FROM_ACCOUNT, HEARD, MINUTE, NEAR, PAUSED, Board
from chalicelib.plays.columns import Bools, Ints, flags, numbers
from chalicelib.plays.copies import NAMES
from chalicelib.tables import PLAYS

#: Taken from another report where the one that tells the listen says nothing.
FILLED = [column.name for column in PLAYS.columns if column.nullable and column.name not in (*NAMES, "started_at")]


@dataclass(frozen=True, slots=True)
class Decided:
    """``listens`` has the columns of ``plays``. ``winner_of`` maps each distinct observation to the row of the
    observation that tells its listen; ``observations`` are the distinct ones. ``shared``: of them those that two files
    share out, by play_id, each with the first of its equals."""

    listens: pa.Table
    observations: pa.Table
    winner_of: Ints
    shared: dict[str, str] = field(default_factory=dict)


def outcome_of(board: Board) -> Decided:
    """The listens that are left on a board, each with what any report of it says."""
    winner = board.winners()
    own = winner == np.arange(len(winner))
    absorbed = np.flatnonzero(~own)
    absorbed = absorbed[np.argsort(board.rank[absorbed], kind="stable")]
    return Outcome(board, winner, np.flatnonzero(own), absorbed).decided()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Who tells each listen: ``winner`` for each row, ``telling`` the winners in order, ``absorbed`` the others, the
    richest first."""

    board: Board
    winner: Ints
    telling: Ints
    absorbed: Ints

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
        may be either, the end lies in the minute that account data says; one that was told at two moments began at
        the earlier."""
        board = self.board
        started = self.earlier_of_two(started)
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

    def earlier_of_two(self, started: pa.Array) -> pa.Array:
        """When plays started that the API told first by their start and then by their end."""
        board = self.board
        api = self.absorbed[(board.rank[self.absorbed] == API) & (board.rank[self.winner[self.absorbed]] == API)]
        apart = board.ended[self.winner[api]] - board.ended[api]
        api = api[(apart >= HEARD) & (apart <= PAUSED)]
        place = np.searchsorted(self.telling, self.winner[api])
        return changed(started, place, board.ended[api], np.ones(len(api), np.bool_))


def changed(moments: pa.Array, place: Ints, values: Ints, these: Bools) -> pa.Array:
    """The moments with some of them changed."""
    found = numbers(moments, -1).copy()
    found[place[these]] = values[these]
    return pa.array(found, pa.int64(), mask=found < 0).cast(moments.type)
