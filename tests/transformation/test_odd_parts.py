"""An event outlives its description: what is odd in a part of an item costs that part alone, and the check says so."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.jsontext import read_json, repaired
from chalicelib.lake import Lake
from chalicelib.parquet import TableFiles
from chalicelib.spotify import client
from chalicelib.transformation.answers import decode, find_endpoint
from chalicelib.transformation.build import build_answers
from chalicelib.transformation.transform import transform_object
from tests.support.engines import Opened, embedded
from tests.support.raw_objects import (
    START,
    album,
    answer,
    artist,
    entry,
    episode,
    folder_lake,
    local_track,
    play,
    playlist_page,
    put,
    spotify_id,
    stored,
    track,
)

PLAYED = "2026-11-20T10:00:00.000Z"
ADDED = "2026-01-01T00:00:00Z"
ODD = [None, 5, 63.5, -1, "x", "", True, [], [None], [5], {}, {"a": None}, 2**70, "ä" * 3000]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return folder_lake(tmp_path / "lake")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    with embedded(tmp_path) as engine:
        yield engine


def failures(lake: Lake) -> dict[tuple[str, str], str]:
    rows = stored(lake, "quality_results")
    return {(row["table_name"], row["check_name"]): row["detail"] for row in rows if row["failures"]}


def full_track(letter: str) -> dict[str, Any]:
    more: dict[str, Any] = {"popularity": 50, "external_urls": {"spotify": "https://s"}, "is_local": False}
    return track(letter, album=album("B", external_ids={"upc": "1"}, popularity=5, label="L"), **more)


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    if before:
        yield before
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from paths(member, (*before, name))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    result = copy.deepcopy(value)
    place = result
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = new
    return result


NEEDED = {("id",), ("uri",), ("type",), ("is_local",)}  # what tells which thing it is, one of which may be odd


@pytest.mark.parametrize("wrong", ODD, ids=repr)
@pytest.mark.parametrize("path", [path for path in paths(full_track("t")) if path not in NEEDED], ids=str)
def test_a_play_a_saved_track_and_an_entry_stand_whatever_their_track_says_of_itself(
    lake: Lake, path: tuple[Any, ...], wrong: Any
) -> None:
    odd = changed(full_track("t"), path, wrong)
    key = put(
        lake,
        [
            answer("me/player/recently-played", {"items": [play(odd, PLAYED)]}),
            answer("me/tracks", {"items": [{"added_at": ADDED, "track": odd}]}),
            playlist_page([entry(odd)]),
        ],
    )
    transform_object(lake, key)
    (heard,) = stored(lake, "plays")
    assert (heard["item_id"], heard["item_type"]) == (spotify_id("t"), "track")
    assert [row["item_id"] for row in stored(lake, "saved_items")] == [spotify_id("t")]
    assert [row["item_uri"] for row in stored(lake, "playlist_items")] == [f"spotify:track:{spotify_id('t')}"]


@pytest.mark.parametrize(
    ("member", "odd"),
    [("id", None), ("id", 5), ("uri", None), ("uri", ["x"]), ("type", None), ("type", 7), ("is_local", "no")],
)
def test_one_of_what_names_a_thing_suffices(lake: Lake, member: str, odd: Any) -> None:
    items = [play({**full_track("t"), member: odd}, PLAYED), play(full_track("t"), PLAYED)]
    for part, item in enumerate(items, 1):
        transform_object(lake, put(lake, [answer("me/player/recently-played", {"items": [item]})], part=part))
    one, other = stored(lake, "plays")
    assert one == other


@pytest.mark.parametrize(
    "change",
    [{"track": None}, {"track": 5}, {"played_at": None}, {"played_at": 5}, {"played_at": "noon"}, {"track": {}}],
)
def test_a_play_whose_item_or_time_is_not_known_is_none(lake: Lake, change: dict[str, Any]) -> None:
    items = [{**play(track("t"), PLAYED), **change}, play(track("u"), PLAYED)]
    transform_object(lake, put(lake, [answer("me/player/recently-played", {"items": items})]))
    assert [row["item_id"] for row in stored(lake, "plays")] == [spotify_id("u")]


def test_the_check_says_which_part_was_odd(lake: Lake) -> None:
    odd = {**full_track("t"), "artists": [None, artist("a"), 7], "popularity": "63", "explicit": 0}
    transform_object(lake, put(lake, [answer("me/tracks", {"items": [{"added_at": ADDED, "track": odd}]})]))
    assert failures(lake)["saved_items", "readable_part"].startswith("track.artists[0]: Expected `object`, got `null`")
    result = next(row for row in stored(lake, "quality_results") if row["check_name"] == "readable_part")
    assert (result["failures"], result["severity"]) == (4, "warn")
    (row,) = stored(lake, "tracks")
    assert (row["name"], row["popularity"], row["explicit"]) == ("Track t", None, None)
    assert [row["artist_id"] for row in stored(lake, "track_artists")] == [spotify_id("a")]


def test_an_artist_with_a_fractional_popularity_keeps_name_and_genres(lake: Lake) -> None:
    whole = artist("a", genres=["rock"], popularity=63.5, followers={"total": 7})
    transform_object(lake, put(lake, [answer(f"artists/{spotify_id('a')}", whole)]))
    (row,) = stored(lake, "artists")
    assert (row["name"], row["genres"], row["popularity"], row["followers"]) == ("Artist a", ["rock"], None, 7)
    assert "63.5 is not int" in failures(lake)["artists", "type:popularity"]


def test_a_playlist_without_a_name_is_a_playlist(lake: Lake) -> None:
    for part, name in enumerate((None, "", 5), 1):
        body = {"items": [{"id": spotify_id(str(part)), "name": name, "snapshot_id": "S", "items": {"total": 3}}]}
        transform_object(lake, put(lake, [answer("me/playlists", body)], part=part))
    assert [(row["name"], row["total_items"]) for row in stored(lake, "playlists")] == [(None, 3)] * 3


def test_what_is_empty_says_nothing(lake: Lake) -> None:
    item = {**full_track("t"), "name": "", "album": album("B", name="", label="")}
    transform_object(lake, put(lake, [answer("me/player/recently-played", {"items": [play(item, PLAYED)]})]))
    (heard,) = stored(lake, "plays")
    assert (heard["item_name"], heard["album_name"]) == (None, None)
    assert [row["name"] for row in (*stored(lake, "tracks"), *stored(lake, "albums"))] == [None, None]


def test_codes_and_types_are_in_one_case(lake: Lake) -> None:
    item = track("t", external_ids={"isrc": "usrc17607839"})
    other = album("C", album_type="SINGLE", external_ids={"upc": "00602547ABCx"})
    transform_object(lake, put(lake, [answer("tracks", {"tracks": [item]}), answer("albums", {"albums": [other]})]))
    assert [row["isrc"] for row in stored(lake, "tracks")] == ["USRC17607839"]
    assert [(row["album_type"], row["upc"]) for row in stored(lake, "albums")][-1] == ("single", "00602547ABCX")


def test_a_chapter_is_heard_and_listed_as_what_it_is_of(lake: Lake) -> None:
    chapter = {**episode("c"), "type": "chapter", "uri": f"spotify:chapter:{spotify_id('c')}"}
    answers = [
        answer("me/player/recently-played", {"items": [play(chapter, PLAYED)]}),
        playlist_page([entry(chapter), entry(episode("e"))]),
    ]
    transform_object(lake, put(lake, answers))
    assert [(row["item_type"], row["item_id"]) for row in stored(lake, "plays")] == [("audiobook", spotify_id("c"))]
    assert [row["item_type"] for row in stored(lake, "playlist_items")] == ["audiobook", "episode"]
    assert [row["episode_id"] for row in stored(lake, "episodes")] == [spotify_id("e")]
    assert stored(lake, "tracks") == []


def test_an_entry_is_found_under_either_name(lake: Lake) -> None:
    entries = [
        {**entry(track("t")), "track": None},
        {**entry(None), "track": track("u")},
        {"added_at": ADDED, "track": track("v")},
        {**entry(None), "track": {**track("w"), "popularity": "odd"}},
        {**entry(None), "track": None},
        entry(local_track("mine")),
    ]
    transform_object(lake, put(lake, [playlist_page(entries)]))
    assert [(row["position"], row["item_type"]) for row in stored(lake, "playlist_items")] == [
        (0, "track"), (1, "track"), (2, "track"), (3, "track"), (5, "local"),
    ]  # fmt: skip


@pytest.mark.parametrize("oddity", [{}, {"public": "maybe"}])
def test_a_playlists_page_is_found_under_the_name_that_has_it(lake: Lake, oddity: dict[str, Any]) -> None:
    page = {"total": 1, "items": [{"added_at": ADDED, "track": track("t")}]}
    body = {"id": spotify_id("P"), "name": "P", "snapshot_id": "S", **oddity, "items": {"total": 1}, "tracks": page}
    transform_object(lake, put(lake, [answer(f"playlists/{spotify_id('P')}", body)]))
    assert [row["item_id"] for row in stored(lake, "playlist_items")] == [spotify_id("t")]
    assert [row["total_items"] for row in stored(lake, "playlists")] == [1]


def test_what_nobody_added_was_added_at_no_time(lake: Lake) -> None:
    transform_object(lake, put(lake, [playlist_page([entry(track("t"), added_at="1970-01-01T00:00:00Z")])]))
    assert [row["added_at"] for row in stored(lake, "playlist_items")] == [None]


def test_a_page_that_went_astray_tells_of_things_and_not_of_places(lake: Lake) -> None:
    page = playlist_page([entry(track("t"))])
    page.context["astray"] = "the same page again"
    ranking = answer("me/top/tracks", {"items": [track("u")]}, params={"time_range": "long_term"})
    ranking.context["astray"] = "more items than total"
    transform_object(lake, put(lake, [page, ranking]))
    assert stored(lake, "playlist_items") == stored(lake, "top_items") == []
    assert {row["track_id"] for row in stored(lake, "tracks")} == {spotify_id("t"), spotify_id("u")}


# --- albums of tracks ---------------------------------------------------------------------------------------------


def short(letter: str, **more: Any) -> dict[str, Any]:
    """A track as an album's own list tells of it."""
    whole = track(letter, **more)
    return {name: value for name, value in whole.items() if name not in ("album", "external_ids")}


