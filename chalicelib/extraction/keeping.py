"""Keeping what a run receives: journal first, then raw objects, then the states, so that a death loses nothing.

Each listener's answers, and the app's, have a journal and a state of their own (``Kept``); raw objects hold answers of
all. Whoever takes in what a dead run left in one journal looks at that run's raw objects for what was published of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from chalicelib.clock import Clock, rfc3339
from chalicelib.errors import NotFound, RawObjectInvalid, WriteConflict
from chalicelib.extraction.fetching import ODD
from chalicelib.extraction.intake import take_in, take_note, take_refusal
from chalicelib.extraction.journal import FOR_ALL, Journal, JournalEntry, Segment, drop_segment, segments
from chalicelib.extraction.lock import holders, name_of
from chalicelib.extraction.lookups import take_lookup
from chalicelib.extraction.reading import Taken
from chalicelib.extraction.state import Absorbed, Shown, State, StateFile
from chalicelib.lake import Lake, answers_key, answers_prefix
from chalicelib.musicbrainz.answers import is_lookup
from chalicelib.raw import Answer, Packer, unpack
from chalicelib.runs import PARTIAL, RUNNING, RunRecord, SourceRecord, load_run, run_ids, save_run
from chalicelib.spotify.client import read_json

LITTLE = 1024 * 1024  # bytes of answers up to which all of a run's sources share a raw object
TOGETHER = "answers"  # what that is called
MOST_PACKED = 8 * 1024 * 1024  # bytes of compressed answers held back before they are written

LAST_RUNS = 20  # whose records are looked at for one that never ended

Keys = dict[str, list[str]]  # of raw objects, by source

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Pack:
    """Answers that become part of a raw object, and the names of those whose they are."""

    packer: Packer = field(default_factory=Packer)
    names: set[str] = field(default_factory=set)


Packs = dict[tuple[str, bool], Pack]  # by source; what is odd lies apart, so that nothing else is doubted with it


@dataclass(slots=True)
class Kept:
    """State and journal of one listener or of the app, in one run. ``write`` may be called by any thread."""

    file: StateFile
    journal: Journal
    raw_keys: Keys = field(default_factory=dict)
    changed: bool = False  # the state, by what others' answers show

    @property
    def state(self) -> State:
        """What is known of it."""
        return self.file.state

    @property
    def name(self) -> str:
        """What its lock, state and journal are called."""
        return name_of(self.state.whose)

    def write(self, entry: JournalEntry) -> None:
        """Make an entry durable, before anything is done with it."""
        self.journal.append(entry)

    def save(self, run_id: str, keys: Keys) -> None:
        """Save the state, which has taken in this segment of the journal. Raises WriteConflict."""
        if self.journal.entries:
            self.state.absorbed = Absorbed(run_id, self.journal.segment, keys)
        self.file.save()
        self.changed = False


@dataclass(slots=True)
class Keeper:
    """What one run keeps, by listener; None is the app's."""

    lake: Lake
    run_id: str
    kept: dict[str | None, Kept]
    most_entries: int  # held back before they are written
    packs: Packs = field(default_factory=dict)
    unpacked: list[tuple[str, JournalEntry, Taken | None]] = field(default_factory=list)  # taken in: whose, and what
    numbers: dict[str, int] = field(default_factory=dict)  # of the raw objects written, by source
    seen: list[Kept] = field(default_factory=list)  # all that there were, those that were left to others too

    @classmethod
    def open(cls, lake: Lake, run_id: str, most_entries: int, whose: Iterable[str | None]) -> Keeper:
        """Read the states of those whose locks are held."""
        kept = {each: Kept(StateFile.load(lake, each), Journal(lake.store, run_id, name_of(each))) for each in whose}
        return cls(lake, run_id, kept, most_entries, seen=list(kept.values()))

    @property
    def full(self) -> bool:
        """Whether a checkpoint is due."""
        packed = sum(pack.packer.size for pack in self.packs.values())
        entries = sum(part.journal.entries for part in self.kept.values())
        return packed >= MOST_PACKED or entries >= self.most_entries

    def take(self, part: Kept, entry: JournalEntry, document: dict[str, Any] | None) -> Taken | None:
        """Change the state by an entry that has been written, and have its answer packed; None when the answer is not
        understood."""
        taken = apply(part.state, entry, document)
        self.unpacked.append((part.name, entry, taken))
        if taken is not None and taken.shown is not None:
            self._hand_over(part, taken.shown)
        return taken

    def pack(self) -> None:
        """Make the answers that were taken in part of raw objects to come. To compress them takes longer than to take
        them in: the threads have their next calls first."""
        for name, entry, taken in self.unpacked:
            add_to(self.packs, name, entry, taken)
        self.unpacked.clear()

    def _hand_over(self, part: Kept, shown: Shown) -> None:
        """Give the app's state what a listener's answers show of the catalogue, where this run has it."""
        app = self.kept.get(None)
        if app is not None and app is not part and app.state.take_over(shown):
            app.changed = True

    def checkpoint(self, save_record: Callable[[], None]) -> dict[str | None, WriteConflict]:
        """Write the raw objects, save the states and the run's record, drop the journals. Nothing is under way.

        Answers the parts whose locks turned out to be lost; what they have in their journals is taken in by those who
        have them now.
        """
        self.pack()
        written = {part.name: part for part in self.kept.values() if part.journal.entries or part.changed}
        if not written:
            return {}
        keys = publish(self.lake, self.run_id, self.packs, self.numbers)
        lost: dict[str | None, WriteConflict] = {}
        for part in sorted(written.values(), key=lambda part: part.state.whose is not None):  # the app's first
            if part.state.whose is not None and None in self.kept:  # it has what theirs show by now
                part.state.shown = Shown()
            for source, of_source in keys.get(part.name, {}).items():
                part.raw_keys.setdefault(source, []).extend(of_source)
            try:
                part.save(self.run_id, keys.get(part.name, {}))
            except WriteConflict as error:
                lost[part.state.whose] = error
                self.leave(part.state.whose)
        save_record()
        for part in written.values():
            if part.state.whose not in lost:
                part.journal.drop()
        self.packs.clear()
        return lost

    def leave(self, whose: str | None) -> None:
        """Leave a part to the run that has its lock now, with what its journal holds."""
        if part := self.kept.pop(whose, None):
            part.journal.close()

    def close(self) -> None:
        """Leave the journals as they lie, for the next run to take in."""
        for part in self.kept.values():
            part.journal.close()

    def recover(self, clock: Clock) -> None:
        """Take in what dead runs left in the journals of these parts, and close their records. The locks are held: none
        of them is at work on one of these any more."""
        by_name = {part.name: part for part in self.kept.values()}
        for segment in segments(self.lake.store):
            if part := by_name.get(segment.name):
                take_over(self.lake, part.file, segment)
        for part in self.kept.values():
            self._hand_over(part, part.state.shown)
        close_records(self.lake, self.run_id, clock)
        self._go_on_under_the_same_name()

    def _go_on_under_the_same_name(self) -> None:
        """A function that is started again for the same run journals on, not over, and keeps what it had."""
        begun = record_of(self.lake, self.run_id)
        for part in self.kept.values():
            if part.state.absorbed.run == self.run_id:
                part.journal.segment = part.state.absorbed.segment + 1
            for one in begun.sources if begun else []:
                if one.user_id == part.state.whose and one.raw_keys:
                    part.raw_keys.setdefault(one.source, []).extend(one.raw_keys)


