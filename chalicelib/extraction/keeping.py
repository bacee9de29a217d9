"""Keeping what a run receives: journal first, then raw objects, then the state, so that a death loses nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from chalicelib.clock import Clock, rfc3339
from chalicelib.errors import NotFound
from chalicelib.extraction.fetching import ODD
from chalicelib.extraction.intake import take_in, take_note, take_refusal
from chalicelib.extraction.journal import Journal, JournalEntry, Segment, drop_segment, segments
from chalicelib.extraction.lookups import take_lookup
from chalicelib.extraction.reading import Taken
from chalicelib.extraction.state import Absorbed, RawParts, State, StateFile
from chalicelib.lake import Lake, answers_key
from chalicelib.musicbrainz.answers import is_lookup
from chalicelib.raw import Packer
from chalicelib.runs import PARTIAL, RUNNING, RunRecord, SourceRecord, load_run, run_ids, save_run
from chalicelib.spotify.client import read_json

LITTLE = 1024 * 1024  # bytes of answers up to which all of a run's sources share a raw object
TOGETHER = "answers"  # what that is called
MOST_PACKED = 8 * 1024 * 1024  # bytes of compressed answers held back before they are written

LAST_RUNS = 20  # whose records are looked at for one that never ended

Packs = dict[tuple[str, bool], Packer]  # by source; what is odd lies apart, so that nothing else is doubted with it
Keys = dict[str, list[str]]  # of raw objects, by source

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Keeper:
    """The state and the journal of one run. ``write`` may be called by any thread, the rest by one."""

    lake: Lake
    run_id: str
    file: StateFile
    journal: Journal
    most_entries: int  # held back before they are written
    packs: Packs = field(default_factory=dict)
    raw_keys: Keys = field(default_factory=dict)

    @classmethod
    def open(cls, lake: Lake, run_id: str, most_entries: int) -> Keeper:
        return cls(lake, run_id, StateFile.load(lake), Journal(lake.store, run_id), most_entries)

    @property
    def state(self) -> State:
        return self.file.state

    @property
    def full(self) -> bool:
        packed = sum(pack.size for pack in self.packs.values())
        return packed >= MOST_PACKED or self.journal.entries >= self.most_entries

    def write(self, entry: JournalEntry) -> None:
        """Make an entry durable, before anything is done with it."""
        self.journal.append(entry)

    def take(self, entry: JournalEntry, document: dict[str, Any] | None) -> Taken | None:
        """Change the state by an entry that has been written, and make its answer part of a raw object to come; None
        when the answer is not understood."""
        taken = apply(self.state, entry, document)
        add_to(self.packs, entry, taken)
        return taken

    def checkpoint(self, save_record: Callable[[], None]) -> None:
        """Write the raw objects, save the state and the run's record, drop the journal. Nothing is under way."""
        if not self.journal.entries:
            return
        keys = publish(self.lake, self.state, self.run_id, self.packs)
        for source, written in keys.items():
            self.raw_keys.setdefault(source, []).extend(written)
        self.state.absorbed = Absorbed(self.run_id, self.journal.segment, keys)
        self.file.save()
        save_record()
        self.journal.drop()
        self.packs.clear()

    def recover(self, clock: Clock) -> None:
        """Take in what dead runs left in the journal, and close their records. The lock is held: none of them lives."""
        for segment in segments(self.lake.store):
            if self._absorbed(segment.run_id, segment.number):
                before: list[tuple[JournalEntry, Taken | None]] = [(entry, None) for entry in segment.entries]
                amend_record(self.lake, segment.run_id, before, self.state.absorbed.keys)
            else:
                self._take_over(segment)
            drop_segment(self.lake.store, segment.run_id, segment.number)
        for run_id in list(islice(run_ids(self.lake, clock=clock), LAST_RUNS)):
            if run_id != self.run_id:
                close_record(self.lake, run_id, clock)
        self._go_on_under_the_same_name()

    def _take_over(self, segment: Segment) -> None:
        taken = [(entry, apply(self.state, entry)) for entry in segment.entries]
        packs: Packs = {}
        for entry, brought in taken:
            add_to(packs, entry, brought)
        keys = publish(self.lake, self.state, segment.run_id, packs)
        self.state.absorbed = Absorbed(segment.run_id, segment.number, keys)
        amend_record(self.lake, segment.run_id, taken, keys)
        self.file.save()
        logger.warning("took in %d answers that run %s had received", len(segment.entries), segment.run_id)

    def _go_on_under_the_same_name(self) -> None:
        """A function that is started again for the same run journals on, not over, and keeps what it had."""
        if self.state.absorbed.run == self.run_id:
            self.journal.segment = self.state.absorbed.segment + 1
        begun = record_of(self.lake, self.run_id)
        for one in begun.sources if begun else []:
            self.raw_keys.setdefault(one.source, []).extend(one.raw_keys)

    def _absorbed(self, run_id: str, number: int) -> bool:
        absorbed = self.state.absorbed
        return absorbed.run == run_id and number <= absorbed.segment