def ask_tracks(opened: Opened) -> dict[str, tuple[Any, ...]]:
    rows = opened.ask("SELECT track_id, album_id, disc_number, track_number, name FROM tracks")
    return {row[0][0]: (row[1] and row[1][0], *row[2:]) for row in rows}


@pytest.mark.parametrize("album_last", [False, True])
def test_a_replaced_track_in_an_albums_list_belongs_to_the_album_it_is_on(opened: Opened, album_last: bool) -> None:
    """Spotify lists ``n`` where ``o`` stands on album C; ``n`` itself stands on B."""
    listed = short("n", linked_from={"id": spotify_id("o")}, track_number=7)
    whole = track("n", album=album("B"), track_number=2)
    answers = [
        answer(f"albums/{spotify_id('C')}/tracks", {"items": [listed]}, second=60 * album_last),
        answer("tracks", {"tracks": [whole]}, second=30),
    ]
    transform_object(opened.lake, put(opened.lake, answers))
    assert ask_tracks(opened) == {"n": ("B", 1, 2, "Track n"), "o": ("C", 1, 7, "Track n")}


def test_two_editions_replaced_by_the_same_tracks_keep_all_of_theirs(opened: Opened) -> None:
    def edition(letter: str, originals: str) -> dict[str, Any]:
        items = [short(x, linked_from={"id": spotify_id(o)}) for x, o in zip("xyz", originals, strict=True)]
        return {"added_at": ADDED, "album": album(letter, tracks={"items": items, "total": 3})}

    answers = [answer("me/albums", {"items": [edition("C", "abc"), edition("D", "def")]})]
    transform_object(opened.lake, put(opened.lake, answers))
    rows = opened.ask("SELECT album_id, count(*) FROM tracks GROUP BY album_id ORDER BY album_id NULLS LAST")
    assert rows == [(spotify_id("C"), 3), (spotify_id("D"), 3), (None, 3)]
    assert opened.ask("SELECT count(*) FROM rejected_rows") == [(0,)]
    assert opened.ask("SELECT count(*) FROM track_artists") == [(9,)]


