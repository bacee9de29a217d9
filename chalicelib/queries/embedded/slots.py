"""Slots that have work done by processes: bounded, fair between clients, and able to stop any piece of work.

A client may hold all slots but one, so that another's small query always finds a place; waiting queries are taken
in turn from each client. Of the idle slots the one that worked last goes first: what its process has opened is likely
to be wanted again. What takes too long, holds too much or is no longer wanted is stopped: it alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from chalicelib.errors import EngineBusy

WARM_UP = "warm-up"  # begins the names of clients that are none: they take nobody's share of the queue

TICK = 0.1  # s between two looks at what runs
log = logging.getLogger(__name__)


class Session(Protocol):
    """What a slot owns until it is ``worn``; then the slot opens another."""

    worn: bool

    def stop(self) -> None:
        """End what it does, at once."""

    def overloaded(self) -> bool:
        """Whether it holds more memory than it may."""

    def close(self) -> None: ...


@dataclass(eq=False, slots=True)
class Job:
    """One piece of work; ``run`` gets the slot's session, ``fail`` what kept it from running.

    ``stopped`` says why it must end.
    """

    name: str
    client: str
    run: Callable[[Job, Session], None]
    fail: Callable[[Exception], None]
    seconds: float
    wanted: Callable[[], bool] = lambda: True
    deadline: float = 0.0
    stopped: str | None = None  # cancelled, time, memory
    done: threading.Event = field(default_factory=threading.Event)


class Slots:
    """Each slot is a thread with a session of its own. ``tick`` is called every ``TICK`` while anything runs."""

    def __init__(
        self,
        slots: int,
        waiting: int,
        open_session: Callable[[], Session],
        name: str = "query",
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._slots = slots
        self._most_waiting = waiting
        self._most_for_one = max(1, slots - 1)
        self._open_session = open_session
        self._name = name
        self._tick = tick
        self._queues: OrderedDict[str, deque[Job]] = OrderedDict()
        self._running: dict[Job, Session | None] = {}
        self._held: Counter[str] = Counter()  # slots a client holds, with those that get a new session because of it
        self._threads: list[threading.Thread] = []
        self._watchdog: threading.Thread | None = None
        self._lock = threading.RLock()
        self._idle: list[threading.Condition] = []  # one of each idle slot, the one that worked last at the end
        self._busy = threading.Condition(self._lock)
        self._closing = False

    def submit(self, job: Job) -> None:
        """Queue a job. Raises EngineBusy when the queue, or this client's share of it, is full."""
        with self._lock:
            waiting = sum(map(len, self._queues.values()))
            if self._closing or (len(self._running) + waiting >= self._slots and self._full(job.client, waiting)):
                raise EngineBusy(f"{waiting} queries wait already; ask again in a moment", waiting=waiting)
            self._queues.setdefault(job.client, deque()).append(job)
            self._begin(len(self._running) + waiting + 1)
            if self._idle:
                self._idle.pop().notify()

    def begin(self, slots: int) -> None:
        """Have so many slots ready, before there is work."""
        with self._lock:
            if not self._closing:
                self._begin(slots)

    def stop(self, job: Job, reason: str) -> bool:
        """Take a waiting job out of the queue (True: it will never run), or interrupt a running one."""
        with self._lock:
            job.stopped = job.stopped or reason
            queue = self._queues.get(job.client)
            if queue and job in queue:
                queue.remove(job)
                self._forget_if_empty(job.client)
                job.done.set()
                return True
            self._interrupt(job)
            return False

    def close(self) -> None:
        """Interrupt what runs, drop what waits, and end the threads."""
        with self._lock:
            self._closing = True
            for queue in self._queues.values():
                for job in queue:
                    job.stopped = "cancelled"
                    job.done.set()
            self._queues.clear()
            for job in self._running:
                job.stopped = job.stopped or "cancelled"
                self._interrupt(job)
            for idle in self._idle:
                idle.notify()
            self._busy.notify_all()
        for thread in [*self._threads, *([self._watchdog] if self._watchdog else [])]:
            thread.join(5)

    def _full(self, client: str, waiting: int) -> bool:
        """One client may fill the queue; the next still gets half of as many places, the third a third."""
        clients = len({name for name in self._queues if not name.startswith(WARM_UP)} | {client})
        mine = len(self._queues.get(client, ()))
        return mine >= self._most_waiting // clients or waiting >= 2 * self._most_waiting

    def _begin(self, slots: int) -> None:
        while len(self._threads) < min(slots, self._slots):
            thread = threading.Thread(target=self._work, name=f"{self._name}-slot-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        if self._watchdog is None:
            self._watchdog = threading.Thread(target=self._watch, name=f"{self._name}-watchdog", daemon=True)
            self._watchdog.start()

    def _work(self) -> None:
        session = self._open()
        while job := self._next():
            try:
                session = session or self._open_session()
                self._running[job] = session
                job.run(job, session)
            except Exception as error:
                self._fail(job, error)
            finally:
                with self._lock:
                    self._running.pop(job, None)
                job.done.set()
            if session and session.worn:
                session.close()
                session = self._open()
            self._give_back(job.client)
        if session:
            session.close()

    def _give_back(self, client: str) -> None:
        """Let go of the client's slot, which looks for work itself next."""
        with self._lock:
            self._held[client] -= 1
            self._held += Counter()  # without those that hold none

    def _open(self) -> Session | None:
        """A session before there is work for it. Where none can be opened, the next piece of work says why."""
        try:
            return None if self._closing else self._open_session()
        except Exception as error:
            log.warning("no process can be started: %s", error)
            return None

    def _fail(self, job: Job, error: Exception) -> None:
        """Hand a job its error. Where not even that succeeds (the disk is full) the slot lives on for the next job."""
        try:
            job.fail(error)
        except Exception:
            log.exception("the failure of %s could not be recorded", job.name)

    def _next(self) -> Job | None:
        idle = threading.Condition(self._lock)
        with self._lock:
            while not self._closing:
                if job := self._take():
                    job.deadline = time.monotonic() + job.seconds
                    self._running[job] = None
                    self._held[job.client] += 1
                    self._busy.notify()
                    return job
                self._idle.append(idle)
                idle.wait()
            return None

    def _take(self) -> Job | None:
        """The next client's oldest job; that client goes to the end of the line."""
        for client in self._queues:
            if self._held[client] < self._most_for_one:
                job = self._queues[client].popleft()
                self._queues.move_to_end(client)
                self._forget_if_empty(client)
                return job
        return None

    def _forget_if_empty(self, client: str) -> None:
        if not self._queues[client]:
            del self._queues[client]

    def _watch(self) -> None:
        while True:
            with self._lock:
                while not self._running and not self._closing:
                    self._busy.wait()
                if self._closing and not self._running:
                    return
                jobs = list(self._running)
            for job in jobs:
                self._look_after(job)
            self._tick_safely()
            time.sleep(TICK)

    def _look_after(self, job: Job) -> None:
        session = self._running.get(job)
        if session and session.overloaded():
            self.stop(job, "memory")
        elif time.monotonic() > job.deadline:
            self.stop(job, "time")
        elif job.stopped or not job.wanted():
            self.stop(job, "cancelled")

    def _tick_safely(self) -> None:
        """Whatever becomes of the tick, time and memory of what runs are watched."""
        try:
            self._tick()
        except Exception as error:
            log.warning("what goes on could not be recorded: %s", error)

    def _interrupt(self, job: Job) -> None:
        session = self._running.get(job)
        if session:
            session.stop()
