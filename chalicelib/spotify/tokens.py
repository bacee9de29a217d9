"""Spotify's token service: one form posted, one reply, its faults told apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chalicelib.clock import now
from chalicelib.errors import (
    AuthorizationEnded,
    MissingCredentials,
    RateLimited,
    SpotifyRefused,
    SpotifyUnavailable,
)
from chalicelib.settings import Settings

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
    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"Credentials({self.client_id!r}, ***)"


class TokenService:
    """Spotify's token endpoint."""

    def __init__(self, settings: Settings, app: Credentials, post: TokenPost | None) -> None:
        self._url = f"{settings.spotify_accounts_url}/api/token"
        self._seconds = settings.call_timeout
        self._app = app
        self._post = post or post_form

    def ask(self, form: Mapping[str, str]) -> dict[str, Any]:
        """The reply to a grant. Raises AuthorizationEnded (invalid_grant), MissingCredentials (invalid_client),

        SpotifyUnavailable, RateLimited and SpotifyRefused.
        """
        reply = self._post(self._url, form, (self._app.client_id, self._app.client_secret), self._seconds)
        if reply.status == 200 and isinstance(reply.document.get("access_token"), str):
            return reply.document
        error = str(reply.document.get("error", ""))
        if reply.status == 429:
            seconds = retry_after(reply.headers) or 1.0
            raise RateLimited("Spotify's token service asks to wait", not_before=now() + timedelta(seconds=seconds))
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
    return timedelta(seconds=float(reply.get("expires_in") or 3600))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a ``Retry-After`` header (names in lower case), None where it is missing or not a number."""
    text = headers.get("retry-after", "").strip()
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d+)?", text) else None


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
