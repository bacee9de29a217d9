"""One listen that one origin told twice: under another name in account data, at another time by the API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.plays.board import (
    API,
    AWAY,
    BATCH,
    FROM_ACCOUNT,
    HEARD,
    MINUTE,
    PAUSED,
    SECOND,
    Board,
    groups_of,
)
from chalicelib.plays.columns import Bools, Ints, decoded, joined, numbers
from chalicelib.plays.copies import END, START
from chalicelib.plays.pairing import Pairs, assign

AGAIN = 5 * SECOND  # within which Spotify tells one play again

# --- account data -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Title:
    """The rows of one minute, length and artist that bear one title, or titles that are one; and the files that tell
    them, each with where in it they stand (None: inside)."""

    rows: list[int]
    files: set[tuple[str | None, str | None]] = field(default_factory=set)

    def beside(self, other: Title) -> bool:
        """Whether one file tells of both, so that they are two."""
        return bool({file for file, _ in self.files} & {file for file, _ in other.files})

    def goes_on_in(self, other: Title) -> bool:
        """Whether the one may stand at the end of a file that the other's goes on from."""
        edges, others = ({edge for _, edge in each.files} for each in (self, other))
        return (edges, others) in (({START}, {END}), ({END}, {START}))


def join_renamed(board: Board, observed: pa.Table) -> None:
    """A row whose title is gone, or has been changed between two exports, is the row of the same minute, length and
    artist (or show). ``observed`` says which files tell of which rows."""
    account = board.free(FROM_ACCOUNT)
    account = account[board.parent[account] >= 0]
    key = joined(board.user[account], board.ended[account] // MINUTE, board.length[account], board.parent[account])
    titles = pd.DataFrame({"key": key, "title": board.title[account]}).groupby("key")["title"].transform("nunique")
    several = titles.to_numpy() > 1
    files = files_of(board, account[several], observed)
    for group in groups_of(account[several], key[several]):
        untitled = [row for row in group if board.title[row] < 0 and not board.is_episode[row]]
        if untitled:
            episodes = [row for row in group if board.title[row] >= 0 and board.is_episode[row]]
            for row, episode in zip(untitled, episodes, strict=False):
                board.absorbed_by[row] = episode
        else:
            join_titles(board, group, files)


def files_of(board: Board, rows: Ints, observed: pa.Table) -> dict[int, set[tuple[str | None, str | None]]]:
    """For each of some rows the files that tell it, and where in them it stands."""
    found: dict[int, set[tuple[str | None, str | None]]] = defaultdict(set)
    if not len(rows):
        return found
    ids = board.rows["play_id"].take(pa.array(rows)).to_pylist()
    row_of = dict(zip(ids, rows.tolist(), strict=True))
    told = observed.filter(pc.is_in(observed["play_id"], value_set=pa.array(ids)))
    told = decoded(told.select(["play_id", "file_digest", "file_edge"]))
    for play_id, file, edge in zip(*(told[name].to_pylist() for name in told.column_names), strict=True):
        found[row_of[play_id]].add((file, edge))
    return found


def join_titles(board: Board, group: list[int], files: dict[int, set[tuple[str | None, str | None]]]) -> None:
    """Two titles of one artist, minute and length that no file tells of side by side are one that was renamed."""
    alone = is_alone(board, group)
    titles: dict[int, Title] = {}
    for row in group:
        title = titles.setdefault(int(board.title[row]), Title([]))
        title.rows.append(row)
        title.files |= files[row]
    different: list[Title] = []
    for title in titles.values():
        same = next((other for other in different if are_one(board, title, other, alone=alone)), None)
        if same is None:
            different.append(title)
            continue
        for row, other in zip(title.rows, same.rows, strict=False):
            board.absorbed_by[row] = other
        same.rows += title.rows[len(same.rows) :]
        same.files |= title.files


def are_one(board: Board, title: Title, other: Title, *, alone: bool) -> bool:
    """Whether two titles are one; what one file has both of is so only where there was no time to hear both."""
    length = board.length[title.rows[0]]
    if title.beside(other):
        return alone and len(title.rows) == len(other.rows) == 1 and bool(length >= MINUTE)
    return not title.goes_on_in(other) or (alone and bool(length >= SECOND))


def is_alone(board: Board, group: list[int]) -> bool:
    """Whether rows of account data that may be one play were not reported together with others."""
    first = group[0]
    minute = (board.ended == board.ended[first]) & (board.user == board.user[first])
    others = minute & np.isin(board.rank, FROM_ACCOUNT) & (board.absorbed_by < 0)
    others[group] = False
    return bool(board.length[others].sum() <= MINUTE + BATCH)


# --- the API ------------------------------------------------------------------------------------------------------


def join_api(board: Board, observed: pa.Table) -> None:
    """A play of one track that is told again within seconds is the same: two would be further apart. So is one in
    whose place later answers tell another of the track: ``played_at`` was its start and is its end, or the like."""
    api = board.free((API,))
    if not len(api):
        return
    for code in (board.item, board.names):
        for rows, key in of_one_track(board, code):
            near = (np.diff(key) == 0) & (np.diff(board.ended[rows]) < HEARD)
            if near.any():
                join_near(board, rows, key, answers_of(board, rows[beside(near)], observed))
    listed = Listed.of(board, api, observed)
    for code in (board.item, board.names):
        for rows, key in of_one_track(board, code):
            join_replaced(board, rows, key, listed)
    board.first_listed[api], board.last_listed[api] = listed.first[api], listed.last[api]


def of_one_track(board: Board, code: Ints) -> Iterator[tuple[Ints, Ints]]:
    """The API's rows by track and time, and the number of each track; nothing where no track has two."""
    api = board.free((API,))
    rows = api[code[api] >= 0]
    key = joined(board.user[rows], code[rows])
    order = np.lexsort((rows, board.ended[rows], key))
    rows, key = rows[order], key[order]
    if (np.diff(key) == 0).any():
        yield rows, key


def beside(near: Bools) -> Bools:
    """Rows in order of which ``near`` says which are near the one before: those that are near another."""
    return np.asarray(np.concatenate([[False], near]) | np.concatenate([near, [False]]), np.bool_)


Answers = dict[int, set[object]]  # for a row the times of the answers that list it


def answers_of(board: Board, rows: Ints, observed: pa.Table) -> Answers:
    """The answers that list some rows, or what they have absorbed."""
    winner = board.winners()
    all_rows = np.flatnonzero(np.isin(winner, rows))
    ids = board.rows["play_id"].take(pa.array(all_rows)).to_pylist()
    row_of = dict(zip(ids, winner[all_rows].tolist(), strict=True))
    told = observed.filter(pc.is_in(observed["play_id"], value_set=pa.array(ids, pa.string())))
    found: Answers = defaultdict(set)
    for play_id, moment in zip(told["play_id"].to_pylist(), told["observed_at"].to_pylist(), strict=True):
        found[row_of[play_id]].add(moment)
    return found


def join_near(board: Board, rows: Ints, key: Ints, answers: Answers) -> None:
    """Rows by track and time: each that is near enough to an earlier one is told by it, the nearest that no answer
    lists beside it: a track that one answer lists twice, however near, was played on two devices."""
    plays: list[list[int]] = []
    track = -1
    for row, of_track in zip(rows.tolist(), key.tolist(), strict=True):
        if of_track != track:
            track, plays = of_track, []
        plays = [play for play in plays if board.ended[row] - board.ended[play[0]] < HEARD]
        same = [play for play in plays if not any(are_listed_apart(board, row, other, answers) for other in play)]
        if same:
            board.absorbed_by[row] = same[-1][0]
            same[-1].append(row)
        else:
            plays.append([row])


def are_listed_apart(board: Board, row: int, other: int, answers: Answers) -> bool:
    """Whether one answer lists two plays of a track, further apart than one play is told again."""
    apart = abs(board.ended[row] - board.ended[other]) >= AGAIN
    return bool(apart) and not answers[row].isdisjoint(answers[other])


@dataclass(frozen=True, slots=True)
class Listed:
    """When (ms) the API listed each play first and last; until when it listed plays that are older than it; and how new
    a play was listed when it was listed last."""

    first: Ints
    last: Ints
    older: Ints
    newest: Ints

    @classmethod
    def of(cls, board: Board, api: Ints, observed: pa.Table) -> Listed:
        """From all answers that told of these rows, of which some are one play already."""
        told = observed.filter(pc.equal(observed["origin"], "api")).select(["play_id", "observed_at"])
        times = told.group_by("play_id", use_threads=False).aggregate([("observed_at", "min"), ("observed_at", "max")])
        place = pc.index_in(board.rows["play_id"].take(pa.array(api)), value_set=times["play_id"].combine_chunks())
        first, last = (numbers(times[f"observed_at_{end}"].take(place), -1) for end in ("min", "max"))
        plays = pd.DataFrame({"play": board.winners()[api], "first": first, "last": last}).groupby("play")
        listed = cls(*(np.full(len(board.user), -1, np.int64) for _ in range(4)))
        listed.first[api], listed.last[api] = plays["first"].transform("min"), plays["last"].transform("max")
        for user in np.unique(board.user[api]):
            listed.look_around(board, api[board.user[api] == user])
        return listed

    def look_around(self, board: Board, rows: Ints) -> None:
        """What else was listed with the rows of a listener."""
        by_time = rows[np.argsort(board.ended[rows], kind="stable")]
        last = pd.Series(self.last[by_time], pd.to_datetime(board.ended[by_time], unit="ms"))
        before = last.rolling(pd.Timedelta(AWAY, "ms"), closed="left").max()
        self.older[by_time] = before.fillna(-1).to_numpy(np.int64)
        by_listing = rows[np.argsort(self.first[rows], kind="stable")]
        newest = np.maximum.accumulate(board.ended[by_listing])
        self.newest[rows] = newest[np.searchsorted(self.first[by_listing], self.last[rows], "right") - 1]

    def replaces(self, new: Ints, old: Ints, ended: Ints) -> Bools:
        """Whether one row came into the list in the place of another.

        Spotify lists the last plays without a gap: an answer that goes further back would list the other too, and an
        earlier one that told of a newer play would have listed this one.
        """
        gone = self.first[new] <= self.older[old]
        late = self.newest[old] > ended[new]
        return (self.first[new] > self.last[old]) & (gone | late)


def join_replaced(board: Board, rows: Ints, key: Ints, listed: Listed) -> None:
    """Pair the plays of each stretch in which a track was played that were told in the place of each other."""
    breaks = (np.diff(key) != 0) | (np.diff(board.ended[rows]) > PAUSED)
    stretch = np.concatenate([[0], np.cumsum(breaks)])
    pairs = pd.DataFrame({"stretch": stretch, "old": rows}).merge(
        pd.DataFrame({"stretch": stretch, "new": rows}), on="stretch"
    )
    old, new = pairs["old"].to_numpy(), pairs["new"].to_numpy()
    told_anew = listed.replaces(new, old, board.ended)
    old, new = old[told_anew], new[told_anew]
    for one, other in zip(*assign(Pairs(new, old, np.abs(board.ended[new] - board.ended[old]))), strict=True):
        earlier, later = sorted((int(one), int(other)), key=lambda row: (board.ended[row], row))
        board.absorbed_by[earlier] = later
        listed.first[later] = listed.first[[one, other]].min()
        listed.last[later] = listed.last[[one, other]].max()
