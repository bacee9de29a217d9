"""Rows of an export as observations of listens: rows of ``plays_history`` with their play_id (see plays.py)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.listening.exports import ACCOUNT, EXTENDED
from chalicelib.listening.listens import flags, joined, normalised, normalised_codes, numbers
from chalicelib.parquet import arrow_schema
from chalicelib.tables import PLAYS

OBSERVED = arrow_schema(PLAYS)
ITEM_URI = r"^spotify:[a-z]+:[0-9A-Za-z]{22}$"
ID_LENGTH = 22
MINUTE = 60_000  # ms


def observe(
    rows: pa.Table, variants: Sequence[str], families: Sequence[str], user_id: str, moment: datetime
) -> pa.Table:
    """The rows of one month of an export (``staging.STAGED``) as ``plays_history`` has them, and their ``file``.

    ``variants`` and ``families`` are the files', by number; ``moment`` is when the export was made, as far as known.
    Of equal rows only the first is answered by its play_id; the others have the same one.
    """
    file = np.asarray(rows["file"].to_numpy(), np.int64)
    account = np.asarray([variant == ACCOUNT for variant in variants], np.bool_)[file]
    family_codes, _ = pd.factorize(np.asarray(families, object))
    uri = rows["uri"].combine_chunks()
    is_item = pc.fill_null(pc.match_substring_regex(uri, ITEM_URI), False)
    item_id = pc.if_else(is_item, pc.utf8_slice_codeunits(uri, -ID_LENGTH), pa.scalar(None, pa.string()))
    values = {
        "play_id": pa.array(identities(rows, account, np.asarray(family_codes, np.int64)[file], user_id), pa.string()),
        "user_id": constant(user_id, rows.num_rows),
        "item_id": item_id,
        "origin": pc.if_else(pa.array(account), ACCOUNT, EXTENDED),
        "context_uri": pa.nulls(rows.num_rows, pa.string()),
        "observed_at": pa.array(np.full(rows.num_rows, np.datetime64(moment, "ms")), pa.timestamp("ms")),
    }
    columns = [values[field.name] if field.name in values else rows[field.name] for field in OBSERVED]
    return pa.table(columns, schema=OBSERVED).append_column("file", rows["file"])


def identities(rows: pa.Table, account: np.ndarray, family: np.ndarray, user_id: str) -> list[str]:
    """The play_id of each row."""
    seconds = numbers(rows["ended_at"], 0) // 1000
    uri = rows["uri"].to_pylist()
    played = numbers(rows["ms_played"], 0).tolist()
    named = account | ~flags(rows["uri"].combine_chunks().is_valid())
    parent, title = names_of(rows) if named.any() else ([], [])
    copy = copies(rows, family) if account.any() else np.zeros(rows.num_rows, np.int64)
    found = []
    for at, (second, by_name) in enumerate(zip(seconds.tolist(), named.tolist(), strict=True)):
        if not by_name:
            told = f"extended\x1f{user_id}\x1f{second}\x1f{uri[at]}\x1f{played[at]}"
        elif account[at]:
            name = title[at] or f"\x1e{parent[at]}"
            told = f"account\x1f{user_id}\x1f{second // 60}\x1f{name}\x1f{played[at]}\x1f{copy[at]}"
        else:
            told = f"named\x1f{user_id}\x1f{second}\x1f{parent[at]}\x1f{title[at]}\x1f{played[at]}"
        found.append(blake2b(told.encode(), digest_size=16).hexdigest())
    return found


def names_of(rows: pa.Table) -> tuple[list[str], list[str]]:
    """What an item belongs to and what it is called, normalised; '' where that is not said."""
    return normalised_texts(parents(rows)), normalised_texts(rows["item_name"].combine_chunks())


def parents(rows: pa.Table) -> pa.Array:
    chosen = pc.if_else(pc.equal(rows["item_type"], "audiobook"), rows["album_name"], rows["artist_name"])
    return chosen.combine_chunks()


def normalised_texts(column: pa.Array) -> list[str]:
    encoded = column.dictionary_encode()
    texts = [*map(normalised, encoded.dictionary.to_pylist()), ""]
    return [texts[index] for index in pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_pylist()]


def copies(rows: pa.Table, family: np.ndarray) -> np.ndarray:
    """Which of equal rows of one family each is, from 0: in account data equal rows are different listens."""
    title, parent = normalised_codes(rows["item_name"]), normalised_codes(parents(rows))
    minute, length = numbers(rows["ended_at"], 0) // MINUTE, numbers(rows["ms_played"], 0)
    key = joined(family, minute, title, np.where(title < 0, parent, -1), length)
    return np.asarray(pd.Series(key).groupby(key).cumcount().to_numpy(), np.int64)


def constant(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text])).cast(pa.string())
