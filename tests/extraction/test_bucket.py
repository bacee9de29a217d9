"""Extraction into a bucket: the journal is one object an answer there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from chalicelib.errors import RunInProgress, StorageFailed, WriteConflict
from chalicelib.extraction.journal import JOURNAL
from chalicelib.extraction.lock import (
    CLOCKS_APART,
    LEASE,
    RENEWED_EVERY,
    RunLock,
    acquire_all,
    holder_of,
    holders,
    name_of,
)
from chalicelib.lake import Lake
from chalicelib.runs import load_run
from chalicelib.stores.s3 import BucketStore
from tests.emulator import Emulator, shared
from tests.emulator.stage import make_bucket
from tests.support.extraction import Clock, World, contents, world

BUCKET = "a-runs-lake"


@pytest.fixture(scope="session")
def aws() -> Emulator:
    emulator = shared()
    make_bucket(emulator, BUCKET)
    return emulator


@pytest.fixture
def made(aws: Emulator, tmp_path: Path) -> Iterator[World]:
    client = aws.client("s3")
    with world(tmp_path, checkpoint_answers=10) as made:
        made.lake = Lake(BucketStore(BUCKET, tmp_path.name, s3=lambda: client))
        yield made


class Failing(BucketStore):
    """A bucket that can no longer be written after so many journal entries."""

    left = itertools.count(17, -1)

    def write(self, key: str, data: bytes, *, content_type: str = "application/octet-stream") -> str:
        if key.startswith(JOURNAL) and next(self.left) <= 0:
            raise StorageFailed("the bucket is away")
        return super().write(key, data, content_type=content_type)


@pytest.mark.thorough
def test_a_run_that_the_bucket_broke_off_is_taken_up_without_loss(aws: Emulator, made: World, tmp_path: Path) -> None:
    with world(tmp_path / "alone") as alone:
        calls = alone.run().calls
        everything = contents(alone.lake)
    whole, client = made.lake, aws.client("s3")
    made.lake = Lake(Failing(BUCKET, tmp_path.name, s3=lambda: client))
    with pytest.raises(StorageFailed):
        made.run()
    broken_off = made.sandbox.calls.total
    assert list(whole.store.list(JOURNAL))

    made.lake = whole
    record = made.run()
    assert record.state == "succeeded"
    assert broken_off + record.calls <= calls + made.settings.concurrency
    assert contents(made.lake) == everything
    assert not list(made.lake.store.list(JOURNAL))


def test_a_lock_in_a_bucket_is_one_runs(made: World) -> None:
    names = [name_of(whose) for whose in (None, *made.listeners)]
    held, _ = acquire_all(made.lake, "20261120T120000Z-aaaaaa", made.clock, names)
    assert holders(made.lake, made.clock()) == dict.fromkeys(names, "20261120T120000Z-aaaaaa")
    with pytest.raises(RunInProgress):
        made.run()
    for lock in held.values():
        lock.release()
    record = made.run(sources=["recently_played"])
    assert load_run(made.lake, record.run_id).state == "succeeded"


def test_a_lock_in_a_bucket_expires_unless_its_owner_renews_it(made: World) -> None:
    clock = Clock()
    held = RunLock.acquire(made.lake, "20261120T120000Z-aaaaaa", clock)
    for _ in range(10):
        clock.advance(seconds=RENEWED_EVERY.total_seconds())
        held.renew()
    with pytest.raises(RunInProgress):
        RunLock.acquire(made.lake, "20261120T120000Z-bbbbbb", clock)
    clock.advance(seconds=(LEASE + timedelta(seconds=1)).total_seconds())
    taken = RunLock.acquire(made.lake, "20261120T120000Z-bbbbbb", clock)
    with pytest.raises(WriteConflict):
        held.renew()
    held.release()  # leaves it to its new owner
    assert holder_of(made.lake, clock()) == "20261120T120000Z-bbbbbb"
    taken.release()
    assert holder_of(made.lake, clock()) is None


def test_a_lock_in_a_bucket_that_a_clock_a_year_ahead_took_stops_no_run(made: World) -> None:
    ahead = Clock()
    ahead.advance(days=365)
    RunLock.acquire(made.lake, "20271120T120000Z-aaaaaa", ahead)
    assert holder_of(made.lake, made.clock()) is None
    assert made.run(sources=["recently_played"]).state == "succeeded"


@pytest.mark.parametrize("seconds", [1.0, 30.0, CLOCKS_APART.total_seconds() - 5])
def test_a_machine_whose_clock_is_behind_another_s_takes_no_lock_that_it_holds(made: World, seconds: float) -> None:
    ahead, behind = Clock(), Clock()
    ahead.advance(seconds=seconds)
    held = RunLock.acquire(made.lake, "20261120T120000Z-aaaaaa", ahead)
    with pytest.raises(RunInProgress):
        RunLock.acquire(made.lake, "20261120T120000Z-bbbbbb", behind)
    assert holder_of(made.lake, behind()) == "20261120T120000Z-aaaaaa"
    held.renew()
    behind.advance(seconds=seconds + LEASE.total_seconds() + 1)
    RunLock.acquire(made.lake, "20261120T120000Z-bbbbbb", behind)
