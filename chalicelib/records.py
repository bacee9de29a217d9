"""The lake's small JSON records, each read and written in one way.

Whoever owns a record declares its shape once, as a dataclass, and beside it what to do when one is damaged::

    RUN_LOCK = RecordKind(Holder, "the lock of a run", "delete it, unless a run is going on")
    holder = RUN_LOCK.read(lake.store, "state/run-locks/app.json")       # None where there is none
    RUN_LOCK.write(lake.store, "state/run-locks/app.json", Holder(...))

A write is seen whole or not at all, so that a damaged record is somebody else's doing: a person, an editor, a disk.
What it said can mostly be derived again; such a kind is declared ``derived``: a damaged one is then as good as none,
the log names it, and its owner writes it anew. Any other one raises RecordDamaged, which names it and the remedy.

Members that a record's class does not declare are passed over, so that an older release reads a newer one's records.
Dates and times are RFC 3339. ``msgspec`` is imported when the first record is read: importing this costs nothing.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from chalicelib.errors import NotFound, RecordDamaged

if TYPE_CHECKING:
    from chalicelib.lake import ObjectStore

T = TypeVar("T")
JSON = "application/json"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordKind(Generic[T]):
    """One kind of record: its class, how a message calls it ("the lock of a run") and what helps when one is damaged.

    ``type`` is a dataclass, or anything else that msgspec can decode (``dict[str, int]``).
    """

    type: type[T]
    noun: str
    remedy: str
    derived: bool = False

    def read(self, store: ObjectStore, key: str) -> T | None:
        """The record at ``key``; None where there is none, or a damaged one that is ``derived``.

        Raises RecordDamaged.
        """
        try:
            content = store.read(key)
        except NotFound:
            return None
        return self._unless_damaged(key, content)

    def read_version(self, store: ObjectStore, key: str) -> tuple[T | None, str | None]:
        """As :meth:`read`, with the etag that a conditional write (``store.replace``) wants.

        A damaged record that is ``derived`` is (None, its etag). Raises RecordDamaged.
        """
        info = store.stat(key)
        if info is None:
            return None, None
        try:
            content = store.read(key)
        except NotFound:  # deleted between the look and the reading
            return None, None
        return self._unless_damaged(key, content), info.etag

    def write(self, store: ObjectStore, key: str, record: T) -> str:
        """Write or overwrite; answers the new etag."""
        return store.write(key, self.encode(record), content_type=JSON)

    def replace(self, store: ObjectStore, key: str, record: T, *, if_match: str | None) -> str:
        """Write only if the record's etag is ``if_match``, or if there is none when that is None. Raises
        WriteConflict."""
        return store.replace(key, self.encode(record), if_match=if_match)

    def decode(self, key: str, content: bytes) -> T:
        """The record that the ``content`` of ``key`` is. Raises RecordDamaged, of a ``derived`` kind too."""
        try:
            return cast(T, decode(content, self.type))
        except ValueError as error:
            raise RecordDamaged(key, self.noun, reason(content, error), self.remedy) from None

    def encode(self, record: T) -> bytes:
        """The record as JSON in UTF-8."""
        return encode(record)

    def _unless_damaged(self, key: str, content: bytes) -> T | None:
        try:
            return self.decode(key, content)
        except RecordDamaged as error:
            if not self.derived:
                raise
            log.warning("%s", error.message)
            return None


def decode(content: bytes, kind: Any) -> Any:
    """A JSON text as ``kind``. Raises ValueError, in words, for what is no JSON and for what is no ``kind``.

    What Python's own reader takes is taken too (half a UTF-16 pair, a byte order mark), at its slower pace.
    """
    import msgspec

    try:
        return decoder(kind).decode(content)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            return msgspec.convert(json.loads(content), kind)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None


def encode(record: Any) -> bytes:
    """A record as JSON in UTF-8; half a UTF-16 pair, which UTF-8 cannot say, as its escape."""
    import msgspec

    try:
        return msgspec.json.encode(record)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(record)).encode()


@lru_cache(maxsize=64)
def decoder(kind: Any) -> Any:
    """msgspec's decoder for a type, made once."""
    import msgspec

    return msgspec.json.Decoder(kind)


def reason(content: bytes, error: ValueError) -> str:
    """Why a record cannot be read, in a few words."""
    if not content.strip(b"\0 \r\n\t"):
        return "it is empty"
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
        return "it is not JSON"
    return str(error)
