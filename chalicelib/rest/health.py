"""``GET /health``: alive, which version and engine, and what the owner should know before it is too late.

Anybody may ask, so nobody is named: how long authorisations last, and that the newest run has something to say.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

from chalicelib import __version__
from chalicelib.clock import THIS_CLOCK, Clock, now, parse_rfc3339
from chalicelib.errors import LakeError
from chalicelib.lake import Lake
from chalicelib.rest.replies import HealthReport
from chalicelib.runs import newest_run
from chalicelib.settings import Settings

#: Errors of a source that its owner should know of.
TOLD = ("odd_answer", "spotify_refused", "spotify_unavailable", "endpoint_removed", "authorization_ended")
REMEMBERED = 5.0  # s that what was found is told again
LEAST_FREE = 200_000_000  # bytes free on the lake's disk
SOON = timedelta(days=30)  # before its end from which an authorisation is warned of


class Health:
    """Looks at the newest run and the disk, at most every few seconds."""

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        clock: Clock = now,
        monotonic: Callable[[], float] = time.monotonic,
        damaged: Callable[[], dict[str, str]] = dict,
    ) -> None:
        self._damaged = damaged
        self._settings = settings
        self._lake = lake
        self._clock = clock
        self._monotonic = monotonic
        self._found: HealthReport | None = None
        self._until = float("-inf")
        self._lake_seen = False
        self._lock = threading.Lock()

    def report(self) -> HealthReport:
        """What ``GET /health`` answers; alive even where the lake cannot be read, which is then a warning."""
        with self._lock:
            if self._found is None or self._monotonic() > self._until:
                self._found = self._look()
                self._until = self._monotonic() + REMEMBERED
            return self._found

    def _look(self) -> HealthReport:
        engine: Literal["athena", "embedded"] = "athena" if self._settings.on_aws else "embedded"
        try:
            warnings = [*self._of_the_folder(), *self._of_the_files(), *self._warnings()]
        except LakeError as error:
            warnings = [error.message]
        return HealthReport("ok", __version__, engine, self._settings.command, warnings)

    def _of_the_folder(self) -> Iterator[str]:
        """What is wrong with the disk that a lake in a folder is on."""
        if self._settings.on_aws:
            return
        folder = Path(self._lake.store.location(""))
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            if self._lake_seen:  # else nothing was written yet
                yield f"the lake's folder {folder} cannot be reached any more: {error.strerror}"
            return
        self._lake_seen = True
        if free < LEAST_FREE:
            yield f"the disk of the lake is nearly full: {free / 1e6:,.0f} MB are left"

    def _of_the_files(self) -> Iterator[str]:
        """Files of the tables that queries cannot read."""
        found = self._damaged()
        for key, reason in list(found.items())[:1]:
            more = f" and {len(found) - 1} more files" if len(found) > 1 else ""
            yield f"{key}: {reason}{more}; run {self._settings.command} transform --all"

    def _warnings(self) -> Iterator[str]:
        """What the newest run's record says that cannot wait; the API itself may not read the listeners' secrets."""
        run = newest_run(self._lake, self._clock)
        if run is None:
            return
        for each in run.authorizations:
            yield from self._ending(each["ends_at"])
        if run.state == "failed":
            yield f"the newest run failed: GET /runs/{run.run_id}"
        odd = {one.source for one in run.sources if one.error and one.error["code"] in TOLD}
        if odd:
            yield f"{', '.join(sorted(odd))} could not be read whole: GET /runs/{run.run_id}"
        yield from (warning for warning in run.warnings if warning.startswith(THIS_CLOCK))
        if run.holes:
            yield f"plays may have been lost: GET /runs/{run.run_id}"

    def _ending(self, ends_at: str) -> Iterator[str]:
        end = parse_rfc3339(ends_at)
        if end <= self._clock():
            yield f"an authorisation ended on {end:%Y-%m-%d}: {self._settings.command} login"
        elif end <= self._clock() + SOON:
            yield f"an authorisation ends on {end:%Y-%m-%d}: {self._settings.command} login"
