"""How often one caller may ask: a bucket that refills evenly, kept in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

from chalicelib.clock import Clock, now
from chalicelib.errors import TooManyRequests

MOST_BUCKETS = 10_000  # tokens remembered before the full buckets are forgotten


class RateLimit:
    """``per_minute`` requests for each caller, of which half a minute's worth may come at once.

    ``spent`` is what a caller is told who has used them up.
    """

    def __init__(
        self,
        per_minute: int,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Clock = now,
        spent: str = "this token has used up its requests (REQUESTS_PER_MINUTE)",
    ) -> None:
        self._spent = spent
        self._rate = per_minute / 60
        self._size = max(10.0, per_minute / 2)
        self._monotonic = monotonic
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, caller: str) -> None:
        """Count one request. Raises TooManyRequests with the time to come back."""
        self._require(caller, cost=1)

    def require(self, caller: str) -> None:
        """Raises TooManyRequests where a request would be one too many; counts none."""
        self._require(caller, cost=0)

    def _require(self, caller: str, cost: int) -> None:
        with self._lock:
            moment = self._monotonic()
            if len(self._buckets) > MOST_BUCKETS:
                self._buckets.clear()
            level, since = self._buckets.get(caller, (self._size, moment))
            level = min(self._size, level + (moment - since) * self._rate)
            self._buckets[caller] = (level - cost if level >= 1 else level, moment)
        if level < 1:
            wait = (1 - level) / self._rate
            raise TooManyRequests(
                f"{self._spent}; ask again in {wait:.1f} s",
                not_before=self._clock() + timedelta(seconds=wait),
                retry_after=wait,
            )
