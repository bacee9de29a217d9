"""Tokens and logins, against the sandbox's accounts service and replies of our own."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from chalicelib.errors import (
    AuthorizationEnded,
    Conflict,
    InvalidSetting,
    MissingCredentials,
    RateLimited,
    SpotifyRefused,
    SpotifyUnavailable,
)
from chalicelib.secrets import listener_secret
from chalicelib.settings import Settings
from chalicelib.spotify import auth
from chalicelib.spotify.auth import (
    AppTokens,
    Listener,
    ListenerTokens,
    authorizations,
    credentials,
    login,
    months_later,
)
from chalicelib.spotify.tokens import Credentials, TokenReply
from chalicelib.stores.secrets_folder import SecretFolder
from tests.support.extraction import World, get, world
from tests.support.odd_spotify import Oddity, odd_spotify

APP = Credentials("id", "secret")
MOMENT = datetime(2026, 11, 20, 12, tzinfo=UTC)
STORED = Listener("u1", "spotify-u1", "scope", "good-refresh", "2026-06-01T00:00:00.000Z")


@pytest.fixture
def secrets(tmp_path: Path) -> SecretFolder:
    folder = SecretFolder(tmp_path / "secrets")
    folder.write(listener_secret("u1"), json.dumps({name: getattr(STORED, name) for name in STORED.__slots__}))
    return folder


class Service:
    """The token service: answers what it is given and remembers what it was asked."""

    def __init__(self, *replies: Any) -> None:
        self._replies = iter(replies)
        self.forms: list[dict[str, str]] = []

    def __call__(self, url: str, form: Mapping[str, str], basic: tuple[str, str], seconds: float) -> TokenReply:
        self.forms.append(dict(form))
        status, document, *headers = next(self._replies)
        return TokenReply(status, headers[0] if headers else {}, document)


def tokens(secrets: SecretFolder, service: Any, **given: Any) -> ListenerTokens:
    return ListenerTokens(Settings(), APP, secrets, "u1", service, clock=lambda: MOMENT, **given)


def stored(secrets: SecretFolder) -> dict[str, str]:
    text = secrets.read(listener_secret("u1"))
    assert text is not None
    document: dict[str, str] = json.loads(text)
    return document


@pytest.mark.parametrize("reply", [{}, {"refresh_token": None}, {"refresh_token": ""}])
def test_a_reply_without_a_refresh_token_keeps_the_good_one(secrets: SecretFolder, reply: dict[str, Any]) -> None:
    made = tokens(secrets, Service((200, {"access_token": "new", "expires_in": 3600, **reply})))
    assert made.get_access_token() == "new"
    assert stored(secrets)["refresh_token"] == "good-refresh"
    assert stored(secrets)["authorized_at"] == STORED.authorized_at


def test_a_new_refresh_token_replaces_the_old_and_refreshing_does_not_extend_the_authorisation(
    secrets: SecretFolder,
) -> None:
    made = tokens(secrets, Service((200, {"access_token": "new", "expires_in": 3600, "refresh_token": "newer"})))
    made.get_access_token()
    assert stored(secrets)["refresh_token"] == "newer"
    assert stored(secrets)["authorized_at"] == STORED.authorized_at


def test_a_good_token_is_used_until_a_minute_before_it_expires(secrets: SecretFolder) -> None:
    service = Service(
        (200, {"access_token": "a", "expires_in": 3600}), (200, {"access_token": "b", "expires_in": 3600})
    )
    made = tokens(secrets, service)
    moment = [MOMENT]
    made._clock = lambda: moment[0]
    assert made.get_access_token() == made.get_access_token() == "a"
    moment[0] += timedelta(minutes=58, seconds=59)
    assert made.get_access_token() == "a"
    moment[0] += timedelta(seconds=2)
    assert made.get_access_token() == "b"


def test_a_rejected_token_is_replaced_once(secrets: SecretFolder) -> None:
    service = Service((200, {"access_token": "a"}), (200, {"access_token": "b"}))
    made = tokens(secrets, service)
    assert made.get_access_token() == "a"
    made.reject("a")
    made.reject("a")
    assert made.get_access_token() == made.get_access_token() == "b"
    assert len(service.forms) == 2


def test_an_ended_authorisation_is_told_once_to_spotify_and_names_the_remedy(secrets: SecretFolder) -> None:
    service = Service((400, {"error": "invalid_grant", "error_description": "Refresh token expired"}))
    made = tokens(secrets, service)
    for _ in range(3):
        with pytest.raises(AuthorizationEnded, match=r"u1.*\.venv/bin/lake login"):
            made.get_access_token()
    assert stored(secrets)["refresh_token"] == "good-refresh"


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ((500, {}), SpotifyUnavailable),
        ((200, {}), SpotifyUnavailable),
        ((200, {"access_token": None}), SpotifyUnavailable),
        ((429, {}, {"retry-after": "7"}), RateLimited),
        ((400, {"error": "invalid_client"}), MissingCredentials),
        ((400, {"error": {"message": "odd"}}), SpotifyRefused),
    ],
)
def test_the_token_services_faults_are_told_apart(secrets: SecretFolder, reply: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        tokens(secrets, Service(reply)).get_access_token()
    assert stored(secrets)["refresh_token"] == "good-refresh"


@pytest.fixture
def rotating(tmp_path: Path) -> Iterator[World]:
    """A sandbox whose refresh tokens are good for one refresh only."""
    with world(tmp_path, rotate_refresh_tokens=True) as made:
        made.advance(hours=2)
        made.sandbox.calls.clear()
        yield made


def sandbox_tokens(made: World) -> ListenerTokens:
    app = credentials(made.settings, made.secrets)
    (listener,) = auth.listeners(made.secrets)
    return ListenerTokens(made.settings, app, made.secrets, listener.user_id, clock=made.clock)


def test_eight_threads_with_an_expired_token_refresh_it_once(rotating: World) -> None:
    shared = sandbox_tokens(rotating)
    with ThreadPoolExecutor(8) as pool:
        given = set(pool.map(lambda _: shared.get_access_token(), range(8)))
    assert len(given) == 1
    assert rotating.sandbox.calls.by_endpoint["POST /api/token"] == 1


def test_those_that_know_nothing_of_each_other_lose_no_refresh_token(rotating: World) -> None:
    """As several processes would: each its own object, the lock and the secret shared. Each old token is dead."""
    several = [sandbox_tokens(rotating) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        given = set(pool.map(lambda one: one.get_access_token(), several))
    assert len(given) == rotating.sandbox.calls.by_endpoint["POST /api/token"] == 4
    assert sandbox_tokens(rotating).get_access_token()


class Counted(SecretFolder):
    """Counts what is written."""

    writes = 0

    def write(self, name: str, value: str) -> None:
        self.writes += 1
        super().write(name, value)


def test_only_another_refresh_token_is_written_and_no_access_token_ever(tmp_path: Path) -> None:
    folder = Counted(tmp_path / "secrets")
    earlier = {**asdict(STORED), "access_token": "old-access", "expires_at": "2026-11-20T11:00:00.000Z"}
    folder.write(listener_secret("u1"), json.dumps(earlier))  # as an earlier version kept it
    folder.writes = 0
    for refresh, written in ((None, 0), ("good-refresh", 0), ("newer", 1), ("newer", 1)):
        reply = {"access_token": "new-access", "expires_in": 3600, **({"refresh_token": refresh} if refresh else {})}
        assert tokens(folder, Service((200, reply))).get_access_token() == "new-access"
        assert folder.writes == written
    kept = folder.read(listener_secret("u1")) or ""
    assert stored(folder) == {**asdict(STORED), "refresh_token": "newer"} and "access" not in kept


def test_the_apps_own_token_is_asked_for_once() -> None:
    service = Service((200, {"access_token": "a", "expires_in": 3600}))
    made = AppTokens(Settings(), APP, service, clock=lambda: MOMENT)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: made.get_access_token(), range(20))) == {"a"}
    assert service.forms == [{"grant_type": "client_credentials"}]


# Login


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, spotipy_redirect_uri=f"http://127.0.0.1:{free_port()}/callback") as made:
        for name in made.secrets.names():
            made.secrets.delete(name)
        yield made


def test_login_stores_what_spotify_gave_for_the_account(made: World) -> None:
    user = login(made.settings, made.secrets, open_url=get, clock=made.clock)
    listener = made.sandbox.world.default_listener
    assert user == listener.account_id
    (known,) = auth.listeners(made.secrets)
    assert (known.user_id, known.spotify_id) == (listener.account_id, listener.id)
    assert "user-read-recently-played" in known.scope
    (authorization,) = authorizations(made.secrets)
    assert authorization.ends_at == datetime(2027, 5, 20, 12, tzinfo=UTC).replace(
        second=authorization.ends_at.second, microsecond=authorization.ends_at.microsecond
    )


@pytest.mark.parametrize("first", [True, False], ids=["said at first", "said later"])
def test_a_second_login_is_the_same_listener_whether_or_not_spotify_says_the_account_id(
    made: World, first: bool
) -> None:
    silent = Oddity("no account_id", lambda answer: answer.edit(lambda profile: profile.pop("account_id")))
    known = made.sandbox.world.default_listener
    with odd_spotify(made.sandbox.url) as spotify:
        made.settings = replace(made.settings, spotify_api_url=f"{spotify.url}/v1")
        for says in (first, not first, first):
            spotify.be(("me",), None if says else silent)
            made.log_in()
        assert made.listeners == {known.account_id if first else known.id: known.id}
        assert made.run(sources=["recently_played"]).calls == 1


def test_an_account_that_is_logged_in_under_both_its_ids_is_one_listener(made: World) -> None:
    known = made.sandbox.world.default_listener
    made.log_in()
    (newer,) = auth.listeners(made.secrets)
    older = replace(newer, user_id=known.id, authorized_at="2026-06-01T00:00:00.000Z")
    made.secrets.write(listener_secret(older.user_id), json.dumps(asdict(older)))
    assert made.listeners == {known.account_id: known.id}
    assert made.run(sources=["recently_played"]).calls == 1
    made.log_in()
    assert made.listeners == {known.account_id: known.id}
    assert auth.log_out(made.secrets, [known.account_id])
    assert made.listeners == {}


def test_the_stored_tokens_are_the_owners_alone(made: World, tmp_path: Path) -> None:
    login(made.settings, made.secrets, open_url=get, clock=made.clock)
    folder = tmp_path / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_login_asks_for_reading_only(made: World) -> None:
    pages: list[str] = []

    def show(url: str) -> None:
        pages.append(url)
        get(url)

    login(made.settings, made.secrets, open_url=show, clock=made.clock)
    query = parse_qs(urlsplit(pages[0]).query)
    assert all("read" in scope for scope in query["scope"][0].split())
    assert len(query["state"][0]) >= 32


@pytest.mark.parametrize("kind", ["server_error", "reset", "html", "unauthorized_once", "forbidden_once"])
def test_a_passing_fault_does_not_spoil_a_login(made: World, kind: str) -> None:
    made.sandbox.faults.add(kind, endpoint="/me", count=1)
    assert login(made.settings, made.secrets, open_url=get, clock=made.clock)


def test_a_listener_who_declines_changes_nothing(made: World) -> None:
    with pytest.raises(SpotifyRefused, match="access_denied"):
        login(made.settings, made.secrets, open_url=lambda url: get(url + "&deny=1"), clock=made.clock)
    assert made.secrets.names() == []


@pytest.mark.parametrize("state", ["forged", "%C3%A9", "%ED%A0%80", ""])
def test_a_callback_of_somebody_elses_login_is_refused(made: World, state: str) -> None:
    answers: list[int] = []

    def forge(url: str) -> None:
        forged = re.sub(r"state=[^&]+", f"state={state}", url)
        answers.append(requests.get(forged, timeout=10).status_code)

    with pytest.raises(SpotifyRefused, match="nobody came back"):
        login(made.settings, made.secrets, open_url=forge, clock=made.clock, seconds=0.2)
    assert answers == [400]
    assert made.secrets.names() == []


def test_of_two_answers_to_one_login_the_first_counts(made: World) -> None:
    def answer_twice(url: str) -> None:
        get(url)
        state = parse_qs(urlsplit(url).query)["state"][0]
        again = requests.get(f"{made.settings.spotipy_redirect_uri}?state={state}&code=another", timeout=10)
        assert again.status_code == 200

    assert login(made.settings, made.secrets, open_url=answer_twice, clock=made.clock)


def test_a_connection_that_a_browser_opens_ahead_keeps_no_login_waiting(made: World) -> None:
    place = urlsplit(made.settings.spotipy_redirect_uri)

    def show(url: str) -> None:
        with socket.create_connection((place.hostname, place.port)):
            get(url)

    assert login(made.settings, made.secrets, open_url=show, clock=made.clock, seconds=5)


@pytest.mark.parametrize("uri", ["http://localhost:8888/callback", "https://example.org/x", "http://127.0.0.1/x"])
def test_a_redirect_uri_that_cannot_work_is_refused_before_anything_opens(made: World, uri: str) -> None:
    opened: list[str] = []
    settings = replace(made.settings, spotipy_redirect_uri=uri)
    with pytest.raises(InvalidSetting, match=r"127\.0\.0\.1"):
        login(settings, made.secrets, open_url=opened.append)
    assert opened == []


def test_a_port_in_use_is_named(made: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = replace(made.settings, spotipy_redirect_uri=f"http://127.0.0.1:{port}/callback")
        with pytest.raises(InvalidSetting, match=f"port {port}"):
            login(settings, made.secrets, open_url=get)


def test_a_sixth_listener_is_refused_by_name_of_the_five(made: World) -> None:
    for number in range(5):
        name = f"someone-{number}"
        document = {**asdict(STORED), "user_id": name, "spotify_id": name}
        made.secrets.write(listener_secret(name), json.dumps(document))
    with pytest.raises(Conflict, match=r"Name of someone-0, .*log-out NAME"):
        login(made.settings, made.secrets, open_url=get, clock=made.clock, called="Name of {}".format)
    assert auth.log_out(made.secrets, ["someone-0"]) and not auth.log_out(made.secrets, ["someone-0"])
    assert login(made.settings, made.secrets, open_url=get, clock=made.clock)


def test_nothing_is_said_of_a_token_that_is_shown(secrets: SecretFolder) -> None:
    shown = f"{auth.listeners(secrets)} {APP!r} {APP} {auth.FixedToken('hush')!r}"
    assert "good-refresh" not in shown
    assert "secret" not in shown.replace("secrets", "")
    assert "hush" not in shown


@pytest.mark.parametrize(
    ("given", "ends"),
    [
        ("2026-01-15", "2026-07-15"),
        ("2026-08-31", "2027-02-28"),
        ("2027-08-30", "2028-02-29"),
        ("2026-12-01", "2027-06-01"),
    ],
)
def test_six_months_are_calendar_months(given: str, ends: str) -> None:
    moment = datetime.fromisoformat(given).replace(tzinfo=UTC)
    assert months_later(moment, 6) == datetime.fromisoformat(ends).replace(tzinfo=UTC)


# Secrets


def test_a_secret_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = SecretFolder(tmp_path / "secrets")
    values = ["a" * 50_000, "b" * 50_000]
    folder.write("token", values[0])
    seen = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.add(folder.read("token"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for turn in range(100):
        folder.write("token", values[turn % 2])
    done.set()
    watcher.join()
    assert seen <= set(values)
    assert folder.names() == ["token"]
    assert len(os.listdir(tmp_path / "secrets")) == 1


@pytest.mark.parametrize("name", ["../outside", "", ".hidden", "a/b", "a\0b"])
def test_a_name_that_is_no_name_reaches_no_file(tmp_path: Path, name: str) -> None:
    from chalicelib.errors import StorageFailed

    with pytest.raises(StorageFailed, match="not the name of a secret"):
        SecretFolder(tmp_path).write(name, "x")


def test_a_user_id_of_any_shape_has_a_secret_of_its_own() -> None:
    names = [listener_secret(user) for user in ("plain", "with space", "ünïcode", "a/b", "x" * 200)]
    assert len(set(names)) == 5
    assert all(re.fullmatch(r"listener-[A-Za-z0-9._-]{1,64}", name) for name in names)


def test_credentials_come_from_the_environment_or_the_secret_store(tmp_path: Path) -> None:
    folder = SecretFolder(tmp_path / "secrets")
    with pytest.raises(MissingCredentials):
        credentials(Settings(), folder)
    folder.write("spotify-app", json.dumps({"client_id": "a", "client_secret": "b"}))
    assert credentials(Settings(), folder) == Credentials("a", "b")
    named = Settings(spotipy_client_id="c", spotipy_client_secret="d")
    assert credentials(named, folder) == Credentials("c", "d")
