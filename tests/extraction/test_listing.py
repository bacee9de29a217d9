"""Whether pages of a listing are believed: what they say of themselves, and what they said before."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.extraction.listing import ListingPage, Rule, Step, follow
from chalicelib.extraction.shapes import id_of
from chalicelib.extraction.state import Walk

BY_OFFSET = Rule(id_of)
BY_CURSOR = Rule(id_of, by_cursor=True)
NOT_UNIQUE = Rule(id_of, unique=False)


def items(first: int, count: int) -> list[dict[str, str]]:
    return [{"id": f"{number:022d}"} for number in range(first, first + count)]


def page(first: int, count: int, **says: Any) -> dict[str, Any]:
    return {"items": items(first, count), "offset": first, **says}


def read(*pages: dict[str, Any], rule: Rule = BY_OFFSET, known: int = 0) -> list[Step]:
    """The steps of a reading that asks for each page where the last one led."""
    walk, steps = Walk("2026-11-20T12:00:00.000Z"), []
    for document in pages:
        step = follow(walk, ListingPage.of(document, rule), 0 if rule.by_cursor else walk.offset, rule, known)
        steps.append(step)
        walk = step.walk
    return steps


def test_a_reading_whose_numbers_agree_is_complete() -> None:
    steps = read(
        page(0, 50, total=120, next="x"), page(50, 50, total=120, next="x"), page(100, 20, total=120, next=None)
    )
    assert [step.complete for step in steps] == [False, False, True]
    assert [step.ended for step in steps] == [False, False, True]


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ([page(0, 50, total=119, next=None)], "ends after 50 of 119"),
        ([page(0, 50, total=120, next="x"), page(50, 0, total=120, next=None)], "empty page came after 50 of 120"),
        ([page(0, 50, total=120, next="x"), page(0, 50, total=120, next="x")], "from item 0 on came instead"),
        ([page(0, 50, next=None)], "does not say how many"),
        ([page(0, 50, total="50", next=None)], "does not say how many"),
        ([page(0, 50, total=-1, next=None)], "does not say how many"),
        ([page(0, 50, total=10, next=None)], "50 items were shown of 10"),
        ([page(0, 50, total=0, next=None)], "50 items were shown of 0"),
        (
            [page(0, 50, total=50, next="x"), {**page(0, 50, total=50, next="x"), "offset": 50}],
            "the same page came again",
        ),
        ([page(0, 50, total=500, next="x"), page(50, 50, total=100, next=None)], "shrank from 500 to 100"),
        ([{"items": items(0, 25) * 2, "total": 50, "next": None}], "25 of 50 items were not shown"),
    ],
)
def test_what_does_not_agree_ends_a_reading_that_counts_for_nothing(pages: list[dict[str, Any]], words: str) -> None:
    steps = read(*pages)
    assert [step.ended for step in steps] == [False] * (len(pages) - 1) + [True]
    assert words in str(steps[-1].flaw)
    assert not steps[-1].complete


def cursor_page(first: int, count: int, after: str | None, **says: Any) -> dict[str, Any]:
    return {"items": items(first, count), "cursors": {"after": after}, "next": "x" if after else None, **says}


def test_a_cursor_that_does_not_move_on_ends_the_reading() -> None:
    steps = read(cursor_page(0, 50, "a", total=656), cursor_page(50, 50, "a", total=656), rule=BY_CURSOR)
    assert "cursor does not move" in str(steps[-1].flaw)
    steps = read(cursor_page(0, 50, "a", total=656), cursor_page(0, 50, "b", total=656), rule=BY_CURSOR)
    assert "same page came again" in str(steps[-1].flaw)
    steps = read(cursor_page(0, 50, "a", total=70), cursor_page(50, 20, None, total=70), rule=BY_CURSOR)
    assert steps[-1].complete


def test_a_listing_that_shrinks_by_a_few_is_read_again_from_so_far_back_and_counts() -> None:
    first = page(0, 50, total=100, next="x")
    second = {"items": items(52, 48), "offset": 50, "total": 98, "next": None}
    back = {"items": items(50, 50), "offset": 48, "total": 98, "next": None}
    steps = read(first, {**second, "next": "x"}, back)
    assert steps[1].walk.offset == 48
    assert steps[2].complete


def test_a_listing_that_grows_while_it_is_read_counts() -> None:
    grown = {"items": items(49, 51), "offset": 50, "total": 101, "next": None}
    assert read(page(0, 50, total=100, next="x"), grown)[-1].complete


@pytest.mark.parametrize(
    ("shown", "known", "doubted"), [(0, 3, True), (10, 100, True), (60, 100, False), (1, 8, True), (1, 3, False)]
)
def test_a_library_of_which_most_is_gone_at_once_is_doubted(shown: int, known: int, doubted: bool) -> None:
    step = read(page(0, shown, total=shown, next=None), known=known)[-1]
    assert (step.doubt is not None) == doubted
    assert step.flaw is None


def test_an_item_that_cannot_be_kept_makes_a_reading_doubtful() -> None:
    document = {"items": [*items(0, 3), None, {"id": 5}], "total": 5, "next": None}
    assert "2 of 5 items cannot be read" in str(read(document)[-1].doubt)


def test_a_playlist_may_hold_one_track_many_times() -> None:
    same = [{"id": "0" * 22}] * 50
    steps = read(
        {"items": same, "offset": 0, "total": 100, "next": "x"},
        {"items": same, "offset": 50, "total": 100, "next": None},
        rule=NOT_UNIQUE,
    )
    assert steps[-1].complete


def test_where_next_is_missing_the_numbers_say_whether_another_page_follows() -> None:
    steps = read(page(0, 50, total=70), page(50, 20, total=70))
    assert [step.complete for step in steps] == [False, True]
