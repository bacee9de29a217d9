"""Spotify's token service: one form posted, one reply, its faults told apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.clock import Clock, now
from chalicelib.errors import (
    AuthorizationEnded,
    MissingCredentials,
    RateLimited,
    SpotifyRefused,
    SpotifyUnavailable,
)
from chalicelib.settings import Settings
from chalicelib.spotify.clock import http_date

DEFAULT_WAIT = 1.0  # s, when the token service does not say how long
DEFAULT_LIFETIME, LONGEST_LIFETIME = 3600, 86_400  # s, of an access token
LOGIN = "run `.venv/bin/lake login`"

TokenPost = Callable[[str, Mapping[str, str], tuple[str, str], float], "TokenReply"]


@dataclass(frozen=True, slots=True)
class TokenReply:
    """The token service's answer; ``document`` is empty where the body is not a JSON object."""

    status: int
    headers: Mapping[str, str]
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Credentials:
    """A Spotify app's id and secret; the secret is never printed."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"Credentials({self.client_id!r}, ***)"


class TokenService:
    """Spotify's token endpoint."""

    def __init__(self, settings: Settings, app: Credentials, post: TokenPost | None, clock: Clock = now) -> None:
        self._clock = clock
        self._url = f"{settings.spotify_accounts_url}/api/token"
        self._seconds = settings.call_timeout
        self._app = app
        self._post = post or post_form

    def ask(self, form: Mapping[str, str]) -> dict[str, Any]:
        """The reply to a grant.

        Raises AuthorizationEnded (invalid_grant), MissingCredentials (invalid_client), SpotifyUnavailable, RateLimited
        and SpotifyRefused.
        """
        reply = self._post(self._url, form, (self._app.client_id, self._app.client_secret), self._seconds)
        if reply.status == 200 and isinstance(reply.document.get("access_token"), str):
            return reply.document
        error = str(reply.document.get("error", ""))
        if reply.status == 429:
            moment = self._clock()
            seconds = retry_after(reply.headers, moment) or DEFAULT_WAIT
            raise RateLimited("Spotify's token service asks to wait", not_before=moment + timedelta(seconds=seconds))
        if reply.status >= 500 or reply.status == 200:
            raise SpotifyUnavailable(f"Spotify's token service answered {reply.status}")
        if error == "invalid_grant":
            raise AuthorizationEnded(f"Spotify no longer takes this authorisation: {LOGIN}")
        if error == "invalid_client":
            raise MissingCredentials(
                "Spotify does not know this app: check SPOTIPY_CLIENT_ID and SPOTIPY_CLIENT_SECRET", error=error
            )
        raise SpotifyRefused(f"Spotify's token service answered {reply.status} {error}".strip(), error=error)


def lifetime(reply: Mapping[str, Any]) -> timedelta:
    """How long the access token in a reply is good: an hour where Spotify does not say so in a number."""
    seconds = reply.get("expires_in")
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 < seconds <= LONGEST_LIFETIME:
        return timedelta(seconds=seconds)
    return timedelta(seconds=DEFAULT_LIFETIME)


def retry_after(headers: Mapping[str, str], moment: datetime) -> float | None:
    """The seconds from ``moment`` that a ``Retry-After`` header asks to wait: a number of them, or an HTTP date.

    None where it is missing, names no time or one that has passed. Header names are in lower case.
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        seconds = float(text)
    else:
        until = http_date(text)
        seconds = (until - moment).total_seconds() if until else 0.0
    return seconds if seconds > 0 else None


def post_form(url: str, form: Mapping[str, str], basic: tuple[str, str], seconds: float) -> TokenReply:
    """POST to the token service. Raises SpotifyUnavailable when no answer arrives."""
    import requests

    try:
        with requests.Session() as session:
            session.trust_env = False
            response = session.post(url, data=dict(form), auth=basic, timeout=seconds, allow_redirects=False)
    except requests.RequestException as error:
        raise SpotifyUnavailable(f"Spotify's token service did not answer: {type(error).__name__}") from error
    try:
        document = response.json()
    except ValueError:
        document = {}
    headers = {name.lower(): value for name, value in response.headers.items()}
    return TokenReply(response.status_code, headers, document if isinstance(document, dict) else {})