def apply(state: State, entry: JournalEntry, document: dict[str, Any] | None = None) -> Taken | None:
    """Change the state by one entry; ``document`` is the answer's body where that has been read already.

    An answer that is not understood (None) is kept in the raw zone, and the listing it is a step of begins anew.
    """
    try:
        take_note(state, entry.note)
        if entry.answer is None:
            return Taken()
        if is_lookup(entry.answer.endpoint):
            return take_lookup(state, entry.answer)
        if entry.answer.status != 200:
            return take_refusal(state, entry.answer, entry.note.get("of", entry.answer.endpoint))
        return take_in(state, entry.answer, document if document is not None else read_object(entry.answer.body))
    except ODD as error:
        state.walks.pop(entry.note.get("of", ""), None)
        logger.warning("an answer of %s is not understood: %r", entry.answer.endpoint if entry.answer else "", error)
        return None


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer. Raises ValueError where it is none."""
    document = read_json(body)
    if not isinstance(document, dict):
        raise ValueError("the answer is no JSON object")
    return document


def add_to(packs: Packs, entry: JournalEntry, taken: Taken | None) -> None:
    """Make the answer of an entry part of a raw object to come."""
    if entry.answer is not None:
        odd = taken is None or bool(taken.faults)
        packs.setdefault((entry.answer.source, odd), Packer()).add(entry.answer)


def publish(lake: Lake, state: State, run_id: str, packs: Packs) -> Keys:
    """Write the raw objects; answers their keys by source. They follow from the state and the answers, so that doing it
    twice is doing it once."""
    if state.parts.run != run_id:
        state.parts = RawParts(run_id)
    keys: Keys = {}
    for (name, _), together in sorted(objects_of(packs).items()):
        part = state.parts.sources.get(name, 0) + 1
        state.parts.sources[name] = part
        key = answers_key(run_id, name, part)
        lake.create(key, b"".join(packs[each].finish() for each in together))  # members of gzip follow one another
        for source, _ in together:
            keys.setdefault(source, []).append(key)
    return keys


def objects_of(packs: Packs) -> dict[tuple[str, bool], list[tuple[str, bool]]]:
    """The packs of each raw object, by its name and whether what is in it is odd: one object a source, or one of all
    sources that brought little together. On AWS each object is a transform of its own, most of which is its start."""
    plain = [each for each in sorted(packs) if not each[1]]
    little = len(plain) > 1 and sum(packs[each].answered for each in plain) <= LITTLE
    objects = {each: [each] for each in packs if each[1] or not little}
    return {**objects, (TOGETHER, False): plain} if little else objects


def amend_record(lake: Lake, run_id: str, taken: list[tuple[JournalEntry, Taken | None]], keys: Keys) -> None:
    """Add to a dead run's record what its journal shows it to have done since it was last saved."""
    record = record_of(lake, run_id)
    written = {key for of_source in keys.values() for key in of_source}
    if record is None or any(written & set(one.raw_keys) for one in record.sources):
        return
    for entry, brought in taken:
        if entry.answer is None:
            continue
        one = source_record(record, entry.answer.source, entry.answer.user_id)
        for counted in (record, one):
            counted.calls += 1
            counted.items += brought.items if brought else 0
            counted.bytes += len(entry.answer.body)
        if brought:
            one.new_items += brought.new_items
            record.holes += [brought.hole] if brought.hole else []
    for source, of_source in keys.items():
        next(one for one in record.sources if one.source == source).raw_keys.extend(of_source)
    save_run(lake, record)


def close_record(lake: Lake, run_id: str, clock: Clock) -> None:
    """End the record of a run whose process died."""
    record = record_of(lake, run_id)
    if record is None or record.state != RUNNING:
        return
    record.state, record.ended_at = PARTIAL, rfc3339(clock())
    record.error = {"code": "interrupted", "message": "its process ended early; the next run took in what it had"}
    for one in record.sources:
        if one.state == RUNNING:
            one.state, one.left = PARTIAL, "taken up by the next run"
    save_run(lake, record)


def record_of(lake: Lake, run_id: str) -> RunRecord | None:
    """A run's record; None where there is none."""
    try:
        return load_run(lake, run_id)
    except NotFound:
        return None


def source_record(record: RunRecord, source: str, user: str | None) -> SourceRecord:
    """The part of a record that is about a source and, where it needs one, a listener."""
    found = next((one for one in record.sources if one.source == source and one.user_id in (user, None)), None)
    if found is None:
        found = SourceRecord(source=source, user_id=user)
        record.sources.append(found)
    return found
