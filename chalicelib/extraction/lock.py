"""One run at a time for each listener, and one for the catalogue.

In a folder whoever runs holds a lock on a file, which the system lets go of when the process ends. A bucket has no
such thing: there a record says who runs and until when that holds, is written conditionally and renewed while the run
works. In both ``state/run-locks/<name>.json`` names the run.

A run takes the locks of all it wants in the order of their names, and leaves to others what they hold. Of two that
begin at once the one that was first at the first of them gets the others too: each lock says for its first seconds what
its run is about to take.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from chalicelib.clock import Clock
from chalicelib.errors import LakeError, RunInProgress, StorageFailed, WriteConflict
from chalicelib.filelock import hold, is_held
from chalicelib.lake import STATE, Appendable, Lake
from chalicelib.records import RecordKind
from chalicelib.secrets import listener_secret

APP = "app"  # how what is everybody's is called where a listener's has the listener's name
LOCKS = f"{STATE}run-locks/"
ONE_LOCK = f"{STATE}run-lock.json"  # that of earlier releases, for all
LOCK_FILE = ".run-lock-"  # begins the names of the files that are locked in a folder
LEASE = timedelta(seconds=120)  # in a bucket: how long a lock holds that is not renewed
RENEWED_EVERY = timedelta(seconds=20)
CLOCKS_APART = timedelta(seconds=120)  # by which the clocks of two machines that share a bucket may differ
TAKING = timedelta(seconds=10)  # in which a run that has its first lock has the others too


@dataclass(frozen=True, slots=True)
class Holder:
    """The run that has a lock and, in a bucket, until when; what it is taking besides, and since when."""

    run_id: str
    expires_at: datetime
    taking: list[str] = field(default_factory=list)
    since: datetime | None = None

    def lives(self, moment: datetime) -> bool:
        """Whether its lease holds at ``moment``. One that ends much later than any lease was given by a wrong clock."""
        return moment < self.expires_at <= moment + LEASE + CLOCKS_APART

    def about_to_take(self, moment: datetime) -> list[str]:
        """What its run is taking just now."""
        return self.taking if self.since is not None and abs(moment - self.since) < TAKING else []


RUN_LOCK = RecordKind(Holder, "the lock of a run", "the next run takes the lock", derived=True)


class RunLock:
    """The lock of a listener, or of the app, as held by one run."""

    def __init__(self, lake: Lake, holder: Holder, clock: Clock, name: str, etag: str, handle: IO[str] | None) -> None:
        self._lake, self._clock, self._etag, self._handle = lake, clock, etag, handle
        self._renewed = clock()
        self._key = lock_key(name)
        self._released = False
        self.run_id = holder.run_id

    @classmethod
    def acquire(cls, lake: Lake, run_id: str, clock: Clock, name: str = APP, taking: Iterable[str] = ()) -> RunLock:
        """Take a lock. Raises RunInProgress naming the run that holds it."""
        moment = clock()
        holder = Holder(run_id, moment + LEASE, list(taking), moment)
        key = lock_key(name)
        if path := lock_path(lake, name):
            lake.folder(STATE)
            handle = held(path)
            if handle is None:
                raise in_progress(name_of_holder(lake, name))
            try:
                return cls(lake, holder, clock, name, RUN_LOCK.write(lake.store, key, holder), handle)
            except LakeError:
                handle.close()
                raise
        other, etag = RUN_LOCK.read_version(lake.store, key)
        if other and other.lives(clock()):
            raise in_progress(other.run_id)
        try:
            return cls(lake, holder, clock, name, RUN_LOCK.replace(lake.store, key, holder, if_match=etag), None)
        except WriteConflict:
            other = RUN_LOCK.read(lake.store, key)
            raise in_progress(other.run_id if other else None) from None

    def renew(self) -> None:
        """Extend the lease when it is time to. Raises WriteConflict when another run has taken the lock over."""
        moment = self._clock()
        if self._handle is not None or abs(moment - self._renewed) < RENEWED_EVERY:
            return
        holder = Holder(self.run_id, moment + LEASE)
        self._etag = RUN_LOCK.replace(self._lake.store, self._key, holder, if_match=self._etag)
        self._renewed = moment

    def release(self) -> None:
        """Give the lock back, once; one that was taken over is left to its new owner."""
        if self._released:
            return
        self._released = True
        try:
            self._lake.store.delete([self._key], if_match=self._etag)
        except WriteConflict:
            return
        finally:
            if self._handle is not None:
                self._handle.close()


def acquire_all(
    lake: Lake, run_id: str, clock: Clock, names: Iterable[str]
) -> tuple[dict[str, RunLock], dict[str, str]]:
    """The locks of ``names`` that were free, and the runs that hold the others."""
    wanted = sorted(names)
    taken: dict[str, RunLock] = {}
    others: dict[str, str] = {}
    try:
        for name in wanted:
            if name in others:
                continue
            try:
                taken[name] = RunLock.acquire(lake, run_id, clock, name, wanted)
            except RunInProgress as error:
                others[name] = str(error.details["run_id"])
                other = RUN_LOCK.read(lake.store, lock_key(name))
                if other:
                    others.update({each: other.run_id for each in other.about_to_take(clock()) if each in wanted})
    except BaseException:
        for lock in taken.values():
            lock.release()
        raise
    return taken, others


def held(path: Path) -> IO[str] | None:
    """The lock of a lake in a folder, None when somebody has it. Raises StorageFailed."""
    try:
        return hold(path)
    except OSError as error:
        raise StorageFailed.not_writable(str(path.parent), error) from error


def holders(lake: Lake, moment: datetime) -> dict[str, str]:
    """The runs that go on now, by the name of what they hold. One that has just begun may not have said its own yet."""
    if isinstance(lake.store, Appendable):
        return {name: name_of_holder(lake, name) for name in names_held(lake)}
    found: dict[str, str] = {}
    for info in lake.store.list(LOCKS):
        holder = RUN_LOCK.read(lake.store, info.key)
        if holder and holder.lives(moment):
            found[info.key.removeprefix(LOCKS).removesuffix(".json")] = holder.run_id
    return found


def holder_of(lake: Lake, moment: datetime) -> str | None:
    """A run that goes on now; None when none does."""
    return next(iter(holders(lake, moment).values()), None)


def names_held(lake: Lake) -> Iterator[str]:
    """What runs hold the locks of in a folder."""
    for path in sorted(Path(lake.store.location(STATE)).glob(f"{LOCK_FILE}*")):
        if is_held(path):
            yield path.name.removeprefix(LOCK_FILE)


def name_of_holder(lake: Lake, name: str) -> str:
    """The run that holds a lock of a folder: it says its name right after it has taken it."""
    for _ in range(LOOKS):
        holder = RUN_LOCK.read(lake.store, lock_key(name))
        if holder:
            return holder.run_id
        time.sleep(BETWEEN_LOOKS)
    return BEGINNING


BEGINNING = "that has just begun"
LOOKS, BETWEEN_LOOKS = 20, 0.01  # s


def name_of(whose: str | None) -> str:
    """What a listener's state, lock and journal are called; APP for the app's."""
    return APP if whose is None else listener_secret(whose)


def lock_key(name: str) -> str:
    """Where it is said which run holds a lock."""
    return f"{LOCKS}{name}.json" if name else ONE_LOCK


def lock_path(lake: Lake, name: str) -> Path | None:
    """The file that a run in a lake that is a folder holds the lock on; None where the lake is a bucket."""
    if not isinstance(lake.store, Appendable):
        return None
    return Path(lake.store.location(f"{STATE}{LOCK_FILE}{name}" if name else f"{STATE}.run-lock"))


def in_progress(run_id: str | None) -> RunInProgress:
    """What is said to whoever wants to start a second run."""
    name = run_id or BEGINNING
    return RunInProgress(f"run {name} is going on; wait for it to end", run_id=name)
