"""One run at a time.

In a folder whoever runs holds a lock on a file, which the system lets go of when the process ends. A bucket has no
such thing: there a record says who runs and until when that holds, is written conditionally and renewed while the run
works. In both ``state/run-lock.json`` names the run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from chalicelib.clock import Clock
from chalicelib.errors import LakeError, RunInProgress, StorageFailed, WriteConflict
from chalicelib.filelock import hold, is_held
from chalicelib.lake import STATE, Appendable, Lake
from chalicelib.records import RecordKind

LOCK_KEY = f"{STATE}run-lock.json"
LEASE = timedelta(seconds=120)  # in a bucket: how long a lock holds that is not renewed
RENEWED_EVERY = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Holder:
    """The run that has the lock and, in a bucket, until when."""

    run_id: str
    expires_at: datetime

    def lives(self, moment: datetime) -> bool:
        """Whether its lease holds at ``moment``. One that ends later than any lease was given by a wrong clock."""
        return moment < self.expires_at <= moment + LEASE


RUN_LOCK = RecordKind(Holder, "the lock of a run", "the next run takes the lock", derived=True)


class RunLock:
    """The lock as held by one run."""

    def __init__(self, lake: Lake, run_id: str, clock: Clock, etag: str, handle: IO[str] | None) -> None:
        self._lake, self._clock, self._etag, self._handle = lake, clock, etag, handle
        self._renewed = clock()
        self.run_id = run_id

    @classmethod
    def acquire(cls, lake: Lake, run_id: str, clock: Clock) -> RunLock:
        """Take the lock. Raises RunInProgress naming the run that holds it."""
        holder = Holder(run_id, clock() + LEASE)
        if path := lock_path(lake):
            lake.folder(STATE)
            handle = held(path)
            if handle is None:
                raise in_progress(holder_of(lake, clock()))
            try:
                return cls(lake, run_id, clock, RUN_LOCK.write(lake.store, LOCK_KEY, holder), handle)
            except LakeError:
                handle.close()
                raise
        other, etag = RUN_LOCK.read_version(lake.store, LOCK_KEY)
        if other and other.lives(clock()):
            raise in_progress(other.run_id)
        try:
            return cls(lake, run_id, clock, RUN_LOCK.replace(lake.store, LOCK_KEY, holder, if_match=etag), None)
        except WriteConflict:
            raise in_progress(holder_of(lake, clock())) from None

    def renew(self) -> None:
        """Extend the lease when it is time to. Raises WriteConflict when another run has taken the lock over."""
        moment = self._clock()
        if self._handle is not None or abs(moment - self._renewed) < RENEWED_EVERY:
            return
        holder = Holder(self.run_id, moment + LEASE)
        self._etag = RUN_LOCK.replace(self._lake.store, LOCK_KEY, holder, if_match=self._etag)
        self._renewed = moment

    def release(self) -> None:
        """Give the lock back; one that was taken over is left to its new owner."""
        try:
            self._lake.store.delete([LOCK_KEY], if_match=self._etag)
        except WriteConflict:
            return
        finally:
            if self._handle is not None:
                self._handle.close()


def held(path: Path) -> IO[str] | None:
    """The lock of a lake in a folder, None when somebody has it. Raises StorageFailed."""
    try:
        return hold(path)
    except OSError as error:
        raise StorageFailed.not_writable(str(path.parent), error) from error


def holder_of(lake: Lake, moment: datetime) -> str | None:
    """The run that goes on now; None when none does. One that has just begun may not have said its name yet."""
    if path := lock_path(lake):
        return name_of_holder(lake) if is_held(path) else None
    holder = RUN_LOCK.read(lake.store, LOCK_KEY)
    return holder.run_id if holder and holder.lives(moment) else None


def name_of_holder(lake: Lake) -> str:
    """The run that holds the lock of a folder: it says its name right after it has taken it."""
    for _ in range(LOOKS):
        holder = RUN_LOCK.read(lake.store, LOCK_KEY)
        if holder:
            return holder.run_id
        time.sleep(BETWEEN_LOOKS)
    return BEGINNING


BEGINNING = "that has just begun"
LOOKS, BETWEEN_LOOKS = 20, 0.01  # s


def lock_path(lake: Lake) -> Path | None:
    """The file that a run in a lake that is a folder holds the lock on; None where the lake is a bucket."""
    return Path(lake.store.location(f"{STATE}.run-lock")) if isinstance(lake.store, Appendable) else None


def in_progress(run_id: str | None) -> RunInProgress:
    """What is said to whoever wants to start a second run."""
    name = run_id or BEGINNING
    return RunInProgress(f"run {name} is going on; wait for it to end", run_id=name)
