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
from chalicelib.spotify.client import SpotifyReply
from chalicelib.spotify.guard import (
    LONGEST_NAMED,
    PATIENCE,
    Call,
    CallRefused,
    Endpoint,
    Guard,
    Stopped,
    Tally,
    Wait,
)

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALBUM = Call("album", {"album_id": "a"}, Endpoint("albums/{id}", "albums", "id"))
BATCH = Call("albums", {"albums": ["a"]}, Endpoint("albums", "albums", "albums"))
ARTIST = Call("artist", {}, Endpoint("artists/{id}", "artists", "id"))
TOP_ARTISTS = Call("current_user_top_artists", {}, Endpoint("me/top/artists", "top", "items"))
TOP_TRACKS = Call("current_user_top_tracks", {}, Endpoint("me/top/tracks", "top", "items"))
GOOD = (200, {"id": "a"})
PAGE: tuple[int, dict[str, Any]] = (200, {"items": []})


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

    def call(self, method: str, arguments: dict[str, Any], *, seconds: float) -> SpotifyReply:
        assert seconds > 0
        self.calls += 1
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        status, document, *headers = answer
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        known = document if isinstance(document, dict) else None
        return SpotifyReply(method, {}, status, dict(*headers), body, known, f"token-{self.calls}", START, START)

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


def test_an_endpoint_that_stays_unanswered_is_left_alone_and_its_group_is_not() -> None:
    time, spotify = Time(), Spotify([error(500, "Server error")] * 20)
    guard = gate(time)
    with pytest.raises(SpotifyUnavailable, match="me/top/artists"):
        guard.ask(spotify, TOP_ARTISTS, Tally())
    assert spotify.calls == PATIENCE
    assert time.slept[0] < time.slept[1]
    with pytest.raises(SpotifyUnavailable):
        guard.ask(spotify, TOP_ARTISTS, Tally())
    assert spotify.calls == PATIENCE
    assert guard.ask(Spotify([PAGE]), TOP_TRACKS, Tally()).status == 200


def test_one_thing_that_stays_unanswered_does_not_keep_the_others_from_being_asked_for() -> None:
    guard, spotify = gate(Time()), Spotify([error(500, "Server error")] * 2 + [GOOD] * 3)
    with pytest.raises(SpotifyUnavailable):
        guard.ask(spotify, ALBUM, Tally())
    for _ in range(3):
        assert guard.ask(spotify, ALBUM, Tally()).status == 200
        guard.served(ALBUM.endpoint)


def test_where_faults_pass_there_is_more_patience() -> None:
    guard = gate(Time())
    guard.ask(Spotify([error(500, "Server error"), GOOD]), ALBUM, Tally())
    guard.served(ALBUM.endpoint)
    answers = [error(500, "Server error")] * 7
    assert guard.ask(Spotify([*answers, PAGE]), TOP_ARTISTS, Tally()).status == 200


def test_an_answer_of_which_nothing_can_be_used_counts_as_a_call_in_vain() -> None:
    guard = gate(Time())
    for _ in range(PATIENCE):
        guard.ask(Spotify([PAGE]), TOP_ARTISTS, Tally())
        guard.disappointed(TOP_ARTISTS.endpoint, "it is odd")
    with pytest.raises(SpotifyUnavailable, match="it is odd"):
        guard.ask(Spotify([]), TOP_ARTISTS, Tally())


def test_the_first_call_to_a_group_goes_alone_and_more_follow_as_it_answers() -> None:
    guard = gate(Time(), most_at_once=3)
    assert guard.at_once(TOP_ARTISTS.endpoint) == 1
    guard.served(TOP_ARTISTS.endpoint)
    assert guard.at_once(TOP_ARTISTS.endpoint) == 2
    assert guard.at_once(TOP_TRACKS.endpoint) == 1
    for _ in range(5):
        guard.served(TOP_ARTISTS.endpoint)
    assert guard.at_once(TOP_ARTISTS.endpoint) == 3
    guard.disappointed(TOP_ARTISTS.endpoint, "it is odd")
    assert guard.at_once(TOP_ARTISTS.endpoint) == 2


