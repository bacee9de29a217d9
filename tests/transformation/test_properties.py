"""Wild answers: whatever arrives, nothing crashes, nothing is lost, and what is published satisfies its checks."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib.errors import CheckFailed, RawObjectInvalid
from chalicelib.lake import Lake
from chalicelib.raw import Answer
from chalicelib.tables import TABLES, Check, Table
from chalicelib.transformation.transform import transform_object
from tests.support.memory import MemoryStore
from tests.support.raw_objects import (
    PLAYLIST_ID,
    album,
    answer,
    artist,
    entry,
    episode,
    files,
    local_track,
    play,
    put,
    read_file,
    spotify_id,
    track,
)

SMALL = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LARGE = settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# --- answers ------------------------------------------------------------------------------------------------------

letters = st.sampled_from("abcdefgh")
numbers = st.one_of(
    st.integers(0, 100),
    st.integers(0, 100).map(float),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
junk = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
artists = st.builds(lambda letter, rank: artist(letter, popularity=rank), letters, st.integers(0, 100))
albums = st.builds(lambda letter, day: album(letter, release_date=day), letters, texts)
tracks = st.builds(lambda letter, by, on: track(letter, artists=by, album=on), letters, st.lists(letters), albums)
items = st.one_of(tracks, st.builds(episode, letters), st.builds(local_track, texts), st.none())
entries = st.one_of(st.none(), st.builds(entry, items))
plays = st.builds(lambda one, minute: play(one, f"2026-11-20T09:{minute:02d}:00.123Z"), tracks, st.integers(0, 59))
saved = st.builds(lambda one: {"added_at": "2026-01-01T00:00:00Z", "track": one}, tracks)

LISTS: dict[str, tuple[st.SearchStrategy[Any], tuple[str, ...]]] = {
    f"playlists/{PLAYLIST_ID}/items": (entries, ("items",)),
    "me/player/recently-played": (plays, ("items",)),
    "me/tracks": (saved, ("items",)),
    "me/following": (artists, ("artists", "items")),
    "me/top/tracks": (tracks, ("items",)),
    "me/top/artists": (artists, ("items",)),
    f"artists/{spotify_id('a')}/albums": (albums, ("items",)),
    "tracks": (st.one_of(st.none(), tracks), ("tracks",)),
}


@st.composite
def mutated(draw: st.DrawFn, whole: Any) -> Any:
    """``whole`` with something in it missing, null, of another type, huge or odd."""
    document = json.loads(json.dumps(whole))
    holders: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            holders.append((node, key))
            collect(node[key])

    collect(document)
    for _ in range(draw(st.integers(0, 2))):
        if holders:
            holder, key = draw(st.sampled_from(holders))
            if isinstance(holder, dict) and key in holder and draw(st.booleans()):
                del holder[key]
            elif not isinstance(holder, dict) or key in holder:
                holder[key] = draw(junk)
    return document


@st.composite
def list_answers(draw: st.DrawFn) -> tuple[Answer, list[Any]]:
    """An answer that is a list, and the items that it holds."""
    endpoint = draw(st.sampled_from(sorted(LISTS)))
    kind, path = LISTS[endpoint]
    held = [draw(mutated(one)) for one in draw(st.lists(kind, max_size=6))]
    body: Any = held
    for name in reversed(path):
        body = {name: body}
    told: dict[str, Any] = {"params": {"time_range": "short_term", "offset": 0}, "context": {"snapshot_id": "S"}}
    return answer(endpoint, body, second=draw(st.integers(0, 3)), **told), held


# --- what must hold -----------------------------------------------------------------------------------------------


def published(lake: Lake, table: Table) -> pa.Table | None:
    parts = [read_file(lake, key) for key in files(lake) if f"/{table.history}/" in key]
    return pa.concat_tables(parts) if parts else None


def assert_checked(lake: Lake) -> None:
    """What is published satisfies every check that rejects."""
    for table in TABLES:
        rows = published(lake, table)
        if rows is None:
            continue
        rows.validate(full=True)
        found = rows.to_pylist()
        for column in table.physical_columns:
            assert column.nullable or all(row[column.name] is not None for row in found), (table.name, column.name)
        for check in table.checks:
            if check.severity == "reject":
                assert all(satisfies(check, row) for row in found), (table.name, check.name)
        identity = [(*(row[name] for name in table.key), row.get("observed_at")) for row in found]
        assert max(Counter(identity).values()) == 1, table.name


def satisfies(check: Check, row: dict[str, Any]) -> bool:
    value = row[check.column]
    if value is None or check.kind == "references":
        return True
    if check.kind == "pattern":
        return re.fullmatch(str(check.pattern).strip("^$"), value) is not None
    if check.kind == "one_of":
        return value in check.values
    if check.kind == "range":
        return (check.low is None or value >= check.low) and (check.high is None or value <= check.high)
    return True


def names_an_item(held: Any) -> bool:
    """Whether an entry of a list is anything but a null."""
    if not isinstance(held, dict):
        return held is not None
    either = [held[name] for name in ("item", "track") if name in held]
    return either == [] or either[0] is not None


def rejected_items(lake: Lake) -> dict[int, set[int]]:
    """By answer: which of its items are among the rejected; -1 stands for all of them."""
    found: dict[int, set[int]] = {}
    for row in rows_of(lake, "rejected_rows"):
        found.setdefault(row["answer"], set()).add(row["item"])
    return found


def rows_of(lake: Lake, name: str) -> list[dict[str, Any]]:
    table = next(table for table in TABLES if table.name == name)
    rows = published(lake, table)
    return [] if rows is None else rows.to_pylist()


def shows(lake: Lake, endpoint: str, held: Any, index: int) -> bool:
    """Whether a table has a row of this item."""
    item = held.get("item", held.get("track", held)) if isinstance(held, dict) else None
    item = item if isinstance(item, dict) else {}
    if endpoint.endswith("/items"):
        return index in {row["position"] for row in rows_of(lake, "playlist_items")}
    if "recently-played" in endpoint:
        return item.get("id") in {row["item_id"] for row in rows_of(lake, "plays")}
    tables = {
        "me/tracks": ("saved_items", "item_id"),
        "me/following": ("followed_artists", "artist_id"),
        "tracks": ("tracks", "track_id"),
    }
    name, column = tables.get(endpoint, ("top_items", "item_id") if "top" in endpoint else ("albums", "album_id"))
    if name == "tracks" and item.get("type") == "episode":
        name, column = "episodes", "episode_id"
    return item.get("id") in {row[column] for row in rows_of(lake, name)} or is_local(item)


def is_local(item: dict[str, Any]) -> bool:
    uri = item.get("uri")
    return item.get("is_local") is True or (isinstance(uri, str) and uri.startswith("spotify:local:"))


def assert_quarantined(lake: Lake, key: str) -> None:
    """The object lies whole in quarantine, and of it nothing is published but what its checks found."""
    assert_checked(lake)
    assert all("/quality_results_history/" in name for name in files(lake))
    assert lake.store.read(f"quarantine/{key.removeprefix('raw/')}") == lake.store.read(key)


def assert_nothing_lost(said: list[tuple[Answer, list[Any]]]) -> None:
    lake = Lake(MemoryStore())
    key = put(lake, [one for one, _ in said])
    try:
        transform_object(lake, key)
    except CheckFailed:
        assert_quarantined(lake, key)
        return
    assert_checked(lake)
    rejected = rejected_items(lake)
    # what is said again word for word is not read again: its rejection stands for both
    words = [held[at] for number, (_, held) in enumerate(said) for at in rejected.get(number, ()) if at >= 0]
    for number, (one, held) in enumerate(said):
        of_this = rejected.get(number, set())
        for index, item in enumerate(held):
            if names_an_item(item) and not {index, -1} & of_this and item not in words:
                assert shows(lake, one.endpoint, item, index), (one.endpoint, item)


@pytest.mark.thorough
@SMALL
@given(st.lists(list_answers(), min_size=1, max_size=3))
def test_every_item_is_in_a_table_or_rejected(said: list[tuple[Answer, list[Any]]]) -> None:
    assert_nothing_lost(said)


@pytest.mark.soak
@pytest.mark.timeout(900)
@LARGE
@given(st.lists(list_answers(), min_size=1, max_size=4))
def test_every_item_is_in_a_table_or_rejected_at_length(said: list[tuple[Answer, list[Any]]]) -> None:
    assert_nothing_lost(said)


# What is said of two artists, answer by answer: a name and a popularity, which is right up to 100. A wrong one is no
# reason to doubt the name: it is left out, and the name counts.
descriptions = st.tuples(st.sampled_from("ab"), st.sampled_from(["Old", "New"]), st.sampled_from([50, 101]))


def assert_the_last_word_counts(said: list[list[tuple[str, str, int]]]) -> None:
    lake = Lake(MemoryStore())
    expected: dict[str, set[str]] = {}
    answers = []
    for second, told in enumerate(said):
        body = {"artists": [artist(letter, name=name, popularity=rank) for letter, name, rank in told]}
        answers.append(answer("artists", body, second=second))
        # where an answer contradicts itself, either counts
        expected |= {spotify_id(letter): {name for same, name, _ in told if same == letter} for letter, _, _ in told}
    transform_object(lake, put(lake, answers))
    rows = sorted(rows_of(lake, "artists"), key=lambda row: row["observed_at"])
    found = {row["artist_id"]: row["name"] for row in rows}
    assert found.keys() == expected.keys()
    assert all(name in expected[key] for key, name in found.items()), (found, expected)
    assert {row["popularity"] for row in rows} <= {None, 50}


@pytest.mark.thorough
@SMALL
@given(st.lists(st.lists(descriptions, max_size=4), min_size=1, max_size=4))
def test_the_last_thing_said_that_is_right_is_what_the_tables_say(said: list[list[tuple[str, str, int]]]) -> None:
    assert_the_last_word_counts(said)


@pytest.mark.soak
@pytest.mark.timeout(900)
@LARGE
@given(st.lists(st.lists(descriptions, max_size=6), min_size=1, max_size=8))
def test_the_last_thing_said_is_what_the_tables_say_at_length(said: list[list[tuple[str, str, int]]]) -> None:
    assert_the_last_word_counts(said)


single = {
    f"albums/{spotify_id('a')}": albums,
    f"tracks/{spotify_id('a')}": tracks,
    f"artists/{spotify_id('a')}": artists,
    f"episodes/{spotify_id('a')}": st.builds(episode, letters),
    f"playlists/{PLAYLIST_ID}": st.builds(
        lambda held: {"id": PLAYLIST_ID, "name": "Mix", "snapshot_id": "S", "items": {"items": held, "total": 3}},
        st.lists(entries, max_size=3),
    ),
    "search": st.builds(
        lambda some, more: {"tracks": {"items": some}, "artists": {"items": more}},
        st.lists(tracks, max_size=3),
        st.lists(artists, max_size=3),
    ),
}


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


bodies = st.sampled_from(sorted(single)).flatmap(
    lambda endpoint: st.tuples(st.just(endpoint), single[endpoint].flatmap(mutated).map(as_json))
)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A body that has been cut, or in which bytes, whole stretches or keys are wrong."""
    endpoint, body = draw(bodies)
    match draw(st.integers(0, 4)):
        case 0:
            body = body[: draw(st.integers(0, len(body)))]
        case 1:
            at = draw(st.integers(0, max(len(body) - 1, 0)))
            body = body[:at] + draw(st.binary(min_size=1, max_size=4)) + body[at + 1 :]
        case 2:
            body = body.replace(b'"name"', b'"id"', 1)  # duplicate keys
        case 3:
            body = body.replace(b"null", b"[" * draw(st.integers(0, 3000)) + b"1", 1)
        case _:
            body = draw(st.binary(max_size=40))
    return endpoint, body


