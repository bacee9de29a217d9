"""What answers change in the state: recorded ones, odd ones, and the order in which they come."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.extraction import intake
from chalicelib.extraction.intake import look
from chalicelib.extraction.journal import Journal, JournalEntry, decode, segments
from chalicelib.extraction.keeping import apply
from chalicelib.extraction.reading import Taken
from chalicelib.extraction.state import STATE_FILE, State
from chalicelib.raw import Answer
from chalicelib.stores.folder import FolderStore
from tests.support import SHARED

SAMPLES = SHARED / "spotify" / "samples"
MOMENT = datetime(2026, 11, 20, 12, tzinfo=UTC)
A, B, C, D = ("A" * 22, "B" * 22, "C" * 22, "D" * 22)
ENDPOINTS = {
    "album": "albums/{id}",
    "album-tracks": "albums/{id}/tracks",
    "artist": "artists/{id}",
    "artist-albums": "artists/{id}/albums",
    "followed-artists": "me/following",
    "my-playlists": "me/playlists",
    "playlist": "playlists/{id}",
    "playlist-items": "playlists/{id}/items",
    "recently-played": "me/player/recently-played",
    "saved-tracks": "me/tracks",
    "search": "search",
    "top-artists": "me/top/artists",
    "top-tracks": "me/top/tracks",
}


def answer(endpoint: str, document: Any, *, at: datetime = MOMENT, status: int = 200, **given: Any) -> Answer:
    listing = {"started_at": "2026-11-20T11:59:00.000Z", "complete": False}
    options: dict[str, Any] = {
        "source": "s",
        "params": {},
        "user_id": "u1",
        "context": {"listing": listing, "first": 50, "snapshot_id": "s"},
        "run_id": "20261120T120000Z-aaaaaa",
        "requested_at": at,
        "received_at": at,
        "body": json.dumps(document).encode(),
    }
    return Answer(endpoint=endpoint, status=status, **{**options, **given})


ONE_THING = ("albums/{id}", "artists/{id}", "playlists/{id}")


def cut_short(document: dict[str, Any]) -> bool:
    """Whether somebody left items of a recorded answer away to publish it."""
    return bool(len(document.get("items", [])) < min(50, document.get("total", 0)))


def take_in(state: State, answer: Answer, document: Any) -> Taken:
    """Take in an answer whose body is ``document``."""
    return intake.take_in(state, replace(answer, body=json.dumps(document).encode()), document)


def samples() -> Iterator[Any]:
    if not SAMPLES.is_dir():
        yield pytest.param(None, None, marks=pytest.mark.skip(reason="no recorded answers at ../shared"))
        return
    for folder, endpoint in ENDPOINTS.items():
        for path in sorted((SAMPLES / folder).glob("*.json")):
            yield pytest.param(endpoint, path, id=f"{folder}/{path.stem}")


@pytest.mark.parametrize(("endpoint", "path"), list(samples()))
def test_every_recorded_answer_is_understood(endpoint: str, path: Path) -> None:
    document = json.loads(path.read_text())
    state = State()
    page = document.get("artists", document) if endpoint == "me/following" else document
    path_id = document["id"] if endpoint in ONE_THING else A
    params = {"offset": page["offset"]} if isinstance(page.get("offset"), int) else {}
    taken = apply(state, JournalEntry(answer(endpoint.replace("{id}", path_id), document, params=params)))
    assert taken is not None
    assert taken.items > 0
    if endpoint in ONE_THING or params == {"offset": 0}:
        assert taken.faults == [] or cut_short(document)
    if state.mode is not None:
        assert state.mode == ("development" if path.stem.startswith("derived-development") else "extended")
    if endpoint != "me/playlists":
        assert state.details["artists"] or "playlist" in endpoint
    assert STATE_FILE.decode("state", STATE_FILE.encode(state)) == state


def artist(artist_id: str, *, full: bool = False, **more: Any) -> dict[str, Any]:
    return {"type": "artist", "id": artist_id, "name": "n", **({"genres": [], "images": []} if full else {}), **more}


def album(album_id: str, **more: Any) -> dict[str, Any]:
    short = {"type": "album", "id": album_id, "name": "n", "album_type": "album", "total_tracks": 3}
    return {**short, "artists": [artist(A)], **more}


def whole_album(album_id: str, total: int = 1) -> dict[str, Any]:
    ids = [D, *(f"{place:022d}" for place in range(1, min(50, total)))]
    items = [{"type": "track", "id": track_id, "name": "n", "artists": [artist(B)]} for track_id in ids]
    return album(album_id, total_tracks=total, tracks={"items": items, "total": total})


def track(track_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "track", "id": track_id, "name": "n", "artists": [artist(B)], "album": album(C), **more}


def test_artists_and_albums_anywhere_are_wanted_and_whole_ones_are_had() -> None:
    state = State()
    take_in(state, answer("me/tracks", None), {"total": 1, "items": [{"added_at": "2026", "track": track(D)}]})
    assert state.details == {"artists": {A: 0, B: 0}, "albums": {C: 0}, "tracks": {}}
    take_in(state, answer(f"artists/{A}", None), artist(A, full=True))
    assert state.details["artists"] == {A: int(MOMENT.timestamp()), B: 0}


@pytest.mark.parametrize(
    ("document", "mode"),
    [
        (track(D), "development"),
        (track(D, popularity=3), "extended"),
        (track(D, available_markets=[]), "extended"),
        (artist(A, full=True), "development"),
        (artist(A, full=True, followers={"total": 3}), "extended"),
        ({"items": [artist(A)]}, None),
        ({"items": []}, None),
    ],
)
def test_the_mode_is_read_off_an_answers_shape(document: dict[str, Any], mode: str | None) -> None:
    assert look(document).mode == mode


def test_long_albums_are_read_on_and_only_the_first_time() -> None:
    state = State()
    listing = f"album-tracks:{C}"
    whole = whole_album(C, 120)
    take_in(state, answer(f"albums/{C}", None), whole)
    assert state.walks[listing].offset == 50
    items = whole["tracks"]["items"]
    page = {"items": items, "total": 120, "offset": 50, "next": "more"}
    take_in(state, answer(f"albums/{C}/tracks", None, params={"offset": 50}), page)
    assert state.walks[listing].offset == 100
    last = {"items": items[:20], "total": 120, "offset": 100, "next": None}
    take_in(state, answer(f"albums/{C}/tracks", None, params={"offset": 100}), last)
    assert state.walks == {}
    take_in(state, answer(f"albums/{C}", None), whole)
    assert state.walks == {}


def runs(count: int, days: float = 1.0) -> Iterator[dict[str, Any]]:
    """When and by which run each of several answers was received."""
    for number in range(count):
        yield {"at": MOMENT + timedelta(days=number * days), "run_id": f"2026112{number}T120000Z-aaaaaa"}


def test_an_unknown_id_in_a_batch_is_doubted_and_believed_in_the_third_run() -> None:
    state = State()
    for number, run in enumerate(runs(3)):
        taken = take_in(
            state, answer("albums", None, params={"ids": f"{C},{D}"}, **run), {"albums": [whole_album(C), None]}
        )
        assert taken.faults
        assert (state.details["albums"].get(D, 0) > 0) == (number == 2)
        assert state.details["albums"][C] > 0


@pytest.mark.parametrize("batch", [[None, None], [], [whole_album(A), whole_album(B)], [album(C), 7]])
def test_a_batch_that_holds_other_things_is_read_as_far_as_it_goes(batch: list[Any]) -> None:
    state = State()
    taken = take_in(state, answer("albums", None, params={"ids": f"{C},{D}"}), {"albums": batch})
    assert taken.faults
    assert not [
        item_id for item_id in (C, D) if state.details["albums"].get(item_id) and f"album:{item_id}" in state.doubts
    ]


def plays(*times: str) -> dict[str, Any]:
    return {"items": [{"played_at": time, "track": track(D)} for time in times], "next": None, "cursors": None}


def hours(first: int, count: int) -> list[str]:
    start = datetime(2026, 11, 20, tzinfo=UTC) + timedelta(hours=first)
    return [f"{start + timedelta(minutes=number):%Y-%m-%dT%H:%M:%S.000Z}" for number in range(count)]


@pytest.mark.parametrize(
    ("before", "page", "hole"),
    [
        ([], hours(0, 50), False),
        (hours(0, 3), hours(5, 50), True),
        (hours(0, 3), hours(5, 49), False),
        (hours(0, 3), hours(0, 50), False),
        (hours(0, 3), [*hours(5, 49), hours(0, 3)[2]], False),
        (hours(0, 3), [*hours(5, 49), hours(0, 1)[0]], False),
        (hours(0, 3), [], False),
    ],
)
def test_a_hole_is_a_full_page_that_does_not_reach_back(before: list[str], page: list[str], hole: bool) -> None:
    state = State()
    if before:
        take_in(state, answer("me/player/recently-played", None), plays(*before))
    taken = take_in(state, answer("me/player/recently-played", None), plays(*page))
    assert taken.hole == ({"user_id": "u1", "after": before[-1], "before": page[0]} if hole else None)


def test_a_late_play_does_not_move_the_newest_back() -> None:
    state = State()
    take_in(state, answer("me/player/recently-played", None), plays(*hours(5, 3)))
    take_in(state, answer("me/player/recently-played", None), plays(*hours(1, 3)))
    assert state.plays == {"u1": hours(5, 3)[-1]}


def saved(*added: str, total: int, more: bool = False) -> dict[str, Any]:
    items = [{"added_at": time, "track": track(f"{re.sub('[-:]', '', time):0>22}")} for time in added]
    return {"items": items, "total": total, "next": "more" if more else None}


def month(*numbers: int) -> list[str]:
    return [f"2026-{number:02d}-01T00:00:00Z" for number in numbers]


def whole_reading(*numbers: int, **given: Any) -> Answer:
    """The answer that ends a reading that counts, as its header says."""
    listing = {"started_at": "2026-11-20T11:59:00.000Z", "complete": True}
    return answer("me/tracks", None, context={"listing": listing}, **given)


def test_reading_saved_items_stops_where_they_are_known() -> None:
    state = State()
    take_in(state, whole_reading(), saved(*month(3, 2), total=2))
    assert state.walks == {}
    taken = take_in(state, answer("me/tracks", None), saved(*month(4, 3), total=3, more=True))
    assert (taken.new_items, taken.faults, state.walks) == (1, [], {})
    assert state.known["saved_tracks:u1"].total == 3


def test_a_total_that_does_not_add_up_makes_the_rest_be_read() -> None:
    state = State()
    take_in(state, whole_reading(), saved(*month(3, 2, 1), total=3))
    take_in(state, answer("me/tracks", None), saved(*month(4, 3), total=3, more=True))
    assert state.walks["saved_tracks:u1"].offset == 2
    take_in(state, whole_reading(params={"offset": 2}), saved(*month(2), total=3))
    assert state.walks == {}
    assert state.known["saved_tracks:u1"].total == 3


def test_a_listing_that_shrinks_while_it_is_read_is_read_again_from_so_far_back() -> None:
    state = State()
    take_in(state, answer("me/tracks", None), saved(*month(5, 4), total=5, more=True))
    take_in(state, answer("me/tracks", None, params={"offset": 2}), saved(*month(2), total=4, more=True))
    assert state.walks["saved_tracks:u1"].offset == 1


@pytest.mark.parametrize("status", [400, 403, 404])
@pytest.mark.parametrize("endpoint", [f"albums/{C}", f"artists/{C}", f"tracks/{C}"])
def test_a_no_is_doubted_for_some_runs_and_days_and_then_believed(endpoint: str, status: int) -> None:
    kind = endpoint.partition("/")[0]
    entries = {"of": f"{kind.removesuffix('s')}:{C}"}
    state = State()
    state.want(kind, [C])
    for number, run in enumerate(runs(3)):
        apply(state, JournalEntry(answer(endpoint, {"error": {}}, status=status, **run), entries))
        assert (state.details[kind][C] > 0) == (number == 2)
    soon = State()
    soon.want(kind, [C])
    for run in runs(6, days=0.25):
        apply(soon, JournalEntry(answer(endpoint, {"error": {}}, status=status, **run), entries))
    assert soon.details[kind][C] == 0, "six runs of one day are not enough"


def test_a_refused_playlist_version_is_not_asked_for_again_and_the_next_one_is() -> None:
    state = State()
    listed = {"id": A, "snapshot_id": "s", "owner": {"id": "x"}, "items": {"total": 3}}
    take_in(state, answer("me/playlists", None), {"items": [listed], "total": 1, "next": None})
    for run in runs(3):
        assert state.playlists[A].outdated
        apply(
            state,
            JournalEntry(answer(f"playlists/{A}/items", {"error": {}}, status=403, **run), {"of": f"playlist:{A}"}),
        )
    assert not state.playlists[A].outdated
    newer = {**listed, "snapshot_id": "s2"}
    take_in(state, answer("me/playlists", None), {"items": [newer], "total": 1, "next": None})
    assert state.playlists[A].outdated


def test_an_answer_that_is_not_understood_lets_its_listing_begin_anew() -> None:
    state = State()
    items = {"items": [{"track": track(D)}] * 50, "total": 120, "next": "more"}
    listing = {"of": f"playlist:{A}"}
    assert apply(state, JournalEntry(answer(f"playlists/{A}/items", items), listing))
    assert state.walks[f"playlist:{A}"].offset == 50
    assert apply(state, JournalEntry(answer(f"playlists/{A}/items", items, context={}), listing)) is None
    assert state.walks == {}


def test_taking_the_same_entries_in_gives_the_same_state_after_a_journey_through_the_journal(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    journal = Journal(store, "20261120T120000Z-aaaaaa", "listener-u1")
    entries = [
        JournalEntry(answer("me/tracks", saved(*month(5, 4), total=3, more=True))),
        JournalEntry(
            note={"waits": {"albums": {"until": "2026-11-21T00:00:00.000Z", "since": "2026-11-20T00:00:00.000Z"}}}
        ),
        JournalEntry(answer("me/tracks", saved(*month(3), total=3), params={"offset": 2})),
    ]
    direct, replayed = State(), State()
    for entry in entries:
        journal.append(entry)
        apply(direct, entry)
    (segment,) = segments(store)
    read = segment.entries(store)
    for entry in read:
        apply(replayed, entry)
    assert segment.name == "listener-u1"
    assert replayed == direct
    assert [one.answer and one.answer.body for one in read] == [one.answer and one.answer.body for one in entries]


def test_a_torn_journal_gives_its_whole_entries() -> None:
    whole = [JournalEntry(answer("me/tracks", saved(*month(number), total=1))) for number in range(1, 5)]
    data = b"".join(entry.encode() for entry in whole)
    lengths = [len(entry.encode()) for entry in whole]
    for cut in range(0, len(data), 97):
        kept = list(decode(data[:cut]))
        assert len(kept) == sum(cut >= sum(lengths[: place + 1]) for place in range(4))
        assert kept == whole[: len(kept)]


def test_taking_in_does_not_change_the_answer() -> None:
    document = saved(*month(5), total=1)
    before = copy.deepcopy(document)
    take_in(State(), answer("me/tracks", None), document)
    assert document == before