def test_an_expired_token_is_rejected_and_one_that_is_only_missed_is_not() -> None:
    spotify = Spotify([error(401, "The access token expired"), GOOD])
    gate(Time()).ask(spotify, ALBUM, Tally())
    assert spotify.rejected == ["token-1"]
    spotify = Spotify([error(401, "Access token missing"), GOOD])
    gate(Time()).ask(spotify, ALBUM, Tally())
    assert spotify.rejected == []
    spotify = Spotify([error(401, "Access token missing"), error(401, "Access token missing"), PAGE])
    gate(Time()).ask(spotify, TOP_ARTISTS, Tally())
    assert spotify.rejected == ["token-2"]


@pytest.mark.parametrize(
    ("refusal", "attempts"),
    [
        (error(400, "Invalid limit"), 1),
        (error(404, "Resource not found"), 1),
        ((404, {"error": "a text"}), 1),
        (error(401, "Valid user authentication required"), 3),
        (error(403, "Insufficient client scope"), 3),
        (error(403, "Forbidden"), 2),
    ],
)
def test_a_no_is_believed_for_this_call(refusal: Any, attempts: int) -> None:
    spotify = Spotify([refusal] * 10)
    with pytest.raises(CallRefused) as refused:
        gate(Time()).ask(spotify, TOP_ARTISTS, Tally())
    assert isinstance(refused.value.error, SpotifyRefused)
    assert refused.value.reply.status == refusal[0]
    assert spotify.calls == attempts


@pytest.mark.parametrize(
    "said",
    [
        "Check settings on developer.spotify.com/dashboard, the user may not be registered.",
        "User not registered in the Developer Dashboard",
    ],
)
def test_a_listener_whom_the_app_does_not_have_is_told_from_a_refused_thing(said: str) -> None:
    with pytest.raises(CallRefused) as refused:
        gate(Time()).ask(Spotify([error(403, said)] * 10), ALBUM, Tally())
    assert isinstance(refused.value.error, AuthorizationEnded)


def test_an_endpoint_that_development_mode_lacks_is_believed_at_once() -> None:
    spotify = Spotify([error(403, "Forbidden")] * 2)
    with pytest.raises(CallRefused) as refused:
        gate(Time()).ask(spotify, BATCH, Tally())
    assert isinstance(refused.value.error, EndpointRemoved)
    assert spotify.calls == 1


def test_one_forbidden_thing_is_asked_for_once_and_says_nothing_of_the_others() -> None:
    guard = gate(Time())
    spotify = Spotify([GOOD, error(403, "Forbidden"), GOOD, error(403, "Forbidden"), GOOD])
    guard.ask(spotify, ALBUM, Tally())
    guard.served(ALBUM.endpoint)
    for _ in range(2):
        with pytest.raises(CallRefused) as refused:
            guard.ask(spotify, ALBUM, Tally())
        assert isinstance(refused.value.error, SpotifyRefused)
        guard.ask(spotify, ALBUM, Tally())
        guard.served(ALBUM.endpoint)


def test_an_endpoint_that_forbids_everything_is_asked_no_more_than_there_is_patience() -> None:
    guard, spotify = gate(Time()), Spotify([error(403, "Forbidden")] * 9)
    for _ in range(PATIENCE):
        with pytest.raises(CallRefused):
            guard.ask(spotify, ALBUM, Tally())
    with pytest.raises(SpotifyUnavailable):
        guard.ask(spotify, ALBUM, Tally())
    assert spotify.calls == PATIENCE


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
    assert guard.ask(Spotify([GOOD]), ARTIST, Tally()).status == 200
    time.now += timedelta(seconds=seconds + 1)
    assert guard.ask(Spotify([GOOD]), ALBUM, Tally()).status == 200


def test_a_quota_is_told_from_a_rate() -> None:
    with pytest.raises(QuotaExceeded, match="quota"):
        gate(Time()).ask(Spotify([waits(61_389, reason="QUOTA_EXCEEDED")]), ALBUM, Tally())


