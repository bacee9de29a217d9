"""A JSON array read a piece at a time, however large the file: whole elements, bounded memory.

The array's elements must be objects, as in every privacy export. A piece ends at the last ``}`` that has been read;
where that brace stands inside a text or an inner object, the piece does not parse, and its true end is looked for.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar, cast

import msgspec

T = TypeVar("T")

BLOCK = 4 * 1024 * 1024  # bytes read at once
LARGEST_TEXT = 256 * 1024 * 1024  # bytes of a file that is read as one text; real ones have a few megabytes
LONGEST_ELEMENT = 1024 * 1024  # bytes; a listen's row has under 2 kB
MOST_VALUES = 5_000_000  # of a text that is read as one: each takes some 100 bytes in memory, however short it is
MARK = b"\xef\xbb\xbf"  # UTF-8 byte-order mark
SPACE = b" \t\r\n"
MOST_BLANK = 16 * 1024 * 1024  # bytes before the array
UTF_16 = (
    ("utf-16-le", (b"\xff\xfe", b"[\x00", b" \x00", b"\n\x00", b"\r\x00")),
    ("utf-16-be", (b"\xfe\xff", b"\x00[", b"\x00 ", b"\x00\n", b"\x00\r")),
)
BLANKS = re.compile(rb"[ \t\r\n]+")
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*(?P<closed>")?|[{}\[\]]', re.DOTALL)


NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a text that is not JSON, not UTF-8, or nested too deeply."""


class NotAnArray(ValueError):
    """The text is not one whole JSON array of objects; says where it stops being one."""


def pieces(stream: BinaryIO, parse: Callable[[bytes], T], *, block: int = BLOCK) -> Iterator[T]:
    """``parse(b"[...]")`` for successive pieces of the array in ``stream``.

    ``parse`` raises msgspec.DecodeError for what is not JSON. An empty or blank stream is an empty array.
    Raises NotAnArray.
    """
    stream = in_utf8(stream, block)
    rest = opening(stream, block)
    if rest is None:
        return
    done = 0  # bytes of the array handed out
    while more := stream.read(block):
        rest += more
        if end := rest.rfind(b"}") + 1:
            piece, end = whole_elements(rest, end, parse, done)
            if end:
                done, rest = done + end, rest[end:]
                yield piece  # type: ignore[misc]
        if len(rest) > block + LONGEST_ELEMENT:
            raise NotAnArray(f"an element after byte {done} is longer than {LONGEST_ELEMENT} bytes")
    text = rest.rstrip(SPACE)
    if not text.endswith(b"]"):
        raise NotAnArray(f"it is cut short after byte {done + len(rest)}")
    if last := text[:-1].strip(SPACE):
        yield parse_piece(last, len(last), parse, done)


def opening(stream: BinaryIO, block: int) -> bytes | None:
    """What follows the array's bracket in the first block; None for an empty stream."""
    first = stream.read(block)
    blank = len(first)
    text = first.removeprefix(MARK).lstrip(SPACE)
    while not text:
        more = stream.read(block)
        if not more:
            return None
        blank += len(more)
        if blank > MOST_BLANK:
            raise NotAnArray(f"its first {blank} bytes are blank")
        text = more.lstrip(SPACE)
    if text.startswith(b"{"):
        raise NotAnArray("it does not start as a JSON array: it is one object, and no listening history")
    if not text.startswith(b"["):
        raise NotAnArray("it does not start as a JSON array")
    return text[1:]


def whole_text(stream: BinaryIO, most: int) -> bytes:
    """A text that is to be read as one, where that takes no more memory than it may. Raises NotAnArray."""
    text, values = bytearray(), 0
    while more := stream.read(BLOCK):
        text += more
        values += sum(map(more.count, (b",", b"[", b"{")))
        if len(text) > most:
            raise NotAnArray(f"it is one object of more than {most} bytes")
        if values > MOST_VALUES:
            raise NotAnArray(f"it holds more than {MOST_VALUES} values in one object")
    return bytes(text.removeprefix(MARK))


def in_utf8(stream: BinaryIO, block: int) -> BinaryIO:
    """The stream as UTF-8, also where Windows has saved it as UTF-16; with or without a byte-order mark."""
    first = stream.read(block)
    rest = Continued(first, stream)
    for encoding, starts in UTF_16:
        if first.startswith(starts):
            return cast(BinaryIO, Transcoded(rest, encoding))
    return cast(BinaryIO, rest)


class Continued(io.RawIOBase):
    """A stream of which the first bytes have been read already."""

    def __init__(self, first: bytes, stream: BinaryIO) -> None:
        self._first = first
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        """The first bytes, then what follows them."""
        first, self._first = self._first, b""
        return first or self._stream.read(size)


class Transcoded(io.RawIOBase):
    """A stream in another encoding as UTF-8. Half a pair is replaced; raises NotAnArray for a cut text."""

    def __init__(self, stream: Continued, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")

    def read(self, size: int = -1) -> bytes:
        """As UTF-8, as many bytes as about ``size`` of the stream come to."""
        while data := self._stream.read(size):
            if text := self._decoder.decode(data).removeprefix("\ufeff"):
                return text.encode("utf-8", "replace")
        return self._decoder.decode(b"", final=True).encode("utf-8", "replace")


def whole_elements(rest: bytes, end: int, parse: Callable[[bytes], T], done: int) -> tuple[T | None, int]:
    """The parsed elements at the start of ``rest`` and where they end: ``end``, or before it; 0 if none is whole."""
    try:
        return parse(array_of(rest, end, done)), end
    except NOT_JSON:
        end = end_of_last_object(rest)
    return (parse_piece(rest, end, parse, done), end) if end else (None, 0)


def parse_piece(text: bytes, end: int, parse: Callable[[bytes], T], done: int) -> T:
    """The parsed elements up to ``end``. Raises NotAnArray."""
    try:
        return parse(array_of(text, end, done))
    except NOT_JSON as error:
        raise NotAnArray(f"it is not JSON after byte {done}: {error}") from error


def array_of(text: bytes, end: int, done: int) -> bytes:
    """The elements up to ``end`` in brackets, without the comma that parts them from those before. Copies once."""
    start = after_blanks(text, 0)
    if done:
        if not text.startswith(b",", start):
            raise NotAnArray(f"there is no comma after byte {done}")
        start += 1
        if after_blanks(text, start) >= end:
            raise NotAnArray(f"an element is missing after byte {done}")
    return b"".join((b"[", memoryview(text)[start:end], b"]"))


def after_blanks(text: bytes, start: int) -> int:
    """Where the blanks at ``start`` end."""
    blanks = BLANKS.match(text, start)
    return blanks.end() if blanks else start


def end_of_last_object(text: bytes) -> int:
    """Where the last object that stands in no other ends; 0 if none is whole."""
    depth = end = 0
    for token in TOKEN.finditer(text):
        first = text[token.start()]
        if first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
            if depth == 0 and first == ord("}"):
                end = token.end()
            if depth < 0:
                break
        elif token["closed"] is None:
            break
    return end
