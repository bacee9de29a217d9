"""The ids of observations: 32 hexadecimal digits, two words of 64 bits.

The digest of what an observation is of, to whose words its moment and length are added, and for the n-th of several
equal rows of account data n steps: so the id of one of them gives those of the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chalicelib.plays.columns import Ints, normalised

Words = np.ndarray[Any, np.dtype[np.uint64]]

DIGITS = 32
LENGTH_BITS = 30  # of a length in ms; the second stands above them (rows.LONGEST_PLAY, LAST_MOMENT)
SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd, so that different moments stay different
STEP = np.asarray([0xD1B54A32D192ED03, 0x8CB92BA72F3D8DD7], np.uint64)  # from one equal row to the next
MOST_DIGESTS = 50_000  # digests that are remembered, about 10 MB


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


def play_ids(digests: Words, second: Ints, length: Ints, copy: Ints) -> pa.Array:
    """The ids of observations: two of one item that differ in second, length or copy differ in both halves.

    ``digests`` are changed.
    """
    place = ((second << LENGTH_BITS) | length).astype(np.uint64)
    digests[:, 0] += place
    digests[:, 1] += place * SPREAD
    digests += copy.astype(np.uint64)[:, None] * STEP
    digits = digests.astype(">u8").tobytes().hex().encode()
    ends = np.arange(0, len(digits) + 1, DIGITS, dtype=np.int32)
    return pa.StringArray.from_buffers(len(second), pa.py_buffer(ends), pa.py_buffer(digits))


def stepped(play_id: str, steps: int) -> str:
    """The id of the equal row that many places on."""
    words = np.frombuffer(bytes.fromhex(play_id), ">u8").astype(np.uint64) + np.int64(steps).astype(np.uint64) * STEP
    return str(words.astype(">u8").tobytes().hex())


def taken_over(play_id: str, text: str, before: Digests, after: Digests) -> str:
    """The id that the observation of ``text`` has for another listener, at the same moment, of the same length."""
    words = np.frombuffer(bytes.fromhex(play_id), ">u8").astype(np.uint64)
    words = words - before.words([text])[0] + after.words([text])[0]
    return str(words.astype(">u8").tobytes().hex())


# --- what an item is called ---------------------------------------------------------------------------------------


def account_texts(parent: pa.Array, title: pa.Array) -> pa.Array:
    """What rows of account data are a play of, by :func:`names_of`: a title or, where there is none, an artist."""
    name = pc.if_else(pc.equal(title, ""), pc.binary_join_element_wise("", parent, "\x1e"), title)
    return pc.binary_join_element_wise("account", name, "0", "\x1f")


def scrobble_texts(rows: pa.Table) -> pa.Array:
    """What scrobbles are a play of: the service, and the names as it has them."""
    texts = pc.binary_join_element_wise(rows["origin"], rows["artist_name"], rows["item_name"], "\x1f")
    return texts.combine_chunks()


def names_of(rows: pa.Table) -> tuple[list[str], list[str]]:
    """What an item belongs to and what it is called, normalised; '' where that is not said."""
    return normalised_texts(parents(rows)), normalised_texts(rows["item_name"].combine_chunks())


def parents(rows: pa.Table) -> pa.Array:
    """What each item belongs to: an artist, a show or a book."""
    chosen = pc.if_else(pc.equal(rows["item_type"], "audiobook"), rows["album_name"], rows["artist_name"])
    return chosen.combine_chunks()


def normalised_texts(column: pa.Array) -> list[str]:
    """Names that can be compared; '' for none."""
    encoded = column.dictionary_encode()
    texts = [*map(normalised, encoded.dictionary.to_pylist()), ""]
    return [texts[index] for index in pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_pylist()]
