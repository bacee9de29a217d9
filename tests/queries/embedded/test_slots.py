"""Slots are shared out between clients, those included that are being made ready again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from chalicelib.queries.embedded.slots import Job, Session, Slots

PATIENCE = 20.0  # s


class Worker:
    """A session that is worn out by what it does; only so many may be opened before ``more`` is set."""

    worn = False

    def stop(self) -> None:
        """Nothing goes on that would have to be ended."""

    def overloaded(self) -> bool:
        return False

    def close(self) -> None:
        """It holds nothing."""


class Opening:
    """Opens three sessions at once; later ones when ``more`` is set."""

    def __init__(self) -> None:
        self.more = threading.Event()
        self.opened = 0
        self._lock = threading.Lock()

    def __call__(self) -> Session:
        with self._lock:
            self.opened += 1
            late = self.opened > 3
        if late:
            self.more.wait(PATIENCE)
        return Worker()


@pytest.fixture
def opening() -> Opening:
    return Opening()


@pytest.fixture
def slots(opening: Opening) -> Iterator[Slots]:
    made = Slots(3, 64, opening)
    made.begin(3)
    yield made
    opening.more.set()
    made.close()


def job(slots: Slots, client: str, *, wears: bool = False) -> Job:
    """A piece of work that is over at once."""

    def run(_job: Job, session: Session) -> None:
        session.worn = wears

    found = Job(client, client, run, lambda _: None, PATIENCE)
    slots.submit(found)
    return found


def test_who_wore_out_slots_does_not_get_the_last_one_until_they_are_ready_again(
    slots: Slots, opening: Opening
) -> None:
    for each in [job(slots, "greedy", wears=True) for _ in range(2)]:
        assert each.done.wait(PATIENCE)
    third = job(slots, "greedy")
    for _ in range(3):
        assert job(slots, "other").done.wait(PATIENCE)  # taken in turn: the greedy one came before
    assert not third.done.is_set()
    opening.more.set()
    assert third.done.wait(PATIENCE)


def test_of_the_idle_slots_the_one_that_worked_last_goes_first(slots: Slots) -> None:
    """What its process has opened is open still."""
    used: list[Session] = []
    begun, go_on = threading.Barrier(4), threading.Event()

    def run(each: Job, session: Session) -> None:
        used.append(session)
        if each.client.startswith("first"):
            begun.wait(PATIENCE)
            go_on.wait(PATIENCE)

    def submitted(client: str) -> Job:
        found = Job(client, client, run, lambda _: None, PATIENCE)
        slots.submit(found)
        return found

    first = [submitted(f"first {number}") for number in range(3)]
    begun.wait(PATIENCE)  # each slot has one
    go_on.set()
    assert all(each.done.wait(PATIENCE) for each in first)
    used.clear()
    for number in range(20):
        assert submitted(f"later {number}").done.wait(PATIENCE)
        time.sleep(0.01)  # until the slot is idle
    assert len(set(map(id, used))) == 1
