"""Deterministic draws: the same key gives the same numbers on every machine and Python version."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from struct import Struct
from typing import TypeVar

T = TypeVar("T")

_EIGHT_NUMBERS = Struct("<8Q")
_UNIT = 2.0**-53


class Dice:
    """An endless row of numbers that depends on its key alone.

    Keys are hashed with BLAKE2b, so neighbouring keys are unrelated and nothing is shared between them:
    any object of the sandbox can be made at any time, in any order, and comes out the same.
    """

    __slots__ = ("_key", "_numbers", "_round")

    def __init__(self, *key: object) -> None:
        self._key = ":".join(map(str, key)).encode()
        self._round = 0
        self._numbers = list(_EIGHT_NUMBERS.unpack(blake2b(self._key).digest()))

    def unit(self) -> float:
        """A number in [0, 1)."""
        if not self._numbers:
            self._round += 1
            digest = blake2b(self._key, salt=self._round.to_bytes(16, "little")).digest()
            self._numbers = list(_EIGHT_NUMBERS.unpack(digest))
        return float(self._numbers.pop() >> 11) * _UNIT

    def below(self, bound: int) -> int:
        """A whole number in [0, bound)."""
        return int(self.unit() * bound)

    def between(self, low: int, high: int) -> int:
        """A whole number in [low, high], both included."""
        return low + int(self.unit() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.unit() < probability

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices, all equally likely."""
        return choices[int(self.unit() * len(choices))]

    def waiting(self, mean: float) -> float:
        """An exponentially distributed waiting time."""
        return -math.log(1.0 - self.unit()) * mean

    def around(self, mean: float, spread: float) -> float:
        """A bell-shaped number: the sum of four uniform ones, so never beyond 3.5 spreads."""
        total = self.unit() + self.unit() + self.unit() + self.unit() - 2.0
        return mean + total * spread * math.sqrt(3.0)
