"""A run at work: who asks next, and what becomes of each answer.

The readers of the sources stand in the declared order. Whoever is first asks first; a later source gets an idle
thread only for calls that the earlier ones will not need. Threads only fetch; everything else happens here, in one.
"""

from __future__ import annotations

import logging
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from chalicelib.clock import Clock, rfc3339
from chalicelib.errors import (
    AuthorizationEnded,
    EndpointRemoved,
    LakeError,
    MissingCredentials,
    WaitUntil,
    WriteConflict,
)
from chalicelib.extraction.fetching import Fetcher, Outcome
from chalicelib.extraction.keeping import Keeper, source_record
from chalicelib.extraction.lock import RunLock
from chalicelib.extraction.reading import Reader, Request, View
from chalicelib.lake import Lake
from chalicelib.log import Progress, ProgressEvent
from chalicelib.runs import (
    FAILED,
    PARTIAL,
    SKIPPED,
    SUCCEEDED,
    UNAVAILABLE,
    RunRecord,
    SourceRecord,
    save_run,
)
from chalicelib.spotify.guard import Guard, group_of

INTERRUPTED = "interrupted"
WATCH = 5.0  # s between looks at the lock while calls are under way

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Place:
    """A reader and its part of the run's record."""

    index: int
    reader: Reader
    record: SourceRecord
    closed: bool = False  # its listener's authorisation has ended


