"""Tokens: for the app itself (client credentials) and for each listener who has logged in.

Nothing here but :func:`login` ever starts an interactive login. A refresh happens once however many threads need it.
What is stored is the refresh token alone, and it is stored, before anything is used, only where Spotify gives another
one: a store that keeps every version (Secrets Manager takes 100 a day) would not bear an access token of each listener
an hour.
Spotify ends an authorisation six months after the listener gave it, whatever is refreshed meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets as randomness
import threading
import time
import webbrowser
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from chalicelib.clock import Clock, Sleep, now, parse_rfc3339, rfc3339
from chalicelib.errors import (
    AuthorizationEnded,
    Conflict,
    MissingCredentials,
    RateLimited,
    SpotifyRefused,
    SpotifyUnavailable,
)
from chalicelib.secrets import LISTENER, SecretStore, listener_secret
from chalicelib.settings import COMMAND, Settings
from chalicelib.spotify.callback import CallbackServer
from chalicelib.spotify.clock import SpotifyClock
from chalicelib.spotify.tokens import LOGIN, Credentials, TokenPost, TokenService, lifetime

SCOPES = (
    "playlist-read-collaborative",
    "playlist-read-private",
    "user-follow-read",
    "user-library-read",
    "user-read-recently-played",
    "user-top-read",
)
APP_SECRET = "spotify-app"  # {"client_id", "client_secret"}, where the environment does not hold them
AUTHORIZATION_MONTHS = 6  # Spotify, all apps since 2026-07-20
WARNING_DAYS = 30
MOST_LISTENERS = 5  # users of a development-mode app
EARLY = timedelta(seconds=60)  # a token is renewed this long before it expires
WHO_ATTEMPTS = 4
LOGIN_SECONDS = 300.0  # time a person has to agree


@dataclass(frozen=True, slots=True)
class Listener:
    """A logged-in listener, as stored; ``user_id`` is Spotify's immutable account_id where given, else the id."""

    user_id: str
    spotify_id: str
    scope: str
    refresh_token: str
    authorized_at: str

    @classmethod
    def read(cls, text: str) -> Listener:
        """From a stored secret, whatever else an earlier version has kept there.

        Raises ValueError, KeyError, TypeError.
        """
        document = json.loads(text)
        values = {each.name: document[each.name] for each in fields(cls)}
        if not all(isinstance(value, str) for value in values.values()):
            raise TypeError("a login's values are texts")
        return cls(**values)

    def __repr__(self) -> str:
        return f"Listener({self.user_id!r}, authorized_at={self.authorized_at!r})"


@dataclass(frozen=True, slots=True)
class Login:
    """A login that has succeeded: whose, what ``/me`` said, and from when to when Spotify will honour it (UTC)."""

    user_id: str
    profile: dict[str, Any]
    authorized_at: datetime
    ends_at: datetime


def nobody(_: Login) -> None:
    """Whom a login is told where nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """Whose authorisation, since when and until when (UTC)."""

    user_id: str
    authorized_at: datetime
    ends_at: datetime

    def as_json(self) -> dict[str, str]:
        """As a run's record shows it."""
        return {
            "user_id": self.user_id,
            "authorized_at": rfc3339(self.authorized_at),
            "ends_at": rfc3339(self.ends_at),
        }

    def warning(self, moment: datetime, who: str = "") -> str | None:
        """What to tell the owner from 30 days before the end; ``who`` is what the listener is called."""
        who = who or self.user_id
        if moment >= self.ends_at:
            return f"the authorisation of {who} ended on {self.ends_at:%Y-%m-%d}: {LOGIN}"
        if moment >= self.ends_at - timedelta(days=WARNING_DAYS):
            days = (self.ends_at - moment).days
            return f"the authorisation of {who} ends on {self.ends_at:%Y-%m-%d}, in {days} days: {LOGIN}"
        return None


def credentials(settings: Settings, secrets: SecretStore) -> Credentials:
    """The app's client id and secret, from the environment or the secret ``spotify-app``.

    Raises MissingCredentials.
    """
    if settings.spotipy_client_id and settings.spotipy_client_secret:
        return Credentials(settings.spotipy_client_id, settings.spotipy_client_secret)
    stored = secrets.read(APP_SECRET)
    if stored:
        document = json.loads(stored)
        return Credentials(document["client_id"], document["client_secret"])
    raise MissingCredentials(
        "there are no Spotify credentials: set SPOTIPY_CLIENT_ID and SPOTIPY_CLIENT_SECRET (from "
        f"https://developer.spotify.com/dashboard, Web API), then {LOGIN}"
    )


