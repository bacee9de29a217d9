"""The gate's decisions, one answer at a time, with a Spotify that says what the test wants."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.errors import (
    AuthorizationEnded,
    EndpointRemoved,
    QuotaExceeded,
    RateLimited,
    SpotifyRefused,
    SpotifyUnavailable,
    WaitUntil,
)
from chalicelib.spotify.client import Reply
from chalicelib.spotify.guard import MOST_ATTEMPTS, Call, Guard, Refused, Stopped, Tally, group_of

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALBUM = Call("album", {"album_id": "a"}, "albums/{id}", "id")
BATCH = Call("albums", {"albums": ["a"]}, "albums", "albums")
PLAYLIST = Call("playlist_items", {"playlist_id": "p"}, "playlists/{id}/items", "items")
GOOD = (200, {"id": "a"})


class Time:
    """A clock that only sleep moves."""

    def __init__(self) -> None:
        self.now = START
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


class Spotify:
    """Answers what it is given, in order."""

    def __init__(self, answers: Iterable[Any]) -> None:
        self._answers = iter(answers)
        self.calls = 0
        self.rejected: list[str] = []

    def call(self, method: str, arguments: dict[str, Any], *, seconds: float) -> Reply:
        assert seconds > 0
        self.calls += 1
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        status, document, *headers = answer
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        known = document if isinstance(document, dict) else None
        return Reply(method, {}, status, dict(*headers), body, known, f"token-{self.calls}", START, START)

    def reject(self, token: str) -> None:
        self.rejected.append(token)


def gate(time: Time, **given: Any) -> Guard:
    options: dict[str, Any] = {
        "budget": 100,
        "longest_wait": 5.0,
        "call_timeout": 15.0,
        "remaining": lambda: 600.0,
        "clock": time,
        "sleep": time.sleep,
        "rng": lambda: 0.5,
    }
    return Guard(**{**options, **given})


def error(status: int, message: str, **more: str) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"status": status, "message": message, **more}}


def waits(seconds: object, **more: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    return (*error(429, "API rate limit exceeded", **more), {"retry-after": str(seconds)})


@pytest.mark.parametrize(
    "fault",
    [
        error(500, "Server error"),
        (502, b"<html>Bad gateway</html>"),
        (503, b""),
        (200, b"<!doctype html>"),
        (200, b'{"id": "a'),
        (200, {"unexpected": True}),
        (200, {"id": None}),
        SpotifyUnavailable("reset"),
        error(401, "Access token missing"),
        error(401, "The access token expired"),
        error(403, "Premium required"),
        (408, b""),
    ],
)
def test_a_passing_fault_is_asked_again_after_a_jittered_pause(fault: Any) -> None:
    time, spotify, tally = Time(), Spotify([fault, GOOD]), Tally()
    assert gate(time).ask(spotify, ALBUM, tally).status == 200
    assert (tally.calls, tally.retries) == (2, 1)
    assert 0 < sum(time.slept) < 1


def test_pauses_grow_and_a_call_that_stays_unanswered_closes_its_group_for_the_run() -> None:
    time, spotify = Time(), Spotify([error(500, "Server error")] * 20)
    guard = gate(time)
    with pytest.raises(SpotifyUnavailable, match="albums"):
        guard.ask(spotify, ALBUM, Tally())
    assert spotify.calls == MOST_ATTEMPTS
    assert time.slept[0] < time.slept[1] < time.slept[2]
    with pytest.raises(SpotifyUnavailable):
        guard.ask(spotify, ALBUM, Tally())
    assert spotify.calls == MOST_ATTEMPTS
    assert guard.closed("artists") is None


def test_an_expired_token_is_rejected_and_one_that_is_only_missed_is_not() -> None:
    spotify = Spotify([error(401, "The access token expired"), GOOD])
    gate(Time()).ask(spotify, ALBUM, Tally())
    assert spotify.rejected == ["token-1"]
    spotify = Spotify([error(401, "Access token missing"), GOOD])
    gate(Time()).ask(spotify, ALBUM, Tally())
    assert spotify.rejected == []
    spotify = Spotify([error(401, "Access token missing"), error(401, "Access token missing"), GOOD])
    gate(Time()).ask(spotify, ALBUM, Tally())
    assert spotify.rejected == ["token-2"]


@pytest.mark.parametrize(
    ("refusal", "attempts"),
    [
        (error(400, "Invalid limit"), 1),
        (error(404, "Resource not found"), 1),
        ((404, {"error": "a text"}), 1),
        (error(401, "Valid user authentication required"), 3),
        (error(403, "Insufficient client scope"), 3),
    ],
)
def test_a_lasting_no_is_believed(refusal: Any, attempts: int) -> None:
    spotify = Spotify([refusal] * 10)
    with pytest.raises(Refused) as refused:
        gate(Time()).ask(spotify, ALBUM, Tally())
    assert isinstance(refused.value.error, SpotifyRefused)
    assert refused.value.reply.status == refusal[0]
    assert spotify.calls == attempts


def test_a_listener_whom_the_app_does_not_have_is_told_from_a_refused_thing() -> None:
    said = "Check settings on developer.spotify.com/dashboard, the user may not be registered."
    with pytest.raises(Refused) as refused:
        gate(Time()).ask(Spotify([error(403, said)] * 10), ALBUM, Tally())
    assert isinstance(refused.value.error, AuthorizationEnded)


def test_an_endpoint_that_development_mode_lacks_is_believed_at_once() -> None:
    spotify = Spotify([error(403, "Forbidden")] * 2)
    with pytest.raises(Refused) as refused:
        gate(Time()).ask(spotify, BATCH, Tally())
    assert isinstance(refused.value.error, EndpointRemoved)
    assert spotify.calls == 1


def test_another_endpoint_is_asked_twice_and_a_playlist_is_only_refused() -> None:
    spotify = Spotify([error(403, "Forbidden")] * 4)
    with pytest.raises(Refused) as refused:
        gate(Time()).ask(spotify, ALBUM, Tally())
    assert isinstance(refused.value.error, EndpointRemoved)
    assert spotify.calls == 2
    with pytest.raises(Refused) as refused:
        gate(Time()).ask(spotify, PLAYLIST, Tally())
    assert isinstance(refused.value.error, SpotifyRefused)


def test_a_short_wait_is_taken_in_place() -> None:
    time, tally = Time(), Tally()
    gate(time).ask(Spotify([waits(3), GOOD]), ALBUM, tally)
    assert 3.0 <= sum(time.slept) < 4
    assert tally.waited_seconds == pytest.approx(sum(time.slept))


@pytest.mark.parametrize("seconds", [6, 7_293, 30_000, 86_400])
def test_a_long_wait_closes_the_group_at_once_and_no_other(seconds: int) -> None:
    time = Time()
    guard = gate(time)
    with pytest.raises(RateLimited) as waited:
        guard.ask(Spotify([waits(seconds)]), ALBUM, Tally())
    assert waited.value.not_before == START + timedelta(seconds=seconds)
    assert time.slept == []
    with pytest.raises(WaitUntil):
        guard.ask(Spotify([]), ALBUM, Tally())
    artist = Call("artist", {}, "artists/{id}", "id")
    assert guard.ask(Spotify([GOOD]), artist, Tally()).status == 200
    time.now += timedelta(seconds=seconds + 1)
    assert guard.ask(Spotify([GOOD]), ALBUM, Tally()).status == 200


def test_a_quota_is_told_from_a_rate() -> None:
    with pytest.raises(QuotaExceeded, match="quota"):
        gate(Time()).ask(Spotify([waits(61_389, reason="QUOTA_EXCEEDED")]), ALBUM, Tally())


@pytest.mark.parametrize("header", ["", "soon", "-5", "1e9", "nan"])
def test_a_wait_without_a_usable_time_is_a_short_one(header: str) -> None:
    time = Time()
    gate(time).ask(Spotify([waits(header), GOOD]), ALBUM, Tally())
    assert 1 < sum(time.slept) < 5


def test_short_waits_without_end_close_the_group() -> None:
    time, spotify = Time(), Spotify([waits(1)] * 50)
    with pytest.raises(SpotifyUnavailable):
        gate(time).ask(spotify, ALBUM, Tally())
    assert spotify.calls == MOST_ATTEMPTS


def test_a_wait_past_the_time_left_is_not_taken() -> None:
    time = Time()
    guard = gate(time, remaining=lambda: 10.0)
    with pytest.raises(WaitUntil):
        guard.ask(Spotify([waits(4)]), ALBUM, Tally())
    assert time.slept == []


def test_waits_of_earlier_runs_are_kept_to() -> None:
    guard = gate(Time(), not_before={"albums": START + timedelta(hours=2)})
    with pytest.raises(WaitUntil):
        guard.ask(Spotify([]), ALBUM, Tally())


def test_no_request_leaves_beyond_the_budget_retries_included() -> None:
    guard, spotify = gate(Time(), budget=3), Spotify([error(500, "")] * 9)
    with pytest.raises(Stopped, match="budget"):
        guard.ask(spotify, ALBUM, Tally())
    assert spotify.calls == guard.spent == 3


def test_no_request_leaves_when_the_time_is_up() -> None:
    guard = gate(Time(), remaining=lambda: 8.5)
    with pytest.raises(Stopped, match="time"):
        guard.ask(Spotify([]), ALBUM, Tally())


@pytest.mark.parametrize(
    ("endpoint", "group"),
    [
        ("me/player/recently-played", "player"),
        ("me/top/artists", "top"),
        ("me/tracks", "library"),
        ("me/albums", "library"),
        ("me/following", "following"),
        ("me/playlists", "playlists"),
        ("playlists/{id}/items", "playlists"),
        ("artists/{id}/albums", "artists"),
        ("albums", "albums"),
        ("tracks/{id}", "tracks"),
        ("search", "search"),
        ("browse/new-releases", "browse"),
    ],
)
def test_endpoints_share_waits_by_group(endpoint: str, group: str) -> None:
    assert group_of(endpoint) == group
