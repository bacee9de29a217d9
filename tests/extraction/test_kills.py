"""Extraction whose process is killed, at random writes and at random times, and then simply run again."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

import pytest

from chalicelib.clock import rfc3339
from chalicelib.extraction.journal import JOURNAL
from chalicelib.runs import PARTIAL, SUCCEEDED, load_run, run_ids
from tests.support import PROJECT
from tests.support.extraction import Clock, World, contents, world
from tests.support.tables import differences, transformed

PHASES = ("before", "half", "after")
NEVER = 10**9
TRIALS = 200


@contextmanager
def started(made: World, last: int, phase: str) -> Iterator[subprocess.Popen[str]]:
    """An extraction in a process of its own, which ends with the block. How long it takes is the machine's matter: one
    that hangs is ended by the test's own time."""
    settings = {each.name.upper(): made.settings.written(each.name) for each in fields(made.settings)}
    plan = {"last": last, "phase": phase, "settings": settings, "start": rfc3339(made.clock())}
    command = [sys.executable, "-m", "tests.support.killed", str(made.folder), json.dumps(plan)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def die_at_write(made: World, last: int, phase: str) -> None:
    with started(made, last, phase) as process:
        process.communicate()


def die_after(made: World, seconds: float) -> None:
    with started(made, NEVER, "after") as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)


class Undisturbed:
    """What a run that nobody kills leaves, and how many writes and calls it takes."""

    def __init__(self, made: World) -> None:
        began = time.monotonic()
        with started(made, NEVER, "after") as process:
            output, _ = process.communicate()
        self.seconds = time.monotonic() - began
        self.writes = int(output.split()[-1])
        self.calls = made.sandbox.calls.total
        self.contents = contents(made.lake)
        self.tables = transformed(made.lake, made.settings)


@pytest.fixture(scope="module", params=[1, 4], ids=["one thread", "four threads"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("kills")
    with world(folder, concurrency=request.param, checkpoint_answers=40) as made:
        yield made


@pytest.fixture(scope="module")
def undisturbed(made: World) -> Undisturbed:
    return Undisturbed(made)


@pytest.fixture(autouse=True)
def fresh(made: World, undisturbed: Undisturbed) -> Iterator[None]:
    """An empty lake at the sandbox's time, which stands still: by a clock that went on from trial to trial the sources
    of each hour would be due again after an hour of trials, however soon a run is taken up."""
    shutil.rmtree(made.folder / "lake")
    made.sandbox.calls.clear()
    made.clock = Clock()
    yield
    made.clock.advance(hours=1)  # as trials take on a busy machine


def finish_and_compare(made: World, undisturbed: Undisturbed, deaths: list[str]) -> None:
    """A normal run, after which everything is as if nobody had died: each death repeats at most the calls under way."""
    before = made.sandbox.calls.total
    record = made.run()
    what = ", then ".join(deaths)
    assert record.state == "succeeded", what
    assert before + made.sandbox.calls.total <= undisturbed.calls + len(deaths) * made.settings.concurrency, what
    assert contents(made.lake) == undisturbed.contents, what
    assert differences(transformed(made.lake, made.settings), undisturbed.tables) == [], what
    assert not list(made.lake.store.list(JOURNAL)), what
    records = [load_run(made.lake, run_id) for run_id in run_ids(made.lake)]
    assert {one.state for one in records} <= {SUCCEEDED, PARTIAL}, what
    keys = {key for one in records for source in one.sources for key in source.raw_keys}  # sources may share one
    assert sorted(keys) == [info.key for info in made.lake.store.list("raw/spotify/")], what


def trial(made: World, undisturbed: Undisturbed, dice: random.Random) -> None:
    deaths = []
    if dice.random() < 0.75:
        last, phase = dice.randint(1, undisturbed.writes), dice.choice(PHASES)
        deaths.append(f"killed {phase} write {last} of {undisturbed.writes}")
        die_at_write(made, last, phase)
    else:
        seconds = dice.uniform(0, undisturbed.seconds)
        deaths.append(f"killed after {seconds:.3f} s")
        die_after(made, seconds)
    if dice.random() < 0.25:  # and whoever takes it up is killed, too
        last, phase = dice.randint(1, 30), dice.choice(PHASES)
        deaths.append(f"{phase} write {last}")
        die_at_write(made, last, phase)
    finish_and_compare(made, undisturbed, deaths)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(2))
def test_a_killed_run_is_taken_up_without_loss(made: World, undisturbed: Undisturbed, seed: int) -> None:
    trial(made, undisturbed, random.Random(seed))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 100 + TRIALS // 2))
def test_killed_runs_are_taken_up_without_loss(made: World, undisturbed: Undisturbed, seed: int) -> None:
    trial(made, undisturbed, random.Random(seed))