@pytest.mark.parametrize("album_last", [False, True])
def test_an_albums_list_never_says_otherwise_than_the_track_itself(opened: Opened, album_last: bool) -> None:
    """In development mode ``linked_from`` is hidden: two albums list one id."""
    for part, letter in enumerate("CD", 1):
        listed = answer(f"albums/{spotify_id(letter)}/tracks", {"items": [short("n")]}, second=60 * album_last + part)
        transform_object(opened.lake, put(opened.lake, [listed], part=part))
    assert ask_tracks(opened)["n"][0] == "D"  # as long as nothing better is known, what was said last
    whole = answer("tracks", {"tracks": [track("n", album=album("B"))]}, second=30)
    transform_object(opened.lake, put(opened.lake, [whole], part=3))
    assert ask_tracks(opened)["n"][0] == "B"
    assert opened.ask("SELECT count(*) FROM rejected_rows") == [(0,)]


def test_one_id_on_two_albums_of_one_answer_is_no_contradiction(opened: Opened) -> None:
    saved = [{"added_at": ADDED, "album": album(x, tracks={"items": [short("n")], "total": 1})} for x in "CD"]
    transform_object(opened.lake, put(opened.lake, [answer("me/albums", {"items": saved})]))
    assert opened.ask("SELECT count(*) FROM rejected_rows") == [(0,)]
    assert ask_tracks(opened)["n"][0] in ("C", "D")


