"""The sandbox's Web API over HTTP, in both modes."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox.caller import Caller
from sandbox.catalogue import BOX_SET_ARTIST
from sandbox.server import Sandbox

NOW = "2026-11-20T12:00:00"
UNKNOWN = "0" * 22
REMOVED_IN_DEVELOPMENT_MODE = (
    f"tracks?ids={UNKNOWN}",
    f"albums?ids={UNKNOWN}",
    f"artists?ids={UNKNOWN}",
    f"episodes?ids={UNKNOWN}",
    f"shows?ids={UNKNOWN}",
    "audiobooks",
    "chapters",
    f"playlists/{UNKNOWN}/tracks",
    "browse/new-releases",
    "browse/categories",
    f"artists/{UNKNOWN}/top-tracks",
    "users/listener1",
    "users/listener1/playlists",
    "markets",
)


@pytest.fixture(scope="module", params=["development", "extended"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(mode=request.param, now=NOW, frozen=True) as running:
        yield running


@pytest.fixture(scope="module")
def development() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, frozen=True) as running:
        yield running


@pytest.fixture(scope="module")
def extended() -> Iterator[Sandbox]:
    with Sandbox(mode="extended", now=NOW, frozen=True) as running:
        yield running


@pytest.fixture
def call(sandbox: Sandbox) -> Iterator[Caller]:
    with sandbox.caller() as caller:
        yield caller


def all_items(call: Caller, path: str, **query: object) -> list[Any]:
    """Items of all pages, following ``next``."""
    page = call.get(path, **query).json
    items = list(page["items"])
    while page["next"] is not None:
        page = call.get(page["next"]).json
        items += page["items"]
    assert len(items) == page["total"]
    return items


def error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"status": status, "message": message}}


def test_me_has_an_immutable_account_id_and_private_fields_in_extended_mode_only(
    sandbox: Sandbox, call: Caller
) -> None:
    me = call.get("me").json
    assert me["account_id"] == sandbox.world.default_listener.account_id
    private = {"country", "email", "product", "followers"}
    assert private & set(me) == (private if sandbox.service.mode == "extended" else set())


def test_trailing_slashes_are_tolerated(call: Caller) -> None:
    assert call.get("me/").body == call.get("me").body


@pytest.mark.parametrize("path", ["me/tracks", "me/albums", "me/playlists", "me/top/artists", "me/top/tracks"])
def test_pages_follow_each_other_to_the_total(call: Caller, path: str) -> None:
    by_seven, by_fifty = all_items(call, path, limit=7), all_items(call, path, limit=50)
    assert by_seven == by_fifty
    assert len(by_fifty) > 7


def test_saved_tracks_come_newest_first_and_say_track(call: Caller) -> None:
    saved = all_items(call, "me/tracks", limit=50)
    added = [item["added_at"] for item in saved]
    assert added == sorted(added, reverse=True)
    assert all(set(item) == {"added_at", "track"} for item in saved)


def test_saved_albums_bring_the_first_page_of_their_tracks(call: Caller) -> None:
    for item in call.get("me/albums", limit=50).json["items"]:
        album = item["album"]
        assert len(album["tracks"]["items"]) == min(50, album["tracks"]["total"])
        assert album["tracks"]["total"] == album["total_tracks"]


def test_followed_artists_are_paged_by_cursor(sandbox: Sandbox, call: Caller) -> None:
    ids: list[str] = []
    page = call.get("me/following", type="artist", limit=5).json["artists"]
    while True:
        ids += [artist["id"] for artist in page["items"]]
        if page["next"] is None:
            break
        assert page["cursors"]["after"] == ids[-1]
        page = call.get(page["next"]).json["artists"]
    library = sandbox.world.default_listener.library(sandbox.clock.now_ms())
    assert len(ids) == len(set(ids)) == page["total"] == len(library.artists)


def test_recently_played_goes_back_fifty_plays_and_ends_in_null_cursors(call: Caller) -> None:
    page = call.get("me/player/recently-played", limit=20).json
    seen = [item["played_at"] for item in page["items"]]
    while page["next"] is not None:
        page = call.get(page["next"]).json
        seen += [item["played_at"] for item in page["items"]]
    assert len(seen) == len(set(seen)) == 50
    beyond = call.get("me/player/recently-played", before=page["cursors"]["before"]).json
    assert (beyond["items"], beyond["next"], beyond["cursors"]) == ([], None, None)


def test_recently_played_after_a_cursor_is_what_came_since(call: Caller) -> None:
    everything = call.get("me/player/recently-played", limit=50).json
    in_order = sorted(everything["items"], key=lambda item: item["played_at"], reverse=True)
    middle = call.get("me/player/recently-played", limit=10).json["cursors"]["before"]
    since = call.get("me/player/recently-played", limit=50, after=middle).json
    assert {item["played_at"] for item in since["items"]} == {item["played_at"] for item in in_order[:9]}
    newest = call.get("me/player/recently-played", after=everything["cursors"]["after"]).json
    assert (newest["items"], newest["cursors"]) == ([], None)
    assert call.get("me/player/recently-played", after=1, before=2).status == 400


def test_recently_played_says_track_and_where_from(call: Caller) -> None:
    plays = call.get("me/player/recently-played", limit=50).json["items"]
    assert all(set(play) == {"track", "played_at", "context"} for play in plays)
    assert {None if play["context"] is None else play["context"]["type"] for play in plays} & {"album", "playlist"}


@pytest.mark.parametrize("time_range", ["short_term", "medium_term", "long_term"])
def test_charts_answer_for_three_time_ranges(call: Caller, time_range: str) -> None:
    for kind in ("artists", "tracks"):
        page = call.get(f"me/top/{kind}", time_range=time_range, limit=50).json
        assert {item["type"] for item in page["items"]} == {kind[:-1]}
    assert call.get("me/top/artists", time_range="all_time").status == 400


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("me/tracks", {"limit": 51}),
        ("me/tracks", {"limit": 0}),
        ("me/tracks", {"limit": "ten"}),
        ("me/following", {"type": "artist", "limit": 51}),
        ("me/player/recently-played", {"limit": 51}),
        ("search", {"q": "a", "type": "album", "limit": 51}),
    ],
)
def test_limits_beyond_the_documented_ones_are_refused(call: Caller, path: str, query: dict[str, object]) -> None:
    answer = call.get(path, **query)
    assert (answer.status, answer.json) == (400, error(400, "Invalid limit"))


def test_search_and_discographies_have_lower_limits_in_development_mode(sandbox: Sandbox, call: Caller) -> None:
    artist = sandbox.world.catalogue.artist(2).id
    expected = 200 if sandbox.service.mode == "extended" else 400
    assert call.get(f"artists/{artist}/albums", limit=11).status == expected
    assert call.get("search", q="a", type="album", limit=11).status == expected
    assert call.get(f"artists/{artist}/albums", limit=10).status == 200
    default = 20 if sandbox.service.mode == "extended" else 5
    assert call.get("search", q="a", type="album").json["albums"]["limit"] == default


def test_unknown_ids_are_not_found_and_malformed_ones_refused(call: Caller) -> None:
    for kind in ("artists", "albums", "tracks", "episodes", "shows", "playlists"):
        answer = call.get(f"{kind}/{UNKNOWN}")
        assert (answer.status, answer.json) == (404, error(404, "Resource not found"))
        assert call.get(f"{kind}/nonsense").status == 400
    assert call.get("no/such/endpoint").status == 404


def test_what_another_sandbox_released_by_hand_is_not_found() -> None:
    with Sandbox(now=NOW, frozen=True) as other:
        album = other.edit("release_album", tracks=2)["album_id"]
        track = next(other.world.catalogue.tracks(other.world.catalogue.ids.decode("album", album) or 0))
        with other.caller() as caller:
            assert caller.get(f"albums/{album}").status == 200
    with Sandbox(now=NOW, frozen=True) as fresh, fresh.caller() as caller:
        assert caller.get(f"albums/{album}").status == 404
        assert caller.get(f"tracks/{track.id}").status == 404


def test_albums_page_their_tracks_beyond_fifty(sandbox: Sandbox, call: Caller) -> None:
    album = sandbox.world.catalogue.album(BOX_SET_ARTIST << 6)
    answer = call.get(f"albums/{album.id}").json
    assert len(answer["tracks"]["items"]) == 50
    rest = call.get(answer["tracks"]["next"]).json
    assert len(rest["items"]) == album.total_tracks - 50
    assert all_items(call, f"albums/{album.id}/tracks", limit=50) == answer["tracks"]["items"] + rest["items"]


def test_discographies_filter_by_group(sandbox: Sandbox, call: Caller) -> None:
    catalogue = sandbox.world.catalogue
    for number in range(1, 12):
        path = f"artists/{catalogue.artist(number).id}/albums"
        albums = all_items(call, path, include_groups="album,single", limit=10)
        singles = all_items(call, path, include_groups="single", limit=10)
        assert [album for album in albums if album["album_type"] == "single"] == singles
        dates = [catalogue.album(catalogue.ids.decode("album", a["id"]) or 0).released_at for a in albums]
        assert dates == sorted(dates, reverse=True)
    assert call.get(path, include_groups="bootleg").status == 400


def test_tag_new_finds_the_last_two_weeks(sandbox: Sandbox, call: Caller) -> None:
    released = sandbox.edit("release_album", name="Brand New", tracks=3)
    found = call.get("search", q="tag:new", type="album", limit=10).json["albums"]
    assert found["items"][0]["id"] == released["album_id"]
    assert all(item["release_date"] >= "2026-11-06" for item in found["items"])


def test_search_finds_by_words_and_filters(sandbox: Sandbox, call: Caller) -> None:
    catalogue = sandbox.world.catalogue
    artist = catalogue.artist(5)
    track = next(catalogue.tracks(catalogue.scheduled(5, sandbox.clock.now_ms())[0].number))
    kinds = call.get("search", q=artist.name, type="artist,album,track,playlist", limit=10).json
    assert set(kinds) == {"artists", "albums", "tracks", "playlists"}
    assert artist.id in [item["id"] for item in kinds["artists"]["items"]]
    by_isrc = call.get("search", q=f"isrc:{track.isrc}", type="track").json["tracks"]
    assert track.id in [item["id"] for item in by_isrc["items"]]
    by_artist = all_items_of_search(call, f'artist:"{artist.name}"', "track")
    assert all(artist.name in str(item["artists"]) for item in by_artist)
    assert call.get("search", q="x", type="nonsense").status == 400
    assert call.get("search", q="x", type="album", offset=1001).status == 400
    assert call.get("search", type="album").status == 400


def all_items_of_search(call: Caller, q: str, kind: str) -> list[Any]:
    page = call.get("search", q=q, type=kind, limit=10).json[f"{kind}s"]
    items = list(page["items"])
    while page["next"] is not None:
        page = call.get(page["next"]).json[f"{kind}s"]
        items += page["items"]
    assert len(items) == page["total"]
    return items


def test_podcasts_can_be_read(sandbox: Sandbox, call: Caller) -> None:
    show = sandbox.world.catalogue.show(0)
    answer = call.get(f"shows/{show.id}").json
    episodes = all_items(call, f"shows/{show.id}/episodes", limit=50)
    assert answer["total_episodes"] == len(episodes)
    assert call.get(f"episodes/{episodes[0]['id']}").json["show"]["id"] == show.id


@pytest.mark.parametrize("path", REMOVED_IN_DEVELOPMENT_MODE)
def test_what_development_mode_has_lost_is_forbidden(development: Sandbox, path: str) -> None:
    with development.caller() as call:
        answer = call.get(path)
    assert (answer.status, answer.json) == (403, error(403, "Forbidden"))


def test_development_mode_leaves_removed_fields_out(development: Sandbox) -> None:
    with development.caller() as call:
        track = call.get("me/tracks").json["items"][0]["track"]
        album = call.get(f"albums/{track['album']['id']}").json
        artist = call.get(f"artists/{track['artists'][0]['id']}").json
        discography = call.get(f"artists/{artist['id']}/albums").json["items"]
    assert not {"available_markets", "linked_from", "popularity"} & set(track)
    assert not {"available_markets", "album_group", "label", "popularity"} & (set(album) | set(discography[0]))
    assert not {"followers", "popularity"} & set(artist)
    assert "isrc" in track["external_ids"]
    assert "upc" in album["external_ids"]


def test_extended_mode_has_them(extended: Sandbox) -> None:
    with extended.caller() as call:
        track = call.get("me/tracks").json["items"][0]["track"]
        album = call.get(f"albums/{track['album']['id']}").json
        artist = call.get(f"artists/{track['artists'][0]['id']}").json
        discography = call.get(f"artists/{artist['id']}/albums").json["items"]
    assert {"available_markets", "popularity"} <= set(track)
    assert len(track["available_markets"]) > 150
    assert {"available_markets", "label", "popularity"} <= set(album)
    assert {"followers", "popularity"} <= set(artist)
    assert "album_group" in discography[0]


def test_playlist_entries_say_item_and_in_extended_mode_track_too(sandbox: Sandbox, call: Caller) -> None:
    extended = sandbox.service.mode == "extended"
    playlist = sandbox.world.default_listener.library(sandbox.clock.now_ms()).playlists[0]
    for entry in call.get(f"playlists/{playlist.id}/items", limit=50).json["items"]:
        if entry is not None:
            assert ("track" in entry) is extended
            assert not extended or entry["track"] == entry["item"]
    whole = call.get(f"playlists/{playlist.id}").json
    assert ("tracks" in whole) is extended
    assert len(whole["items"]["items"]) == min(100, playlist.length)
    listed = call.get("me/playlists").json["items"]
    assert all(("tracks" in one) is extended and one["items"]["total"] >= 0 for one in listed)


def test_playlists_hold_local_files_null_items_and_null_entries(sandbox: Sandbox, call: Caller) -> None:
    playlist = sandbox.world.default_listener.library(sandbox.clock.now_ms()).playlists[0]
    entries = all_items(call, f"playlists/{playlist.id}/items", limit=50)
    assert None in entries
    rest = [entry for entry in entries if entry is not None]
    assert any(entry["item"] is None for entry in rest)
    local = next(entry["item"] for entry in rest if entry["is_local"])
    assert local["id"] is None
    assert local["uri"].startswith("spotify:local:")
    assert local["album"]["release_date"] is None


def test_others_playlists_keep_their_items_in_development_mode() -> None:
    with Sandbox(scale="medium", now=NOW, frozen=True) as sandbox, sandbox.caller() as call:
        listed = all_items(call, "me/playlists", limit=50)
        foreign = next(
            one for one in listed if one["owner"]["id"] != "listener1" and not one["collaborative"] and one["public"]
        )
        assert "items" not in call.get(f"playlists/{foreign['id']}").json
        answer = call.get(f"playlists/{foreign['id']}/items")
        assert (answer.status, answer.json) == (403, error(403, "Forbidden"))
        shared = next(one for one in listed if one["owner"]["id"] != "listener1" and one["collaborative"])
        assert call.get(f"playlists/{shared['id']}/items").status == 200


def test_batches_keep_their_order_and_put_null_for_what_is_unknown(extended: Sandbox) -> None:
    catalogue = extended.world.catalogue
    with extended.caller() as call:
        for kind, known in (("artists", catalogue.artist(3).id), ("albums", catalogue.album(3 << 6).id)):
            answer = call.get(kind, ids=f"{known},{UNKNOWN},{known}").json[kind]
            assert [one and one["id"] for one in answer] == [known, None, known]
        assert call.get("artists", ids=",".join([UNKNOWN] * 51)).status == 400
        assert call.get("albums", ids=",".join([UNKNOWN] * 21)).status == 400
        assert call.get("tracks", ids="bad").status == 400
        assert call.get("tracks").status == 400


def test_relinked_tracks_name_the_id_they_were_asked_for_by(extended: Sandbox) -> None:
    catalogue = extended.world.catalogue
    number = 3 << 16
    older = catalogue.relinked_id(number)
    with extended.caller() as call:
        alone, batch = call.get(f"tracks/{older}").json, call.get("tracks", ids=older).json["tracks"][0]
    assert alone == batch
    assert alone["linked_from"]["id"] == older
    assert alone["id"] == catalogue.track(number).id


def test_new_releases_come_newest_first(extended: Sandbox) -> None:
    with extended.caller() as call:
        albums = call.get("browse/new-releases", limit=50).json["albums"]["items"]
    dates = [album["release_date"] for album in albums]
    assert len(dates) == 50
    assert dates[:20] == sorted(dates[:20], reverse=True)


def test_some_integers_come_as_floats(sandbox: Sandbox, call: Caller) -> None:
    durations = [item["track"]["duration_ms"] for item in all_items(call, "me/tracks", limit=50)]
    assert {type(duration) for duration in durations} == {int, float}


def test_each_listener_has_a_library_of_their_own() -> None:
    with Sandbox(scale="medium", now=NOW, frozen=True) as sandbox:
        firsts = set()
        for user_id in sandbox.world.listeners:
            with sandbox.caller(user_id) as call:
                assert call.get("me").json["id"] == user_id
                firsts.add(call.get("me/tracks").json["items"][0]["track"]["id"])
        assert len(firsts) == 5


def test_time_passes_between_calls(development: Sandbox) -> None:
    with Sandbox(now=NOW, frozen=True) as sandbox, sandbox.caller() as call:
        before = call.get("me/player/recently-played", limit=50).json["items"]
        answer = call.send("POST", "/admin/advance", {"seconds": 24 * 3600}).json
        assert answer["now"] == "2026-11-21T12:00:00.000Z"
        call.token = sandbox.access_token()
        after = call.get("me/player/recently-played", limit=50).json["items"]
        assert len([play for play in after if play not in before]) >= 5


def test_a_connection_stays_open_from_answer_to_answer(development: Sandbox) -> None:
    connection = HTTPConnection(urlsplit(development.url).netloc, timeout=10)
    ports = set()
    for _ in range(5):
        connection.request("GET", "/v1/me", headers={"Authorization": f"Bearer {development.access_token()}"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:1]) == (200, b"{")
        ports.add(connection.sock.getsockname()[1])
    connection.close()
    assert len(ports) == 1
