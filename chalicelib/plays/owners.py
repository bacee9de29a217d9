"""Whose observations are: those of an id that means another listener by now count for that listener."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.plays.columns import decoded
from chalicelib.plays.identities import Digests, account_texts, names_of, scrobble_texts, taken_over
from chalicelib.plays.scrobbles import stands_apart


def of_their_listeners(rows: pa.Table, moved: Mapping[str, str]) -> pa.Table:
    """The observations with the ``user_id`` that each one's own means (``moved``: where it is another).

    Rows of account data and scrobbles get the ids that they had if they had been brought for that listener. All other
    reports of one listen find each other by what they say (see resolutions.py).
    """
    if not moved or not rows.num_rows:
        return rows
    there = [each for each in pc.unique(rows["user_id"].cast(pa.string())).to_pylist() if each in moved]
    for user_id in there:
        mine = pc.equal(rows["user_id"].cast(pa.string()), user_id)
        others, own = rows.filter(pc.invert(mine)), rows.filter(mine)
        rows = pa.concat_tables([others, given_to(own, user_id, moved[user_id])])
    return rows


def given_to(rows: pa.Table, user_id: str, listener: str) -> pa.Table:
    """The observations of one id as those of a listener."""
    plain = decoded(rows)
    parent, title = (pa.array(names, pa.string()) for names in names_of(plain))
    is_account = pc.equal(plain["origin"], "account_data")
    is_scrobble = pc.and_not(pa.array(stands_apart(plain)), pc.fill_null(plain["settled"], False))
    of_account = pc.if_else(is_account, account_texts(parent, title), pa.scalar(None, pa.string()))
    texts = pc.if_else(is_scrobble, scrobble_texts(plain), of_account).to_pylist()
    before, after = Digests(user_id), Digests(listener)
    play_ids = [
        play_id if text is None else taken_over(play_id, text, before, after)
        for play_id, text in zip(plain["play_id"].to_pylist(), texts, strict=True)
    ]
    names = {"play_id": play_ids, "user_id": [listener] * rows.num_rows}
    for name, values in names.items():
        column = pa.array(values, pa.string()).cast(rows.schema.field(name).type)
        rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), column)
    return rows