def listeners(secrets: SecretStore) -> list[Listener]:
    """Everybody who has logged in, in the order of their user ids; of two logins of one account, the newer counts."""
    newest = {listener.spotify_id: listener for listener in stored_logins(secrets)}
    return sorted(newest.values(), key=lambda listener: listener.user_id)


def stored_logins(secrets: SecretStore) -> list[Listener]:
    """Every login that is stored, oldest first; one that cannot be read is as good as none. An account may have two:
    under its user id, and under the account id that Spotify did not always say."""
    stored = (stored_listener(secrets, name) for name in secrets.names(LISTENER))
    return sorted((login for login in stored if login), key=lambda login: (login.authorized_at, login.user_id))


def stored_listener(secrets: SecretStore, name: str) -> Listener | None:
    """The login that a secret holds; None where there is none, or one that cannot be read."""
    text = secrets.read(name)
    try:
        return Listener.read(text) if text else None
    except (ValueError, KeyError, TypeError):
        return None


def unreadable_logins(secrets: SecretStore) -> list[str]:
    """What to tell the owner of logins that cannot be read."""
    return [
        f"the login in secret {name} cannot be read: {LOGIN}"
        for name in secrets.names(LISTENER)
        if stored_listener(secrets, name) is None
    ]


def authorizations(secrets: SecretStore) -> list[Authorization]:
    """Since when each listener's authorisation runs and when it ends."""
    return [
        Authorization(listener.user_id, since, months_later(since, AUTHORIZATION_MONTHS))
        for listener in listeners(secrets)
        for since in [parse_rfc3339(listener.authorized_at)]
    ]


def months_later(moment: datetime, months: int) -> datetime:
    """The same day so many months later, or that month's last one."""
    years, month = divmod(moment.month - 1 + months, 12)
    for day in range(moment.day, 27, -1):
        try:
            return moment.replace(year=moment.year + years, month=month + 1, day=day)
        except ValueError:  # that month is shorter
            continue
    return moment.replace(year=moment.year + years, month=month + 1)


class AppTokens:
    """Bearer tokens for the app itself; kept in memory for as long as they are good."""

    def __init__(
        self, settings: Settings, app: Credentials, post: TokenPost | None = None, *, clock: Clock = now
    ) -> None:
        self._service = TokenService(settings, app, post, clock)
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._expires_at: datetime | None = None

    def get_access_token(self, **_: bool) -> str:
        """A good bearer token (spotipy calls this before each request)."""
        with self._lock:
            if self._expires_at is None or self._clock() >= self._expires_at - EARLY:
                moment = self._clock()
                reply = self._service.ask({"grant_type": "client_credentials"})
                self._token, self._expires_at = reply["access_token"], moment + lifetime(reply)
            return self._token

    def reject(self, token: str) -> None:
        """Spotify does not take ``token`` any more: the next call gets another."""
        with self._lock:
            if token == self._token:
                self._expires_at = None


