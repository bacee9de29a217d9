"""The files of a privacy export: in a zip, in a folder, in a zip inside either, or one by itself.

A file is listening history when it is named so, whatever was put before, behind or into the name, or when its first
rows are listens, Last.fm's and ListenBrainz' included (see scrobbles.py). Of account data the saved library, playlists,
follows and searches are read too (see snapshots.py). Files that are known to hold something else (addresses, payments,
what Spotify infers) are never opened, but for the user name in ``Userdata.json`` (see owner.py); they are not kept, and
neither is anything else that is passed over. Every JSON or CSV file that is passed over is named. What a zip cannot
honestly be is refused by name: members that point outside it, links, encrypted members, more members or more bytes than
any export has, and bytes that do not match their sum. The bounds hold for gzip too."""

from __future__ import annotations

import gzip
import io
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from chalicelib.errors import ImportRefused
from chalicelib.exports.json_array import LARGEST_TEXT, Continued
from chalicelib.exports.rows import holds_listens
from chalicelib.exports.scrobbles import BEGINNING, LAST_SECOND, form_of
from chalicelib.exports.snapshots import Snapshot, read_snapshot

HISTORY_NAME = re.compile(r"(endsong|endvideo|Streaming_?History)[^/]*\.json", re.IGNORECASE)  # every product and year
READABLE_NAME = re.compile(r".*\.(json|jsonl|csv|tsv)(\.gz)?", re.IGNORECASE)
#: A history under another suffix: ``endsong_0.json.txt``, ``endsong_0``; Spotify's note about it is a PDF.
RENAMED = re.compile(r"(?!.*\.pdf$).*(endsong|endvideo|streaming[_ ]?history)[^/\\]*", re.IGNORECASE)
#: Files of the account data and of the extended history's zip that are no listening history, by their names.
OTHER_FILES = {
    "userdata": "the account",
    "payments": "payments",
    "identity": "the profile",
    "identifiers": "the account",
    "inferences": "what Spotify infers for advertising",
    "marquee": "advertised artists",
    "yoursoundcapsule": "the sound capsule",
    "wrapped": "the year in review",
    "duonewfamily": "the family plan",
    "messagedata": "messages",
    "podcastinteractivity": "answers to podcasts",
    "familyplan": "the family plan",
    "userattributes": "the account",
    "useraddress": "the address",
    "userprompts": "what was typed to the AI",
    "customerservicehistory": "messages to Spotify",
    "voiceinput": "what was said to a device",
    "preciselocation": "where the devices were",
    "connecteddevices": "devices",
    "tasteprofile": "what Spotify says of the taste",
    "readmefirst": "a note of Spotify's",
}
#: Those of which a snapshot is taken, where they hold what they are named after.
SNAPSHOTS = {
    "yourlibrary": "the saved library",
    "playlist": "playlists",
    "follow": "who follows whom",
    "searchqueries": "searches",
}
MOST_MEMBERS = 10_000  # of one zip; real ones have under 200
MOST_BYTES = 64 * 1024**3  # of history in one export, unpacked
MOST_RATIO = 250  # unpacked to packed; real histories pack 10 to 30 times
LOOKED_AT = 4096  # bytes in which a file's first character stands
SMALL = 1024 * 1024  # bytes up to which the ratio does not matter
DEEPEST = 3  # zips inside each other
LARGEST_PROFILE = 1024 * 1024  # bytes of Userdata.json; real ones have a thousand
FIRST_YEAR = 2005  # no export is older
COPY_BLOCK = 4 * 1024 * 1024  # bytes
ZIP, GZIP = b"PK\x03\x04", b"\x1f\x8b"
EMPTY_ZIP = b"PK\x05\x06"
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, gzip.BadGzipFile)


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One JSON file of an export. ``open`` answers its bytes as a stream."""

    name: str
    size: int
    open: Callable[[], BinaryIO]
    written_at: datetime | None = None  # as a zip says, or else the file system, UTC
    in_zip: bool = False

    @property
    def folder(self) -> str:
        """Where it lies: files of one export lie together."""
        return self.name.replace("\\", "/").rpartition("/")[0]


@dataclass(slots=True)
class ExportFiles:
    """What an export is made of.

    ``history`` are its files of listening history in the order of their names (numbers by value), ``snapshots`` those
    that say what was so when it was made, with what they say; ``passed_over`` the names of its other JSON files,
    with what they hold where that is known, and ``others`` what those hold. ``only_history``: it is one file of
    history, or a zip that holds nothing else, and so may be kept as it is. ``profiles``: those that tell whose it
    is.
    """

    history: list[ExportFile] = field(default_factory=list)
    snapshots: list[tuple[ExportFile, Snapshot]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    profiles: list[ExportFile] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    only_history: bool = True
    size: int = 0  # bytes of history


@contextmanager
def export_files(source: Path, name: str) -> Iterator[ExportFiles]:
    """The files of the export at ``source``, open as long as the ``with`` lasts. Raises ImportRefused."""
    files = ExportFiles()
    with ExitStack() as opened:
        if source.is_dir():
            files.only_history = False
            add_folder(files, source, opened)
        else:
            add_source(files, open_file(source, name, opened), name, opened, moment_of(source.stat().st_mtime))
        files.history.sort(key=by_number)
        files.snapshots.sort(key=lambda each: by_number(each[0]))
        files.passed_over.sort()
        yield files


def open_file(path: Path, name: str, opened: ExitStack) -> BinaryIO:
    """The file, closed with ``opened``. Raises ImportRefused."""
    try:
        return opened.enter_context(path.open("rb"))
    except OSError as error:
        raise ImportRefused(f"{name} cannot be read: {error.strerror}", file=name) from error


def add_source(files: ExportFiles, stream: BinaryIO, name: str, opened: ExitStack, written_at: datetime | None) -> None:
    """The file that was named itself: a zip, or a history whatever its name."""
    first = stream.read(4)
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if first in (ZIP, EMPTY_ZIP):
        add_zip(files, stream, name, "", opened)
        return
    packed = first.startswith(GZIP)
    file = ExportFile(name, size, lambda: again(stream, size, name, packed=packed), written_at)
    if other := other_content(name):
        raise ImportRefused(f"{name} holds {other}, not listening history", file=name, holds=[other])
    kind = SNAPSHOTS.get(stem_of(name))
    is_known = HISTORY_NAME.fullmatch(name) or (not kind and is_history(file))
    if not is_known and take_snapshot(files, file):
        files.only_history = False
    elif kind:
        raise ImportRefused(f"{name} holds {kind}, not listening history, in no form that is known", file=name)
    else:
        files.history.append(file)


def again(stream: BinaryIO, size: int, name: str, *, packed: bool) -> BinaryIO:
    """A file from its beginning, which stays open for others who read it."""
    stream.seek(0)
    kept = cast(BinaryIO, Continued(b"", stream))
    return unpacked(kept, size, name) if packed else kept


@contextmanager
def damage_is_refused(name: str) -> Iterator[None]:
    """Name the export in what goes wrong while it is unpacked."""
    try:
        yield
    except DAMAGE as error:
        raise ImportRefused(f"{name} is damaged: {error}", file=name) from error


# --- what is history ----------------------------------------------------------------------------------------------


def add_file(files: ExportFiles, file: ExportFile) -> None:
    """Put a JSON file with the history or with what is passed over."""
    base = re.split(r"[/\\]", file.name)[-1]
    other = None if HISTORY_NAME.fullmatch(base) else other_content(base)
    kind = SNAPSHOTS.get(stem_of(base))
    if other:
        if is_profile(base) and file.size <= LARGEST_PROFILE:
            files.profiles.append(file)
        files.passed_over.append(f"{file.name} ({other})")
        files.others.append(other)
    elif HISTORY_NAME.fullmatch(base) or (not kind and is_history(file)):
        files.history.append(file)
        files.size += file.size
        if files.size > MOST_BYTES:
            raise ImportRefused(f"{file.name}: the export would unpack to more than {MOST_BYTES} bytes", file=file.name)
        return
    elif not take_snapshot(files, file):
        files.passed_over.append(f"{file.name} ({kind})" if kind else file.name)
    files.only_history = False


def may_be_read(name: str) -> bool:
    """Whether a file that is no zip may be history, by its name."""
    whole_name = READABLE_NAME.fullmatch(name) or RENAMED.fullmatch(name)
    return whole_name is not None and not name.lower().endswith(".zip")


def other_content(name: str) -> str | None:
    """What a file of Spotify's holds that is no history, by its name; None where the name does not tell."""
    return OTHER_FILES.get(stem_of(name))


