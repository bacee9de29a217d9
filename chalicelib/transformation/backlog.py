"""Which raw objects are left to transform: of all there are, or of the days that can have changed since a sweep.

A *sweep* looks at every raw object and every note, and when all that it found has been driven it is noted
(``state/transforms/<generation>/swept.json``). From then on a look at the days since suffices: an object lies under
the day on which its run began. What was begun and failed has an open note and is found whatever its age. What turns
up under an older day without an event (an object copied in by hand, the answers of a run that died days ago) waits
for the next sweep, for at most :data:`SWEEP_EVERY`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chalicelib.clock import Clock, now
from chalicelib.lake import (
    EARLIER,
    RAW,
    RAW_ANSWERS,
    RAW_RUNS,
    TRANSFORMED,
    Lake,
    first_month_apart,
    is_whole,
    sweep_key,
)
from chalicelib.records import RecordKind
from chalicelib.tables import PLAYS_RESOLVED
from chalicelib.transforms import TRANSFORM_VERSION, done_key, done_note, open_key

log = logging.getLogger(__name__)

SWEEP_EVERY = timedelta(days=1)
MOST_NAMED = 200  # files of a partition, above which only its being there at all is noted
LONGEST_RUN = timedelta(days=1)  # RUN_SECONDS allows no more; its objects lie under the day on which it began


@dataclass(slots=True)
class Sweep:
    """The last time that every raw object was looked at: what the tables' partitions (``<table>/month=…``) and their
    files were when it had ended, and which version of the transform the oldest of their rows may be of."""

    begun_at: datetime
    partitions: list[str] = field(default_factory=list)
    version: int = 1
    files: dict[str, list[str]] = field(default_factory=dict)


SWEEP = RecordKind(Sweep, "the note of a sweep", "nothing is lost; the next sweep looks at everything", derived=True)


def pending(lake: Lake, since: str = "") -> Iterator[str]:
    """Raw keys that the generation in force does not have yet, oldest first; ``since`` (YYYY-MM-DD) leaves out those
    of earlier days that were never begun."""
    generation = lake.generation()
    begun = begun_keys(lake, generation)
    yield from sorted(key for key in begun if since and key < first_key(key, since))
    for prefix in (RAW_ANSWERS, RAW_RUNS):
        done = done_keys(lake, generation, prefix, since)
        for key in raw_keys_of(lake, prefix, since):
            if key in begun or key not in done:
                yield key


def pending_lately(lake: Lake, clock: Clock = now) -> Iterator[str]:
    """As :func:`pending`, but looks no further back than the last sweep makes necessary."""
    return pending(lake, since_sweep(lake, clock()))


def since_sweep(lake: Lake, moment: datetime) -> str:
    """The first day (YYYY-MM-DD) that can hold what the last sweep did not see; empty when a sweep is due."""
    swept = last_sweep(lake)
    if swept is None or not timedelta() <= moment - swept < SWEEP_EVERY:
        return ""
    return f"{swept - LONGEST_RUN:%Y-%m-%d}"


def last_sweep(lake: Lake) -> datetime | None:
    """When the last sweep over all raw objects began; None where there was none."""
    note = SWEEP.read(lake.store, sweep_key(lake.generation()))
    return note.begun_at if note else None


def note_sweep(lake: Lake, begun_at: datetime) -> None:
    """Note that everything that was there at ``begun_at`` is done, in quarantine or noted as begun."""
    key = sweep_key(lake.generation())
    last = SWEEP.read(lake.store, key)
    note = Sweep(begun_at, version=last.version if last else TRANSFORM_VERSION)
    SWEEP.write(lake.store, key, with_stored(lake, note))


def note_files(lake: Lake) -> None:
    """Note what the tables' files are, once the listens of a sweep have been decided too."""
    key = sweep_key(lake.generation())
    if note := SWEEP.read(lake.store, key):
        SWEEP.write(lake.store, key, with_stored(lake, note))


def with_stored(lake: Lake, note: Sweep) -> Sweep:
    """The note with the partitions that there are now and, of those with few enough, their files."""
    stored = stored_files(lake)
    note.partitions = sorted(stored)
    note.files = {
        partition: sorted(names)[-1:] if is_resolved(partition) else sorted(names)
        for partition, names in stored.items()
        if is_resolved(partition) or len(names) <= MOST_NAMED
    }
    return note


def is_resolved(partition: str) -> bool:
    """Whether only the last of a partition's files is in force."""
    return partition.startswith(f"{PLAYS_RESOLVED.name}/")


def is_of_an_earlier_version(lake: Lake) -> bool:
    """Whether some rows may have been made by a release that made others of the same raw objects."""
    last = SWEEP.read(lake.store, sweep_key(lake.generation()))
    return last is not None and last.version < TRANSFORM_VERSION


# --- what was lost ------------------------------------------------------------------------------------------------


def stored_files(lake: Lake) -> dict[str, set[str]]:
    """The partitions of the generation in force that have files, as ``<table>/month=2026-11``: the files' names."""
    prefix = f"{TRANSFORMED}{lake.generation()}/"
    found: dict[str, set[str]] = {}
    for info in lake.store.list(prefix):
        partition, _, name = info.key.removeprefix(prefix).rpartition("/")
        found.setdefault(partition, set()).add(name)
    return found


