"""One life told by several exports and polls: the same plays however they are brought, and each listen once."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib.exports.importing import import_export
from tests.support.life import BORN, Life, Report, account, extended, observations, polls, write_files
from tests.support.listening import USER, lake_in, listens_in, observe_api, settings_for

DAYS = 40
QUIET = settings(
    max_examples=4, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LONG = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def reports_of(seed: int) -> tuple[Life, list[Report]]:
    """A life, and some of its reports: two vintages of each export, and polls; each with a hole."""
    rng = random.Random(seed)
    life = Life.of(seed, DAYS)

    def hole() -> Any:
        day = rng.randrange(DAYS)
        gone = range(day, day + rng.randrange(0, 6))
        return lambda at: (life.listens[at].reported - BORN).days not in gone

    early, late = BORN + timedelta(days=26), BORN + timedelta(days=DAYS + 3)
    told = [
        extended(life, early, hole(), "2021"),
        extended(life, late, hole(), "2024"),
        account(life, early, hole(), "2022"),
        account(life, late, hole(), "2024"),
        polls(life, rng, hole()),
    ]
    return life, [report for report in rng.sample(told, rng.randrange(1, len(told) + 1)) if report.rows]


def brought(folder: Path, reports: list[Report], seed: int) -> pa.Table:
    """The plays of a lake that gets these reports in some order, each in some files, one by one or all in a folder."""
    rng = random.Random(seed)
    lake, config = lake_in(folder), settings_for(folder)
    together = rng.random() < 0.4
    steps: list[Any] = []
    for number, report in enumerate(reports):
        if report.kind == "api":
            steps.append(report)
            continue
        place = folder / ("all" if together else f"{number}") / f"export {number}"
        paths = write_files(place, report, rng)
        steps += [folder / "all"] if together else paths if rng.random() < 0.5 else [folder / f"{number}"]
    if together and any(isinstance(step, Path) for step in steps):
        steps = [folder / "all", *(step for step in steps if isinstance(step, Report))]
    rng.shuffle(steps)
    for step in steps:
        if isinstance(step, Path):
            import_export(lake, config, step, USER)
        else:
            observe_api(lake, observations(step), "polls")
    return listens_in(lake)


def true_plays(life: Life, reports: list[Report]) -> Counter[tuple[int, int | None]]:
    """Track and length of each listen that a report tells of; polls do not tell lengths."""
    lengths = frozenset().union(*(report.told for report in reports if report.kind != "api"))
    told = frozenset().union(*(report.told for report in reports))
    return Counter((life.listens[at].track.number, life.listens[at].ms if at in lengths else None) for at in told)


def plays_in(table: pa.Table, life: Life) -> Counter[tuple[int, int | None]]:
    titles = {}
    for listen in life.listens:
        for moment in (BORN, listen.ended.replace(year=2100)):
            titles[listen.track.names(moment)[1]] = listen.track.number
    return Counter((titles[row["item_name"]], row["ms_played"]) for row in table.to_pylist())


def check(folder: Path, seed: int, ways: tuple[int, int]) -> None:
    life, reports = reports_of(seed)
    first, second = (brought(folder / f"{number}", reports, way) for number, way in enumerate(ways))
    assert first.to_pylist() == second.to_pylist()
    assert plays_in(first, life) == true_plays(life, reports)


@pytest.mark.thorough
@given(st.integers(0, 10**6), st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)))
@QUIET
def test_a_life_is_the_same_plays_however_its_reports_are_brought(
    tmp_path_factory: pytest.TempPathFactory, seed: int, ways: tuple[int, int]
) -> None:
    check(tmp_path_factory.mktemp("life"), seed, ways)


@pytest.mark.soak
@example(184, (602644, 493634))  # one song over and over, of which the API tells starts, then ends
@example(252, (224092, 770981))  # a flight at the end of two files of account data
@example(402, (2815, 2816))  # a landing that account data tells of, and an older play in a hole of it
@example(426, (2983, 2984))  # account data and polls begin with a play of a track that was renamed later
@example(491, (3438, 3439))  # one song at one time on two devices, of which the API alone tells
@given(st.integers(0, 10**6), st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)))
@LONG
def test_many_lives_are_the_same_plays_however_their_reports_are_brought(
    tmp_path_factory: pytest.TempPathFactory, seed: int, ways: tuple[int, int]
) -> None:
    check(tmp_path_factory.mktemp("life"), seed, ways)