def take_over(lake: Lake, file: StateFile, segment: Segment) -> None:
    """Take in a segment that a dead run left, unless the state has it already, and forget it."""
    entries, absorbed = segment.entries(lake.store), file.state.absorbed
    if absorbed.run == segment.run_id and segment.number <= absorbed.segment:
        before: list[tuple[JournalEntry, Taken | None]] = [(entry, None) for entry in entries]
        amend_record(lake, segment, file.state.whose, before, absorbed.keys)
    else:
        taken = [(entry, apply(file.state, entry)) for entry in entries]
        keys = publish_missing(lake, segment.run_id, taken)
        file.state.absorbed = Absorbed(segment.run_id, segment.number, keys)
        amend_record(lake, segment, file.state.whose, taken, keys)
        file.save()
        logger.warning("took in %d answers that run %s had received", len(entries), segment.run_id)
    drop_segment(lake.store, segment.name, segment.run_id, segment.number)


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


def add_to(packs: Packs, name: str, entry: JournalEntry, taken: Taken | None) -> None:
    """Make the answer of an entry part of a raw object to come."""
    if entry.answer is not None:
        odd = taken is None or bool(taken.faults)
        pack = packs.setdefault((entry.answer.source, odd), Pack())
        pack.packer.add(entry.answer)
        pack.names.add(name)


def publish(lake: Lake, run_id: str, packs: Packs, numbers: dict[str, int]) -> dict[str, Keys]:
    """Write the raw objects; answers their keys by the name of those whose answers they hold, and by source."""
    keys: dict[str, Keys] = {}
    for (source_name, _), together in sorted(objects_of(packs).items()):
        content = b"".join(packs[each].packer.finish() for each in together)  # members of gzip follow one another
        key = new_object(lake, run_id, source_name, content, numbers)
        for each in together:
            for name in packs[each].names:
                keys.setdefault(name, {}).setdefault(each[0], []).append(key)
    return keys


