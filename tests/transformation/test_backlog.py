"""What is left to transform: found by few requests, and never overlooked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.clock import Clock, now
from chalicelib.errors import StorageUnavailable
from chalicelib.lake import Lake, answers_key, run_key
from chalicelib.transformation.backlog import SWEEP_EVERY, note_sweep, pending, pending_lately, since_sweep
from chalicelib.transformation.transform import (
    TransformReport,
    pending_transforms,
    transform_object,
    transform_pending,
)
from chalicelib.transforms import done_key
from tests.support.memory import MemoryStore
from tests.support.raw_objects import answer, artist, files, put

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.moment = NOON

    def __call__(self) -> datetime:
        return self.moment


def run_id_of(moment: datetime, number: int) -> str:
    return f"{moment:%Y%m%dT%H%M%SZ}-{number:06x}"


def arrive(lake: Lake, moment: datetime, number: int) -> str:
    """The raw object of a run that began at ``moment``."""
    body = {"artists": {"items": [artist("abcdefgh"[number % 8])]}}
    return put(lake, [answer("me/following", body, second=number)], run_id=run_id_of(moment, number))


def transform_lately_pending(lake: Lake, clock: Clock = now) -> list[TransformReport]:
    """What the schedule does."""
    return list(pending_transforms(lake, since_sweep(lake, clock()), clock=clock))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def lake(store: MemoryStore) -> Lake:
    return Lake(store)


def test_what_came_since_the_last_sweep_is_found_by_looking_at_its_days(lake: Lake) -> None:
    watch = Watch()
    arrive(lake, NOON, 1)
    transform_pending(lake, clock=watch)
    watch.moment += timedelta(hours=3)
    key = arrive(lake, watch.moment, 2)
    assert list(pending_lately(lake, watch)) == [key]
    assert [report.raw_key for report in transform_lately_pending(lake, watch)] == [key]
    assert list(pending(lake)) == []


def test_a_run_that_began_before_the_sweep_and_ended_after_it_is_found(lake: Lake) -> None:
    watch = Watch()
    transform_pending(lake, clock=watch)
    watch.moment += timedelta(hours=2)
    key = arrive(lake, NOON - timedelta(hours=20), 1)
    assert list(pending_lately(lake, watch)) == [key]


def test_what_appears_under_an_older_day_waits_for_the_next_sweep_and_no_longer(lake: Lake) -> None:
    watch = Watch()
    transform_pending(lake, clock=watch)
    key = arrive(lake, NOON - timedelta(days=40), 1)
    watch.moment += SWEEP_EVERY - timedelta(seconds=1)
    assert list(pending_lately(lake, watch)) == []
    assert list(pending(lake)) == [key]  # as doctor and the command look
    watch.moment += timedelta(seconds=1)
    assert [report.raw_key for report in transform_lately_pending(lake, watch)] == [key]


def test_a_clock_that_was_set_back_makes_a_sweep_due(lake: Lake) -> None:
    note_sweep(lake, NOON + timedelta(hours=5))
    key = arrive(lake, NOON - timedelta(days=40), 1)
    assert list(pending_lately(lake, lambda: NOON)) == [key]


def test_another_generation_was_never_swept(lake: Lake) -> None:
    watch = Watch()
    key = arrive(lake, NOON - timedelta(days=40), 1)
    transform_pending(lake, clock=watch)
    assert list(pending_lately(lake.in_generation("g2"), watch)) == [key]


def test_what_was_begun_and_failed_is_found_whatever_its_age(lake: Lake, store: MemoryStore) -> None:
    watch = Watch()
    transform_pending(lake, clock=watch)
    key = arrive(lake, NOON - timedelta(days=40), 1)
    store.broken = ("transformed/",)
    with pytest.raises(StorageUnavailable):
        transform_object(lake, key)
    store.broken = ()
    assert list(pending_lately(lake, watch)) == [key]
    assert [report.state for report in transform_lately_pending(lake, watch)] == ["done"]
    assert list(pending(lake)) == []


def test_a_sweep_that_fails_is_none(lake: Lake, store: MemoryStore) -> None:
    watch = Watch()
    key = arrive(lake, NOON - timedelta(days=40), 1)
    store.broken = ("transformed/",)
    with pytest.raises(StorageUnavailable):
        transform_lately_pending(lake, watch)
    store.broken = ()
    late = arrive(lake, NOON - timedelta(days=50), 2)
    assert {report.raw_key for report in transform_lately_pending(lake, watch)} == {key, late}


def test_publishing_again_that_broke_off_is_done_again(lake: Lake, store: MemoryStore) -> None:
    key = arrive(lake, NOON, 1)
    transform_object(lake, key)
    before = files(lake)
    some = next(iter(before))
    store.broken = (some,)
    with pytest.raises(StorageUnavailable):
        transform_object(lake, key, again=True)
    store.broken = ()
    lake.store.write(some, b"half")
    assert list(pending(lake)) == [key]
    assert [report.state for report in transform_pending(lake)] == ["done"]
    assert files(lake) == before
    assert list(pending(lake)) == []


def test_a_note_of_work_that_somebody_else_has_done_goes(lake: Lake) -> None:
    key = arrive(lake, NOON, 1)
    transform_object(lake, key)
    note = f"state/transforms/g1/open/{key.removeprefix('raw/')}.json"
    lake.store.write(note, b'{"files": [], "attempts": 1}')
    assert [report.state for report in transform_pending(lake)] == ["unchanged"]
    assert lake.store.stat(note) is None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["transformed", "lost", "dies", "late", "late and dies"]), st.integers(0, 60)),
        st.tuples(st.just("look"), st.integers(0, 30)),
    ),
    max_size=14,
)


@pytest.mark.thorough
@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_nothing_is_overlooked_whatever_comes_in_which_order(steps: list[tuple[str, int]]) -> None:
    """Each step comes so many hours after the one before."""
    store, watch = MemoryStore(), Watch()
    lake = Lake(store)
    late: set[str] = set()
    for number, (what, hours) in enumerate(steps):
        watch.moment += timedelta(hours=hours)
        if what == "look":
            transform_lately_pending(lake, watch)
            assert set(pending(lake)) <= late
            continue
        old = timedelta(days=9 + number % 3) if what.startswith("late") else timedelta()
        key = arrive(lake, watch.moment - old, number)
        if what == "transformed":
            transform_object(lake, key)
        elif what.endswith("dies"):
            store.broken = ("transformed/",)
            with pytest.raises(StorageUnavailable):
                transform_object(lake, key)
            store.broken = ()
        elif what == "late":
            late.add(key)
    watch.moment += SWEEP_EVERY
    transform_lately_pending(lake, watch)
    assert list(pending(lake)) == []
    assert store.objects.keys() >= {done_key("g1", key) for key in late}


@pytest.mark.thorough
def test_a_year_of_hourly_runs_makes_the_scheduled_look_no_longer(lake: Lake, store: MemoryStore) -> None:
    """8,760 runs of four raw objects and a record each, all transformed."""
    begun = NOON - timedelta(days=365)
    for hour in range(8760):
        run_id = run_id_of(begun + timedelta(hours=hour), hour)
        for key in (*(answers_key(run_id, f"source{part}", 1) for part in range(4)), run_key(run_id)):
            store.objects[key] = store.objects[done_key("g1", key)] = b"{}"
    lake.name_generation()
    store.requests.clear()
    assert list(pending(lake)) == []
    complete = store.requests.total()
    note_sweep(lake, NOON - timedelta(hours=23))
    store.requests.clear()
    assert list(pending_lately(lake, lambda: NOON)) == []
    assert complete > 80
    assert store.requests.total() <= 8, store.requests


def test_a_look_at_the_real_time_works_too(lake: Lake) -> None:
    transform_pending(lake)
    key = arrive(lake, now(), 1)
    assert [report.raw_key for report in transform_lately_pending(lake)] == [key]
