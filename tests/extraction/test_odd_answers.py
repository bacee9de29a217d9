"""Answers of any shape: extraction never breaks, asks for nothing for ever, and goes on afterwards."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chalicelib.extraction.fetching import ODD as ODD_FAULTS
from chalicelib.extraction.journal import JournalEntry
from chalicelib.extraction.keeping import apply
from chalicelib.extraction.lookups import READS
from chalicelib.extraction.readers import reader_of
from chalicelib.extraction.reading import Reader, SpotifyRequest, View
from chalicelib.extraction.shapes import oddity
from chalicelib.extraction.sources import load_sources
from chalicelib.extraction.state import STATE_FILE, State
from chalicelib.raw import Answer
from chalicelib.settings import Settings
from chalicelib.spotify.guard import holds

MOMENT = datetime(2026, 11, 20, 12, tzinfo=UTC)
IDS = st.sampled_from(["A" * 22, "B" * 22, "C" * 22, "not an id"])
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 2**70), st.floats(), st.text(max_size=4), st.just([]), st.just({})
)
MOST_CALLS = 400


ABSENT = object()


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Nine times in ten what it should be, else something odd or nothing."""
    chance = st.sampled_from([True] * 9 + [False])
    return chance.flatmap(lambda good: strategy if good else st.one_of(ODD, st.just(ABSENT)))