def stem_of(name: str) -> str:
    """The letters of a file's name, whatever numbers stand in it or a system has put before or behind it."""
    return re.sub(r"[^a-z]", "", name.lower().partition(".json")[0].removeprefix("copy of "))


def take_snapshot(files: ExportFiles, file: ExportFile) -> bool:
    """Take what a file says besides listens, if it says such."""
    is_named_so = stem_of(re.split(r"[/\\]", file.name)[-1]) in SNAPSHOTS
    if file.size > LARGEST_TEXT or not (is_named_so or begins_as_json(file)):
        return False
    with damage_is_refused(file.name), file.open() as stream:
        found = read_snapshot(stream, is_named_so=is_named_so)
    if found is not None:
        files.snapshots.append((file, found))
    return found is not None


def begins_as_json(file: ExportFile) -> bool:
    """Whether a file's first character, in any encoding of a text, opens a JSON object or list."""
    with damage_is_refused(file.name), file.open() as stream:
        return stream.read(LOOKED_AT).lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1] in (b"{", b"[")


def is_profile(name: str) -> bool:
    """Whether a file is the one that tells whose account an export is of, by its name."""
    return name.lower().removeprefix("copy of ").startswith("userdata")


def is_history(file: ExportFile) -> bool:
    """Whether the first rows of a file are listens, whatever it is called."""
    with damage_is_refused(file.name), file.open() as stream:
        first = stream.read(BEGINNING)
        return form_of(first) is not None or holds_listens(cast(BinaryIO, Continued(first, stream)))


