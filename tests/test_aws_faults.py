"""A fault at each S3 call of a run and its transform: retried, or one clear error; nothing is lost."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from chalicelib.errors import LakeError, RunInProgress
from chalicelib.lake import Lake, table_prefix
from chalicelib.runs import load_run, run_ids
from chalicelib.stores.s3 import BucketStore
from chalicelib.transformation.transform import transform_pending
from tests.emulator import Emulator, Fault, shared
from tests.emulator.stage import make_bucket
from tests.extraction import World, contents, world

KINDS = ("throttle", "error", "reset", "lost", "denied", "missing", "conflict")
RETRIED = ("throttle", "error", "reset", "lost")  # once each: botocore's second attempt gets through
SOURCES = ["recently_played", "saved_albums"]
NUMBERS = itertools.count()


@dataclass
class Case:
    aws: Emulator
    world: World
    lake: Lake

    def run(self) -> None:
        """A run and what it sets going, as the deployed functions do them."""
        self.world.run(sources=SOURCES)
        transform_pending(self.lake)


@contextmanager
def case(folder: Path) -> Iterator[Case]:
    aws = shared()
    aws.faults.clear()
    bucket = f"faults-{next(NUMBERS)}"
    make_bucket(aws, bucket)
    client = aws.client("s3", attempts=2)
    with world(folder) as made:
        made.lake = Lake(BucketStore(bucket, s3=lambda: client, sleep=lambda _: None))
        try:
            yield Case(aws, made, made.lake)
        finally:
            aws.faults.clear()


def rows(lake: Lake) -> Counter[str]:
    """What the tables hold, whichever run brought it."""
    found: Counter[str] = Counter()
    for table in ("plays_history", "albums_history", "saved_items_history"):
        for info in lake.store.list(table_prefix("g1", table)):
            for row in pq.read_table(lake.store.open(info.key)).to_pylist():
                kept = {name: value for name, value in row.items() if name not in ("observed_at", "month")}
                found[json.dumps([table, kept], default=str, sort_keys=True)] += 1
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Counter[Any], set[str], int]:
    """The raw answers, the rows and the number of S3 calls of a run that nothing goes wrong in."""
    with case(tmp_path_factory.mktemp("undisturbed")) as calm:
        before = sum(count for name, count in calm.aws.calls.items() if name.startswith("s3:"))
        calm.run()
        calls = sum(count for name, count in calm.aws.calls.items() if name.startswith("s3:")) - before
        return contents(calm.lake), set(rows(calm.lake)), calls


def disturbed(folder: Path, kind: str, skip: int, undisturbed: tuple[Counter[Any], set[str], int]) -> bool:
    """One fault after ``skip`` calls, then a normal run; True if the fault was seen through."""
    answers, wanted, _ = undisturbed
    with case(folder) as run:
        fault = Fault(kind, "s3", skip=skip)
        run.aws.faults.append(fault)
        try:
            run.run()
            survived = True
        except LakeError as error:
            survived = False
            assert "s3://" in error.message or error.details, error
            ended = [load_run(run.lake, run_id) for run_id in run_ids(run.lake)]
            assert all(record.state != "running" or record.ended_at is None for record in ended)
        assert fault.hits > skip, "the fault came too late to be met"
        run.aws.faults.clear()
        try:
            run.run()
            assert answers.keys() == contents(run.lake).keys(), "an answer was lost"
        except RunInProgress:  # the fault met the lock's release
            run.world.advance(hours=2)
            run.run()
        assert wanted <= set(rows(run.lake)), "a row was lost"
    return survived


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_some_calls_loses_nothing(
    kind: str, tmp_path: Path, undisturbed: tuple[Counter[Any], set[str], int]
) -> None:
    calls = undisturbed[2]
    assert calls > 20
    for number, share in enumerate((0.1, 0.55)):
        survived = disturbed(tmp_path / str(number), kind, int(calls * share), undisturbed)
        assert survived or kind not in RETRIED


@pytest.mark.soak
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_every_call_loses_nothing(
    kind: str, tmp_path: Path, undisturbed: tuple[Counter[Any], set[str], int]
) -> None:
    for skip in range(undisturbed[2] - 1):
        survived = disturbed(tmp_path / str(skip), kind, skip, undisturbed)
        assert survived or kind not in RETRIED, skip


def test_access_denied_is_one_clear_error_naming_the_right(tmp_path: Path) -> None:
    with case(tmp_path) as run:
        run.aws.faults.append(Fault("denied", "s3", "^PUT .*raw/", times=1000))
        with pytest.raises(LakeError) as caught:
            run.run()
        assert "raw/" in caught.value.message and "AccessDenied" in json.dumps(caught.value.details)
