"""Spotify ids: 22 characters of base 62, here made from a kind and a number and readable back.

Because an id can be turned back into its number, the catalogue needs no table of ids and can be made lazily.
"""

from __future__ import annotations

import re
from hashlib import blake2b

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
ID_LENGTH = 22  # characters, Spotify "URIs and IDs"

_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_PAIR_VALUES = {pair: value for value, pair in enumerate(_PAIRS)}
_WELL_FORMED = re.compile(r"[0-9A-Za-z]{22}")
_HALF = (1 << 64) - 1


def well_formed(text: str) -> bool:
    """Whether a text could be a Spotify id at all."""
    return _WELL_FORMED.fullmatch(text) is not None


def base62(value: int) -> str:
    """A 128-bit number as 22 characters."""
    pairs = []
    for _ in range(ID_LENGTH // 2):
        value, rest = divmod(value, 3844)
        pairs.append(_PAIRS[rest])
    return "".join(reversed(pairs))


def _from_base62(text: str) -> int:
    value = 0
    for at in range(0, ID_LENGTH, 2):
        value = value * 3844 + _PAIR_VALUES[text[at : at + 2]]
    return value


class Identifiers:
    """Makes and reads the ids of one seed."""

    def __init__(self, seed: int) -> None:
        self._key = f"id:{seed}".encode()

    def encode(self, kind: str, number: int) -> str:
        """The id of the thing of that kind and number (below 2**64)."""
        high = self._signature(kind, number)
        return base62(high << 64 | number ^ self._mask(high))

    def decode(self, kind: str, text: str) -> int | None:
        """The number behind an id, or None where the id is malformed or of another kind or seed."""
        if not well_formed(text):
            return None
        high, low = divmod(_from_base62(text), 1 << 64)
        if high > _HALF:
            return None
        number = low ^ self._mask(high)
        return number if self._signature(kind, number) == high else None

    def _signature(self, kind: str, number: int) -> int:
        digest = blake2b(f"{kind}:{number}".encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "big")

    def _mask(self, high: int) -> int:
        digest = blake2b(high.to_bytes(8, "big"), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "big")
