"""Which observations are one listen: the rules of resolutions.py, worked out on columns.

Everything is decided from what the observations say, never from when, in which file or in which order they came, and
only from observations that can touch each other in time. So any set of whole months gives the same answer for its
inner months.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.plays.board import Board
from chalicelib.plays.columns import Ints, codes, decoded, joined, numbers
from chalicelib.plays.copies import distinct
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
