"""Rows of an export as observations of listens: rows of ``plays_history`` with a play_id (see resolutions.py)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.exports.rows import ACCOUNT, EXTENDED
from chalicelib.exports.staging import StagedFile
from chalicelib.parquet import arrow_schema
from chalicelib.plays.columns import Bools, Ints, flags, joined, normalised, normalised_codes, numbers
from chalicelib.tables import PLAYS

Words = np.ndarray[Any, np.dtype[np.uint64]]

OBSERVED = arrow_schema(PLAYS)
ITEM_URI = r"^spotify:(track|episode|chapter):[0-9A-Za-z]{22}$"
ID_LENGTH = 22
MINUTE = 60_000  # ms
START, END = "start", "end"
ID_DIGITS = 32
LENGTH_BITS = 30  # of a length in ms; the second stands above them (exports.LONGEST_PLAY, LAST_MOMENT)
SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd, so that different moments stay different
MOST_DIGESTS = 50_000  # digests that are remembered, about 10 MB


class Observer:
    """Makes the observations of one export. ``files`` are its files by number; ``moment`` is when it was made, as far
    as known."""

    def __init__(self, files: Sequence[StagedFile], user_id: str, moment: datetime) -> None:
        self._account = np.asarray([file.variant == ACCOUNT for file in files], np.bool_)
        self._first = np.asarray([minute_of(file.first) for file in files], np.int64)
        self._last = np.asarray([minute_of(file.last) for file in files], np.int64)
        self._user_id = user_id
        self._moment = np.datetime64(moment, "ms")
        self._digests = Digests(user_id)

    def observe(self, rows: pa.Table) -> pa.Table:
        """Rows of one month (``staging.STAGED``) as ``plays_history`` has them, and their ``file``.

        Of equal rows only the first is answered by its play_id; the others have the same one.
        """
        file = rows["file"].to_numpy()
        account = self._account[file]
        edges = self.edges(rows, file, account)
        values = {
            "play_id": identities(rows, account, file, edges, self._digests),
            "user_id": constant(self._user_id, rows.num_rows),
            "item_id": item_ids(rows["uri"].combine_chunks()),
            "origin": pc.if_else(pa.array(account), ACCOUNT, EXTENDED),
            "context_uri": pa.nulls(rows.num_rows, pa.string()),
            "file_edge": edges,
            "observed_at": pa.array(np.full(rows.num_rows, self._moment), pa.timestamp("ms")),
        }
        columns = [values[field.name] if field.name in values else rows[field.name] for field in OBSERVED]
        return pa.table(columns, schema=OBSERVED).append_column("file", rows["file"])

    def edges(self, rows: pa.Table, file: Ints, account: Bools) -> pa.Array:
        """``start`` or ``end`` for rows in the first or last minute of a file of account data, else null."""
        edges = np.full(rows.num_rows, None, object)
        if account.any():
            minute = numbers(rows["ended_at"], 0) // MINUTE
            longer = account & (self._first != self._last)[file]
            edges[longer & (minute == self._first[file])] = START
            edges[longer & (minute == self._last[file])] = END
        return pa.array(edges, pa.string())


def minute_of(moment: datetime | None) -> int:
    return int(np.datetime64(moment, "m").astype(np.int64)) if moment else -1


def item_ids(uri: pa.Array) -> pa.Array:
    """The id in the URI of a track, an episode or a chapter; null for local files and the like."""
    is_item = pc.fill_null(pc.match_substring_regex(uri, ITEM_URI), False)
    return pc.if_else(is_item, pc.utf8_slice_codeunits(uri, -ID_LENGTH), pa.scalar(None, pa.string()))


def identities(rows: pa.Table, account: Bools, file: Ints, edges: pa.Array, digests: Digests) -> pa.Array:
    """The play_id of each row: 32 hexadecimal digits that tell what identifies it.

    The digest of what it is a play of, to whose halves the second and the length are added: two plays of one item
    that differ in either differ in both halves, and of two items they are as far apart as their digests.
    """
    when = numbers(rows["ended_at"], 0) // 1000
    items = item_texts(rows, account, file, edges)
    if account.any():
        when = np.where(account, when // 60, when)
    encoded = items.dictionary_encode()
    place = ((when << LENGTH_BITS) | numbers(rows["ms_played"], 0)).astype(np.uint64)
    words = digests.words(encoded.dictionary.to_pylist())[encoded.indices.to_numpy()]
    words[:, 0] += place
    words[:, 1] += place * SPREAD
    digits = words.astype(">u8").tobytes().hex().encode()
    ends = np.arange(0, len(digits) + 1, ID_DIGITS, dtype=np.int32)
    return pa.StringArray.from_buffers(rows.num_rows, pa.py_buffer(ends), pa.py_buffer(digits))


class Digests(dict[str, bytes]):
    """Digests of what a listener plays, 16 bytes each; the same are needed again and again."""

    def __init__(self, user_id: str) -> None:
        self._user_id = user_id

    def __missing__(self, text: str) -> bytes:
        if len(self) >= MOST_DIGESTS:
            self.clear()
        digest = self[text] = blake2b(f"{self._user_id}\x1f{text}".encode(), digest_size=16).digest()
        return digest

    def words(self, texts: Iterable[str]) -> Words:
        """Those of some texts, each as two numbers of 64 bits."""
        return np.frombuffer(b"".join(map(self.__getitem__, texts)), ">u8").astype(np.uint64).reshape(-1, 2)


def item_texts(rows: pa.Table, account: Bools, file: Ints, edges: pa.Array) -> pa.Array:
    """What each row is a play of: a URI, else names; of an offline play also when its device played it, and in
    account data which of several equal rows of its file it is."""
    uri = rows["uri"].combine_chunks()
    texts = pc.binary_join_element_wise("extended", uri, "\x1f")
    named = account | ~flags(uri.is_valid())
    if named.any():
        parent, title = (pa.array(names, pa.string()) for names in names_of(rows))
        by_name = pc.binary_join_element_wise("named", parent, title, "\x1f")
        if account.any():
            copy = pc.binary_join_element_wise(
                pa.array(copies(rows, file)).cast(pa.string()), pc.fill_null(edges, ""), ""
            )
            name = pc.if_else(pc.equal(title, ""), pc.binary_join_element_wise("", parent, "\x1e"), title)
            by_copy = pc.binary_join_element_wise("account", name, copy, "\x1f")
            by_name = pc.if_else(pa.array(account), by_copy, by_name)
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


def copies(rows: pa.Table, file: Ints) -> Ints:
    """Which of equal rows of one file each is, from 0: in account data equal rows are different listens."""
    title, parent = normalised_codes(rows["item_name"]), normalised_codes(parents(rows))
    minute, length = numbers(rows["ended_at"], 0) // MINUTE, numbers(rows["ms_played"], 0)
    key = joined(file, minute, title, np.where(title < 0, parent, -1), length)
    return np.asarray(pd.Series(key).groupby(key).cumcount().to_numpy(), np.int64)


def constant(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text])).cast(pa.string())
