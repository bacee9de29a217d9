"""Rows of an export as observations of listens: rows of ``plays_history`` with a play_id (see resolutions.py)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.exports.rows import ACCOUNT, EXTENDED
from chalicelib.exports.scrobbles import ORIGINS
from chalicelib.exports.staging import StagedFile
from chalicelib.parquet import arrow_schema
from chalicelib.plays.columns import Bools, Ints, flags, joined, normalised_codes, numbers
from chalicelib.plays.copies import END, START
from chalicelib.plays.identities import Digests, account_texts, names_of, parents, play_ids, scrobble_texts
from chalicelib.tables import PLAYS

OBSERVED = arrow_schema(PLAYS)
ITEM_URI = r"^spotify:(track|episode|chapter):[0-9A-Za-z]{22}$"
ID_LENGTH = 22
MINUTE = 60_000  # ms
SHOWN_DIGITS = 16  # of a file's digest


class Observer:
    """Makes the observations of one export. ``files`` are its files by number; ``moment`` is when it was made, as far
    as known."""

    def __init__(self, files: Sequence[StagedFile], user_id: str, moment: datetime) -> None:
        self._account = np.asarray([file.variant == ACCOUNT for file in files], np.bool_)
        self._scrobbled = np.asarray([file.variant in ORIGINS for file in files], np.bool_)
        self._first = np.asarray([minute_of(file.first) for file in files], np.int64)
        self._last = np.asarray([minute_of(file.last) for file in files], np.int64)
        self._digest = pa.array([file.digest[:SHOWN_DIGITS] or None for file in files], pa.string())
        self._user_id = user_id
        self._moment = np.datetime64(moment, "ms")
        self._digests = Digests(user_id)

    def observe(self, rows: pa.Table) -> pa.Table:
        """Rows of one month (``staging.STAGED``) as ``plays_history`` has them, and their ``file``.

        Of equal rows only the first is answered by its play_id; the others have the same one.
        """
        file = rows["file"].to_numpy()
        account = self._account[file]
        scrobbled = self._scrobbled[file]
        if scrobbled.any():
            others = self.observe(rows.filter(pa.array(~scrobbled))) if not scrobbled.all() else None
            observed = observed_scrobbles(rows.filter(pa.array(scrobbled)), self._user_id, self._moment)
            return pa.concat_tables([others, observed]) if others else observed
        values = {
            "play_id": identities(rows, account, file, self._digests),
            "user_id": constant(self._user_id, rows.num_rows),
            "item_id": item_ids(rows["uri"].combine_chunks()),
            "origin": pc.if_else(pa.array(account), ACCOUNT, EXTENDED),
            "context_uri": pa.nulls(rows.num_rows, pa.string()),
            "file_edge": self.edges(rows, file, account),
            "file_digest": self._digest.take(pa.array(file, mask=~account)),
            "observed_at": pa.array(np.full(rows.num_rows, self._moment), pa.timestamp("ms")),
        }
        columns = [values[field.name] if field.name in values else rows[field.name] for field in OBSERVED]
        return pa.table(columns, schema=OBSERVED).append_column("file", rows["file"])

    def edges(self, rows: pa.Table, file: Ints, account: Bools) -> pa.Array:
        """``start`` or ``end`` for rows in the first or last minute of a file of account data, else null."""
        if not account.any():
            return pa.nulls(rows.num_rows, pa.string())
        edges = np.full(rows.num_rows, None, object)
        minute = numbers(rows["ended_at"], 0) // MINUTE
        longer = account & (self._first != self._last)[file]
        edges[longer & (minute == self._first[file])] = START
        edges[longer & (minute == self._last[file])] = END
        return pa.array(edges, pa.string())


def observed_scrobbles(rows: pa.Table, user_id: str, moment: np.datetime64) -> pa.Table:
    """Rows of Last.fm's or ListenBrainz' as ``plays_history`` has them, and their ``file``."""
    texts = scrobble_texts(rows)
    said = pc.if_else(
        pc.is_valid(rows["ms_played"]), rows["ended_at"], pc.coalesce(rows["started_at"], rows["ended_at"])
    )
    second = numbers(said, 0) // 1000
    nothing = np.zeros(rows.num_rows, np.int64)
    own = play_ids(Digests(user_id).words(texts.to_pylist()), second, nothing, nothing)
    values = {
        "play_id": pc.coalesce(rows["play_id"], own),
        "user_id": constant(user_id, rows.num_rows),
        "item_id": item_ids(rows["uri"].combine_chunks()),
        "file_edge": pa.nulls(rows.num_rows, pa.string()),
        "file_digest": pa.nulls(rows.num_rows, pa.string()),
        "observed_at": pa.array(np.full(rows.num_rows, moment), pa.timestamp("ms")),
    }
    columns = [values[field.name] if field.name in values else rows[field.name] for field in OBSERVED]
    return pa.table(columns, schema=OBSERVED).append_column("file", rows["file"])


def minute_of(moment: datetime | None) -> int:
    """Minutes since 1970; -1 for no moment."""
    return int(np.datetime64(moment, "m").astype(np.int64)) if moment else -1


def item_ids(uri: pa.Array) -> pa.Array:
    """The id in the URI of a track, an episode or a chapter; null for local files and the like."""
    is_item = pc.fill_null(pc.match_substring_regex(uri, ITEM_URI), False)
    return pc.if_else(is_item, pc.utf8_slice_codeunits(uri, -ID_LENGTH), pa.scalar(None, pa.string()))


def identities(rows: pa.Table, account: Bools, file: Ints, digests: Digests) -> pa.Array:
    """The play_id of each row, from what identifies it (see plays/identities.py)."""
    second = numbers(rows["ended_at"], 0) // 1000
    copy = np.zeros(rows.num_rows, np.int64)
    if account.any():
        second = np.where(account, second // 60, second)
        copy = np.where(account, copies(rows, file), 0)
    encoded = item_texts(rows, account).dictionary_encode()
    words = digests.words(encoded.dictionary.to_pylist())[encoded.indices.to_numpy()]
    return play_ids(words, second, numbers(rows["ms_played"], 0), copy)


def item_texts(rows: pa.Table, account: Bools) -> pa.Array:
    """What each row is a play of: a URI, else names; of an offline play also when its device played it."""
    uri = rows["uri"].combine_chunks()
    texts = pc.binary_join_element_wise("extended", uri, "\x1f")
    named = account | ~flags(uri.is_valid())
    if named.any():
        parent, title = (pa.array(names, pa.string()) for names in names_of(rows))
        by_name = pc.binary_join_element_wise("named", parent, title, "\x1f")
        if account.any():
            by_name = pc.if_else(pa.array(account), account_texts(parent, title), by_name)
        texts = pc.if_else(pa.array(named), by_name, texts)
    return with_device_time(rows, texts)


def with_device_time(rows: pa.Table, texts: pa.Array) -> pa.Array:
    """The texts of plays that may have been offline with the second at which their device played them: such plays
    share the second of reconnection."""
    device = numbers(rows["offline_at"], -1) // 1000
    offline = (device >= 0) & flags(pc.fill_null(rows["offline"], True))
    if not offline.any():
        return texts
    timed = pc.binary_join_element_wise(texts, pa.array(device).cast(pa.string()), "\x1f")
    return pc.if_else(pa.array(offline), timed, texts)


def copies(rows: pa.Table, file: Ints) -> Ints:
    """Which of equal rows of one file each is, from 0: in account data equal rows are different listens."""
    title, parent = normalised_codes(rows["item_name"]), normalised_codes(parents(rows))
    minute, length = numbers(rows["ended_at"], 0) // MINUTE, numbers(rows["ms_played"], 0)
    key = joined(file, minute, title, np.where(title < 0, parent, -1), length)
    return np.asarray(pd.Series(key).groupby(key).cumcount().to_numpy(), np.int64)


def constant(text: str, count: int) -> pa.Array:
    """A column of one text."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text])).cast(pa.string())