def obj(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    drawn = st.fixed_dictionaries({name: maybe(field) for name, field in fields.items()})
    return drawn.map(lambda made: {name: value for name, value in made.items() if value is not ABSENT})


TIMES = st.sampled_from(["2026-11-20T10:00:00Z", "2026-11-19T10:00:00Z", "2026-11-18T10:00:00Z"])
COUNTS = st.integers(0, 120)
ARTIST = obj(type=st.just("artist"), id=IDS, genres=st.just([]), followers=st.just({"total": 1}))
TRACKS = obj(items=st.lists(obj(type=st.just("track"), id=IDS, artists=st.lists(ARTIST, max_size=2))), total=COUNTS)
ALBUM = obj(
    type=st.just("album"), id=IDS, album_type=st.just("album"), artists=st.lists(ARTIST, max_size=2), tracks=TRACKS
)
TRACK = obj(type=st.just("track"), id=IDS, album=ALBUM, artists=st.lists(ARTIST, max_size=2), popularity=COUNTS)
OWNER = obj(id=st.sampled_from(["spotify-u1", "other"]))
PLAYLIST = obj(
    id=IDS,
    snapshot_id=st.sampled_from(["s1", "s2"]),
    owner=OWNER,
    items=obj(total=COUNTS),
    tracks=obj(total=COUNTS),
    collaborative=st.booleans(),
)
ENTRY = obj(added_at=TIMES, played_at=TIMES, track=TRACK, item=TRACK, album=ALBUM)
THING = st.one_of(ENTRY, ARTIST, ALBUM, TRACK, PLAYLIST)
PAGES = obj(
    items=st.lists(THING, max_size=4),
    total=COUNTS,
    next=st.sampled_from([None, None, "more"]),
    offset=COUNTS,
    cursors=obj(after=IDS),
)
WHOLE = {"items": PAGES, "tracks": TRACKS, "type": st.sampled_from(["album", "artist"]), "owner": OWNER}


def documents(request: SpotifyRequest) -> st.SearchStrategy[dict[str, Any]]:
    """Answers that hold what the request expects, and odd things around and in it."""
    *outer, last = request.call.endpoint.expect.split(".")
    if last == "items":
        made = PAGES
    elif last in ("id", "snapshot_id"):
        made = obj(**{last: IDS}, **WHOLE)
    else:
        made = obj(**{last: st.lists(THING, max_size=3)})
    return obj(**{outer[0]: made}) if outer else made


def readers() -> list[Reader]:
    spotifys = (source for source in load_sources(Settings()) if source.reads != READS)  # not MusicBrainz's
    return [reader_of(source, "u1" if source.user else None) for source in spotifys]


def trials(count: int) -> Any:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # shrinking such data takes minutes
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@pytest.mark.thorough
@trials(10)
@given(st.data())
def test_whatever_is_answered_extraction_goes_on_and_comes_to_an_end(data: st.DataObject) -> None:
    answer_and_come_to_an_end(data)


@pytest.mark.soak
@trials(500)
@given(st.data())
def test_it_does_so_at_length(data: st.DataObject) -> None:
    answer_and_come_to_an_end(data)


def answer_and_come_to_an_end(data: st.DataObject) -> None:
    state = State(mode=data.draw(st.sampled_from([None, "development", "extended"])))
    view = View(state, MOMENT, timedelta(days=30), {"u1": "spotify-u1"})
    for _ in range(data.draw(st.integers(1, 25))):
        offered = [request for reader in readers() if (request := reader.next(view)) and view.free(request.listing)]
        if not offered:
            break
        request = data.draw(st.sampled_from(offered))
        settle(view, request, data.draw(documents(request)))
    kept = STATE_FILE.decode("state", STATE_FILE.encode(state))
    assert kept == state
    state = kept
    come_to_an_end(View(state, MOMENT, timedelta(days=30), {"u1": "spotify-u1"}))


def next_request(view: View, asking: list[Reader]) -> SpotifyRequest | None:
    for reader in asking:
        assert reader.calls_left(view) >= 0
        request = reader.next(view)
        if request is not None:
            return request
    return None


def come_to_an_end(view: View) -> None:
    """With empty, good answers from now on nothing is asked for ever."""
    asking = readers()
    for _ in range(MOST_CALLS):
        request = next_request(view, asking)
        if request is None:
            return
        settle(view, request, good(request))
    raise AssertionError(f"still asking after {MOST_CALLS} calls: {request}")


def good(request: SpotifyRequest) -> dict[str, Any]:
    document: dict[str, Any] = {"items": [], "total": 0, "next": None, "id": "A" * 22, "snapshot_id": "s9"}
    for name in ("artists", "albums", "tracks"):
        document[name] = (
            {"items": [], "total": 0, "next": None} if request.call.endpoint.expect.endswith("items") else []
        )
    return document


def settle(view: View, request: SpotifyRequest, document: dict[str, Any]) -> None:
    """As a run does: an answer that lacks what it must hold, or is not understood, ends its listing for the run."""
    if not holds(document, request.call.endpoint.expect):
        view.given_up.add(request.listing)
        return
    params = {name: value for name, value in request.call.arguments.items() if isinstance(value, int)}
    answer = Answer(
        run_id="20261120T120000Z-aaaaaa",
        source=request.source,
        endpoint=request.call.template.replace("{id}", request.listing.partition(":")[2]),
        params={**params, "ids": ",".join(request.ids)},
        user_id=request.user,
        requested_at=MOMENT,
        received_at=MOMENT,
        status=200,
        body=json.dumps(document).encode(),
        context={**request.about, **context_of(request, document)},
    )
    taken = apply(view.state, JournalEntry(answer, {"of": request.listing}), document)
    if taken is None or taken.faults:
        view.given_up.add(request.listing)
    elif request.listing not in view.state.walks:
        view.read.add(request.listing)


def context_of(request: SpotifyRequest, document: dict[str, Any]) -> dict[str, Any]:
    """What the header says of an answer; of one too odd it says nothing."""
    try:
        return request.context(document)
    except ODD_FAULTS:
        return {}


@pytest.mark.parametrize("kind", ["artist", "album", "track", "episode"])
@pytest.mark.parametrize("said", ["another", "", None, 7, ["track"], "user"])
def test_a_thing_whose_type_contradicts_its_uri_is_odd(kind: str, said: object) -> None:
    thing = {"id": "4uLU6hMCjMI75M1A2tKUQC", "name": "n", "uri": f"spotify:{kind}:4uLU6hMCjMI75M1A2tKUQC"}
    for nest in (lambda item: item, lambda item: {"items": [{"track": item}]}, lambda item: {"albums": [item]}):
        assert oddity(nest({**thing, "type": kind})) is None
        assert f"of {kind}s one has the type" in (oddity(nest({**thing, "type": said})) or "")
    assert oddity({**thing, "type": "single", "uri": "spotify:album:4uLU6hMCjMI75M1A2tKUQC"}) is None