@dataclass(slots=True)
class Run:
    """One run. ``places`` are in the order in which they may ask."""

    lake: Lake
    lock: RunLock
    keeper: Keeper
    guard: Guard
    fetcher: Fetcher
    view: View
    record: RunRecord
    places: list[Place]
    threads: int
    clock: Clock
    progress: Progress | None = None
    under_way: dict[Future[Outcome], tuple[Place, Request]] = field(default_factory=dict)
    stopped: str | None = None  # budget, time or interrupted
    fatal: Exception | None = None

    def go(self) -> None:
        """Work until nothing is left or nothing more may be asked; then the record is complete and saved.

        Raises what the lake raises, and WriteConflict when the lock was lost; the record then says so, if it can.
        """
        try:
            with ThreadPoolExecutor(self.threads, thread_name_prefix="spotify") as pool:
                self._work(pool)
            if self.fatal is None:
                self._checkpoint()
        except Exception as error:
            self.fatal = error
        finally:
            self.keeper.journal.close()
        self._end()
        if self.fatal is not None:
            raise self.fatal
        if self.stopped == INTERRUPTED:
            raise KeyboardInterrupt

    def _work(self, pool: ThreadPoolExecutor) -> None:
        while True:
            if self.keeper.full and not self.under_way and self.fatal is None:
                self._checkpoint()
            self._fill(pool)
            if not self.under_way:
                return
            for future in self._wait():
                place, request = self.under_way.pop(future)
                self._settle(place, request, future)
            self.lock.renew()

    def _wait(self) -> set[Future[Outcome]]:
        """What has come back. Ctrl-C lets what is under way arrive and ends the run; a second one does not wait."""
        try:
            return wait(self.under_way, timeout=WATCH, return_when=FIRST_COMPLETED).done
        except KeyboardInterrupt:
            if self.stopped == INTERRUPTED:
                raise
            self.stopped = INTERRUPTED
            return set()

    def _fill(self, pool: ThreadPoolExecutor) -> None:
        """Give every idle thread a request, unless a checkpoint or the end is due."""
        while len(self.under_way) < self.threads and not self.keeper.full and self.fatal is None:
            self.stopped = self.stopped or self.guard.exhausted()
            chosen = None if self.stopped else self._next()
            if chosen is None:
                return
            self.view.busy.add(chosen[1].listing)
            self.under_way[pool.submit(self.fetcher.fetch, chosen[1])] = chosen

    def _next(self) -> tuple[Place, Request] | None:
        """The next request in order, with the place of its reader."""
        self.view.now = self.clock()
        left = self.guard.budget - self.guard.spent - len(self.under_way)
        reserved = 0
        busy = {place.index for place, _ in self.under_way.values()}
        for place in self.places:
            if left - reserved <= 0:
                return None
            if self._shut(place):
                continue
            self.view.unsettled = any(earlier < place.index for earlier in busy)
            request = place.reader.next(self.view)
            if request is not None:
                return place, request
            if busy:
                reserved += place.reader.calls_left(self.view)
        return None

    def _shut(self, place: Place) -> bool:
        """Whether nothing can be asked for this source in this run."""
        endpoint = place.reader.endpoint
        return place.closed or self.view.removed(endpoint) or self.guard.closed(group_of(endpoint)) is not None

    def _settle(self, place: Place, request: Request, future: Future[Outcome]) -> None:
        """Take in what a thread brought."""
        self.view.busy.discard(request.listing)
        try:
            outcome = future.result()
        except Exception as error:  # the lake's, or a mistake of ours: the run cannot go on
            self.fatal = self.fatal or error
            self.view.given_up.add(request.listing)
            return
        place.record.calls += outcome.tally.calls
        place.record.retries += outcome.tally.retries
        place.record.waited_seconds += outcome.tally.waited_seconds
        self.stopped = self.stopped or outcome.stopped
        if outcome.entry is None or outcome.entry.answer is None:
            place.reader.put_back(self.view, request, again=isinstance(outcome.error, EndpointRemoved))
        if outcome.entry is not None:
            self._take(place, request, outcome)
        if outcome.error is not None:
            self._trouble(place, request, outcome.error, answered=outcome.entry is not None)
        self._tell("call", place.record.source, request.call.template)

    def _take(self, place: Place, request: Request, outcome: Outcome) -> None:
        assert outcome.entry is not None
        taken = self.keeper.take(outcome.entry, outcome.document)
        if taken is None:
            self.view.given_up.add(request.listing)
            words = f"Spotify's answer to {request.call.template} is not understood; it is kept in the raw zone"
            place.record.error = LakeError(words).as_json()["error"]
            return
        place.record.items += taken.items
        place.record.new_items += taken.new_items
        place.record.bytes += len(outcome.entry.answer.body) if outcome.entry.answer else 0
        if taken.hole:
            self.record.holes.append(taken.hole)
            logger.warning("plays between %(after)s and %(before)s may be lost", taken.hole)

    def _trouble(self, place: Place, request: Request, error: LakeError, *, answered: bool) -> None:
        """What an error means for the rest of the run; ``answered``: it is Spotify's lasting word on one thing."""
        self.view.given_up.add(request.listing)
        if isinstance(error, EndpointRemoved):
            logger.warning("%s", error.message)
            self.view.given_up.discard(request.listing)  # a batch is asked for one by one
            if request.call.template == place.reader.endpoint:
                place.record.error = error.as_json()["error"]
        elif isinstance(error, WaitUntil):
            logger.warning("%s", error.message)
        elif isinstance(error, AuthorizationEnded) and request.user is not None:
            self._lose_listener(request.user, error)
        elif isinstance(error, MissingCredentials):
            self.fatal = self.fatal or error
        elif answered:
            logger.info("%s", error.message)
        else:
            place.record.error = error.as_json()["error"]
            logger.warning("%s", error.message)

    def _lose_listener(self, user: str, error: AuthorizationEnded) -> None:
        """Nothing more is asked for a listener whose authorisation has ended; one clear error says so."""
        if user not in self.view.listeners:
            return
        self.view.listeners = {name: one for name, one in self.view.listeners.items() if name != user}
        self.record.warnings.append(error.message)
        logger.error("%s", error.message)
        for place in self.places:
            if place.reader.user == user:
                place.closed = True
                place.record.state, place.record.error = FAILED, error.as_json()["error"]

    def _checkpoint(self) -> None:
        self.keeper.checkpoint(self._save_record)
        self._tell("checkpoint")

    def _save_record(self) -> None:
        for source, keys in self.keeper.raw_keys.items():
            of_source = [one for one in self.record.sources if one.source == source]
            (of_source or [source_record(self.record, source, None)])[0].raw_keys = list(keys)
        self._sum_up()
        save_run(self.lake, self.record)

    def _sum_up(self) -> None:
        record = self.record
        record.mode = self.view.forced_mode or self.view.state.mode
        record.calls = self.guard.spent
        record.calls_by_endpoint = dict(sorted(self.guard.by_endpoint.items()))
        for name in ("items", "retries", "bytes", "waited_seconds"):
            setattr(record, name, sum(getattr(one, name) for one in record.sources))

    def _end(self) -> None:
        """Say of each source and of the run how it ended, and save that."""
        for place in self.places:
            if not place.closed:
                self._end_source(place)
        self.record.ended_at = rfc3339(self.clock())
        states = {one.state for one in self.record.sources}
        self.record.state = PARTIAL if states & {PARTIAL, FAILED} else SUCCEEDED
        if self.fatal is not None:
            self.record.state = FAILED
            wrapped = (
                self.fatal if isinstance(self.fatal, LakeError) else LakeError(f"the run broke off: {self.fatal!r}")
            )
            self.record.error = wrapped.as_json()["error"]
        if not isinstance(self.fatal, WriteConflict):  # else the record is the new owner's
            try:
                self._save_record()
            except LakeError as error:
                self.fatal = self.fatal or error
        self._tell("end")

    def _end_source(self, place: Place) -> None:
        record, left = place.record, place.reader.calls_left(self.view)
        if self.view.removed(place.reader.endpoint):
            record.state = UNAVAILABLE
            return
        if left:
            record.left = f"about {left} call{'s' if left > 1 else ''}"
            until = self.guard.not_before.get(group_of(place.reader.endpoint))
            record.not_before = rfc3339(until) if until and until > self.clock() else None
        if left or record.error:
            record.state = PARTIAL if left or record.items else FAILED
        else:
            record.state = SUCCEEDED if record.calls else SKIPPED

    def _tell(self, kind: str, source: str = "", endpoint: str = "") -> None:
        if self.progress is not None:
            items = sum(one.items for one in self.record.sources)
            spent, budget = self.guard.spent, self.guard.budget
            left = sum(place.reader.calls_left(self.view) for place in self.places)
            self.progress(
                ProgressEvent(kind, self.record.run_id, source, endpoint, spent, budget, items=items, left=left)
            )
