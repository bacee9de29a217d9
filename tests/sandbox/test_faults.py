"""What the sandbox lets go wrong, and what it records."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator

import pytest

from sandbox.caller import Caller
from sandbox.faults import KINDS
from sandbox.server import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(now="2026-11-20T12:00:00", frozen=True) as running:
        yield running


@pytest.fixture
def call(sandbox: Sandbox) -> Iterator[Caller]:
    with sandbox.caller() as caller:
        yield caller


def test_a_rate_limit_makes_its_group_wait_and_no_other(sandbox: Sandbox, call: Caller) -> None:
    sandbox.faults.add("rate_limit", "library", retry_after=9)
    answer = call.get("me/tracks")
    assert (answer.status, answer.headers["retry-after"]) == (429, "9")
    assert answer.json == {"error": {"status": 429, "message": "API rate limit exceeded"}}
    assert call.get("me/playlists").status == 200
    sandbox.advance(10)
    assert call.get("me/albums").status == 200
    assert not sandbox.calls.violations


def test_calling_on_during_a_wait_lengthens_it_and_is_recorded(sandbox: Sandbox, call: Caller) -> None:
    sandbox.faults.add("quota", "/artists/*", retry_after=7293)
    artist = sandbox.world.catalogue.artist(1).id
    first, second = call.get(f"artists/{artist}"), call.get(f"artists/{artist}/albums")
    assert first.json["error"] == {"status": 429, "message": "Too many requests", "reason": "QUOTA_EXCEEDED"}
    assert int(second.headers["retry-after"]) > int(first.headers["retry-after"]) == 7293
    assert second.json == first.json
    assert [violation.path for violation in sandbox.calls.violations] == [f"/v1/artists/{artist}/albums"]
    sandbox.advance(7293)
    assert call.get(f"artists/{artist}").status == 429


def test_really_waiting_is_enough_even_when_the_clock_is_frozen(sandbox: Sandbox, call: Caller) -> None:
    sandbox.faults.add("rate_limit", "me", retry_after=1)
    assert call.get("me").status == 429
    time.sleep(1.01)
    assert call.get("me").status == 200


def test_the_rate_limiter_lets_so_many_calls_through_in_thirty_seconds() -> None:
    with Sandbox(rate_limit_per_30s=5, frozen=True) as sandbox, sandbox.caller() as call:
        assert [call.get("me").status for _ in range(6)] == [200] * 5 + [429]
        assert call.get("me/tracks").status == 429
        assert len(sandbox.calls.violations) == 1
        sandbox.advance(60)
        assert [call.get("me").status for _ in range(5)] == [200] * 5


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [("unauthorized_once", 401, "Access token missing"), ("forbidden_once", 403, "Premium required")],
)
def test_passing_refusals_spare_the_same_request_when_repeated(
    sandbox: Sandbox, call: Caller, kind: str, status: int, message: str
) -> None:
    sandbox.faults.add(kind, rate=1.0)
    for path in ("me", "me/tracks"):
        answer = call.get(path)
        assert (answer.status, answer.json["error"]["message"]) == (status, message)
        assert call.get(path).status == 200


@pytest.mark.parametrize("status", [500, 502, 503])
def test_server_errors_go_on_until_they_are_cleared(sandbox: Sandbox, call: Caller, status: int) -> None:
    sandbox.faults.add("server_error", "me/*", status=status)
    assert [call.get("me/tracks").status for _ in range(3)] == [status] * 3
    assert call.get("me").status == 200
    sandbox.faults.clear()
    assert call.get("me/tracks").status == 200


def test_broken_answers_say_two_hundred(sandbox: Sandbox, call: Caller) -> None:
    for kind in ("truncated", "html", "not_json"):
        sandbox.faults.add(kind, count=1)
        answer = call.get("me")
        assert answer.status == 200
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer.body)
        assert call.get("me").status == 200


def test_an_answer_can_end_before_its_declared_length(sandbox: Sandbox, call: Caller) -> None:
    sandbox.faults.add("truncated", count=1, declared=True)
    with pytest.raises(http.client.IncompleteRead):
        call.get("me")


def test_connections_can_be_reset(sandbox: Sandbox, call: Caller) -> None:
    sandbox.faults.add("reset", count=1)
    with pytest.raises(ConnectionError):
        call.get("me")
    with sandbox.caller() as other:
        assert other.get("me").status == 200
    assert [entry.status for entry in sandbox.calls.log] == [0, 200]


def test_answers_can_be_slow_or_never_come(sandbox: Sandbox) -> None:
    sandbox.faults.add("slow", count=1, seconds=0.2)
    with sandbox.caller() as call:
        begun = time.perf_counter()
        assert call.get("me").status == 200
        assert time.perf_counter() - begun >= 0.2
    sandbox.faults.add("timeout", count=1, seconds=30)
    with Caller(sandbox.url, sandbox.access_token(), timeout=0.2) as call, pytest.raises(TimeoutError):
        call.get("me")


def test_closing_does_not_wait_for_what_is_slow() -> None:
    sandbox = Sandbox().start()
    sandbox.faults.add("timeout", seconds=3600)
    with Caller(sandbox.url, sandbox.access_token(), timeout=0.1) as call, pytest.raises(TimeoutError):
        call.get("me")
    sandbox.close()


def test_latency_holds_back_every_answer() -> None:
    with Sandbox(latency_ms=60) as sandbox, sandbox.caller() as call:
        begun = time.perf_counter()
        call.get("me")
        assert time.perf_counter() - begun >= 0.06


def test_an_endpoint_can_be_removed(sandbox: Sandbox, call: Caller) -> None:
    sandbox.faults.add("removed", "/me/top/*")
    assert call.get("me/top/tracks").json == {"error": {"status": 403, "message": "Forbidden"}}
    assert call.get("me").status == 200


def test_faults_by_rate_strike_their_share_and_always_the_same_calls() -> None:
    patterns = []
    for _ in range(2):
        with Sandbox(seed=3) as sandbox, sandbox.caller() as call:
            sandbox.faults.add("server_error", rate=0.3)
            patterns.append([call.get("me").status for _ in range(200)])
    assert patterns[0] == patterns[1]
    assert 30 < patterns[0].count(500) < 90


def test_the_accounts_service_fails_only_when_named(sandbox: Sandbox) -> None:
    sandbox.faults.add("server_error", status=503)
    form = "grant_type=client_credentials&client_id=sandbox-client&client_secret=sandbox-secret"
    with Caller(sandbox.url) as call:
        assert call.send("POST", "/api/token", form).status == 200
        sandbox.faults.add("server_error", "/api/token", status=502, count=1)
        assert call.send("POST", "/api/token", form).status == 502


def test_faults_are_given_and_cleared_over_http(sandbox: Sandbox, call: Caller) -> None:
    given = call.send("POST", "/admin/faults", {"kind": "quota", "endpoint": "search"})
    assert (given.status, given.json["retry_after"], given.json["count"]) == (200, 7293, 1)
    assert call.get("search", q="a", type="album").status == 429
    listed = call.get("/admin/faults").json
    assert listed["active"][0]["struck"] == 1
    assert listed["waits"]["search"] == 7293
    assert set(listed["kinds"]) == set(KINDS)
    assert call.send("DELETE", "/admin/faults").status == 200
    assert call.get("search", q="a", type="album").status == 200
    assert call.send("POST", "/admin/faults", {"kind": "flood"}).status == 400
    assert call.send("POST", "/admin/faults", {"kind": "slow", "colour": "red"}).status == 400
    assert call.send("POST", "/admin/faults", "not json").status == 400


def test_calls_are_counted_by_endpoint_and_group_and_forgotten_on_request(sandbox: Sandbox, call: Caller) -> None:
    artist = sandbox.world.catalogue.artist(1).id
    call.get("me")
    call.get(f"artists/{artist}")
    call.get(f"artists/{artist}/albums", limit=99)
    call.get("nonsense")
    seen = call.get("/admin/calls").json
    assert seen["total"] == 4
    assert seen["by_endpoint"]["GET /artists/{id}"] == 1
    assert seen["by_group"] == {"(unknown)": 1, "artists": 2, "me": 1}
    assert seen["by_status"] == {"200": 2, "400": 1, "404": 1}
    assert seen["log"][2][1:] == ["GET", f"/v1/artists/{artist}/albums?limit=99", 400]
    call.send("DELETE", "/admin/calls")
    assert call.get("/admin/calls").json["total"] == 0


def test_other_methods_are_not_allowed(call: Caller) -> None:
    assert call.send("PUT", "/v1/me/tracks").status == 405
    assert call.send("DELETE", "/v1/me").status == 405
    assert call.get("/admin/nonsense").status == 404
