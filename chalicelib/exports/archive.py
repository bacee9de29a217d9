"""A zip of history files, made while they are read: each member as its bytes come, or taken over as it is packed.

The standard library deflates at a fifth of the speed and cannot take over a member without packing it anew. Every
member and the directory are written in the zip64 form, so that no size is too large. The same files in the same
order give the same bytes.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

COPY_BLOCK = 4 * 1024 * 1024  # bytes
LEVEL = 1  # exports are large, and this is a tenth of their size
VERSION = 45  # of the format: the first with zip64
UTF8_NAMES = 0x800  # flag
DAY = (1 << 5) | 1  # 1980-01-01, the first that a zip can tell
LARGE = 0xFFFFFFFF  # stands in the 32-bit fields; the true figure is in the zip64 field
LOCAL = struct.Struct("<4s5H3L2H")
LOCAL_SIZES = struct.Struct("<2H2Q")
CENTRAL = struct.Struct("<4s6H3L5H2L")
CENTRAL_SIZES = struct.Struct("<2H3Q")
END64 = struct.Struct("<4sQ2H2L4Q")
END64_PLACE = struct.Struct("<4sLQL")
END = struct.Struct("<4s4H2LH")


@dataclass(slots=True)
class Member:
    """One file of the zip: its sum, sizes in bytes, where it starts and how it is packed."""

    name: bytes
    start: int
    method: int = zipfile.ZIP_DEFLATED
    crc: int = 0
    size: int = 0
    packed: int = 0

    def header(self) -> bytes:
        sizes = LOCAL_SIZES.pack(1, 16, self.size, self.packed)
        fields = (VERSION, UTF8_NAMES, self.method, 0, DAY, self.crc, LARGE, LARGE, len(self.name), len(sizes))
        return LOCAL.pack(b"PK\x03\x04", *fields) + self.name + sizes

    def entry(self) -> bytes:
        """What the directory says of it."""
        sizes = CENTRAL_SIZES.pack(1, 24, self.size, self.packed, self.start)
        packing = (VERSION, VERSION, UTF8_NAMES, self.method, 0, DAY, self.crc, LARGE, LARGE)
        return CENTRAL.pack(b"PK\x01\x02", *packing, len(self.name), len(sizes), 0, 0, 0, 0, LARGE) + self.name + sizes


class HistoryZip:
    """Written in a ``with``; it is whole when that ends without an error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._members: list[Member] = []
        self._deflater, self._sum = fastest_deflate()

    def __enter__(self) -> HistoryZip:
        self._target = self._path.open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._target:
            if kind is None:
                self._write_directory()

    @contextmanager
    def member(self, name: str) -> Iterator[Deflating]:
        """A file whose bytes are given to ``write`` as they come."""
        with self._placed(name, zipfile.ZIP_DEFLATED) as member:
            deflating = Deflating(
                self._target, member, self._deflater(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS), self._sum
            )
            yield deflating
            deflating.finish()

    def take_over(self, source: BinaryIO, info: zipfile.ZipInfo) -> None:
        """A member of another zip as it is packed there; its sum has been checked by whoever read it."""
        source.seek(info.header_offset)
        local = LOCAL.unpack(source.read(LOCAL.size))
        source.seek(local[-2] + local[-1], 1)
        with self._placed(info.filename, info.compress_type) as member:
            member.crc, member.size = info.CRC, info.file_size
            while member.packed < info.compress_size:
                block = source.read(min(COPY_BLOCK, info.compress_size - member.packed))
                if not block:
                    raise zipfile.BadZipFile(f"{info.filename} is cut short")
                member.packed += self._target.write(block)

    @contextmanager
    def _placed(self, name: str, method: int) -> Iterator[Member]:
        """A member whose content is written now; its header, once its sizes are known."""
        member = Member(name.encode(), self._target.tell(), method)
        self._target.write(member.header())
        yield member
        end = self._target.tell()
        self._target.seek(member.start)
        self._target.write(member.header())
        self._target.seek(end)
        self._members.append(member)

    def _write_directory(self) -> None:
        start = self._target.tell()
        for member in self._members:
            self._target.write(member.entry())
        end, count = self._target.tell(), len(self._members)
        length = END64.size - 12  # without its own mark and length
        self._target.write(END64.pack(b"PK\x06\x06", length, VERSION, VERSION, 0, 0, count, count, end - start, start))
        self._target.write(END64_PLACE.pack(b"PK\x06\x07", 0, end, 1))
        few = min(count, 0xFFFF)
        self._target.write(END.pack(b"PK\x05\x06", 0, 0, few, few, min(end - start, LARGE), LARGE, 0))


class Deflating:
    """The content of a member on its way into the zip."""

    def __init__(self, target: BinaryIO, member: Member, deflater: Any, checksum: Any) -> None:
        self._target = target
        self._member = member
        self._deflater = deflater
        self._sum = checksum

    def write(self, data: bytes) -> None:
        self._member.size += len(data)
        self._member.crc = self._sum(data, self._member.crc)
        self._member.packed += self._target.write(self._deflater.compress(data))

    def finish(self) -> None:
        self._member.packed += self._target.write(self._deflater.flush())


def fastest_deflate() -> tuple[Any, Any]:
    """What makes a compressor, and what sums up: isal's where it is installed, five times as fast as zlib's."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj, zlib.crc32
    return isal_zlib.compressobj, isal_zlib.crc32
