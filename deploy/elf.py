"""Make a shared library forget that it needs another one, as ``patchelf --remove-needed`` does (64-bit, little-endian).

Every library of pyarrow names libarrow_substrait as needed, but calls none of it unless a Substrait plan is run.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

MAGIC = b"\x7fELF\x02\x01"
LOAD, DYNAMIC = 1, 2  # types of segments
END, NEEDED, STRINGS = 0, 1, 5  # tags of dynamic entries
SEGMENT = struct.Struct("<IIQQQQQQ")  # type, flags, offset, address, physical, size in file, size in memory, alignment
ENTRY = struct.Struct("<qQ")  # tag, value


def forget_needed(path: Path, prefix: str) -> bool:
    """Drop the entry of the needed library whose name starts with ``prefix``; False if there is none."""
    data = bytearray(path.read_bytes())
    if not data.startswith(MAGIC):
        return False
    found = list(segments(data))
    dynamic = next((segment for segment in found if segment[0] == DYNAMIC), None)
    if dynamic is None:
        return False
    start, size = dynamic[2], dynamic[5]
    entries = [ENTRY.unpack_from(data, place) for place in range(start, start + size, ENTRY.size)]
    strings = next(offset_of(value, found) for tag, value in entries if tag == STRINGS)
    kept = [e for e in entries if not (e[0] == NEEDED and text_at(data, strings + e[1]).startswith(prefix))]
    if len(kept) == len(entries):
        return False
    kept += [(END, 0)] * (len(entries) - len(kept))
    for number, entry in enumerate(kept):
        ENTRY.pack_into(data, start + number * ENTRY.size, *entry)
    path.write_bytes(data)
    return True


def segments(data: bytes | bytearray) -> Iterator[tuple[int, ...]]:
    table, size, count = *struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54)
    for number in range(count):
        yield SEGMENT.unpack_from(data, table + number * size)


def offset_of(address: int, found: list[tuple[int, ...]]) -> int:
    """Where in the file an address of the loaded library lies."""
    for kind, _, offset, start, _, size, _, _ in found:
        if kind == LOAD and start <= address < start + size:
            return offset + address - start
    raise ValueError(f"address {address:#x} lies in no segment")


def text_at(data: bytes | bytearray, place: int) -> str:
    return bytes(data[place : data.index(b"\0", place)]).decode()
