"""A run at work: who asks next, and what becomes of each answer.

The readers of the sources stand in the declared order. Whoever is first asks first; a later source gets an idle
thread only for calls that the earlier ones will not need. Threads only fetch; everything else happens here, in one.

Each listener, and the app, has a part of the run (``Part``): its lock, state, journal and gate. Of what stands at the
same place of the order, the listener who has had the fewest calls comes first. What goes wrong with a part ends that
part, and its sources say why.
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
from chalicelib.extraction.fetching import ODD, Fetcher, FetchOutcome
from chalicelib.extraction.keeping import Keeper, Kept, source_record
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
class Part:
    """What a run does for one listener (``whose``), or for the app (None)."""

    whose: str | None
    lock: RunLock
    kept: Kept
    guard: Guard
    fetcher: Fetcher
    view: View
    calls: int = 0  # given to it in this run


@dataclass(slots=True)
class SourceTurn:
    """A reader, whose it is, and its part of the run's record."""

    index: int
    reader: Reader
    record: SourceRecord
    part: Part
    closed: bool = False  # nothing is asked for it in this run any more


@dataclass(slots=True)
class Run:
    """One run. ``places`` are in the order in which they may ask."""

    lake: Lake
    keeper: Keeper
    guard: Guard  # the app's, which knows what is spent
    parts: dict[str | None, Part]
    record: RunRecord
    places: list[SourceTurn]
    threads: int
    clock: SpotifyClock
    progress: RunProgress | None = None
    under_way: dict[Future[FetchOutcome], tuple[SourceTurn, SpotifyRequest]] = field(default_factory=dict)
    begun: bool = False  # whether anything has come back yet
    tried: set[tuple[str | None, str]] = field(default_factory=set)  # whose listings were asked for in vain
    deviations: Counter[str] = field(default_factory=Counter)  # what was not as it should be, and how often
    warnings: list[str] = field(default_factory=list)  # what the record says besides
    notes: Counter[str] = field(default_factory=Counter)  # what is usual and worth noting, and how often
    lost: list[Part] = field(default_factory=list)  # parts that have ended before the run
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
            self.keeper.close()
        self._end()
        if self.fatal is not None:
            raise self.fatal
        if self.stopped == INTERRUPTED:
            raise KeyboardInterrupt

    def let_go_of_idle(self) -> None:
        """Give back the locks of listeners for whom nothing is due."""
        busy = {place.part.whose for place in self.places if self._left(place)}
        for whose, part in list(self.parts.items()):
            if whose is not None and whose not in busy:
                del self.parts[whose]
                part.lock.release()
                for place in self.places:
                    if place.part is part:
                        place.closed, place.record.state = True, SKIPPED

    def _work(self, pool: ThreadPoolExecutor) -> None:
        while True:
            if self.keeper.full and not self.under_way and self.fatal is None:
                self._checkpoint()
            self._fill(pool)
            self.keeper.pack()
            if not self.under_way:
                return
            for future in self._wait():
                place, request = self.under_way.pop(future)
                self._settle(place, request, future)
            self._renew()

    def _renew(self) -> None:
        """Keep the locks; a part whose lock another run has taken over ends."""
        for part in list(self.parts.values()):
            try:
                part.lock.renew()
            except WriteConflict as error:
                self._lose_lock(part, error)

    def _look_up(self) -> None:
        """Ask MusicBrainz, unless somebody has had enough of the run. That may take long: listeners do not wait."""
        if self.looking_up is None or self.stopped == INTERRUPTED or None not in self.parts:
            return
        if self.looking_up.is_due():
            self._checkpoint()
            self.release(but_the_apps=True)
        try:
            self.looking_up.go(self._checkpoint, self._renew)
        except KeyboardInterrupt:
            self.stopped = INTERRUPTED

    def release(self, *, but_the_apps: bool = False) -> None:
        """Give the locks back."""
        for whose, part in list(self.parts.items()):
            if not (but_the_apps and whose is None):
                del self.parts[whose]
                part.lock.release()

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
            place, request = chosen
            place.part.view.busy.add(request.listing)
            place.part.calls += 1
            self.under_way[pool.submit(place.part.fetcher.fetch, request)] = chosen

    def _next(self) -> tuple[SourceTurn, SpotifyRequest] | None:
        """The next request in order, with the place of its reader."""
        moment = self.clock()
        left = self.guard.budget - self.guard.spent - len(self.under_way)
        reserved = 0
        busy = {place.index for place, _ in self.under_way.values()}
        for place in self._in_turn():
            if left - reserved <= 0:
                return None
            view = place.part.view
            view.now = moment
            if self._shut(place):
                continue
            view.unsettled = any(earlier < place.index for earlier in busy)
            try:
                request = place.reader.next(view)
                if request is not None and self._admitted(place, request.call.endpoint):
                    return place, request
                if request is not None:
                    place.reader.put_back(request, Again.NOW)
            except ODD as error:
                self._lose(place.part, error)
                continue
            if busy:
                reserved += self._left(place)
        return None

    def _left(self, place: SourceTurn) -> int:
        """About how many calls a source has still to make."""
        try:
            return place.reader.calls_left(place.part.view)
        except ODD as error:
            self._lose(place.part, error)
            return 0

    def _in_turn(self) -> list[SourceTurn]:
        """The places in their order; at the same place of it first who has had the fewest calls."""
        if sum(whose is not None for whose in self.parts) < 2:
            return self.places
        return sorted(self.places, key=lambda place: (place.reader.source.order, place.part.calls))

    def _shut(self, place: SourceTurn) -> bool:
        """Whether nothing can be asked for this source in this run."""
        return place.closed or place.part.view.removed(place.reader.endpoint)

    def _admitted(self, place: SourceTurn, endpoint: Endpoint) -> bool:
        """Whether one more call to ``endpoint`` may leave now."""
        flying = [(other.part, request.call.endpoint) for other, request in self.under_way.values()]
        guard = place.part.guard
        if not place.part.view.may_ask(endpoint):
            return False
        if not guard.shared.answered[endpoint.group] and any(other.group == endpoint.group for _, other in flying):
            return False
        own = sum(part is place.part and other.template == endpoint.template for part, other in flying)
        return own < guard.at_once(endpoint)

    def _settle(self, place: SourceTurn, request: SpotifyRequest, future: Future[FetchOutcome]) -> None:
        """Take in what a thread brought."""
        place.part.view.busy.discard(request.listing)
        self._begin()
        try:
            outcome = future.result()
        except ODD as error:  # a mistake of ours, in what is this listener's
            self._lose(place.part, error)
            return
        except Exception as error:  # the lake's: the run cannot go on
            self.fatal = self.fatal or error
            place.part.view.given_up.add(request.listing)
            return
        place.record.calls += outcome.tally.calls
        place.record.retries += outcome.tally.retries
        place.record.waited_seconds += outcome.tally.waited_seconds
        self.stopped = self.stopped or outcome.stopped
        if place.part in self.lost:
            return
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
        guard, view = place.part.guard, place.part.view
        taken = self.keeper.take(place.part.kept, outcome.entry, outcome.document)
        if outcome.entry.answer is None or outcome.entry.answer.status != 200:
            return
        endpoint = request.call.endpoint
        faults = ["it is not understood"] if taken is None else taken.faults
        for fault in faults:
            self._note(place, OddAnswer(f"Spotify's answer to {endpoint.template} is odd: {fault}"))
        if faults:
            view.given_up.add(request.listing)
        elif request.listing not in view.state.walks:
            view.read.add(request.listing)
        if taken is None or (faults and not (taken.new_items and endpoint.is_batch)):
            guard.answered_oddly(endpoint, f"Spotify's answers to {endpoint.template} are odd: {faults[0]}")
        else:
            guard.served(endpoint)
        if taken is not None:
            for remark in taken.remarks:
                self.deviations[f"{place.record.source}: Spotify's answer to {endpoint.template} is odd: {remark}"] += 1
            for note in taken.notes:
                self.notes[f"{place.record.source}: {endpoint.template}: {note}"] += 1
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
            place.part.view.denied.add(request.call.template)
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
        place.part.view.given_up.add(request.listing)
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
        guard, view = place.part.guard, place.part.view
        attempt = (place.part.whose, request.listing)
        if guard.closed(request.call.endpoint) or attempt not in self.tried:
            place.reader.put_back(request, Again.LATER)
        else:
            place.reader.put_back(request, Again.NEXT_RUN)
            view.given_up.add(request.listing)
        self.tried.add(attempt)
        if not isinstance(error, SpotifyUnavailable):
            view.given_up.add(request.listing)
        self._note(place, error)

    def _lose_listener(self, user: str, error: AuthorizationEnded) -> None:
        """Nothing more is asked for a listener whose authorisation has ended; one clear error says so."""
        views = [part.view for part in self.parts.values()]
        if not any(user in view.listeners for view in views):
            return
        for view in views:
            view.listeners = {name: one for name, one in view.listeners.items() if name != user}
        self.warnings.append(error.message)
        logger.error("%s", error.message)
        self._close(user, error)

    def _lose(self, part: Part, error: Exception) -> None:
        """Nothing more is done for a part whose lock is another run's, or of which something is not as it can be."""
        if self.parts.get(part.whose) is not part:
            return
        del self.parts[part.whose]
        self.keeper.leave(part.whose)
        self.lost.append(part)
        for other in self.parts.values():
            other.view.beside = {name: state for name, state in other.view.beside.items() if name != part.whose}
        whose = "the catalogue" if part.whose is None else part.whose
        told = (
            error if isinstance(error, LakeError) else LakeError(f"what is kept of {whose} cannot be used: {error!r}")
        )
        self.warnings.append(f"{whose}: {told.message}")
        logger.error("%s: %s", whose, told.message, exc_info=None if isinstance(error, LakeError) else error)
        self._close(part.whose, told)

    def _close(self, whose: str | None, error: LakeError) -> None:
        """Ask nothing more for the sources of a part; their records say why."""
        for place in self.places:
            if place.part.whose == whose and not place.closed:
                place.closed = True
                place.record.state, place.record.error = FAILED, error.as_json()["error"]

    def _lose_lock(self, part: Part, error: WriteConflict) -> None:
        """Another run has taken a part over. Raises ``error`` where this one has nothing left."""
        self._lose(part, error)
        if not self.parts:
            raise error

    def _checkpoint(self) -> None:
        for whose, error in self.keeper.checkpoint(self._save_record).items():
            self._lose_lock(self.parts[whose], error)
        self._tell("checkpoint")

    def _save_record(self) -> None:
        for kept in self.keeper.seen:
            for source, keys in kept.raw_keys.items():
                source_record(self.record, source, kept.state.whose).raw_keys = list(keys)
        self._sum_up()
        save_run(self.lake, self.record)

    def _sum_up(self) -> None:
        record = self.record
        asked = self.looking_up
        record.warnings = [*self.warnings, *self._deviations(), *(asked.deviations if asked else ())]
        record.notes = in_words(self.notes)[:MOST_DEVIATIONS]
        record.mode = self._mode()
        record.calls = self.guard.spent
        by_endpoint = self.guard.shared.by_endpoint + (asked.by_endpoint if asked else Counter())
        record.calls_by_endpoint = dict(sorted(by_endpoint.items()))
        for name in ("items", "retries", "bytes", "waited_seconds"):
            setattr(record, name, sum(getattr(one, name) for one in record.sources))

    def _mode(self) -> str | None:
        """The mode that the app is in, as set, or as its answers, else those of a listener, show it."""
        views = [place.part.view for place in self.places]
        forced = next((view.forced_mode for view in views if view.forced_mode), None)
        states = sorted((view.state for view in views), key=lambda state: state.whose is not None)
        return forced or next((state.mode for state in states if state.mode), None)

    def _deviations(self) -> list[str]:
        """What was not as it should be, in the words of the record."""
        complaint = self.clock.complaint()
        return [*([complaint] if complaint else []), *in_words(self.deviations)[:MOST_DEVIATIONS]]

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
        record, view = place.record, place.part.view
        left = self._left(place)
        if place.closed:
            return
        if view.removed(place.reader.endpoint) and place.reader.endpoint.template in view.state.removed:
            record.state = UNAVAILABLE
            return
        if left:
            record.left = f"about {left} call{'s' if left > 1 else ''}"
            until = place.part.guard.waiting_until(place.reader.endpoint.group)
            record.not_before = rfc3339(until) if until else None
        if left or record.error:
            record.state = PARTIAL if left or record.items else FAILED
        else:
            record.state = SUCCEEDED if record.calls else SKIPPED

    def _tell(self, kind: str, source: str = "", endpoint: str = "") -> None:
        if self.progress is not None:
            items = sum(one.items for one in self.record.sources)
            spent, budget = self.guard.spent, self.guard.budget
            left = sum(self._left(place) for place in self.places if not place.closed)
            self.progress(
                ProgressEvent(kind, self.record.run_id, source, endpoint, spent, budget, items=items, left=left)
            )


def in_words(counted: Counter[str]) -> list[str]:
    """Each text, with how often it was said where that is more than once."""
    return [f"{text} ({count} times)" if count > 1 else text for text, count in counted.items()]