class ListenerTokens:
    """Bearer tokens of one listener, got with the stored refresh token and kept in memory while they are good.

    ``called`` says what the listener is called.
    """

    def __init__(
        self,
        settings: Settings,
        app: Credentials,
        secrets: SecretStore,
        user_id: str,
        post: TokenPost | None = None,
        *,
        clock: Clock = now,
        called: Callable[[str], str] = str,
    ) -> None:
        self._service = TokenService(settings, app, post, clock)
        self._called = called
        self._secrets = secrets
        self._name = listener_secret(user_id)
        self._user_id = user_id
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._expires_at: datetime | None = None
        self._ended: AuthorizationEnded | None = None
        self._told: RateLimited | None = None  # to wait, by the token service

    def get_access_token(self, **_: bool) -> str:
        """A good bearer token. Raises AuthorizationEnded once Spotify no longer takes the refresh token."""
        with self._lock:
            if self._ended:
                raise self._ended
            if self._told and self._clock() < self._told.not_before:
                raise self._told
            if self._expires_at is None or self._clock() >= self._expires_at - EARLY:
                with self._secrets.exclusive(self._name):
                    self._renew(self._stored())
            return self._token

    def reject(self, token: str) -> None:
        """Spotify does not take ``token`` any more: the next call gets another."""
        with self._lock:
            if token == self._token:
                self._expires_at = None

    def _renew(self, listener: Listener) -> None:
        moment = self._clock()
        request = {"grant_type": "refresh_token", "refresh_token": listener.refresh_token}
        try:
            reply = self._service.ask(request)
        except RateLimited as error:
            self._told = error
            raise
        except AuthorizationEnded as error:
            given = listener.authorized_at[:10]
            self._ended = AuthorizationEnded(
                f"Spotify ended the authorisation of {self._called(self._user_id)} (given {given}): {LOGIN}",
                user_id=self._user_id,
            )
            raise self._ended from error
        given_anew = reply.get("refresh_token") or listener.refresh_token
        if given_anew != listener.refresh_token:
            self._secrets.write(self._name, json.dumps(asdict(replace(listener, refresh_token=given_anew))))
        self._token, self._expires_at = reply["access_token"], moment + lifetime(reply)

    def _stored(self) -> Listener:
        listener = stored_listener(self._secrets, self._name)
        if listener is None:
            who = self._called(self._user_id)
            raise AuthorizationEnded(f"nobody is logged in as {who}: {LOGIN}", user_id=self._user_id)
        return listener


def login(
    settings: Settings,
    secrets: SecretStore,
    *,
    open_url: Callable[[str], object] = webbrowser.open,
    clock: Clock = now,
    post: TokenPost | None = None,
    seconds: float = LOGIN_SECONDS,
    tell: Callable[[Login], object] = nobody,
    called: Callable[[str], str] = str,
) -> str:
    """Let a listener authorise this app in a browser, and store the refresh token; answers the user id.

    ``open_url`` is given Spotify's page to show; Spotify then sends the browser back to SPOTIPY_REDIRECT_URI, where
    this function listens for at most ``seconds``. ``tell`` is told of the login once it is stored; ``called`` says
    what a listener is called. Raises
    MissingCredentials, InvalidSetting (a redirect URI that Spotify or this machine cannot use), SpotifyRefused (the
    listener declined) and what the network raises.
    """
    app = credentials(settings, secrets)
    consent = new_consent()
    with CallbackServer(settings.spotipy_redirect_uri, consent.state) as callback:
        open_url(consent_address(settings, app, settings.spotipy_redirect_uri, consent))
        code = callback.wait(seconds)
    return exchange(
        settings,
        secrets,
        app,
        code,
        settings.spotipy_redirect_uri,
        consent.verifier,
        post=post,
        clock=clock,
        tell=tell,
        called=called,
    )


@dataclass(frozen=True, slots=True)
class Consent:
    """What this side must remember while a listener is at Spotify's page: ``state`` says that the answer is to this
    question, ``verifier`` that who brings the code is who asked (PKCE, RFC 7636)."""

    state: str
    verifier: str

    def __repr__(self) -> str:
        return "Consent(***)"


def new_consent() -> Consent:
    """Fresh random values for one login."""
    return Consent(randomness.token_urlsafe(24), randomness.token_urlsafe(48))


