"""Two runs at once, and thousands of troubled requests."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chalicelib.clock import now
from chalicelib.errors import RunInProgress, WriteConflict
from chalicelib.extraction.extract import run_extraction
from chalicelib.extraction.lock import acquire_all, holder_of, lock_key, name_of
from chalicelib.extraction.state import state_key
from chalicelib.runs import RunRecord
from tests.extraction.test_extract import trouble
from tests.support import PROJECT
from tests.support.extraction import Clock, World, contents, world
from tests.support.tables import differences, transformed


@pytest.mark.thorough
def test_of_two_runs_started_at_once_one_works_and_one_is_refused(tmp_path: Path) -> None:
    with world(tmp_path / "alone") as made:
        calls = made.run().calls
        everything = contents(made.lake)
    with world(tmp_path / "both", latency_ms=2) as made:
        done: list[RunRecord] = []
        refused: list[RunInProgress] = []
        both = threading.Barrier(2)

        def start() -> None:
            both.wait()
            try:
                done.append(run_extraction(made.settings, made.lake, secrets=made.secrets, clock=made.clock))
            except RunInProgress as error:
                refused.append(error)

        threads = [threading.Thread(target=start) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == len(refused) == 1
        assert refused[0].details["run_id"] == done[0].run_id
        assert made.sandbox.calls.total == calls
        assert contents(made.lake) == everything
        assert holder_of(made.lake, now()) is None


def test_a_run_of_another_process_is_refused_while_it_lives_and_taken_over_when_it_has_died(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        hold = "import sys; from tests.extraction.test_concurrency import hold; hold(*sys.argv[1:])"
        command = [sys.executable, "-c", hold, str(tmp_path / "lake"), *map(name_of, (None, *made.listeners))]
        with subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            assert holder_of(made.lake, Clock()()) == "20261120T120000Z-aaaaaa"
            with pytest.raises(RunInProgress, match="20261120T120000Z-aaaaaa"):
                made.run()
            assert made.sandbox.calls.total == 0
            process.kill()
            process.wait()
        assert holder_of(made.lake, Clock()()) is None
        assert made.run(sources=["recently_played"]).state == "succeeded"


def hold(folder: str, *names: str) -> None:
    """Take some locks, say so and wait to be killed."""
    from chalicelib.lake import Lake
    from chalicelib.stores.folder import FolderStore

    locks, _ = acquire_all(Lake(FolderStore(Path(folder))), "20261120T120000Z-aaaaaa", Clock(), names)
    print("held", flush=True)
    sys.stdin.read()
    for lock in locks.values():
        lock.release()


def test_a_lock_left_by_a_clock_that_was_ahead_or_by_no_one_stops_no_run(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        for record in (
            b'{"run_id": "20271120T120000Z-aaaaaa", "expires_at": "2027-11-20T12:02:00Z"}',
            b"{}",
            b"",
            b"[]",
        ):
            for whose in (None, *made.listeners):
                made.lake.store.write(lock_key(name_of(whose)), record)
            assert holder_of(made.lake, made.clock()) is None
            assert made.run(sources=["recently_played"]).state == "succeeded"


@pytest.mark.thorough
def test_a_run_that_has_lost_its_lock_stops_and_what_it_received_is_not_lost(tmp_path: Path) -> None:
    with world(tmp_path / "alone") as made:
        made.run()
        everything = contents(made.lake)
    with world(tmp_path / "robbed") as made:

        def robbed(*_: object) -> None:
            for whose in (None, *made.listeners):
                made.lake.store.write(state_key(whose), b"{}")

        steps = iter([robbed])
        with pytest.raises(WriteConflict):
            made.run(progress=lambda event: next(steps, lambda *_: None)(event))
        assert made.run().state == "succeeded"
        assert contents(made.lake) == everything


def rounds(made: World, count: int) -> tuple[int, int]:
    """Runs a month apart, so that everything is due again while nothing changes at Spotify; requests and retries."""
    sent = retries = 0
    for _ in range(count):
        record = made.run(sleep=lambda _: None)
        assert record.state == "succeeded", record
        sent, retries = sent + record.calls, retries + record.retries
        made.clock.advance(days=31)
        made.log_in()
    return sent, retries


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("mode", "scale", "count", "requests"),
    [
        ("development", "small", 2, 300),
        pytest.param("development", "medium", 6, 10_000, marks=pytest.mark.soak),
        pytest.param("extended", "small", 250, 10_000, marks=pytest.mark.soak),
    ],
)
def test_thousands_of_requests_with_a_fifth_of_them_failing_lose_and_double_nothing(
    tmp_path: Path, mode: str, scale: str, count: int, requests: int
) -> None:
    with world(tmp_path / "calm", mode=mode, scale=scale) as made:
        rounds(made, count)
        calm = transformed(made.lake, made.settings)
    with world(tmp_path / "rough", mode=mode, scale=scale) as made:
        trouble(made, 0.2)
        sent, retries = rounds(made, count)
        assert sent >= requests
        assert 0.1 * sent < retries < 0.35 * sent
        assert differences(transformed(made.lake, made.settings), calm) == []