# --- clocks -------------------------------------------------------------------------------------------------------


def test_what_was_observed_in_the_future_does_not_win(opened: Opened) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=365) - START) // timedelta(seconds=1)

    def look(name: str, saved: str, second: int, part: int) -> None:
        started = (START + timedelta(seconds=second - 1)).isoformat()
        listing = {"complete": True, "started_at": started, "items": len(saved)}
        items = [{"added_at": ADDED, "track": track(x, name=name, artists=name[:1])} for x in saved]
        page = answer("me/tracks", {"items": items}, second=second, context={"listing": listing})
        transform_object(opened.lake, put(opened.lake, [page], part=part))

    look("future", "tu", ahead, 1)
    assert opened.ask("SELECT DISTINCT name FROM tracks") == [("future",)]  # until something better is known
    look("now", "t", 0, 2)
    assert opened.ask("SELECT item_id FROM saved_items") == [(spotify_id("t"),)]
    assert opened.ask("SELECT name FROM tracks WHERE track_id = ?", spotify_id("t")) == [("now",)]
    rows = opened.ask("SELECT artist_id FROM track_artists WHERE track_id = ?", spotify_id("t"))
    assert rows == [(spotify_id("n"),)]


# --- one reader ---------------------------------------------------------------------------------------------------

NEARLY = [
    '{"items": [{"added_at": "%s", "track": {"id": "%s", "uri": "spotify:track:%s", "name": "a\\ud83d b"}}]}',
    '{"items": [{"added_at": "%s", "track": {"id": "%s", "uri": "spotify:track:%s", "popularity": NaN, "x": 1e999}}]}',
    '{"items": 5, "items": [{"added_at": "%s", "track": {"id": "%s", "uri": "spotify:track:%s"}}]}',
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("text", NEARLY, ids=["half a pair", "NaN", "twice"])
def test_what_extraction_reads_becomes_rows(lake: Lake, text: str, encoding: str) -> None:
    body = (text % (ADDED, spotify_id("t"), spotify_id("t"))).encode(encoding)
    assert len(client.read_json(body)["items"]) == 1  # type: ignore[index]
    transform_object(lake, put(lake, [answer("me/tracks", body)]))
    assert [row["item_id"] for row in stored(lake, "saved_items")] == [spotify_id("t")]


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode) | st.text('{}[]":,\\udnNa1 ').map(str.encode))
def test_both_read_a_text_or_neither_does(body: bytes) -> None:
    try:
        value = read_json(body)
    except ValueError:
        with pytest.raises(ValueError):
            client.read_json(body)
        with pytest.raises(ValueError):
            repaired(body)
        return
    assert client.read_json(body) == value
    assert read_json(repaired(body)) == value
    json.loads(repaired(body).decode("utf-8", "surrogatepass"))


ENDPOINTS = {
    "me/player/recently-played": {"items": [play(full_track("t"), PLAYED), play(full_track("u"), PLAYED)]},
    "me/tracks": {"items": [{"added_at": ADDED, "track": full_track("t")}]},
    "me/albums": {"items": [{"added_at": ADDED, "album": album("C", tracks={"items": [short("n")]})}]},
    "me/top/artists": {"items": [artist("a", genres=["x"])]},
    "me/playlists": {"items": [{"id": spotify_id("P"), "name": "P", "items": {"total": 1}, "owner": {"id": "u"}}]},
    f"playlists/{spotify_id('P')}": {"id": spotify_id("P"), "name": "P", "items": {"items": [entry(track("t"))]}},
    f"albums/{spotify_id('C')}": album("C", tracks={"items": [short("n"), short("m")]}),
    f"shows/{spotify_id('S')}": {"id": spotify_id("S"), "name": "S", "episodes": {"items": [episode("e")]}},
    "search": {"tracks": {"items": [track("t")]}, "artists": {"items": [artist("a")]}},
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=6,
)


@pytest.mark.thorough
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_stands_anywhere_in_an_answer_the_rest_of_it_is_read(data: st.DataObject) -> None:
    endpoint = data.draw(st.sampled_from(sorted(ENDPOINTS)))
    whole = ENDPOINTS[endpoint]
    path = data.draw(st.sampled_from(list(paths(whole))))
    body = json.dumps(changed(whole, path, data.draw(json_values))).encode()
    known = find_endpoint(endpoint)
    assert known is not None
    decoded = decode(known[0], body)
    if len(path) > 3:  # below an item's own member: the item stands
        assert decoded.faults == [] or path[-1] in ("track", "item")
    with TableFiles("g1", "x") as files:
        build_answers("raw/spotify/x", [answer(endpoint, body, params={"time_range": "long_term"})], files)
