"""MusicBrainz and ListenBrainz, asked as their rules want it: by name, one call at a time, never more than one a 1.1 s.

MusicBrainz declines *all* calls of an address that asks more than once a second, and of those who do not say who they
are (musicbrainz.org/doc/MusicBrainz_API/Rate_Limiting). It sheds load by a 503 that is nobody's fault and passes in
seconds; another 503 says that we are too fast, and then we go on at half the pace. An ``error`` in a body is a failure
whatever its status. A failure is never taken for "there is no such artist": only a 404 about one thing is.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import requests

from chalicelib import __version__
from chalicelib.clock import Clock, Sleep
from chalicelib.errors import MusicBrainzRefused, MusicBrainzUnavailable, RateLimited
from chalicelib.musicbrainz.questions import GENRES, MERGED, Question

PACE = 1.1  # s from the end of one call to the start of the next
SLOW_PACE = 2.2  # s, once MusicBrainz has said that we are too fast
PAUSES = (1.0, 2.0, 4.0, 8.0)  # s before each further attempt
LONGEST_WAIT = 30.0  # s waited in place; told to wait longer, the run goes on without
CALL_SECONDS = 20.0  # of one call; a wide search can take long
LARGEST_BODY = 16 * 1024 * 1024  # bytes; a hundred hits take under 1 MB
TOO_FAST = "exceeding the allowable rate limit"
TOO_LONG = (400, 413, 414)  # what servers say of an address that is too long
MBID = re.compile(r"/artist/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\?|$)")


@dataclass(frozen=True, slots=True)
class MusicBrainzReply:
    """A good answer: the JSON in ``body`` is ``document``. ``status`` is 200, or 404 where there is no such thing."""

    status: int
    body: bytes = field(repr=False)
    document: Any = field(repr=False)
    requested_at: datetime
    received_at: datetime


@dataclass(slots=True)
class MusicBrainz:
    """The client of one run. ``remaining`` answers the seconds left, ``budget`` is the most calls that leave."""

    musicbrainz_url: str
    listenbrainz_url: str
    contact: str
    budget: int
    remaining: Callable[[], float]
    clock: Clock
    sleep: Sleep = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    session: requests.Session = field(default_factory=requests.Session)
    spent: int = 0
    retries: int = 0
    waited_seconds: float = 0.0
    _pace: float = PACE
    _free_at: float | None = None

    def exhausted(self) -> str | None:
        """Why no call may leave any more: ``budget`` or ``time``."""
        if self.spent >= self.budget:
            return "budget"
        return "time" if self.remaining() < CALL_SECONDS else None

    def ask(self, question: Question) -> MusicBrainzReply:
        """The answer to a question.

        Raises MusicBrainzUnavailable (it may work later), RateLimited (not before a time) and MusicBrainzRefused (not
        like this; ``status`` is one of TOO_LONG where half of it may do).
        """
        requested_at = self.clock()
        path, fault = question.endpoint, ""
        for attempt in range(len(PAUSES) + 1):
            if attempt:
                self.retries += 1
                self._nap(PAUSES[attempt - 1])
            if self.exhausted():
                break
            try:
                status, headers, body = self._get(path, question)
            except (requests.RequestException, OSError) as error:
                fault = f"did not answer: {type(error).__name__}"
                continue
            if status in (301, 302, 308) and path.startswith(MERGED):
                path = MERGED + moved_to(headers)
                status, headers, body = self._get(path, question)
            document, fault = judged(status, body)
            if not fault and (status == 200 or (status == 404 and question.of_one_thing)):
                return MusicBrainzReply(status, body, document, requested_at, self.clock())
            if 300 <= status < 500 and status not in (408, 425, 429):
                raise MusicBrainzRefused(f"{host(path)} answered {status} to {path}: {fault}", status=status)
            self._heed(path, status, headers, fault)
        raise MusicBrainzUnavailable(f"{host(path)} {fault or 'could not be asked any more'}; the next run asks again")

    def _get(self, path: str, question: Question) -> tuple[int, dict[str, str], bytes]:
        """One request, when its time has come; headers in lower case."""
        now = self.monotonic()
        self._nap((self._free_at if self._free_at is not None else now + self._pace) - now)
        self.spent += 1
        try:
            response = self.session.get(
                self._address(path),
                params=question.params,
                headers={"User-Agent": f"spotify-lake/{__version__} ( {self.contact} )", "Accept": "application/json"},
                timeout=CALL_SECONDS / 2,
                allow_redirects=False,
                stream=True,
            )
            with response:
                body = self._body(response)
        finally:
            self._free_at = self.monotonic() + self._pace
        return response.status_code, {name.lower(): value for name, value in response.headers.items()}, body

    def _body(self, response: requests.Response) -> bytes:
        ends, body = self.monotonic() + CALL_SECONDS, bytearray()
        for block in response.iter_content(65_536):
            body += block
            if len(body) > LARGEST_BODY or self.monotonic() > ends:
                raise requests.ReadTimeout("the answer took too long")
        return bytes(body)

    def _address(self, path: str) -> str:
        name = path.partition("/")[2]
        return f"{self.listenbrainz_url}/{name}/" if path == GENRES else f"{self.musicbrainz_url}/{name}"

    def _heed(self, path: str, status: int, headers: dict[str, str], fault: str) -> None:
        """Wait as long as the answer asks. Raises RateLimited where that is too long to wait for."""
        seconds = max(number(headers.get("retry-after")), number(headers.get("x-ratelimit-reset-in")) * (status == 429))
        if TOO_FAST in fault or status == 429:
            self._pace = SLOW_PACE
            seconds = max(seconds, SLOW_PACE)
        if seconds > min(LONGEST_WAIT, self.remaining() - CALL_SECONDS):
            until = self.clock() + timedelta(seconds=min(seconds, 86_400))
            raise RateLimited(f"{host(path)} asks not to call before {until:%Y-%m-%d %H:%M:%S} UTC", not_before=until)
        self._nap(seconds)

    def _nap(self, seconds: float) -> None:
        if seconds > 0:
            self.waited_seconds += seconds
            self.sleep(seconds)


def judged(status: int, body: bytes) -> tuple[Any, str]:
    """The JSON of an answer, and what is wrong with it in words; empty where nothing is."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None, f"answered {status} with what is not JSON"
    said = document.get("error") if isinstance(document, dict) else None
    if status == 404:
        return document, ""
    if said or status != 200:
        return document, f"answered {status}: {str(said or '')[:200]}"
    return document, ""


def moved_to(headers: dict[str, str]) -> str:
    """The MBID that a redirect names. Only that is taken from it: no address of an answer is ever called."""
    found = MBID.search(headers.get("location", ""))
    if not found:
        raise MusicBrainzUnavailable("MusicBrainz redirected to no artist; the next run asks again")
    return found[1]


def number(text: str | None) -> float:
    """Seconds that a header names; 0 where it names none."""
    try:
        seconds = float(text or 0)
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def host(path: str) -> str:
    """Who is asked, as messages say it."""
    return "ListenBrainz" if path == GENRES else "MusicBrainz"