UNREADABLE = ["", "soon", "-5", "0", "1e9", "nan", "99999999999999", "Fri, 20 Nov 2026 11:00:00 GMT"]


@pytest.mark.parametrize("header", UNREADABLE)
@pytest.mark.parametrize(("reason", "first"), [("QUOTA_EXCEEDED", timedelta(hours=1)), ("", timedelta(minutes=1))])
def test_a_wait_that_names_no_time_closes_its_group_after_one_call_for_longer_each_time(
    header: str, reason: str, first: timedelta
) -> None:
    time, waits_kept = Time(), dict[str, Wait]()
    for closures in range(20):
        guard = gate(time, waits=waits_kept)  # a run each time
        spotify = Spotify([waits(header, reason=reason)] * 3)
        with pytest.raises(WaitUntil) as waited:
            guard.ask(spotify, ALBUM, Tally())
        assert spotify.calls == 1
        assert waited.value.not_before - time.now == min(first * 2**closures, timedelta(days=1))
        assert guard.waits["albums"].in_force(time.now)
        waits_kept = guard.waits
        time.now = waited.value.not_before + timedelta(seconds=1)
    assert guard.ask(Spotify([GOOD]), ALBUM, Tally()).status == 200
    guard.served(ALBUM.endpoint)
    assert guard.waits == {}


def test_a_wait_until_an_http_date_is_read() -> None:
    time = Time()
    with pytest.raises(WaitUntil) as waited:
        gate(time).ask(Spotify([waits("Fri, 20 Nov 2026 13:30:00 GMT")]), ALBUM, Tally())
    assert waited.value.not_before - START == timedelta(minutes=90)


def test_a_wait_beyond_belief_is_bounded() -> None:
    guard = gate(Time())
    with pytest.raises(WaitUntil) as waited:
        guard.ask(Spotify([waits(999_999_999)]), ALBUM, Tally())
    assert waited.value.not_before - START == LONGEST_NAMED


def test_short_waits_without_end_close_the_group() -> None:
    time, spotify = Time(), Spotify([waits(1)] * 50)
    with pytest.raises(WaitUntil):
        gate(time).ask(spotify, ALBUM, Tally())
    assert spotify.calls == PATIENCE


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (timedelta(days=365), timedelta(days=365, hours=1)),  # noted by a clock that was a year ahead
        (timedelta(hours=9), timedelta(hours=10)),
        (timedelta(0), timedelta(days=365)),
        (timedelta(hours=-2), timedelta(hours=-1)),
    ],
)
def test_a_wait_that_has_passed_or_was_noted_by_a_wrong_clock_does_not_hold(since: timedelta, until: timedelta) -> None:
    wait = Wait((START + until).isoformat(), (START + since).isoformat())
    assert not wait.in_force(START)
    assert gate(Time(), waits={"albums": wait}).ask(Spotify([GOOD]), ALBUM, Tally()).status == 200


def test_a_wait_past_the_time_left_is_not_taken() -> None:
    time = Time()
    guard = gate(time, remaining=lambda: 10.0)
    with pytest.raises(WaitUntil):
        guard.ask(Spotify([waits(4)]), ALBUM, Tally())
    assert time.slept == []


def test_waits_of_earlier_runs_are_kept_to() -> None:
    wait = Wait((START + timedelta(hours=2)).isoformat(), (START - timedelta(hours=1)).isoformat())
    guard = gate(Time(), waits={"albums": wait})
    with pytest.raises(WaitUntil):
        guard.ask(Spotify([]), ALBUM, Tally())


def test_no_request_leaves_beyond_the_budget_retries_included() -> None:
    guard, spotify = gate(Time(), budget=2), Spotify([error(500, "")] * 9)
    with pytest.raises(Stopped, match="budget"):
        guard.ask(spotify, TOP_ARTISTS, Tally())
    assert spotify.calls == guard.spent == 2


def test_no_request_leaves_when_the_time_is_up() -> None:
    guard = gate(Time(), remaining=lambda: 8.5)
    with pytest.raises(Stopped, match="time"):
        guard.ask(Spotify([]), ALBUM, Tally())
