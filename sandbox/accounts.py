"""The accounts service: authorisation codes, access tokens and refresh tokens.

Tokens carry what they stand for, signed with a key made from the seed, so those handed out by one sandbox are
good at the next one of the same seed. Nothing here protects anything.
"""

from __future__ import annotations

import hmac
import json
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

from sandbox.clock import SECOND, Clock, moment_of

ACCESS_TOKEN_SECONDS = 3600
CODE_SECONDS = 600
REFRESH_TOKEN_MONTHS = 6  # from authorisation, whatever is refreshed meanwhile (all apps since July 2026)
CLIENT_ID, CLIENT_SECRET = "sandbox-client", "sandbox-secret"
ALL_SCOPES = (
    "user-read-recently-played user-top-read user-library-read user-follow-read playlist-read-private "
    "playlist-read-collaborative user-read-private user-read-email"
)


class TokenError(Exception):
    """What ``/api/token`` refuses: ``400 {"error", "error_description"}``."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.body = {"error": error, "error_description": description}


class AuthorizeError(Exception):
    """What ``/authorize`` refuses with a page rather than a redirect."""


class BadToken(Exception):
    """An access token that is missing, wrong, expired or revoked; the text is the API's message."""


@dataclass(frozen=True, slots=True)
class Access:
    """What an access token allows."""

    user_id: str | None
    scopes: frozenset[str]


