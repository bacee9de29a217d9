"""A run at work: who asks next, and what becomes of each answer.

The readers of the sources stand in the declared order. Whoever is first asks first; a later source gets an idle
thread only for calls that the earlier ones will not need. Threads only fetch; everything else happens here, in one.
"""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from chalicelib.clock import parse_rfc3339, rfc3339
from chalicelib.errors import (
    AuthorizationEnded,
    EndpointRemoved,
    LakeError,
    MissingCredentials,
    OddAnswer,
    SpotifyRefused,
    SpotifyUnavailable,
    WaitUntil,
    WriteConflict,
)
from chalicelib.extraction.fetching import Fetcher, FetchOutcome
from chalicelib.extraction.keeping import Keeper, source_record
from chalicelib.extraction.listing import is_complete
from chalicelib.extraction.lock import RunLock
from chalicelib.extraction.looking_up import LookingUp
from chalicelib.extraction.reading import Again, Reader, SpotifyRequest, Taken, View
from chalicelib.lake import Lake
from chalicelib.log import ProgressEvent, RunProgress
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
from chalicelib.spotify.clock import SpotifyClock
from chalicelib.spotify.guard import Endpoint, Guard

INTERRUPTED = "interrupted"
FORBIDDEN = 403
MOST_DEVIATIONS = 100  # told in a record
WATCH = 5.0  # s between looks at the lock while calls are under way

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class SourceTurn:
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
    places: list[SourceTurn]
    threads: int
    clock: SpotifyClock
    progress: RunProgress | None = None
    under_way: dict[Future[FetchOutcome], tuple[SourceTurn, SpotifyRequest]] = field(default_factory=dict)
    begun: bool = False  # whether anything has come back yet
    tried: set[str] = field(default_factory=set)  # listings asked for in vain
    deviations: Counter[str] = field(default_factory=Counter)  # what was not as it should be, and how often
    warnings: list[str] = field(default_factory=list)  # what the record says besides
    looking_up: LookingUp | None = None  # what asks MusicBrainz, when Spotify has been asked
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
                self._look_up()
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

    def _look_up(self) -> None:
        """Ask MusicBrainz, unless somebody has had enough of the run."""
        if self.looking_up is None or self.stopped == INTERRUPTED:
            return
        try:
            self.looking_up.go(self._checkpoint, self.lock.renew)
        except KeyboardInterrupt:
            self.stopped = INTERRUPTED

    def _wait(self) -> set[Future[FetchOutcome]]:
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
            if self.under_way and not self.begun:
                return  # the first answer says what time it is, and with it what is due
            self.stopped = self.stopped or self.guard.exhausted()
            chosen = None if self.stopped else self._next()
            if chosen is None:
                return
            self.view.busy.add(chosen[1].listing)
            self.under_way[pool.submit(self.fetcher.fetch, chosen[1])] = chosen

    def _next(self) -> tuple[SourceTurn, SpotifyRequest] | None:
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
            if request is not None and self._admitted(request.call.endpoint):
                return place, request
            if request is not None:
                place.reader.put_back(request, Again.NOW)
            if busy:
                reserved += place.reader.calls_left(self.view)
        return None

    def _shut(self, place: SourceTurn) -> bool:
        """Whether nothing can be asked for this source in this run."""
        return place.closed or self.view.removed(place.reader.endpoint)

    def _admitted(self, endpoint: Endpoint) -> bool:
        """Whether one more call to ``endpoint`` may leave now."""
        flying = [request.call.endpoint for _, request in self.under_way.values()]
        if not self.view.may_ask(endpoint):
            return False
        if not self.guard.good[endpoint.group] and any(other.group == endpoint.group for other in flying):
            return False
        return sum(other.template == endpoint.template for other in flying) < self.guard.at_once(endpoint)

    def _settle(self, place: SourceTurn, request: SpotifyRequest, future: Future[FetchOutcome]) -> None:
        """Take in what a thread brought."""
        self.view.busy.discard(request.listing)
        self._begin()
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
        if outcome.entry is not None:
            self._take(place, request, outcome)
        if outcome.error is not None:
            self._trouble(place, request, outcome.error, answered=outcome.is_answer)
        elif not outcome.is_answer:
            place.reader.put_back(request, Again.NOW)
        self._tell("call", place.record.source, request.call.template)

    def _begin(self) -> None:
        """With the first answer, the time of the run is Spotify's."""
        if not self.begun:
            self.begun = True
            self.record.started_at = rfc3339(parse_rfc3339(self.record.started_at) + self.clock.offset)

    def _take(self, place: SourceTurn, request: SpotifyRequest, outcome: FetchOutcome) -> None:
        assert outcome.entry is not None
        taken = self.keeper.take(outcome.entry, outcome.document)
        if outcome.entry.answer is None or outcome.entry.answer.status != 200:
            return
        endpoint = request.call.endpoint
        faults = ["it is not understood"] if taken is None else taken.faults
        for fault in faults:
            self._note(place, OddAnswer(f"Spotify's answer to {endpoint.template} is odd: {fault}"))
        if faults:
            self.view.given_up.add(request.listing)
        elif request.listing not in self.view.state.walks:
            self.view.read.add(request.listing)
        if taken is None or (faults and not (taken.new_items and endpoint.is_batch)):
            self.guard.answered_oddly(endpoint, f"Spotify's answers to {endpoint.template} are odd: {faults[0]}")
        else:
            self.guard.served(endpoint)
        if taken is not None:
            for remark in taken.remarks:
                self.deviations[f"{place.record.source}: Spotify's answer to {endpoint.template} is odd: {remark}"] += 1
            self._count(place, taken, len(outcome.entry.answer.body))
            place.record.whole_readings += taken.whole or is_complete(outcome.entry.answer)

    def _count(self, place: SourceTurn, taken: Taken, size: int) -> None:
        place.record.items += taken.items
        place.record.new_items += taken.new_items
        place.record.bytes += size
        if taken.hole:
            self.record.holes.append(taken.hole)
            logger.warning("plays between %(after)s and %(before)s may be lost", taken.hole)

    def _note(self, place: SourceTurn, error: LakeError) -> None:
        """Say in the run's record that something was not as it should be, for the source and for the run."""
        place.record.error = error.as_json()["error"]
        self.deviations[f"{place.record.source}: {error.message}"] += 1
        logger.warning("%s: %s", place.record.source, error.message)

    def _trouble(self, place: SourceTurn, request: SpotifyRequest, error: LakeError, *, answered: bool) -> None:
        """What an error means for the rest of the run; ``answered``: it is Spotify's word on one thing."""
        if isinstance(error, EndpointRemoved):
            self.view.denied.add(request.call.template)
            place.reader.put_back(request, Again.NOW)  # a batch is asked for one by one
            self.deviations[f"{place.record.source}: {error.message}"] += 1
            logger.warning("%s", error.message)
            if request.call.template == place.reader.endpoint.template:
                place.record.error = error.as_json()["error"]
        elif isinstance(error, WaitUntil):
            place.reader.put_back(request, Again.NOW)
            self.deviations[f"{place.record.source}: {error.message}"] += 1
            logger.warning("%s", error.message)
        elif isinstance(error, AuthorizationEnded) and request.user is not None:
            self._lose_listener(request.user, error)
        elif isinstance(error, MissingCredentials):
            self.fatal = self.fatal or error
        elif answered:
            self._no(place, request, error)
        else:
            self._give_up(place, request, error)

    def _no(self, place: SourceTurn, request: SpotifyRequest, error: LakeError) -> None:
        """Spotify's word on one thing, which the next runs doubt: a 403 is an error, what is gone only a remark."""
        self.view.given_up.add(request.listing)
        status = error.details.get("status")
        refusal = SpotifyRefused(
            f"Spotify answered {status} to {request.call.template}; it is asked again", status=status
        )
        if status == FORBIDDEN:
            self._note(place, refusal)
        else:
            self.deviations[f"{place.record.source}: {refusal.message}"] += 1

    def _give_up(self, place: SourceTurn, request: SpotifyRequest, error: LakeError) -> None:
        """A call was in vain. While its endpoint may be asked, it is made once more when all others are done."""
        if self.guard.closed(request.call.endpoint) or request.listing not in self.tried:
            place.reader.put_back(request, Again.LATER)
        else:
            place.reader.put_back(request, Again.NEXT_RUN)
            self.view.given_up.add(request.listing)
        self.tried.add(request.listing)
        if not isinstance(error, SpotifyUnavailable):
            self.view.given_up.add(request.listing)
        self._note(place, error)

    def _lose_listener(self, user: str, error: AuthorizationEnded) -> None:
        """Nothing more is asked for a listener whose authorisation has ended; one clear error says so."""
        if user not in self.view.listeners:
            return
        self.view.listeners = {name: one for name, one in self.view.listeners.items() if name != user}
        self.warnings.append(error.message)
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
        asked = self.looking_up
        record.warnings = [*self.warnings, *self._deviations(), *(asked.deviations if asked else ())]
        record.mode = self.view.forced_mode or self.view.state.mode
        record.calls = self.guard.spent
        by_endpoint = self.guard.by_endpoint + (asked.by_endpoint if asked else Counter())
        record.calls_by_endpoint = dict(sorted(by_endpoint.items()))
        for name in ("items", "retries", "bytes", "waited_seconds"):
            setattr(record, name, sum(getattr(one, name) for one in record.sources))

    def _deviations(self) -> list[str]:
        """What was not as it should be, in the words of the record."""
        complaint = self.clock.complaint()
        words = [f"{text} ({count} times)" if count > 1 else text for text, count in self.deviations.items()]
        return [*([complaint] if complaint else []), *words[:MOST_DEVIATIONS]]

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

    def _end_source(self, place: SourceTurn) -> None:
        record, left = place.record, place.reader.calls_left(self.view)
        if self.view.removed(place.reader.endpoint) and place.reader.endpoint.template in self.view.state.removed:
            record.state = UNAVAILABLE
            return
        if left:
            record.left = f"about {left} call{'s' if left > 1 else ''}"
            until = self.guard.waiting_until(place.reader.endpoint.group)
            record.not_before = rfc3339(until) if until else None
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
