"""The part of a run that asks MusicBrainz: after Spotify's, under the same lock, kept by the same journal.

One call at a time. What goes wrong is a deviation in the run's record; it ends this part, never the run.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from chalicelib.clock import Clock, rfc3339
from chalicelib.errors import (
    LakeError,
    MusicBrainzRefused,
    MusicBrainzUnavailable,
    RateLimited,
)
from chalicelib.extraction.journal import JournalEntry
from chalicelib.extraction.keeping import Keeper, Kept
from chalicelib.extraction.lookups import READS, ArtistLookups
from chalicelib.extraction.state import done_key
from chalicelib.musicbrainz.client import TOO_LONG, MusicBrainz, MusicBrainzReply
from chalicelib.musicbrainz.questions import Question
from chalicelib.raw import Answer
from chalicelib.runs import FAILED, PARTIAL, SKIPPED, SUCCEEDED, SourceRecord
from chalicelib.spotify.guard import Wait

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class LookingUp:
    """The lookups of one run. ``chosen``: a person asked for them by name."""

    run_id: str
    keeper: Keeper
    app: Kept
    lookups: ArtistLookups
    client: MusicBrainz
    record: SourceRecord
    clock: Clock
    chosen: bool = False
    by_endpoint: Counter[str] = field(default_factory=Counter)
    deviations: list[str] = field(default_factory=list)

    def go(self, checkpoint: Callable[[], None], renew: Callable[[], None]) -> None:
        """Ask until nothing is left, the budget or the time is used up, or something goes wrong."""
        if self.is_due():
            while question := self._next():
                if not self._answered(question):
                    break
                if self.keeper.full:
                    checkpoint()
                renew()
            else:
                self._end_reading()
        self._sum_up()

    def is_due(self) -> bool:
        """Whether anything may be asked in this run."""
        return not self._waits() and (self.chosen or self.lookups.due(self.clock()))

    def _next(self) -> Question | None:
        if self.client.exhausted():
            return None
        return self.lookups.next(self.clock(), last=self.client.spent == self.client.budget - 1)

    def _waits(self) -> bool:
        wait = self.app.state.waits.get(READS)
        return wait is not None and wait.in_force(self.clock())

    def _answered(self, question: Question) -> bool:
        """Ask, and take down what is said; False where it is of no use to go on."""
        before = self.client.spent
        try:
            reply = self.client.ask(question)
        except RateLimited as error:
            wait = Wait(rfc3339(error.not_before), rfc3339(self.clock()))
            self.app.write(JournalEntry(note={"waits": {READS: asdict(wait)}}))
            self.app.state.waits[READS] = wait
            return self._deviates(error)
        except MusicBrainzRefused as error:
            return self._halved(question, error) or self._deviates(error)
        except MusicBrainzUnavailable as error:
            return self._deviates(error)
        finally:
            self.by_endpoint[question.template] += self.client.spent - before
        return self._taken(question, reply)

    def _taken(self, question: Question, reply: MusicBrainzReply) -> bool:
        entry = JournalEntry(self._answer(question, reply), {"of": question.endpoint})
        self.app.write(entry)
        taken = self.keeper.take(self.app, entry, None)
        self.keeper.pack()
        self.record.bytes += len(reply.body)
        if taken is None:
            return self._deviates(MusicBrainzUnavailable(f"the answer to {question.endpoint} is not understood"))
        self.record.items += taken.items
        self.record.new_items += taken.new_items
        return True

    def _answer(self, question: Question, reply: MusicBrainzReply) -> Answer:
        return Answer(
            run_id=self.run_id,
            source=self.record.source,
            endpoint=question.endpoint,
            params=dict(question.params),
            user_id=None,
            requested_at=reply.requested_at,
            received_at=reply.received_at,
            status=reply.status,
            body=reply.body,
            context=dict(question.about),
        )

    def _halved(self, question: Question, error: MusicBrainzRefused) -> bool:
        """Whether half as much may be asked at once where a question was too long."""
        many = max(len(question.about.get("asked", ())), len(question.about.get("artists", ())))
        if error.details.get("status") not in TOO_LONG or many < 2:
            return False
        note = {"limits": {question.endpoint: many // 2}}
        self.app.write(JournalEntry(note=note))
        self.app.state.limits.update(note["limits"])
        return True

    def _deviates(self, error: LakeError) -> bool:
        self.record.error = error.as_json()["error"]
        self.deviations.append(f"{self.record.source}: {error.message}")
        logger.warning("%s: %s", self.record.source, error.message)
        return False

    def _end_reading(self) -> None:
        """Note that all was asked, if it was."""
        if self.lookups.calls_left(self.clock()) == 0:
            moment = self.clock()
            self.app.write(JournalEntry(note={"done": {done_key(self.record.source, None): rfc3339(moment)}}))
            self.app.state.finished(self.record.source, None, moment)

    def _sum_up(self) -> None:
        record, wait = self.record, self.app.state.waits.get(READS)
        record.calls, record.retries = self.client.spent, self.client.retries
        record.waited_seconds = self.client.waited_seconds
        left = self.lookups.calls_left(self.clock()) if record.calls or record.error or self._waits() else 0
        if left:
            record.left = f"about {left} call{'s' if left > 1 else ''}"
            record.not_before = wait.until if wait and self._waits() else None
        if left or record.error:
            record.state = PARTIAL if left or record.items else FAILED
        else:
            record.state = SUCCEEDED if record.calls else SKIPPED