def lost_partitions(lake: Lake, clock: Clock = now) -> set[str]:
    """Partitions that had files at the last sweep and have none: somebody deleted them. Old months lie together by
    and by, which is no loss."""
    last = SWEEP.read(lake.store, sweep_key(lake.generation()))
    if last is None:
        return set()
    stored, apart = stored_files(lake).keys(), first_month_apart(clock())
    return {each for each in set(last.partitions) - stored if not (month_of(each) < apart and together(each) & stored)}


def month_of(partition: str) -> str:
    """``2026-11`` of ``tracks_history/month=2026-11``."""
    return partition.rpartition("=")[2]


def together(partition: str) -> set[str]:
    """The partitions that may have taken an old month in: of what is earlier, or of its year."""
    table = partition.rpartition("=")[0]
    return {f"{table}={EARLIER}", f"{table}={month_of(partition)[:4]}"} - {partition}


def noted_files(lake: Lake, clock: Clock = now) -> dict[str, list[str]]:
    """Of each partition the names of the files that it had at the last sweep and must have still; of resolutions of
    plays the last, which only a later one may stand for, and none of old months, which their years take in."""
    last, apart = SWEEP.read(lake.store, sweep_key(lake.generation())), first_month_apart(clock())
    noted = last.files if last else {}
    return {each: names for each, names in noted.items() if not (is_resolved(each) and month_of(each) < apart)}


def lost_files(lake: Lake, clock: Clock = now) -> list[str]:
    """Keys of files that were there at the last sweep and are gone from a partition that has others."""
    stored, prefix = stored_files(lake), f"{TRANSFORMED}{lake.generation()}/"
    return sorted(
        f"{prefix}{partition}/{name}"
        for partition, names in noted_files(lake, clock).items()
        for name in losses(partition, names, stored.get(partition, set()))
        if partition in stored
    )


def losses(partition: str, noted: Iterable[str], stored: Collection[str]) -> set[str]:
    """Of the files of a partition that were noted: those whose rows the stored ones do not have."""
    missing = set(noted) - set(stored)
    return missing if not is_resolved(partition) else {name for name in missing if all(each < name for each in stored)}


def forget_files(lake: Lake, keys: Collection[str]) -> None:
    """Note that files may be deleted: others have their rows. Comes before they are."""
    if not keys:
        return
    note_at = sweep_key(lake.generation())
    if note := SWEEP.read(lake.store, note_at):
        for key in keys:
            names = note.files.get(partition_of(key), [])
            if (name := key.rpartition("/")[2]) in names:
                names.remove(name)
        SWEEP.write(lake.store, note_at, note)


def forget_lost(lake: Lake) -> set[str]:
    """Take back that the raw objects of lost partitions, and of those that lost a file, are done, so that they are left
    to transform; answers those partitions."""
    lost = lost_partitions(lake) | {partition_of(key) for key in lost_files(lake)}
    if lost:
        log.warning("files of %d partitions of the tables are gone (%s, …): they are made again", len(lost), min(lost))
        generation, stored = lake.generation(), stored_files(lake).keys()
        for prefix in (RAW_ANSWERS, RAW_RUNS):
            for key in done_keys(lake, generation, prefix, ""):
                note = done_note(lake, generation, key)
                if note and any(is_gone(partition_of(name), lost, stored) for name in note.files):
                    lake.store.delete([done_key(generation, key)])
    return lost


def is_gone(partition: str, lost: Collection[str], stored: Collection[str]) -> bool:
    """Whether what was written into a partition is lost, there or where old months lie together."""
    return partition in lost or (partition not in stored and bool(together(partition) & set(lost)))


def partition_of(key: str) -> str:
    """``tracks_history/month=2026-11`` of the key of a file of that partition."""
    return key.removeprefix(TRANSFORMED).partition("/")[2].rpartition("/")[0]


def begun_keys(lake: Lake, generation: str) -> set[str]:
    """Raw keys whose transform was begun and not ended, as far as their objects are still there."""
    prefix = open_key(generation, RAW).removesuffix(".json")
    noted = [RAW + info.key.removeprefix(prefix).removesuffix(".json") for info in lake.store.list(prefix)]
    return {key for key in noted if lake.store.stat(key)}


def done_keys(lake: Lake, generation: str, prefix: str, since: str) -> set[str]:
    """Raw keys below ``prefix`` that are noted as done."""
    notes = done_key(generation, prefix).removesuffix(".json")
    found = lake.store.list(notes, start_after=notes + path_of(since))
    return {prefix + info.key.removeprefix(notes).removesuffix(".json") for info in found}


def raw_keys(lake: Lake, since: str = "") -> Iterator[str]:
    """Every raw object that transforms, answers before runs; ``since`` (YYYY-MM-DD) leaves out earlier days."""
    for prefix in (RAW_ANSWERS, RAW_RUNS):
        yield from raw_keys_of(lake, prefix, since)


def raw_keys_of(lake: Lake, prefix: str, since: str) -> Iterator[str]:
    """Keys of whole raw objects below a prefix, from ``since`` on."""
    found = lake.store.list(prefix, start_after=prefix + path_of(since) if since else "")
    return (info.key for info in found if is_whole(info.key))


def first_key(key: str, since: str) -> str:
    """What every key of ``since`` and later sorts after, among those of ``key``'s kind."""
    return (RAW_RUNS if key.startswith(RAW_RUNS) else RAW_ANSWERS) + path_of(since)


def path_of(day: str) -> str:
    """``2026/11/20`` of ``2026-11-20``."""
    return day.replace("-", "/")
