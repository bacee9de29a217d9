"""Death at every change that a transform or a rebuild makes to the lake: what comes after it finds and finishes all."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from chalicelib.errors import CheckFailed
from chalicelib.lake import Lake
from chalicelib.transformation.backlog import pending
from chalicelib.transformation.transform import MOST_ATTEMPTS, rebuild, transform_object, transform_pending
from tests.support.memory import MemoryStore
from tests.support.raw_objects import answer, artist, entry, files, playlist_page, put, track

MOST_CHANGES = 200


class Killed(BaseException):
    """The process is no more."""


class DyingStore(MemoryStore):
    """A store whose process dies instead of making the change after so many."""

    def __init__(self, objects: dict[str, bytes], changes: int) -> None:
        super().__init__()
        self.objects = objects
        self.left = changes

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def write(self, key: str, data: bytes, *, content_type: str = "") -> str:
        self.spend()
        return super().write(key, data, content_type=content_type)

    def delete(self, keys: Iterable[str], *, if_match: str | None = None) -> None:
        self.spend()
        super().delete(keys, if_match=if_match)


def raw_objects() -> tuple[dict[str, bytes], list[str]]:
    """A lake's objects before any transform: two that are in order, one that is not ours, one that must not be
    published."""
    lake = Lake(MemoryStore())
    keys = [
        put(lake, [playlist_page([entry(track("t", artists="ab"))])]),
        put(lake, [answer("me/following", {"artists": {"items": [artist("c")]}})], part=2),
        put(lake, [answer("me/following", {"artists": {"items": [{"id": "x"}] * 12}})], part=3),
        put(lake, [], part=4),
    ]
    return dict(lake.store.objects), keys  # type: ignore[attr-defined]


def deaths(work: Callable[[Lake], object], objects: dict[str, bytes]) -> int:
    """Do ``work`` on copies of a lake, dying one change later each time, then what follows a death; each time the
    lake must end as it does without. Answers how many deaths that were."""
    whole = Lake(DyingStore(dict(objects), MOST_CHANGES))
    work(whole)
    assert list(pending(whole)) == []
    expected = (files(whole, f"transformed/{whole.generation()}/"), files(whole, "quarantine/"))
    for changes in range(MOST_CHANGES):
        store = DyingStore(dict(objects), changes)
        lake = Lake(store)
        try:
            work(lake)
            return changes
        except Killed:
            store.left = MOST_CHANGES
        work(lake)
        assert list(pending(lake)) == [], changes
        found = files(lake, f"transformed/{lake.generation()}/")
        assert {key.split("/", 2)[2]: data for key, data in found.items()} == {
            key.split("/", 2)[2]: data for key, data in expected[0].items()
        }, changes
        assert files(lake, "quarantine/") == expected[1], changes
        assert not files(lake, "state/transforms/g1/open/"), changes
    raise AssertionError("it never ended")


@pytest.mark.thorough
def test_a_transform_may_die_anywhere() -> None:
    objects, _ = raw_objects()
    assert deaths(transform_pending, objects) > 30


def test_transforming_one_object_again_may_die_anywhere() -> None:
    """The object says less than before: files of the earlier transform must go."""
    lake = Lake(MemoryStore())
    key = put(lake, [playlist_page([entry(track("t"))])])
    transform_object(lake, key)
    put(lake, [answer("me/following", {"artists": {"items": [artist("c")]}})])

    def again(dying: Lake) -> None:
        transform_object(dying, key)
        transform_pending(dying)

    assert deaths(again, dict(lake.store.objects)) >= 8  # type: ignore[attr-defined]


@pytest.mark.thorough
def test_a_rebuild_may_die_anywhere() -> None:
    objects, _ = raw_objects()
    lake = Lake(MemoryStore())
    lake.store.objects = objects  # type: ignore[attr-defined]
    transform_pending(lake)
    assert deaths(lambda dying: rebuild(dying, dying.publish_generation, workers=1), dict(objects)) > 30


def test_an_object_that_kills_whoever_transforms_it_ends_in_quarantine() -> None:
    objects, keys = raw_objects()
    for _ in range(MOST_ATTEMPTS):
        lake = Lake(DyingStore(objects, 3))
        with pytest.raises(Killed):
            transform_pending(lake)
    lake = Lake(DyingStore(objects, MOST_CHANGES))
    transform_pending(lake)
    assert f"quarantine/{keys[0].removeprefix('raw/')}.reason.json" in files(lake, "quarantine/")
    assert list(pending(lake)) == []


def test_a_check_that_fails_leaves_nothing_open() -> None:
    objects, keys = raw_objects()
    lake = Lake(DyingStore(objects, MOST_CHANGES))
    with pytest.raises(CheckFailed):
        transform_object(lake, keys[2])
    assert not files(lake, "state/transforms/g1/open/")
