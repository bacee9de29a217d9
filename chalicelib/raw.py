"""The raw zone's format: Spotify's answers, unaltered, many to an object.

An object is gzip. For each answer it holds one line of JSON, the *header* (what was asked, for whom, when, what
status came back), then the body exactly as it arrived (``bytes`` long, whatever it holds) and a newline::

    {"v":1,"run_id":"20261120T101530Z-1a2b3c","source":"saved_tracks","endpoint":"me/tracks",
     "params":{"limit":50,"offset":0},"user_id":"u1","context":{"listing":"..."},
     "requested_at":"2026-11-20T10:15:31.002Z","received_at":"2026-11-20T10:15:31.120Z","status":200,"bytes":48210}
    {"href":"https://api.spotify.com/v1/me/tracks?offset=0&limit=50","items":[...]}

Where bodies are JSON, ``zcat OBJECT | jq`` reads it as a stream of header, body, header, body.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any, BinaryIO, cast

import msgspec

from chalicelib.clock import rfc3339
from chalicelib.errors import RawObjectInvalid

FORMAT_VERSION = 1
LEVEL = 6  # of gzip: higher ones gain 1 % and take twice the time
LONGEST_HEADER = 65_536  # bytes
LONGEST_BODY = 64 * 1024 * 1024  # bytes; Spotify's longest answers are under 1 MB
GZIP = 16 + zlib.MAX_WBITS  # zlib's way of saying that data has gzip's header and trailer


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of Spotify and the request that brought it.

    ``endpoint`` is the path below ``/v1/`` without its query; ``context`` is what the answer itself does not
    say and its tables need (the playlist's snapshot id, the listing it is part of, the artist asked about).
    """

    run_id: str
    source: str
    endpoint: str
    params: dict[str, Any]
    user_id: str | None
    requested_at: datetime
    received_at: datetime
    status: int
    body: bytes
    context: dict[str, Any] = field(default_factory=dict)

    def header(self) -> dict[str, Any]:
        """The line above the answer's body in a raw object."""
        return {
            "v": FORMAT_VERSION,
            "run_id": self.run_id,
            "source": self.source,
            "endpoint": self.endpoint,
            "params": self.params,
            "user_id": self.user_id,
            "context": self.context,
            "requested_at": rfc3339(self.requested_at),
            "received_at": rfc3339(self.received_at),
            "status": self.status,
            "bytes": len(self.body),
        }


class Header(msgspec.Struct):
    """The line before an answer's body."""

    v: int
    run_id: str
    source: str
    endpoint: str
    params: dict[str, Any]
    user_id: str | None
    context: dict[str, Any]
    requested_at: datetime
    received_at: datetime
    status: int
    bytes: int


decode_header = msgspec.json.Decoder(Header).decode


class Packer:
    """A raw object in the making: answers are compressed as they come, so that little is left to do at the end."""

    def __init__(self) -> None:
        self._gzip = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)  # a gzip header without a time
        self._data = bytearray()
        self.answered = 0  # bytes of the bodies

    def add(self, answer: Answer) -> None:
        """Append one answer."""
        self.answered += len(answer.body)
        header = json.dumps(answer.header(), separators=(",", ":")).encode()
        self._data += self._gzip.compress(header + b"\n" + answer.body + b"\n")

    @property
    def size(self) -> int:
        """Bytes that it takes so far."""
        return len(self._data)

    def finish(self) -> bytes:
        """The whole object, gzipped."""
        self._data += self._gzip.flush()
        return bytes(self._data)


def pack(answers: Iterable[Answer]) -> bytes:
    """One raw object; the same answers give the same bytes."""
    packer = Packer()
    for answer in answers:
        packer.add(answer)
    return packer.finish()


def unpack(stream: BinaryIO) -> Iterator[Answer]:
    """The answers of a raw object, one at a time, in memory that does not grow with the object.

    Raises RawObjectInvalid where it is not what :func:`pack` writes.
    """
    content, faults = inflated(stream)
    with content:
        try:
            while line := content.readline(LONGEST_HEADER):
                yield read_answer(line, content)
        except faults as error:
            raise RawObjectInvalid(f"not a whole gzip file: {error}") from error


def inflated(stream: BinaryIO) -> tuple[IO[bytes], tuple[type[Exception], ...]]:
    """The content of a gzip file, and what reading it raises where that is none: by isal where it is installed, which
    takes a third of zlib's time."""
    faults: tuple[type[Exception], ...] = (gzip.BadGzipFile, EOFError, zlib.error)
    try:
        from isal import igzip, igzip_lib
    except ImportError:
        return cast(IO[bytes], gzip.open(stream)), faults
    open_gzip: Any = igzip.open  # both are untyped
    isal_error: Any = igzip_lib.IsalError
    return open_gzip(stream), (*faults, isal_error)


def read_answer(line: bytes, stream: IO[bytes]) -> Answer:
    """The answer whose header is ``line`` and whose body ``stream`` holds next."""
    try:
        header = decode_header(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RawObjectInvalid(f"not a header of raw format {FORMAT_VERSION}: {error}") from error
    if header.v != FORMAT_VERSION:
        raise RawObjectInvalid(f"raw format version {header.v} is not {FORMAT_VERSION}")
    if not 0 <= header.bytes <= LONGEST_BODY:
        raise RawObjectInvalid(f"an answer of {header.bytes} bytes: at most {LONGEST_BODY} are read")
    body = stream.read(header.bytes)
    if len(body) != header.bytes or stream.read(1) != b"\n":
        raise RawObjectInvalid("an answer is cut short")
    return Answer(
        run_id=header.run_id,
        source=header.source,
        endpoint=header.endpoint,
        params=header.params,
        user_id=header.user_id,
        requested_at=in_utc(header.requested_at),
        received_at=in_utc(header.received_at),
        status=header.status,
        body=body,
        context=header.context,
    )


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC. Raises RawObjectInvalid for one without a time zone."""
    if moment.tzinfo is None:
        raise RawObjectInvalid(f"not a header of raw format {FORMAT_VERSION}: {moment.isoformat()} names no time zone")
    return moment.astimezone(UTC)
