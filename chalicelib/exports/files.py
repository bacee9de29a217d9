"""The files of a privacy export: in a zip, in a folder, or one by itself.

Only files that are named as listening history are opened; the same zip holds addresses, payments and searches.
Nothing is ever unpacked to disk. What a zip cannot honestly be is refused by name: members that point outside it,
links, encrypted members, more members or more bytes than any export has, and bytes that do not match their sum.
"""

from __future__ import annotations

import gzip
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from chalicelib.errors import ImportRefused

HISTORY_NAME = re.compile(r"(endsong|endvideo|Streaming_?History)[^/]*\.json", re.IGNORECASE)  # every product and year
MOST_MEMBERS = 10_000  # of one zip; real ones have under 200
MOST_BYTES = 64 * 1024**3  # of history in one zip, unpacked
MOST_RATIO = 250  # unpacked to packed; real histories pack 10 to 30 times
SMALL = 1024 * 1024  # bytes up to which the ratio does not matter
ZIP, GZIP = b"PK\x03\x04", b"\x1f\x8b"
EMPTY_ZIP = b"PK\x05\x06"


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One JSON file of an export. ``open`` answers its bytes as a stream."""

    name: str
    size: int
    open: Callable[[], BinaryIO]


@contextmanager
def export_files(source: Path | BinaryIO, name: str) -> Iterator[list[ExportFile]]:
    """The history files of ``source`` in the order of their names (numbers by value). Raises ImportRefused."""
    if isinstance(source, Path) and source.is_dir():
        yield in_order(folder_files(source))
        return
    with open_source(source, name) as stream:
        first = stream.read(4)
        stream.seek(0)
        if first in (ZIP, EMPTY_ZIP):
            with damage_is_refused(name), zipfile.ZipFile(stream) as archive:
                yield in_order(zip_files(archive, name))
        elif first.startswith(GZIP):
            size = stream.seek(0, 2)
            stream.seek(0)
            yield [ExportFile(name, size, lambda: cast(BinaryIO, gzip.GzipFile(fileobj=stream)))]
        else:
            size = stream.seek(0, 2)
            stream.seek(0)
            yield [ExportFile(name, size, lambda: stream)]


@contextmanager
def open_source(source: Path | BinaryIO, name: str) -> Iterator[BinaryIO]:
    if not isinstance(source, Path):
        yield source
        return
    try:
        stream = source.open("rb")
    except OSError as error:
        raise ImportRefused(f"{name} cannot be read: {error.strerror}", file=name) from error
    with stream:
        yield stream


@contextmanager
def damage_is_refused(name: str) -> Iterator[None]:
    """Name the export in what goes wrong while it is unpacked."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, gzip.BadGzipFile) as error:
        raise ImportRefused(f"{name} is damaged: {error}", file=name) from error


def folder_files(folder: Path) -> Iterator[ExportFile]:
    """History files anywhere below ``folder``; links are not followed."""
    for path in sorted(folder.rglob("*")):
        if HISTORY_NAME.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            yield ExportFile(str(path.relative_to(folder)), path.stat().st_size, opener(path))


def opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: path.open("rb")


def zip_files(archive: zipfile.ZipFile, name: str) -> Iterator[ExportFile]:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise ImportRefused(f"{name} holds {len(members)} files; an export has at most {MOST_MEMBERS}", file=name)
    history = [check_member(member, name) for member in members if is_history(member)]
    if sum(member.file_size for member in history) > MOST_BYTES:
        raise ImportRefused(f"{name} would unpack to more than {MOST_BYTES} bytes", file=name)
    for member in history:
        yield ExportFile(member.filename, member.file_size, member_opener(archive, member, name))


def is_history(member: zipfile.ZipInfo) -> bool:
    """Whether a member is named as history; resource forks of macOS carry the same names and are none."""
    parts = re.split(r"[/\\]", member.filename)
    return bool(HISTORY_NAME.fullmatch(parts[-1])) and "__MACOSX" not in parts


def check_member(member: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
    inside = f"{name}: its file {member.filename!r}"
    parts = re.split(r"[/\\]", member.filename)
    if parts[0] == "" or ".." in parts or ":" in parts[0]:
        raise ImportRefused(f"{inside} points outside the zip", file=name, member=member.filename)
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ImportRefused(f"{inside} is a link", file=name, member=member.filename)
    if member.flag_bits & 0x1:
        raise ImportRefused(f"{inside} is encrypted", file=name, member=member.filename)
    if member.file_size > SMALL and member.file_size > MOST_RATIO * member.compress_size:
        raise ImportRefused(
            f"{inside} would unpack {member.compress_size} bytes to {member.file_size}: a zip bomb",
            file=name,
            member=member.filename,
        )
    return member


def member_opener(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Callable[[], BinaryIO]:
    def open_member() -> BinaryIO:
        with damage_is_refused(name):
            return cast(BinaryIO, archive.open(member))

    return open_member


def in_order(files: Iterator[ExportFile]) -> list[ExportFile]:
    def by_number(file: ExportFile) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", file.name)]

    return sorted(files, key=by_number)
