"""What one caller, and all callers together, may take of the service: connections, uploads, threads, wrong tokens."""

from __future__ import annotations

import asyncio
import resource
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

from chalicelib.errors import Unauthorized, UploadsBusy
from chalicelib.rest.access import Access, Token, digest, presented_token
from chalicelib.rest.limits import RateLimit

if TYPE_CHECKING:
    from collections.abc import Hashable

FILES_OF_THE_LAKE = 128  # open files left to queries and runs, of those the system allows
REMEMBERED_TOKENS = 1_000  # that were right lately


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is let in. Times are seconds, sizes are bytes."""

    connections: int = 1_000
    header_seconds: float = 30.0  # for the whole head of a request; also how long an idle connection is kept
    body_seconds: float = 30.0  # for a whole body that is no upload
    upload_seconds: float = 4 * 3600.0  # for a whole uploaded export
    write_seconds: float = 60.0  # in which a client must take the next piece of an answer
    request_bytes: int = 2_000_000  # of a body that is no upload: the longest statement and its parameters, escaped
    open_bytes: int = 65_536  # of the body of a request that needs no token
    bodies_bytes: int = 128_000_000  # of all bodies that are no uploads, from their first byte to their answer
    bodies_bytes_of_caller: int = 32_000_000
    head_bytes: int = 65_536
    uploads: int = 4  # under way at once
    uploads_of_caller: int = 2
    requests_of_caller: int = 64  # answered at once; what comes beyond waits for these
    threads: int = 256  # that answer
    wrong_tokens_per_minute: int = 30  # from one address


class Closable(Protocol):
    """A connection, as far as it is looked at here."""

    def close(self) -> None:
        """Let go of it."""


class Connections:
    """Those that are open. When there are too many, the one that has been idle longest is closed.

    An idle connection is one on which no whole request has come: it costs a file descriptor and no thread.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._idle: dict[Closable, str] = {}  # the longest idle first
        self._busy: dict[Closable, str] = {}

    @classmethod
    def allowed(cls, most: int) -> Connections:
        """As many as ``most`` and the system's limit of open files allow."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls(max(16, min(most, files - FILES_OF_THE_LAKE)))

    def opened(self, connection: Closable, address: str) -> None:
        """Count a connection, and close another one for it if there are too many."""
        self._idle[connection] = address
        if len(self._idle) + len(self._busy) > self.most:
            longest = self._longest_idle()
            self.closed(longest)
            longest.close()

    def busy(self, connection: Closable) -> None:
        """A request has come on it."""
        if address := self._idle.pop(connection, None):
            self._busy[connection] = address

    def idle(self, connection: Closable) -> None:
        """The request is answered."""
        if address := self._busy.pop(connection, None):
            self._idle[connection] = address

    def closed(self, connection: Closable) -> None:
        """It is no more."""
        self._idle.pop(connection, None)
        self._busy.pop(connection, None)

    def all(self) -> list[Closable]:
        """Those that are open."""
        return [*self._idle, *self._busy]

    def _longest_idle(self) -> Closable:
        """Of the address that has most connections, so that one caller's many cost that caller."""
        counts = Counter([*self._idle.values(), *self._busy.values()])
        most = max(counts[address] for address in self._idle.values())
        return next(each for each, address in self._idle.items() if counts[address] == most)


class Turns:
    """How many requests of one caller are answered at once. Used on one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._turns: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, caller: Hashable) -> asyncio.Semaphore:
        """What a request holds while it is answered."""
        turn = self._turns.get(caller)
        if turn is None:
            turn = self._turns[caller] = asyncio.Semaphore(self._most)
        return turn


class Uploads:
    """Uploads under way, bounded per token and in all."""

    def __init__(self, most: int, most_of_caller: int) -> None:
        self._most, self._most_of_caller = most, most_of_caller
        self._under_way: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def one_of(self, token_id: str) -> Iterator[None]:
        """Held while an upload is received. Raises TooManyRequests."""
        with self._lock:
            if self._under_way.total() >= self._most or self._under_way[token_id] >= self._most_of_caller:
                raise UploadsBusy("other uploads are under way: send this one when they have ended")
            self._under_way[token_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way[token_id] -= 1


class Bodies:
    """Bytes of request bodies that are held in memory, bounded per caller and in all. Used on one event loop."""

    def __init__(self, most: int, most_of_caller: int) -> None:
        self._most, self._most_of_caller = most, most_of_caller
        self._held: Counter[str] = Counter()

    def take(self, caller: str, size: int) -> None:
        """Count bytes that have come. Raises UploadsBusy; :meth:`give` them back when they are held no more."""
        self._held[caller] += size
        if self._held.total() > self._most or self._held[caller] > self._most_of_caller:
            raise UploadsBusy("the bodies of other requests are under way: send this one again in a moment")

    def give(self, caller: str, size: int) -> None:
        """So many bytes are held no more."""
        self._held[caller] -= size
        if not self._held[caller]:
            del self._held[caller]


class Doorkeeper:
    """Recognises tokens, and slows down an address that tries wrong ones.

    When an address has used up its wrong tokens for the minute, a token that a person may have chosen (API_TOKEN) is
    not even looked at, unless it was right lately; the lake's own cannot be guessed and are always looked at.
    """

    def __init__(self, access: Access, wrong_per_minute: int) -> None:
        self._access = access
        self._wrong = RateLimit(wrong_per_minute, spent="too many wrong tokens came from this address")
        self._right: dict[str, None] = {}

    def recognise(self, authorization: str, address: str) -> Token:
        """The token of an ``Authorization`` header. Raises Unauthorized, TooManyRequests."""
        presented = presented_token(authorization)
        key = digest(presented)
        if key not in self._right and not presented.startswith("lake_"):
            self._wrong.require(address)
        try:
            token = self._access.recognise(authorization)
        except Unauthorized:
            self._right.pop(key, None)
            if presented:
                self.wrong(address)
            raise
        if len(self._right) > REMEMBERED_TOKENS:
            self._right.clear()
        self._right[key] = None
        return token

    def at_hand(self, authorization: str) -> Token | None:
        """The token, if it was right lately and that can be said at once."""
        presented = presented_token(authorization)
        lately = digest(presented) in self._right and authorization.strip().lower().startswith("bearer ")
        return self._access.at_hand(presented) if lately else None

    def wrong(self, address: str) -> None:
        """Count a wrong token or code. Raises TooManyRequests when it is one too many."""
        self._wrong.take(address)
