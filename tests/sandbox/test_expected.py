"""What the sandbox says a complete extraction gives, against what its API gives to a plain crawler."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from sandbox.caller import Caller
from sandbox.expected import KEYS, SOURCES, digest
from sandbox.server import Sandbox

NOW = "2026-11-20T12:00:00"


class Crawl:
    """Reads everything a complete extraction reads, one call at a time, and notes the keys of every row."""

    def __init__(self, sandbox: Sandbox, call: Caller) -> None:
        self.extended = sandbox.service.mode == "extended"
        self.call = call
        self.rows: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
        self.artists: set[str] = set()
        self.albums: set[str] = set()
        me = self.get("me")
        self.user, self.name = me["account_id"], me["id"]
        self.plays_and_charts()
        self.library()
        self.playlists()
        self.discographies_and_searches()
        self.details()

    def get(self, path: str, **query: object) -> Any:
        answer = self.call.get(path, **query)
        assert answer.status == 200, (path, answer.status, answer.body)
        return answer.json

    def pages(self, path: str, inside: str | None = None, limit: int = 50, most: int = 1000, **query: object) -> Any:
        for page in range(most):
            answer = self.get(path, limit=limit, offset=page * limit, **query)
            answer = answer if inside is None else answer[inside]
            yield from answer["items"]
            if answer["next"] is None:
                return

    def track(self, track: dict[str, Any]) -> None:
        if track["id"] is None:
            return
        self.rows["tracks"].add((track["id"],))
        for position, artist in enumerate(track["artists"]):
            self.rows["track_artists"].add((track["id"], position))
            self.artists.add(artist["id"])
        if "album" in track:
            self.album(track["album"])

    def album(self, album: dict[str, Any]) -> None:
        self.albums.add(album["id"])
        self.rows["albums"].add((album["id"],))
        for position, artist in enumerate(album["artists"]):
            self.rows["album_artists"].add((album["id"], position))
            self.artists.add(artist["id"])
        for track in album.get("tracks", {}).get("items", ()):
            self.track(track)

    def plays_and_charts(self) -> None:
        for play in self.get("me/player/recently-played", limit=50)["items"]:
            self.rows["plays"].add((self.user, play["played_at"], play["track"]["id"]))
            self.track(play["track"])
        for time_range in ("short_term", "medium_term", "long_term"):
            for kind in ("artist", "track"):
                items = self.get(f"me/top/{kind}s", time_range=time_range, limit=50)["items"]
                for rank, item in enumerate(items, 1):
                    self.rows["top_items"].add((self.user, kind, time_range, NOW[:10], rank))
                    self.artists.add(item["id"]) if kind == "artist" else self.track(item)

    def library(self) -> None:
        for saved in self.pages("me/tracks"):
            self.rows["saved_items"].add((self.user, "track", saved["track"]["id"]))
            self.track(saved["track"])
        for saved in self.pages("me/albums"):
            self.rows["saved_items"].add((self.user, "album", saved["album"]["id"]))
            self.album(saved["album"])
        after: dict[str, str] = {}
        while True:
            page = self.get("me/following", type="artist", limit=50, **after)["artists"]
            self.rows["followed_artists"].update((self.user, artist["id"]) for artist in page["items"])
            if page["next"] is None:
                break
            after = {"after": page["cursors"]["after"]}
        self.artists.update(artist for _, artist in self.rows["followed_artists"])

    def playlists(self) -> None:
        for playlist in self.pages("me/playlists"):
            self.rows["playlists"].add((playlist["id"],))
            own = playlist["owner"]["id"] == self.name or playlist["collaborative"]
            if not (own or self.extended):
                continue
            for position, entry in enumerate(self.pages(f"playlists/{playlist['id']}/items")):
                if entry is None or entry["item"] is None:
                    continue
                self.rows["playlist_items"].add((playlist["id"], playlist["snapshot_id"], position))
                if entry["item"]["type"] == "episode":
                    self.rows["episodes"].add((entry["item"]["id"],))
                else:
                    self.track(entry["item"])

    def discographies_and_searches(self) -> None:
        for _, artist in sorted(self.rows["followed_artists"]):
            for album in self.pages(f"artists/{artist}/albums", limit=10, include_groups="album,single"):
                self.album(album)
        for album in self.pages("search", inside="albums", limit=10, most=5, q="tag:new", type="album"):
            self.album(album)
        if self.extended:
            for album in self.get("browse/new-releases", limit=50)["albums"]["items"]:
                self.album(album)

    def details(self) -> None:
        for album in sorted(self.albums):
            whole = self.get(f"albums/{album}")
            self.album(whole)
            if whole["tracks"]["next"] is not None:
                for track in self.pages(f"albums/{album}/tracks"):
                    self.track(track)
        for artist in sorted(self.artists):
            self.rows["artists"].add((self.get(f"artists/{artist}")["id"],))


@pytest.mark.parametrize("mode", ["development", "extended"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_plain_crawl_finds_what_is_expected(mode: str, seed: int) -> None:
    with Sandbox(mode=mode, seed=seed, now=NOW, frozen=True) as sandbox, sandbox.caller() as call:
        crawl = Crawl(sandbox, call)
        calls = sandbox.calls.total
        expected = sandbox.expected(keys="true")
        least = sandbox.minimum_calls()["total"]
    assert set(expected) == set(KEYS)
    for table, rows in expected.items():
        assert {tuple(key) for key in rows["keys"]} == crawl.rows[table], table
        assert rows["rows"] == len(crawl.rows[table])
        assert rows["digest"] == digest(crawl.rows[table])
        assert rows["rows"] > 0
    assert least <= calls <= 260


@pytest.mark.thorough
def test_a_medium_world_can_be_read_in_two_and_a_half_thousand_calls() -> None:
    with Sandbox(scale="medium", now=NOW, frozen=True) as sandbox, sandbox.caller() as call:
        crawl = Crawl(sandbox, call)
        assert sandbox.calls.total <= 2_500
        expected = sandbox.expected(keys="true")
    assert {table: len(rows) for table, rows in crawl.rows.items()} == {
        table: rows["rows"] for table, rows in expected.items()
    }


@pytest.mark.thorough
def test_worlds_stay_within_their_budgets_for_years() -> None:
    for scale, budget in (("small", 250), ("medium", 2_500)):
        sandbox = Sandbox(scale=scale, now="2028-06-01", frozen=True)
        assert sandbox.minimum_calls()["total"] <= budget
        sandbox.close()


def test_narrower_sources_give_fewer_rows() -> None:
    sandbox = Sandbox(now=NOW, frozen=True)
    saved = sandbox.expected(sources="saved_tracks")
    followed = sandbox.expected(sources="followed_artists", details="false")
    sandbox.close()
    assert saved["saved_items"]["rows"] > 100
    assert saved["plays"]["rows"] == saved["playlists"]["rows"] == 0
    assert followed["artists"]["rows"] == followed["followed_artists"]["rows"]
    assert followed["tracks"]["rows"] == 0


def test_playlists_asked_for_by_id_count_too() -> None:
    sandbox = Sandbox(scale="medium", now=NOW, frozen=True)
    other = next(
        playlist
        for playlist in sandbox.world.listeners["listener2"].library(sandbox.clock.now_ms()).my_playlists()
        if playlist.public and playlist.length and playlist.owner.id == "listener2"
    )
    tables = sandbox.expected(sources="playlists", playlist_ids=other.id)
    sandbox.close()
    assert tables["playlists"]["rows"] == 1
    assert tables["playlist_items"]["rows"] == 0


def test_edits_show_in_what_is_expected() -> None:
    with Sandbox(now=NOW, frozen=True) as sandbox, Caller(sandbox.url) as call:
        before = call.get("/admin/expected").json["tables"]
        library = sandbox.world.default_listener.library(sandbox.clock.now_ms())
        playlist = library.playlists[2]
        track = sandbox.world.catalogue.track(next(iter(library.tracks))).id
        edits: list[dict[str, object]] = [
            {"op": "unsave_track", "id": track},
            {"op": "playlist_rename", "playlist_id": playlist.id, "name": "New name"},
            {"op": "playlist_add", "playlist_id": playlist.id, "id": f"spotify:track:{track}"},
            {"op": "playlist_remove", "playlist_id": playlist.id, "position": 0},
            {"op": "release_album", "tracks": 60},
            {"op": "unfollow", "id": sandbox.world.catalogue.artist(library.followed()[-1]).id},
        ]
        for edit in edits:
            assert call.send("POST", "/admin/edit", edit).status == 200
        after = call.get("/admin/expected").json["tables"]
        state = call.get("/admin/state").json
    assert state["edits"] == len(edits)
    assert after["saved_items"]["rows"] == before["saved_items"]["rows"] - 1
    assert after["followed_artists"]["rows"] == before["followed_artists"]["rows"] - 1
    assert after["playlist_items"]["digest"] != before["playlist_items"]["digest"]
    assert after["tracks"]["rows"] >= before["tracks"]["rows"] + 50


@pytest.mark.parametrize(
    "edit",
    [
        {},
        {"op": "explode"},
        {"op": "save_track"},
        {"op": "save_track", "id": "0" * 22},
        {"op": "save_track", "id": "x", "user_id": "nobody"},
        {"op": "playlist_rename", "playlist_id": "x", "name": "y"},
        {"op": "release_album", "tracks": 0},
    ],
)
def test_edits_that_cannot_be_made_say_why(edit: dict[str, object]) -> None:
    with Sandbox(now=NOW, frozen=True) as sandbox, Caller(sandbox.url) as call:
        answer = call.send("POST", "/admin/edit", edit)
    assert answer.status == 400
    assert answer.json["error"]


def test_edits_do_not_change_what_was_listened_to() -> None:
    edited, untouched = (Sandbox(now=NOW, frozen=True) for _ in range(2))
    edited.edit("release_album")
    for sandbox in (edited, untouched):
        sandbox.advance(3 * 24 * 3600)
    plays = [one.world.default_listener.recently_played(one.clock.now_ms()) for one in (edited, untouched)]
    edited.close()
    untouched.close()
    assert plays[0] == plays[1]


def test_unknown_sources_and_users_are_refused() -> None:
    with Sandbox(now=NOW) as sandbox, Caller(sandbox.url) as call:
        assert call.get("/admin/expected", sources="gossip").status == 400
        assert call.get("/admin/expected", user_id="nobody").status == 400
        assert call.get("/admin/minimum_calls", sources=",".join(SOURCES)).json["total"] > 10