def assert_survives(said: list[tuple[str, bytes]]) -> None:
    lake = Lake(MemoryStore())
    made = [answer(endpoint, body, second=number) for number, (endpoint, body) in enumerate(said)]
    key = put(lake, made)
    try:
        report = transform_object(lake, key)
    except CheckFailed:
        assert_quarantined(lake, key)
        return
    assert report.state == "done"
    assert report.built.answers == len(said)
    assert_checked(lake)


@pytest.mark.thorough
@SMALL
@given(st.lists(st.one_of(bodies, damaged()), min_size=1, max_size=3))
@example([(f"tracks/{spotify_id('a')}", b'{"id":"\xff\xfe"}')])
@example([(f"tracks/{spotify_id('a')}", b'{"id":"\\ud800", "name":"\\udfff\\u0000"}')])
@example([("search", b'{"tracks":{"items":[' + b'{"album":' * 5000)])
@example([("me/tracks", b'{"items":[1e400, -1e400, 123456789012345678901234567890]}')])
def test_damaged_answers_never_crash(said: list[tuple[str, bytes]]) -> None:
    assert_survives(said)


@pytest.mark.soak
@pytest.mark.timeout(900)
@LARGE
@given(st.lists(st.one_of(bodies, damaged()), min_size=1, max_size=4))
def test_damaged_answers_never_crash_at_length(said: list[tuple[str, bytes]]) -> None:
    assert_survives(said)


@SMALL
@given(st.binary(max_size=200), st.integers(0, 2000))
def test_damaged_objects_are_quarantined_or_whole(noise: bytes, at: int) -> None:
    lake = Lake(MemoryStore())
    key = put(lake, [answer("me/tracks", {"items": [{"added_at": "2026-01-01T00:00:00Z", "track": track("t")}]})])
    whole = lake.store.read(key)
    lake.store.write(key, whole[: at % len(whole)] + noise)
    try:
        transform_object(lake, key)
    except RawObjectInvalid:
        assert files(lake) == {}
        assert lake.store.stat(f"quarantine/{key.removeprefix('raw/')}.reason.json")
