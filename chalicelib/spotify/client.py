"""Spotipy, tamed: it asks once, never sleeps, never logs and never follows an address out of an answer.

Spotipy's own retries sleep inside a call for as long as ``Retry-After`` says; given a session of ours it has none.
Pages are asked for by offset or cursor, never by an answer's ``next``, so that the bearer token goes to no other
host. The exact bytes of each answer are kept: they are what the raw zone stores.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import requests
import spotipy
import urllib3
from requests.adapters import HTTPAdapter
from spotipy.exceptions import SpotifyException

from chalicelib import jsontext
from chalicelib.clock import Clock
from chalicelib.errors import SpotifyUnavailable
from chalicelib.spotify.clock import SpotifyClock

BLOCK = 65_536  # bytes read at once
LARGEST_BODY = 32 * 1024 * 1024  # bytes; Spotify's largest page is under 1 MiB


class TokenProvider(Protocol):
    """What spotipy asks for a bearer token before each call."""

    def get_access_token(self, **_: bool) -> str:
        """A bearer token that is good now."""

    def reject(self, token: str) -> None:
        """Spotify does not take ``token`` any more: the next call gets another."""


@dataclass(frozen=True, slots=True)
class SpotifyReply:
    """One HTTP answer: ``endpoint`` and ``params`` as sent, ``body`` as received, ``document`` the JSON object in it.

    ``document`` is None where the body is not a JSON object. Header names are lower case.
    """

    endpoint: str
    params: dict[str, Any]
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    document: dict[str, Any] | None = field(repr=False)
    token: str = field(repr=False)
    requested_at: datetime
    received_at: datetime


class Spotify:
    """One identity's view of the Web API: the app itself or one listener.

    ``tokens`` gives bearer tokens; ``session`` is the network; a ``clock`` that is a SpotifyClock learns from each
    answer what time it is. ``call`` may be used by several threads at once.
    """

    def __init__(self, api_url: str, tokens: TokenProvider, session: SpotifySession, clock: Clock) -> None:
        silence_spotipy()
        self._session = session
        self._tokens = tokens
        self._clock = clock if isinstance(clock, SpotifyClock) else SpotifyClock(clock)
        self._prefix = api_url.rstrip("/") + "/"
        self._spotipy = spotipy.Spotify(auth_manager=tokens, requests_session=session, retries=0, status_retries=0)
        self._spotipy.prefix = self._prefix

    def call(self, method: str, arguments: Mapping[str, Any], *, seconds: float) -> SpotifyReply:
        """Ask once through spotipy's ``method``; any HTTP status is a SpotifyReply.

        ``seconds`` bounds the whole call. Raises SpotifyUnavailable when no whole answer arrived.
        """
        self._session.begin(seconds)
        requested_at = self._clock()
        document: object = None
        try:
            document = getattr(self._spotipy, method)(**arguments)
        except (SpotifyException, AttributeError, RecursionError):
            if self._session.last is None:  # else spotipy tripped over an odd answer, and the answer is there
                raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise SpotifyUnavailable(f"Spotify did not answer {method}: {type(error).__name__}") from error
        return self._reply(document, requested_at, seconds)

    def reject(self, token: str) -> None:
        """This bearer token was refused: use another from now on."""
        self._tokens.reject(token)

    def _reply(self, document: object, requested_at: datetime, seconds: float) -> SpotifyReply:
        response = self._session.last
        assert response is not None
        headers = {name.lower(): value for name, value in response.headers.items()}
        elapsed = min(max(self._clock() - requested_at, timedelta(0)), timedelta(seconds=seconds))
        self._clock.hear(headers)  # which may move what the time is by years
        received_at = self._clock()
        if response.status_code != 200:
            with contextlib.suppress(ValueError):
                document = read_json(response.content)
        sent = urlsplit(str(response.request.url))
        return SpotifyReply(
            endpoint=sent.path.removeprefix(urlsplit(self._prefix).path).strip("/"),
            params={name: number_or_text(value) for name, value in parse_qsl(sent.query)},
            status=response.status_code,
            headers=headers,
            body=response.content,
            document=document if isinstance(document, dict) else None,
            token=str(response.request.headers.get("Authorization", "")).removeprefix("Bearer "),
            requested_at=received_at - elapsed,
            received_at=received_at,
        )


class SpotifySession(requests.Session):
    """The network as spotipy sees it: no retries, no redirects, a time limit on the whole answer.

    Each thread finds the answer to its last request in ``last``.
    """

    def __init__(self, connections: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.trust_env = False  # a .netrc entry would replace the bearer token
        self._monotonic = monotonic
        self._thread = threading.local()
        adapter = HTTPAdapter(pool_connections=2, pool_maxsize=connections, max_retries=0)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def begin(self, seconds: float) -> None:
        """Forget this thread's last answer and give its next request ``seconds``."""
        self._thread.last = None
        self._thread.ends = self._monotonic() + seconds

    @property
    def last(self) -> requests.Response | None:
        return getattr(self._thread, "last", None)

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        ends = getattr(self._thread, "ends", None) or self._monotonic() + 15.0
        kwargs.update(timeout=max(0.05, ends - self._monotonic()), stream=True, allow_redirects=False)
        response = super().request(method, url, *args, **kwargs)
        try:
            read_whole(response, ends, self._monotonic)
        except BaseException:
            response.close()
            raise
        body = response.content  # and not the response, which would hold itself and its connection
        response.json = lambda **_: read_json(body)  # type: ignore[method-assign]
        self._thread.last = response
        return response


def read_whole(response: requests.Response, ends: float, monotonic: Callable[[], float]) -> None:
    """Read the body up to the time ``ends``, whatever the pace at which it drips in."""
    body = bytearray()
    while block := response.raw.read1(BLOCK, decode_content=True):
        body += block
        if monotonic() > ends:
            raise requests.ReadTimeout("the answer took too long")
        if len(body) > LARGEST_BODY:
            raise requests.exceptions.ContentDecodingError("the answer is too large")
    response.raw.release_conn()
    response._content = bytes(body)


class JsonObject(dict[str, Any]):
    """A JSON object that is not spelled out in a log line: spotipy writes one of every answer, wanted or not."""

    def __repr__(self) -> str:
        return f"<JSON object of {len(self)} members>"


def read_json(body: bytes) -> object:
    """The value of a JSON text, as those who make tables of it read it. ValueError where it is none."""
    value = jsontext.read_json(body)
    return JsonObject(value) if isinstance(value, dict) else value


def silence_spotipy() -> None:
    """Spotipy logs tokens at DEBUG and every refused call at ERROR; what is worth a line, the guard says itself."""
    for name in ("spotipy", "spotipy.client", "spotipy.oauth2", "spotipy.util", "spotipy.cache_handler"):
        logger = logging.getLogger(name)
        logger.disabled = True


def number_or_text(value: str) -> int | str:
    """A parameter as spotipy's callers write it: a whole number where the text is one."""
    return int(value) if value.isdecimal() and len(value) < 16 and str(int(value)) == value else value
