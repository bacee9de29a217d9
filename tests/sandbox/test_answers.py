"""Answer bodies without HTTP."""

from __future__ import annotations

import json

import pytest

from sandbox.answers import pages


@pytest.mark.parametrize("mode", ["development", "extended"])
def test_pages_hold_exactly_the_items_asked_for(mode: str) -> None:
    answers = list(pages(items=1_230, mode=mode, scale="small"))
    assert sum(len(json.loads(answer.body)["items"]) for answer in answers) == 1_230
    assert {answer.path.split("/")[0] for answer in answers} == {"me", "playlists"}


def test_pages_are_the_same_for_the_same_seed() -> None:
    first, second = (list(pages(300, scale="small", seed=4)) for _ in range(2))
    assert first == second
    assert first != list(pages(300, scale="small", seed=5))


def test_one_kind_alone_can_be_had() -> None:
    entries = [
        entry
        for answer in pages(1_000, kinds=("playlist_items",), scale="small")
        for entry in json.loads(answer.body)["items"]
    ]
    assert len(entries) == 1_000
    assert None in entries
    assert any(entry and entry["item"] is None for entry in entries)
    assert any(entry and entry["is_local"] for entry in entries)
    assert any(entry and entry["item"] and entry["item"]["type"] == "episode" for entry in entries)


def test_modes_differ_as_they_do_over_http() -> None:
    for mode, shown in (("development", False), ("extended", True)):
        (answer,) = pages(50, mode=mode, kinds=("saved_tracks",), scale="small")
        track = json.loads(answer.body)["items"][0]["track"]
        assert ("available_markets" in track) is shown


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="playlist_items"):
        next(pages(1, kinds=("gossip",)))


@pytest.mark.thorough
def test_ten_thousand_items_are_two_hundred_pages() -> None:
    assert sum(1 for _ in pages(10_000)) == 200
