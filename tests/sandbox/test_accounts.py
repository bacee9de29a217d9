"""The sandbox's accounts service: authorisation, tokens, their ends."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from sandbox.caller import Answered, Caller
from sandbox.server import Sandbox

REDIRECT = "http://127.0.0.1:9090/callback"
BASIC = {"Authorization": "Basic " + b64encode(b"sandbox-client:sandbox-secret").decode()}
MONTH = 30 * 24 * 3600


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(now="2026-11-20T12:00:00", frozen=True) as running:
        yield running


@pytest.fixture
def call(sandbox: Sandbox) -> Iterator[Caller]:
    with Caller(sandbox.url) as caller:
        yield caller


def token(call: Caller, headers: dict[str, str] | None = None, **form: str) -> Answered:
    given = {"Content-Type": "application/x-www-form-urlencoded", **(BASIC if headers is None else headers)}
    return call.send("POST", "/api/token", urlencode(form), given)


def authorize(call: Caller, **query: str) -> Answered:
    asked = {"client_id": "sandbox-client", "response_type": "code", "redirect_uri": REDIRECT, **query}
    return call.get("/authorize", **asked)


def log_in(call: Caller, **query: str) -> dict[str, Any]:
    location = authorize(call, **query).headers["location"]
    code = parse_qs(urlsplit(location).query)["code"][0]
    answer = token(call, grant_type="authorization_code", code=code, redirect_uri=REDIRECT)
    assert answer.status == 200
    granted: dict[str, Any] = answer.json
    return granted


def refusal(answer: Answered) -> tuple[int, str]:
    return answer.status, answer.json["error"]


def test_authorize_approves_at_once_and_gives_state_back(call: Caller) -> None:
    answer = authorize(call, state="x y", scope="user-top-read")
    assert answer.status == 302
    location = urlsplit(answer.headers["location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == REDIRECT
    assert parse_qs(location.query)["state"] == ["x y"]


@pytest.mark.parametrize(
    "redirect", ["http://localhost:9090/callback", "http://example.com/callback", "https://localhost/x", "", "nonsense"]
)
def test_insecure_redirects_are_refused(call: Caller, redirect: str) -> None:
    answer = authorize(call, redirect_uri=redirect)
    assert (answer.status, answer.body) == (400, b"INVALID_CLIENT: Insecure redirect URI")


@pytest.mark.parametrize("redirect", ["https://example.com/callback", "http://127.0.0.1:1/x", "http://[::1]:1/x"])
def test_secure_and_loopback_redirects_are_accepted(call: Caller, redirect: str) -> None:
    assert authorize(call, redirect_uri=redirect).status == 302


def test_other_clients_and_users_are_refused(call: Caller) -> None:
    assert authorize(call, client_id="somebody").status == 400
    assert authorize(call, user_id="somebody").status == 400
    assert "error=access_denied" in authorize(call, deny="1").headers["location"]


def test_a_code_is_good_for_tokens_once_and_with_its_redirect(call: Caller, sandbox: Sandbox) -> None:
    location = authorize(call, scope="user-top-read").headers["location"]
    code = parse_qs(urlsplit(location).query)["code"][0]
    other = token(call, grant_type="authorization_code", code=code, redirect_uri=REDIRECT + "x")
    assert refusal(other) == (400, "invalid_grant")
    granted = token(call, grant_type="authorization_code", code=code, redirect_uri=REDIRECT)
    assert granted.json["scope"] == "user-top-read"
    assert granted.json["expires_in"] == 3600
    again = token(call, grant_type="authorization_code", code=code, redirect_uri=REDIRECT)
    assert refusal(again) == (400, "invalid_grant")


def test_codes_expire(call: Caller, sandbox: Sandbox) -> None:
    code = parse_qs(urlsplit(authorize(call).headers["location"]).query)["code"][0]
    sandbox.advance(601)
    answer = token(call, grant_type="authorization_code", code=code, redirect_uri=REDIRECT)
    assert refusal(answer) == (400, "invalid_grant")


def test_clients_without_a_secret_prove_themselves_by_pkce(call: Caller) -> None:
    challenge = urlsafe_b64encode(sha256(b"verifier").digest()).rstrip(b"=").decode()
    location = authorize(call, code_challenge=challenge, code_challenge_method="S256").headers["location"]
    code = parse_qs(urlsplit(location).query)["code"][0]
    form = {"grant_type": "authorization_code", "client_id": "sandbox-client", "code": code, "redirect_uri": REDIRECT}
    assert refusal(token(call, {}, **form, code_verifier="wrong")) == (400, "invalid_grant")
    granted = token(call, {}, **form, code_verifier="verifier").json
    refresh = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}
    assert token(call, {}, **refresh, client_id="sandbox-client").status == 200
    assert refusal(token(call, **refresh)) == (400, "invalid_grant")


@pytest.mark.parametrize("headers", [{"Authorization": "Basic eDp5"}, {"Authorization": "Basic !"}, {}])
def test_wrong_client_credentials_are_refused(call: Caller, headers: dict[str, str]) -> None:
    answer = token(call, headers, grant_type="client_credentials")
    assert refusal(answer) == (400, "invalid_client")


def test_client_credentials_read_the_catalogue_but_no_user(call: Caller, sandbox: Sandbox) -> None:
    call.token = token(call, grant_type="client_credentials").json["access_token"]
    assert call.get(f"artists/{sandbox.world.catalogue.artist(1).id}").status == 200
    answer = call.get("me/tracks")
    assert (answer.status, answer.json["error"]["message"]) == (401, "Valid user authentication required")


def test_unknown_grants_are_refused(call: Caller) -> None:
    assert refusal(token(call, grant_type="password")) == (400, "unsupported_grant_type")


def test_calls_without_a_good_token_are_unauthorized(call: Caller, sandbox: Sandbox) -> None:
    assert call.get("me").status == 401
    call.token = "forged"
    assert call.get("me").json["error"]["message"] == "Invalid access token"


def test_access_tokens_expire_after_an_hour_and_can_be_refreshed(call: Caller, sandbox: Sandbox) -> None:
    granted = log_in(call, scope="user-top-read")
    call.token = granted["access_token"]
    sandbox.advance(3599)
    assert call.get("me").status == 200
    sandbox.advance(1)
    answer = call.get("me")
    assert (answer.status, answer.json["error"]["message"]) == (401, "The access token expired")
    refreshed = token(call, grant_type="refresh_token", refresh_token=granted["refresh_token"]).json
    assert "refresh_token" not in refreshed
    call.token = refreshed["access_token"]
    assert call.get("me").status == 200


def test_scopes_are_needed(call: Caller) -> None:
    call.token = log_in(call, scope="user-library-read")["access_token"]
    assert call.get("me/tracks").status == 200
    answer = call.get("me/player/recently-played")
    assert (answer.status, answer.json["error"]["message"]) == (403, "Insufficient client scope")


def test_refresh_tokens_end_six_months_after_authorisation_however_often_used(call: Caller, sandbox: Sandbox) -> None:
    refresh = log_in(call)["refresh_token"]
    for _ in range(6):
        assert token(call, grant_type="refresh_token", refresh_token=refresh).status == 200
        sandbox.advance(MONTH)
    sandbox.advance(2 * 24 * 3600)
    answer = token(call, grant_type="refresh_token", refresh_token=refresh)
    assert refusal(answer) == (400, "invalid_grant")
    assert answer.json["error_description"] == "Refresh token expired"


def test_rotation_replaces_refresh_tokens_but_not_their_end() -> None:
    with (
        Sandbox(now="2026-11-20T12:00:00", frozen=True, rotate_refresh_tokens=True) as sandbox,
        Caller(sandbox.url) as call,
    ):
        first = log_in(call)["refresh_token"]
        sandbox.advance(5 * MONTH)
        second = token(call, grant_type="refresh_token", refresh_token=first).json["refresh_token"]
        assert second != first
        old = token(call, grant_type="refresh_token", refresh_token=first)
        assert (refusal(old), old.json["error_description"]) == ((400, "invalid_grant"), "Refresh token revoked")
        sandbox.advance(2 * MONTH)
        assert refusal(token(call, grant_type="refresh_token", refresh_token=second)) == (400, "invalid_grant")


def test_revoking_ends_a_users_tokens_until_the_next_login(call: Caller, sandbox: Sandbox) -> None:
    granted = log_in(call)
    assert call.send("POST", "/admin/revoke", {"user_id": "listener1"}).status == 200
    call.token = granted["access_token"]
    assert call.get("me").status == 401
    answer = token(call, grant_type="refresh_token", refresh_token=granted["refresh_token"])
    assert answer.json == {"error": "invalid_grant", "error_description": "Refresh token revoked"}
    call.token = log_in(call)["access_token"]
    assert call.get("me").status == 200


def test_tokens_are_good_at_the_next_sandbox_of_the_same_seed(sandbox: Sandbox) -> None:
    refresh = sandbox.refresh_token()
    with Sandbox(now="2026-11-21T12:00:00", frozen=True) as second, Caller(second.url) as call:
        assert token(call, grant_type="refresh_token", refresh_token=refresh).status == 200
    with Sandbox(seed=2) as other, Caller(other.url) as call:
        assert refusal(token(call, grant_type="refresh_token", refresh_token=refresh)) == (400, "invalid_grant")


def test_the_choice_of_user_is_part_of_the_address() -> None:
    with Sandbox(scale="medium", now="2026-11-20T12:00:00") as sandbox, Caller(sandbox.url) as call:
        call.token = log_in(call, user_id="listener3")["access_token"]
        assert call.get("me").json["id"] == "listener3"
