"""What an hour costs on AWS: the requests of each function, counted in the emulation as they are made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deploy import costs
from tests.support.faults import MAINTAIN, SCHEDULED, TRANSFORM, TRANSFORM_RUN, Faulty, faulty

pytestmark = pytest.mark.timeout(600)  # a whole run and all that it sets going, on a busy machine

HOURLY = [  # sources that are due each hour, and of the catalogue, which is looked at for what they show
    *("recently_played", "my_playlists", "saved_tracks", "saved_albums"),
    *("playlist_items", "albums", "artists"),
]
STARTS = 2  # cold starts of an hour beside extraction and maintenance: one transform, one record of the run


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with faulty(tmp_path_factory.mktemp("secrets")) as made:
        yield made


@pytest.fixture(scope="module")
def counted(lab: Faulty) -> dict[str, list[tuple[int, int]]]:
    """By function the calls that it made, and how many of them S3 prices as writing; of the second hourly run and all
    that it set going, of maintenance in an hour in which nothing waits ("idle") and once a day ("maintain")."""
    lab.reset()
    lab.aws.functions.see_through(lab.name(SCHEDULED), {})
    lab.aws.functions.deliver()
    found: dict[str, list[tuple[int, int]]] = {}

    def count(function: str, event: Any, name: str = "") -> None:
        with lab.tracing() as calls:
            assert not lab.aws.functions.see_through(lab.name(function), event).failed
        found.setdefault(name or function, []).append((len(calls), sum(map(as_writing, calls))))

    count(MAINTAIN, {})
    count(SCHEDULED, {"sources": HOURLY})
    events, lab.aws.functions.held = lab.aws.functions.held or [], []
    for name, event in events:
        count(name.removeprefix(f"{lab.stage.names.base}-"), event)
    count(MAINTAIN, {}, "idle")
    assert lab.failed() == []
    return found


def as_writing(call: str) -> bool:
    """Whether S3 prices a call as it does PUT: it writes, copies or lists."""
    return call.startswith(("s3:PUT", "s3:POST")) or call.rstrip() == "s3:GET"


def test_an_hour_that_brings_little_is_one_transform(counted: dict[str, list[tuple[int, int]]]) -> None:
    assert len(counted[TRANSFORM]) + len(counted[TRANSFORM_RUN]) == STARTS
    assert set(counted) == {MAINTAIN, SCHEDULED, TRANSFORM, TRANSFORM_RUN, "idle"}


def test_maintenance_where_nothing_waits_is_a_look(counted: dict[str, list[tuple[int, int]]]) -> None:
    ((calls, _),) = counted["idle"]
    assert calls <= 14


def test_the_cost_model_counts_what_the_functions_ask(counted: dict[str, list[tuple[int, int]]]) -> None:
    declared = {SCHEDULED: costs.RUN, TRANSFORM: costs.OBJECT, TRANSFORM_RUN: costs.RECORD, MAINTAIN: costs.DAILY,
                "idle": costs.LOOK}  # fmt: skip
    found = {function: counts for function, (counts,) in counted.items()}
    wrong = {
        function: counts
        for function, counts in found.items()
        if counts != pytest.approx((declared[function].calls, declared[function].writes), rel=0.1, abs=3)
    }
    assert not wrong, found
    one = costs.estimate(costs.ONE_LISTENER)
    assert sum(one.values()) <= 3.50
