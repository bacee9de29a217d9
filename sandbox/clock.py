"""The sandbox's time: real time plus what a test has added, or standing still."""

from __future__ import annotations

import time
from datetime import UTC, datetime

SECOND = 1_000  # milliseconds
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def instant(text: str) -> int:
    """An ISO 8601 date or time (UTC unless it says otherwise) as milliseconds since 1970."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * SECOND)


def moment_of(milliseconds: int) -> datetime:
    """Milliseconds since 1970 as an aware UTC time."""
    return datetime.fromtimestamp(milliseconds / SECOND, UTC)


def to_seconds(milliseconds: int) -> str:
    """``2026-11-20T10:30:24Z``: how the API writes ``added_at``."""
    return moment_of(milliseconds - milliseconds % SECOND).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_milliseconds(milliseconds: int) -> str:
    """``2026-11-20T10:30:24.497Z``: how the API writes ``played_at``."""
    whole, rest = divmod(milliseconds, SECOND)
    return f"{moment_of(whole * SECOND):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


class Clock:
    """Milliseconds since 1970, as the sandbox sees them.

    ``start`` sets the time at which the clock starts (default: now). A frozen clock moves by ``advance``
    alone; waits (``waited_ms``) elapse in real time all the same, so that a client that really sleeps is let
    in afterwards.
    """

    def __init__(self, start: int | None = None, frozen: bool = False) -> None:
        self._started = time.monotonic()
        self._start = round(time.time() * SECOND) if start is None else start
        self._added = 0
        self.frozen = frozen

    def now_ms(self) -> int:
        """The sandbox's present."""
        return self._start + self._added + (0 if self.frozen else self._elapsed())

    def waited_ms(self) -> int:
        """Time gone by since the start, real and added: what waits are measured in."""
        return self._added + self._elapsed()

    def advance(self, seconds: float) -> None:
        """Move forward. Backward is refused: what was answered stays true."""
        if seconds < 0:
            raise ValueError(f"the clock only goes forward, not by {seconds} seconds")
        self._added += round(seconds * SECOND)

    def _elapsed(self) -> int:
        return int((time.monotonic() - self._started) * SECOND)
