"""One run at a time: a lock in the lake, written conditionally, with an owner and an expiry.

The owner renews it while it works. A lock is taken over when it has expired, or at once when its owner was a process
of this machine that no longer runs.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from chalicelib.clock import Clock, parse_rfc3339, rfc3339
from chalicelib.errors import NotFound, RunInProgress, WriteConflict
from chalicelib.lake import STATE, Appendable, Lake

LOCK_NAME = "run-lock.json"
LEASE = timedelta(seconds=120)
RENEWED_EVERY = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its machine, its number and when it started (numbers are used again)."""

    host: str
    pid: int
    started: str

    @classmethod
    def this_process(cls) -> Owner:
        return cls(machine(), os.getpid(), process_started(os.getpid()) or "")

    def gone(self) -> bool:
        """True when this is certainly a process of this machine that no longer runs."""
        if self.host != machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        started = process_started(self.pid)
        return bool(self.started and started is not None and started != self.started)


@dataclass(frozen=True, slots=True)
class Holder:
    run_id: str
    owner: Owner
    expires_at: datetime

    def free(self, moment: datetime, *, same_machine: bool) -> bool:
        return moment >= self.expires_at or (same_machine and self.owner.gone())


class RunLock:
    """The lock as held by one run."""

    def __init__(self, lake: Lake, run_id: str, clock: Clock, etag: str) -> None:
        self._lake, self._clock, self._etag = lake, clock, etag
        self._renewed = clock()
        self.run_id = run_id

    @classmethod
    def acquire(cls, lake: Lake, run_id: str, clock: Clock) -> RunLock:
        """Take the lock. Raises RunInProgress naming the run that holds it."""
        holder, etag = read_lock(lake)
        if holder and not holder.free(clock(), same_machine=shares_machine(lake)):
            raise in_progress(holder.run_id)
        try:
            etag = lake.store.replace(STATE + LOCK_NAME, written(run_id, clock()), if_match=etag)
        except WriteConflict:
            winner, _ = read_lock(lake)
            raise in_progress(winner.run_id if winner else "another one") from None
        return cls(lake, run_id, clock, etag)

    def renew(self) -> None:
        """Extend the lease when it is time to. Raises WriteConflict when another run has taken the lock over."""
        moment = self._clock()
        if abs(moment - self._renewed) < RENEWED_EVERY:
            return
        self._etag = self._lake.store.replace(STATE + LOCK_NAME, written(self.run_id, moment), if_match=self._etag)
        self._renewed = moment

    def release(self) -> None:
        """Give the lock back; one that was taken over is left to its new owner."""
        try:
            self._lake.store.delete([STATE + LOCK_NAME], if_match=self._etag)
        except WriteConflict:
            return


def shares_machine(lake: Lake) -> bool:
    """Whether the lake is a folder, so that its processes are (mostly) this machine's."""
    return isinstance(lake.store, Appendable)


def holder_of(lake: Lake, moment: datetime) -> str | None:
    """The run that holds the lock now."""
    holder, _ = read_lock(lake)
    return holder.run_id if holder and not holder.free(moment, same_machine=shares_machine(lake)) else None


def read_lock(lake: Lake) -> tuple[Holder | None, str | None]:
    try:
        document, etag = lake.read_state(LOCK_NAME)
    except NotFound:  # given back between the look and the reading
        return None, None
    if document is None:
        return None, None
    owner: dict[str, object] = document["owner"]  # type: ignore[assignment]
    return Holder(str(document["run_id"]), Owner(**owner), parse_rfc3339(str(document["expires_at"]))), etag  # type: ignore[arg-type]


def written(run_id: str, moment: datetime) -> bytes:
    lock = {"run_id": run_id, "owner": asdict(Owner.this_process()), "expires_at": rfc3339(moment + LEASE)}
    return json.dumps(lock).encode()


def in_progress(run_id: str) -> RunInProgress:
    return RunInProgress(f"run {run_id} is going on; wait for it to end", run_id=run_id)


def machine() -> str:
    """This machine's name and boot, so that process numbers mean something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return f"{socket.gethostname()} {boot}".strip()


def process_started(pid: int) -> str | None:
    """When a process started, in its kernel's ticks; empty once it is dead, None where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    except (OSError, IndexError):
        return None