def is_hidden(name: str) -> bool:
    """Whether a file is one that systems leave beside others: resource forks of macOS carry the same names."""
    parts = re.split(r"[/\\]", name)
    return "__MACOSX" in parts or parts[-1].startswith(".")


def by_number(file: ExportFile) -> list[tuple[int, str]]:
    """What files are sorted by: the numbers in their names by value."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", file.name)]


# --- folders and zips ---------------------------------------------------------------------------------------------


def add_folder(files: ExportFiles, folder: Path, opened: ExitStack) -> None:
    """JSON files and zips anywhere below ``folder``; links are not followed."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if is_hidden(path.name) or path.is_symlink() or not path.is_file():
            continue
        if may_be_read(path.name):
            found = path.stat()
            add_file(files, ExportFile(name, found.st_size, folder_opener(path, name), moment_of(found.st_mtime)))
        elif path.suffix.lower() == ".zip":
            add_zip(files, open_file(path, name, opened), name, f"{name}/", opened)


def folder_opener(path: Path, name: str) -> Callable[[], BinaryIO]:
    """What opens a file of a folder."""

    def open_path() -> BinaryIO:
        stream = path.open("rb")
        return maybe_packed(stream, path.stat().st_size, name) if name.lower().endswith(".gz") else stream

    return open_path


def add_zip(files: ExportFiles, stream: BinaryIO, name: str, inside: str, opened: ExitStack, depth: int = 1) -> None:
    """The files of a zip; ``inside`` stands before their names. Zips in it are unpacked to where they can be read."""
    if depth > DEEPEST:
        raise ImportRefused(f"{name} holds zips inside each other, more than {DEEPEST} deep", file=name)
    with damage_is_refused(name):
        archive = opened.enter_context(zipfile.ZipFile(stream))
        members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise ImportRefused(f"{name} holds {len(members)} files; an export has at most {MOST_MEMBERS}", file=name)
    for member in members:
        if member.is_dir():
            continue
        if is_hidden(member.filename):
            files.only_history = False
        elif may_be_read(member.filename):
            check_member(member, name)
            opener = member_opener(archive, member, name)
            said = ExportFile(inside + member.filename, member.file_size, opener, moment_in(member), in_zip=True)
            add_file(files, said)
        elif member.filename.lower().endswith(".zip"):
            check_member(member, name)
            files.only_history = False
            inner = inside + member.filename
            stream_inside = opened.enter_context(extracted(archive, member, name))
            add_zip(files, stream_inside, inner, f"{inner}/", opened, depth + 1)
        else:
            files.only_history = False


