"""Shared libraries for Lambda, read and made smaller on whatever machine deploys (64-bit, little-endian ELF).

What ``patchelf --remove-needed`` and ``strip`` do, but the same on Linux of either architecture and on macOS, whose own
tools do not read ELF: every library of pyarrow names libarrow_substrait as needed, but calls none of it unless a
Substrait plan is run; and what lies behind the last loaded byte (symbols, section headers) is for linkers and
debuggers alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

MAGIC = b"\x7fELF\x02\x01"
HEADER = 64  # bytes
MACHINE = 18  # where in the header the architecture's number is, 2 bytes
MACHINES = {0x3E: "x86_64", 0xB7: "arm64", 0x03: "i386", 0x28: "arm", 0xF3: "riscv"}
SECTIONS, SECTION_COUNTS = 40, 60  # where the header says where section headers are, and how many of them
LOAD, DYNAMIC = 1, 2  # types of segments
END, NEEDED, STRINGS = 0, 1, 5  # tags of dynamic entries
SEGMENT = struct.Struct("<IIQQQQQQ")  # type, flags, offset, address, physical, size in file, size in memory, alignment
ENTRY = struct.Struct("<qQ")  # tag, value


def strangers(libraries: Iterable[Path], machine: str) -> list[str]:
    """Those libraries that ``machine`` cannot load, each with what it is for."""
    return [f"{path.name} is for {found}" for path in libraries if (found := machine_of(path)) != machine]


def machine_of(path: Path) -> str:
    """``x86_64``, ``arm64``…; ``no Linux`` for what is no 64-bit ELF (a library of macOS)."""
    with path.open("rb") as stream:
        header = stream.read(HEADER)
    if len(header) < HEADER or not header.startswith(MAGIC):
        return "no Linux"
    (number,) = struct.unpack_from("<H", header, MACHINE)
    return MACHINES.get(number, f"machine {number}")


def strip(path: Path) -> int:
    """Cut off what no segment loads, and the section headers with it; answers the bytes saved. What is no ELF library
    stays as it is."""
    data = bytearray(path.read_bytes())
    if not data.startswith(MAGIC):
        return 0
    end = max([HEADER, program_headers_end(data), *(found[2] + found[5] for found in segments(data))])
    if end >= len(data):
        return 0
    saved = len(data) - end
    struct.pack_into("<Q", data, SECTIONS, 0)
    struct.pack_into("<HH", data, SECTION_COUNTS, 0, 0)
    path.write_bytes(data[:end])
    return saved


def program_headers_end(data: bytes | bytearray) -> int:
    """Where the table of segments ends."""
    table, size, count = *struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54)
    return int(table + size * count)


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
