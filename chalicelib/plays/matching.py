"""Which observations are one listen: the rules of resolutions.py, worked out on columns.

Everything is decided from what the observations say, never from when, in which file or in which order they came, and
only from observations that can touch each other in time. So any set of whole months gives the same answer for its
inner months.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.plays.board import Board
from chalicelib.plays.columns import Ints, codes, decoded, joined, numbers
from chalicelib.plays.copies import ORDER, distinct
from chalicelib.plays.outcome import Decided, outcome_of
from chalicelib.plays.retold import join_api, join_renamed
from chalicelib.plays.scrobbles import stands_apart, with_scrobbles
from chalicelib.tables import PLAYS


def decide(observed: pa.Table) -> Decided:
    """Each listen once, from observations with the physical columns of ``plays_history``; texts may be dictionaries."""
    apart = stands_apart(observed)
    if apart.any():
        others = decide(observed.filter(pa.array(~apart)))
        return with_scrobbles(others, observed.filter(pa.array(apart)))
    found = distinct(observed)
    rows = found.rows
    if all_are_listens(rows):
        return Decided(rows.select([column.name for column in PLAYS.columns]), rows, np.arange(rows.num_rows))
    board = Board.from_rows(decoded(rows), found.copies)
    board.join_extended()
    join_renamed(board, observed)
    join_api(board, observed)
    board.join_api_to_extended()
    board.join_account_to_extended()
    board.join_account_to_api()
    board.drop_shared(found.shared)
    return replace(outcome_of(board), shared=found.shared)


def decide_apart(observed: pa.Table, most: int, schema: pa.Schema) -> Decided:
    """As :func:`decide`, but ``most`` observations at a time, so that many listeners need little more memory than a
    few: they never touch. Where there are several parts, the listens have the columns of ``schema`` and the
    observations are ids and times alone."""
    parts = list(users_apart(observed, most))
    if len(parts) < 2:
        return decide(observed)
    return together([kept_of(decide(of_users(observed, users)), schema) for users in parts])


def users_apart(observed: pa.Table, most: int) -> Iterator[list[str]]:
    """Whose observations go together: one listener's, or those of as many as have no more than ``most``."""
    counts = pc.value_counts(decoded(observed.select(["user_id"]))["user_id"].combine_chunks())
    part: list[str] = []
    held = 0
    for each in sorted(counts.to_pylist(), key=lambda count: str(count["values"])):
        if part and held + each["counts"] > most:
            yield part
            part, held = [], 0
        part.append(each["values"])
        held += each["counts"]
    if part:
        yield part


def of_users(observed: pa.Table, users: list[str]) -> pa.Table:
    """The observations of some listeners."""
    of_each = decoded(observed.select(["user_id"]))["user_id"]
    return observed.filter(pc.is_in(of_each, value_set=pa.array(users)))


def kept_of(decided: Decided, schema: pa.Schema) -> Decided:
    """What is kept of a part while others are decided."""
    shown = decoded(decided.observations.select(["play_id", "ended_at"]))
    return replace(decided, listens=decided.listens.cast(schema), observations=shown)


def together(parts: Sequence[Decided]) -> Decided:
    """What was decided of some listeners and of others, as if it had been of all at once."""
    listens = pa.concat_tables([part.listens for part in parts]).unify_dictionaries()
    before = np.cumsum([0, *(part.observations.num_rows for part in parts)])
    return Decided(
        listens.take(pc.sort_indices(listens, sort_keys=ORDER)),
        pa.concat_tables([part.observations for part in parts]),
        np.concatenate([part.winner_of + first for part, first in zip(parts, before, strict=False)]),
        {play_id: first for part in parts for play_id, first in part.shared.items()},
    )


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
