"""``GET /health``: alive, which version and engine, and what the owner should know before it is too late.

Anybody may ask, so nobody is named: how long authorisations last, and that the newest run has something to say.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from chalicelib import __version__
from chalicelib.clock import Clock, now, parse_rfc3339
from chalicelib.errors import LakeError
from chalicelib.lake import Lake
from chalicelib.runs import load_run, run_ids
from chalicelib.settings import Settings

REMEMBERED = 30.0  # s that what was found is told again
SOON = timedelta(days=30)  # before its end from which an authorisation is warned of


class Health:
    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        clock: Clock = now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._lake = lake
        self._clock = clock
        self._monotonic = monotonic
        self._found: dict[str, Any] = {}
        self._until = float("-inf")
        self._lock = threading.Lock()

    def report(self) -> dict[str, Any]:
        """What ``GET /health`` answers; alive even where the lake cannot be read, which is then a warning."""
        with self._lock:
            if self._monotonic() > self._until:
                self._found = self._look()
                self._until = self._monotonic() + REMEMBERED
            return dict(self._found)

    def _look(self) -> dict[str, Any]:
        engine = "athena" if self._settings.on_aws else "embedded"
        try:
            warnings = list(self._warnings())
        except LakeError as error:
            warnings = [error.message]
        return {"status": "ok", "version": __version__, "engine": engine, "warnings": warnings}

    def _warnings(self) -> Iterator[str]:
        """What the newest run's record says that cannot wait; the API itself may not read the listeners' secrets."""
        newest = next(run_ids(self._lake, clock=self._clock), None)
        if newest is None:
            return
        run = load_run(self._lake, newest)
        for each in run.authorizations:
            yield from self._ending(each["ends_at"])
        if run.state == "failed":
            yield f"the newest run failed: GET /runs/{run.run_id}"
        if run.holes:
            yield f"plays may have been lost: GET /runs/{run.run_id}"

    def _ending(self, ends_at: str) -> Iterator[str]:
        end = parse_rfc3339(ends_at)
        if end <= self._clock():
            yield f"an authorisation ended on {end:%Y-%m-%d}: .venv/bin/lake login"
        elif end <= self._clock() + SOON:
            yield f"an authorisation ends on {end:%Y-%m-%d}: .venv/bin/lake login"
