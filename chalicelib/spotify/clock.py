"""The time as Spotify's answers give it, where this machine's clock is off.

Every answer bears a ``Date`` (RFC 9110, to the second). A laptop that slept, a Raspberry Pi before it has the network,
a dual boot: each has a clock that is hours or years off for a while. What is noted by such a clock (when a source was
read, until when a group must wait) would stop reading for as long as it was ahead.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from chalicelib.clock import THIS_CLOCK, Clock

TOLERANCE = timedelta(minutes=2)  # between this clock and Spotify's that is nobody's mistake
OLDEST, NEWEST = datetime(2006, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)  # between them a Date is believed


class SpotifyClock:
    """A clock: this machine's, put right by what Spotify's answers say. Several threads may use it at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.offset = timedelta(0)  # to be added to this machine's time
        self.worst = timedelta(0)  # the largest offset that there was
        self.heard = False  # whether any answer bore a time

    def __call__(self) -> datetime:
        return self._clock() + self.offset

    def hear(self, headers: Mapping[str, str]) -> None:
        """Take in what the headers (names in lower case) of an answer that has just arrived say."""
        moment = http_date(headers.get("date", ""))
        if moment is None:
            return
        with self._lock:
            self.heard = True
            if abs(moment - self()) <= TOLERANCE:
                return
            error = moment - self._clock()
            self.offset = error if abs(error) > TOLERANCE else timedelta(0)
            self.worst = max(self.worst, self.offset, key=abs)

    def complaint(self) -> str | None:
        """By how much this machine's clock was off, in words; None where it was right."""
        if not self.worst:
            return None
        side = "behind" if self.worst > timedelta(0) else "ahead of"
        return (
            f"{THIS_CLOCK} was {spoken(abs(self.worst))} {side} Spotify's; Spotify's time was used: set the clock (NTP)"
        )


def http_date(text: str) -> datetime | None:
    """The moment an HTTP date names, None for anything else."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment if OLDEST < moment < NEWEST else None


def spoken(span: timedelta) -> str:
    """``9 h``, ``365 days``, ``4 minutes``: as much as a person wants to know."""
    if span >= timedelta(days=2):
        return f"{round(span / timedelta(days=1))} days"
    if span >= timedelta(hours=1):
        return f"{span / timedelta(hours=1):.3g} h"
    return f"{round(span / timedelta(minutes=1))} minutes"