def consent_address(settings: Settings, app: Credentials, redirect_uri: str, consent: Consent) -> str:
    """Spotify's page on which a listener agrees."""
    challenge = urlsafe_b64encode(hashlib.sha256(consent.verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "client_id": app.client_id,
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "scope": " ".join(SCOPES),
        "state": consent.state,
        "code_challenge_method": "S256",
        "code_challenge": challenge,
    }
    return f"{settings.spotify_accounts_url}/authorize?{urlencode(query)}"


def exchange(
    settings: Settings,
    secrets: SecretStore,
    app: Credentials,
    code: str,
    redirect_uri: str,
    verifier: str,
    *,
    post: TokenPost | None = None,
    clock: Clock = now,
    admit: Callable[[str], object] = str,
    tell: Callable[[Login], object] = nobody,
    called: Callable[[str], str] = str,
) -> str:
    """Store the refresh token that Spotify gives for the code of its answer; answers the user id.

    ``admit`` is asked before, with the user id, and raises where it may not be; ``called`` says what a listener is
    called. Raises as :func:`login`.
    """
    moment = clock()
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    reply = TokenService(settings, app, post, clock).ask(form)
    if not reply.get("refresh_token"):
        raise SpotifyRefused("Spotify gave no refresh token; try to log in again")
    return remember(settings, secrets, reply, moment, clock, admit=admit, tell=tell, called=called)


def remember(
    settings: Settings,
    secrets: SecretStore,
    reply: Mapping[str, Any],
    moment: datetime,
    clock: Clock,
    *,
    admit: Callable[[str], object] = str,
    tell: Callable[[Login], object] = nobody,
    called: Callable[[str], str] = str,
) -> str:
    """Store a new authorisation, given at ``moment`` of ``clock``, under the id of the listener who gave it."""
    spotify_clock = SpotifyClock(clock)  # it says when the authorisation ends, so that it must not be wrong by hours
    profile = who(settings, str(reply["access_token"]), spotify_clock)
    moment += spotify_clock.offset
    known = listeners(secrets)
    user_id = user_id_of(profile, known)
    admit(user_id)
    others = [listener.user_id for listener in known if listener.user_id != user_id]
    if len(others) >= MOST_LISTENERS:
        names = ", ".join(map(called, others))
        raise Conflict(
            f"{MOST_LISTENERS} listeners are logged in already, the most that Spotify lets an app have: {names}. "
            f"`{COMMAND} listeners log-out NAME` makes room; what was heard until then stays",
            listeners=others,
        )
    listener = Listener(
        user_id=user_id,
        spotify_id=str(profile["id"]),
        scope=str(reply.get("scope", "")),
        refresh_token=str(reply["refresh_token"]),
        authorized_at=rfc3339(moment),
    )
    name = listener_secret(user_id)
    with secrets.exclusive(name):
        secrets.write(name, json.dumps(asdict(listener)))
    tell(Login(user_id, profile, moment, months_later(moment, AUTHORIZATION_MONTHS)))
    return user_id


def log_out(secrets: SecretStore, ids: Collection[str]) -> bool:
    """Forget the authorisation of the listener with one of these ids; answers whether there was one."""
    stored = stored_logins(secrets)
    accounts = {each.spotify_id for each in stored if each.user_id in ids}
    found = [listener_secret(each.user_id) for each in stored if each.spotify_id in accounts]
    for name in found:
        with secrets.exclusive(name):
            secrets.delete(name)
    return bool(found)


def user_id_of(profile: Mapping[str, Any], known: Iterable[Listener]) -> str:
    """The immutable ``account_id``, else the id. Who is logged in under either stays the same listener, whether or not
    Spotify says the former this time."""
    spotify_id, account_id = str(profile["id"]), profile.get("account_id")
    same = [one.user_id for one in known if one.spotify_id == spotify_id]
    if spotify_id in same:
        return spotify_id
    return str(account_id or next(iter(same), spotify_id))


def who(settings: Settings, token: str, clock: Clock, sleep: Sleep = time.sleep) -> dict[str, Any]:
    """Spotify's ``/me`` for a token. Its ids, display name and picture are kept (listeners.py), nothing else."""
    from chalicelib.spotify.client import Spotify, SpotifySession

    session, said = SpotifySession(1), "did not answer"
    try:
        spotify = Spotify(settings.spotify_api_url, FixedToken(token), session, clock)
        for attempt in range(WHO_ATTEMPTS):  # a valid token now and then gets a 401 or 403
            sleep(attempt * 0.5)
            with contextlib.suppress(SpotifyUnavailable):
                reply = spotify.call("me", {}, seconds=settings.call_timeout)
                if reply.status == 200 and reply.document and reply.document.get("id"):
                    return reply.document
                said = f"answered {reply.status}"
    finally:
        session.close()
    raise SpotifyRefused(
        f"Spotify {said} when asked who logged in; is this account among the app's users "
        "(https://developer.spotify.com/dashboard, User Management)?"
    )


@dataclass(frozen=True, slots=True)
class FixedToken:
    """An access token that cannot be renewed, as spotipy's auth managers are asked for it."""

    token: str

    def get_access_token(self, **_: bool) -> str:
        return self.token

    def reject(self, token: str) -> None:
        """There is no other."""

    def __repr__(self) -> str:
        return "FixedToken(***)"