@contextmanager
def extracted(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Iterator[BinaryIO]:
    """A member as a file of its own, in which one can seek."""
    with tempfile.TemporaryFile() as file:
        with damage_is_refused(name), archive.open(member) as source:
            shutil.copyfileobj(source, file, COPY_BLOCK)
        file.seek(0)
        yield cast(BinaryIO, file)


def moment_of(seconds: float) -> datetime | None:
    """A moment as the file system has it, in UTC without a zone; None for one that is none."""
    return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None) if 0 < seconds < LAST_SECOND else None


def moment_in(member: zipfile.ZipInfo) -> datetime | None:
    """When a member was written, as the zip says; None where it does not (1980 is when zips begin to count)."""
    try:
        return datetime(*member.date_time) if member.date_time[0] > FIRST_YEAR else None  # noqa: DTZ001 - taken for UTC
    except ValueError:
        return None


def check_member(member: zipfile.ZipInfo, name: str) -> None:
    """Refuse what no honest zip holds."""
    inside = f"{name}: its file {member.filename!r}"
    parts = re.split(r"[/\\]", member.filename)
    if parts[0] == "" or ".." in parts or ":" in parts[0]:
        raise ImportRefused(f"{inside} points outside the zip", file=name, member=member.filename)
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ImportRefused(f"{inside} is a link", file=name, member=member.filename)
    if member.flag_bits & 0x1:
        raise ImportRefused(f"{inside} is encrypted", file=name, member=member.filename)
    if is_bomb(member.compress_size, member.file_size):
        raise bomb("zip", inside, member.compress_size, member.file_size, name)


def member_opener(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Callable[[], BinaryIO]:
    """What opens a member of a zip."""

    def open_member() -> BinaryIO:
        with damage_is_refused(name):
            stream = cast(BinaryIO, archive.open(member))
        packed = member.filename.lower().endswith(".gz")
        return maybe_packed(stream, member.file_size, member.filename) if packed else stream

    return open_member


# --- gzip ---------------------------------------------------------------------------------------------------------


def maybe_packed(stream: BinaryIO, size: int, name: str) -> BinaryIO:
    """What a file holds that is gzip, or only called so."""
    packed = stream.read(2) == GZIP
    stream.seek(0)
    return unpacked(stream, size, name) if packed else stream


def unpacked(stream: BinaryIO, size: int, name: str) -> BinaryIO:
    """What ``size`` bytes of gzip hold."""
    return cast(BinaryIO, BoundedGzip(stream, size, name))


class BoundedGzip(gzip.GzipFile):
    """Gzip that is refused once it unpacks to more than a history can be; raises ImportRefused."""

    def __init__(self, stream: BinaryIO, packed: int, name: str) -> None:
        super().__init__(fileobj=stream)
        self._stream = stream
        self._packed = packed
        self._unpacked = 0
        self._name = name

    def read(self, size: int | None = -1) -> bytes:
        """Unpacked bytes. Raises ImportRefused."""
        data = super().read(size)
        self._unpacked += len(data)
        if is_bomb(self._packed, self._unpacked) or self._unpacked > MOST_BYTES:
            raise bomb("gzip", self._name, self._packed, self._unpacked, self._name)
        return data

    def close(self) -> None:
        """Close the packed file too."""
        super().close()
        self._stream.close()


def is_bomb(packed: int, size: int) -> bool:
    """Whether so many bytes unpack to more than a history's would."""
    return size > SMALL and size > MOST_RATIO * packed


def bomb(kind: str, file: str, packed: int, size: int, name: str) -> ImportRefused:
    """The refusal of a bomb."""
    return ImportRefused(f"{file} would unpack {packed} bytes to {size} or more: a {kind} bomb", file=name)