class Accounts:
    """Hands out and checks tokens for one application."""

    def __init__(
        self,
        clock: Clock,
        users: Iterable[str],
        seed: int,
        rotate_refresh_tokens: bool = False,
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
    ) -> None:
        self._clock = clock
        self._users = tuple(users)
        self._key = f"tokens:{seed}".encode()
        self.rotate_refresh_tokens = rotate_refresh_tokens
        self.client_id = client_id
        self.client_secret = client_secret
        self._serial = 0
        self._used_codes: set[str] = set()
        self._generations: dict[tuple[str, int, int], int] = {}
        self._revoked: dict[str, tuple[int, int]] = {}

    # Authorisation

    def authorize(self, query: dict[str, str]) -> str:
        """Approve at once and give the address to redirect to."""
        redirect = query.get("redirect_uri", "")
        if query.get("client_id") != self.client_id:
            raise AuthorizeError("INVALID_CLIENT: Invalid client")
        if not _allowed_redirect(redirect):
            raise AuthorizeError("INVALID_CLIENT: Insecure redirect URI")
        if query.get("response_type") != "code":
            raise AuthorizeError("response_type must be code")
        user = query.get("user_id", self._users[0])
        if user not in self._users:
            raise AuthorizeError(f"unknown user_id: this sandbox has {', '.join(self._users)}")
        state = {"state": query["state"]} if "state" in query else {}
        if query.get("deny"):
            return f"{redirect}?{urlencode({'error': 'access_denied', **state})}"
        code = self._sign(
            kind="code",
            user=user,
            scope=query.get("scope", ""),
            redirect=redirect,
            challenge=query.get("code_challenge"),
            expires=self._clock.now_ms() + CODE_SECONDS * SECOND,
            serial=self._next_serial(),
        )
        return f"{redirect}?{urlencode({'code': code, **state})}"

    def refresh_token(self, user_id: str | None = None, scope: str = ALL_SCOPES) -> str:
        """A refresh token without the way through ``/authorize``."""
        user = self._users[0] if user_id is None else user_id
        return self._refresh_token(user, scope, self._clock.now_ms(), self._next_serial(), 0, False)

    def access_token(self, user_id: str | None, scope: str = ALL_SCOPES) -> str:
        """An access token as if just refreshed; for no user, one of the client credentials."""
        now = self._clock.now_ms()
        expires = now + ACCESS_TOKEN_SECONDS * SECOND
        return self._sign(
            kind="access", user=user_id, scope=scope, expires=expires, granted=now, serial=self._next_serial()
        )

    def revoke(self, user_id: str | None = None) -> None:
        """The user (everybody, if none is named) withdraws what they have granted so far."""
        for user in self._users if user_id is None else (user_id,):
            self._revoked[user] = (self._clock.now_ms(), self._serial)

    # /api/token

    def token(self, form: dict[str, str], authorization: str | None) -> dict[str, Any]:
        """The answer to ``POST /api/token``."""
        grant = form.get("grant_type")
        public = self._check_client(form, authorization)
        if grant == "client_credentials" and not public:
            return self._answer(self.access_token(None, ""), None, None)
        if grant == "authorization_code":
            return self._exchange(form, public)
        if grant == "refresh_token":
            return self._refresh(form.get("refresh_token", ""), public)
        raise TokenError("unsupported_grant_type", f"grant_type {grant!r} is not supported")

    def _check_client(self, form: dict[str, str], authorization: str | None) -> bool:
        """Whether the client is a public one (PKCE: an id without a secret)."""
        given = (form.get("client_id"), form.get("client_secret"))
        if authorization is not None:
            given = _basic(authorization)
        if given == (self.client_id, self.client_secret):
            return False
        if authorization is None and given == (self.client_id, None):
            return True
        raise TokenError("invalid_client", "Invalid client" if given[0] != self.client_id else "Invalid client secret")

    def _exchange(self, form: dict[str, str], public: bool) -> dict[str, Any]:
        text = form.get("code", "")
        code = self._read(text, "code")
        if code is None or text in self._used_codes or code["expires"] <= self._clock.now_ms():
            raise TokenError("invalid_grant", "Invalid authorization code")
        if form.get("redirect_uri") != code["redirect"]:
            raise TokenError("invalid_grant", "Invalid redirect URI")
        if (code["challenge"] is not None or public) and _challenge(form) != code["challenge"]:
            raise TokenError("invalid_grant", "code_verifier was incorrect")
        self._used_codes.add(text)
        now, serial = self._clock.now_ms(), self._next_serial()
        refresh = self._refresh_token(code["user"], code["scope"], now, serial, 0, public)
        return self._answer(self.access_token(code["user"], code["scope"]), refresh, code["scope"])

    def _refresh(self, text: str, public: bool) -> dict[str, Any]:
        token = self._read(text, "refresh")
        if token is None or token["public"] != public:
            raise TokenError("invalid_grant", "Invalid refresh token")
        user, granted, serial = token["user"], token["granted"], token["serial"]
        if self._clock.now_ms() >= _months_later(granted, REFRESH_TOKEN_MONTHS):
            raise TokenError("invalid_grant", "Refresh token expired")
        generation = self._generations.get((user, granted, serial), token["generation"])
        if self._is_revoked(user, granted, serial) or token["generation"] < generation:
            raise TokenError("invalid_grant", "Refresh token revoked")
        replacement = None
        if self.rotate_refresh_tokens:
            self._generations[user, granted, serial] = generation + 1
            replacement = self._refresh_token(user, token["scope"], granted, serial, generation + 1, public)
        return self._answer(self.access_token(user, token["scope"]), replacement, token["scope"])

    def _answer(self, access: str, refresh: str | None, scope: str | None) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": ACCESS_TOKEN_SECONDS,
        }
        if refresh is not None:
            answer["refresh_token"] = refresh
        if scope is not None:
            answer["scope"] = scope
        return answer

    # Checking

    def check(self, authorization: str | None) -> Access:
        """What the ``Authorization`` header of an API call allows."""
        if not authorization:
            raise BadToken("No token provided")
        scheme, _, text = authorization.partition(" ")
        token = self._read(text, "access") if scheme == "Bearer" else None
        if token is None:
            raise BadToken("Invalid access token")
        if token["expires"] <= self._clock.now_ms():
            raise BadToken("The access token expired")
        if token["user"] is not None and self._is_revoked(token["user"], token["granted"], token["serial"]):
            raise BadToken("Missing/invalid/expired access token")
        return Access(token["user"], frozenset(token["scope"].split()))

    def whose(self, authorization: str | None, form: dict[str, str]) -> str | None:
        """The listener whose access token a call bears, or whose refresh token a form."""
        bearer = (authorization or "").removeprefix("Bearer ")
        token = self._read(bearer, "access") or self._read(form.get("refresh_token", ""), "refresh")
        return token["user"] if token else None

    def _is_revoked(self, user: str, granted: int, serial: int) -> bool:
        return (granted, serial) <= self._revoked.get(user, (-1, -1))

    # Signing

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def _refresh_token(self, user: str, scope: str, granted: int, serial: int, generation: int, public: bool) -> str:
        return self._sign(
            kind="refresh",
            user=user,
            scope=scope,
            granted=granted,
            serial=serial,
            generation=generation,
            public=public,
        )

    def _sign(self, **claims: object) -> str:
        body = urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
        seal = urlsafe_b64encode(hmac.digest(self._key, body, "sha256")[:15])
        return f"{body.decode()}.{seal.decode()}"

    def _read(self, text: str, kind: str) -> dict[str, Any] | None:
        body, _, seal = text.partition(".")
        expected = urlsafe_b64encode(hmac.digest(self._key, body.encode(), "sha256")[:15]).decode()
        if not hmac.compare_digest(seal.encode(), expected.encode()):
            return None
        claims: dict[str, Any] = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return claims if claims["kind"] == kind else None


def _allowed_redirect(uri: str) -> bool:
    """https anywhere, http on a loopback address only, never ``localhost`` (Spotify's rules since 2025)."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    if parts.hostname == "localhost" or not parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1"))


def _basic(authorization: str) -> tuple[str | None, str | None]:
    scheme, _, text = authorization.partition(" ")
    try:
        client, _, secret = b64decode(text, validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError):
        return None, None
    return (client, secret) if scheme == "Basic" else (None, None)


def _challenge(form: dict[str, str]) -> str | None:
    verifier = form.get("code_verifier")
    if verifier is None:
        return None
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _months_later(milliseconds: int, months: int) -> int:
    moment = moment_of(milliseconds)
    years, month = divmod(moment.month - 1 + months, 12)
    for day in range(moment.day, 27, -1):
        try:
            later = moment.replace(year=moment.year + years, month=month + 1, day=day)
        except ValueError:
            continue
        return round(later.timestamp() * SECOND)
    return round(moment.replace(year=moment.year + years, month=month + 1).timestamp() * SECOND)