def new_object(lake: Lake, run_id: str, name: str, content: bytes, numbers: dict[str, int]) -> str:
    """Write a raw object under the next number that nobody has taken; answers its key."""
    while True:
        numbers[name] = numbers.get(name, 0) + 1
        key = answers_key(run_id, name, numbers[name])
        if lake.create(key, content):
            return key


def objects_of(packs: Packs) -> dict[tuple[str, bool], list[tuple[str, bool]]]:
    """The packs of each raw object, by its name and whether what is in it is odd: one object a source, or one of all
    sources that brought little together. On AWS each object is a transform of its own, most of which is its start."""
    plain = [each for each in sorted(packs) if not each[1]]
    little = len(plain) > 1 and sum(packs[each].packer.answered for each in plain) <= LITTLE
    objects = {each: [each] for each in packs if each[1] or not little}
    return {**objects, (TOGETHER, False): plain} if little else objects


def publish_missing(lake: Lake, run_id: str, taken: list[tuple[JournalEntry, Taken | None]]) -> Keys:
    """Write the answers of a dead run that none of its raw objects holds; answers the keys of all, by source."""
    there = published(lake, run_id)
    keys: Keys = {}
    packs: Packs = {}
    for entry, brought in taken:
        if entry.answer is None:
            continue
        if key := there.get(identity(entry.answer)):
            keys.setdefault(entry.answer.source, []).append(key)
        else:
            add_to(packs, "", entry, brought)
    for source, written in publish(lake, run_id, packs, {}).get("", {}).items():
        keys.setdefault(source, []).extend(written)
    return {source: list(dict.fromkeys(of_source)) for source, of_source in keys.items()}


def published(lake: Lake, run_id: str) -> dict[str, str]:
    """The answers that the raw objects of a run hold, and in which each is."""
    found: dict[str, str] = {}
    for info in lake.store.list(answers_prefix(run_id)):
        with suppress(RawObjectInvalid), lake.store.open(info.key) as stream:  # a damaged one holds nothing for sure
            found.update((identity(answer), info.key) for answer in unpack(stream))
    return found


def identity(answer: Answer) -> str:
    """What tells one answer from all others."""
    header = json.dumps(answer.header(), sort_keys=True).encode()
    return hashlib.sha256(header + b"\n" + answer.body).hexdigest()


def amend_record(
    lake: Lake, segment: Segment, whose: str | None, taken: list[tuple[JournalEntry, Taken | None]], keys: Keys
) -> None:
    """Add to a dead run's record what a journal of it shows it to have done since it was last saved."""
    record = record_of(lake, segment.run_id)
    told = [(entry.answer, brought) for entry, brought in taken if entry.answer is not None]
    if record is None or not told:
        return
    about = {
        (answer.source, user): source_record(record, answer.source, user)
        for answer, _ in told
        for user in [answer.user_id if segment.name == FOR_ALL else whose]
    }
    if any(set(keys.get(source, ())) & set(one.raw_keys) for (source, _), one in about.items()):
        return  # it was saved after these objects were written
    for answer, brought in told:
        one = about[answer.source, answer.user_id if segment.name == FOR_ALL else whose]
        for counted in (record, one):
            counted.calls += 1
            counted.items += brought.items if brought else 0
            counted.bytes += len(answer.body)
        if brought:
            one.new_items += brought.new_items
            record.holes += [brought.hole] if brought.hole else []
    for (source, _), one in about.items():
        one.raw_keys.extend(keys.get(source, ()))
    save_run(lake, record)


def close_records(lake: Lake, but: str, clock: Clock) -> None:
    """End the records of runs whose process died: of the last ones those that hold no lock."""
    last = list(islice(run_ids(lake, clock=clock), LAST_RUNS))
    open_ones = [run_id for run_id in last if run_id != but and is_open(record_of(lake, run_id))]
    living = set(holders(lake, clock()).values()) if open_ones else set()
    for run_id in open_ones:
        if run_id not in living:
            close_record(lake, run_id, clock)


def is_open(record: RunRecord | None) -> bool:
    """Whether a run has not ended, as its record says."""
    return record is not None and record.state == RUNNING


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
    found = next((one for one in record.sources if (one.source, one.user_id) == (source, user)), None)
    if found is None:
        found = SourceRecord(source=source, user_id=user)
        record.sources.append(found)
    return found
