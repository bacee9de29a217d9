"""Where a row came from, as one number that goes with it: its answer in the raw object and its item in that answer.

Packed, it is ``answer << 32 | item + 1``: rows sort in the order in which they were answered, the items of one list
are consecutive numbers, and the answer as a whole comes before its items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

ORIGIN = "_origin"  # the column that goes with the rows until they are written
WHOLE = -1  # instead of an item: the answer as a whole
ITEM_BITS = 32
ITEMS = (1 << ITEM_BITS) - 1


class Origin(NamedTuple):
    """``answer`` is its number in the raw object, from 0; ``item`` its place in the answer's list, or WHOLE."""

    answer: int
    item: int = WHOLE

    def pack(self) -> int:
        return (self.answer << ITEM_BITS) + self.item + 1

    @classmethod
    def unpack(cls, packed: int) -> Origin:
        return cls(packed >> ITEM_BITS, (packed & ITEMS) - 1)


def unpacked(origins: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The answers and the items of packed origins."""
    import pyarrow.compute as pc

    return pc.shift_right(origins, ITEM_BITS), pc.subtract(pc.bit_wise_and(origins, ITEMS), 1)
