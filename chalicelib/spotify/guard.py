"""The one gate to Spotify: every call passes it, and it alone decides to wait, to try again or to stop.

- A wait of a few seconds is taken in place, and by every thread; a longer ``Retry-After`` closes that endpoint group
  until the time it names, for this run and, through the state, for the next ones.
- Passing faults (5xx, resets, timeouts, bodies that are not the JSON expected, the odd 401 or 403 of a good token)
  are tried again a bounded number of times, with growing, jittered pauses. A call that stays unanswered closes its
  group for this run.
- A removed endpoint's 403 is terminal and known by its type.
- No more than ``budget`` requests leave, and nothing waits or starts past the time left.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from chalicelib.clock import Clock, Sleep
from chalicelib.errors import (
    AuthorizationEnded,
    EndpointRemoved,
    LakeError,
    QuotaExceeded,
    RateLimited,
    SpotifyRefused,
    SpotifyUnavailable,
    WaitUntil,
)
from chalicelib.spotify.client import Reply
from chalicelib.spotify.tokens import retry_after

MOST_ATTEMPTS = 8  # of one call; at 20 % faults one call in 400,000 stays unanswered
MOST_DENIALS = 3  # 401 or 403 answers of one call before they are believed
DENIALS = {"Forbidden": 2, "Access token missing": 5, "Premium required": 5}  # the last two come to good tokens, too
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 4.0  # s, between attempts
DEFAULT_WAIT = 2.0  # s, when a 429 does not say how long
RESERVE = 8.0  # s kept for packing, saving and ending the run; of a short run, a fifth
SHORTEST_CALL = 1.0  # s left below which no call starts

# Spotify counts quotas by groups of endpoints; which, it does not say. Finer than its own is safe: each of ours
# then learns of the wait by itself. The first path that matches counts.
GROUPS = (
    ("me/player", "player"),
    ("me/top", "top"),
    ("me/tracks", "library"),
    ("me/albums", "library"),
    ("me/following", "following"),
    ("me/playlists", "playlists"),
    ("browse", "browse"),
)

# Endpoints that development mode is known not to have: their first "Forbidden" is believed.
NOT_IN_DEVELOPMENT = frozenset(("artists", "albums", "tracks", "browse/new-releases"))


class Stopped(Exception):
    """The run must end here: ``reason`` is ``budget`` or ``time``. No call was made for what was asked."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Caller(Protocol):
    """One identity's client (see client.Spotify)."""

    def call(self, method: str, arguments: dict[str, Any], *, seconds: float) -> Reply: ...

    def reject(self, token: str) -> None:
        """This bearer token was refused: use another from now on."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked: a method of spotipy's and its arguments, the endpoint's ``template`` (``albums/{id}``), and the
    key that the answer must hold (``artists.items``)."""

    method: str
    arguments: dict[str, Any]
    template: str
    expect: str

    @property
    def group(self) -> str:
        return group_of(self.template)


def group_of(endpoint: str) -> str:
    """The group whose waits an endpoint shares."""
    for prefix, group in GROUPS:
        if endpoint.startswith(prefix):
            return group
    return endpoint.partition("/")[0]


@dataclass(slots=True)
class Tally:
    """What calls cost, counted by the guard; ``calls`` holds every request that left."""

    calls: int = 0
    retries: int = 0
    waited_seconds: float = 0.0


class Refused(Exception):
    """Spotify's last word on a call, with the answer that holds it: ``error`` says what it means."""

    def __init__(self, error: LakeError, reply: Reply) -> None:
        super().__init__(error.message)
        self.error = error
        self.reply = reply


@dataclass(slots=True)
class Guard:
    """The gate of one run, used by all its threads.

    ``remaining`` answers the seconds left; ``not_before`` starts with the waits that earlier runs were told of.
    """

    budget: int
    longest_wait: float
    call_timeout: float
    remaining: Callable[[], float]
    clock: Clock
    sleep: Sleep
    rng: Callable[[], float]
    reserve: float = RESERVE
    not_before: dict[str, datetime] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)  # groups closed for this run, and why
    by_endpoint: Counter[str] = field(default_factory=Counter)
    spent: int = 0
    _pause_until: datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def closed(self, group: str) -> LakeError | None:
        """Why no call of ``group`` may leave now, if so."""
        until = self.not_before.get(group)
        if until is not None and until > self.clock():
            return RateLimited(
                f"Spotify asks not to call {group} before {until:%Y-%m-%d %H:%M:%S} UTC", not_before=until
            )
        if group in self.unavailable:
            return SpotifyUnavailable(self.unavailable[group])
        return None

    def exhausted(self) -> str | None:
        """Why no call at all may leave any more: ``budget`` or ``time``."""
        if self.spent >= self.budget:
            return "budget"
        return "time" if self.remaining() < self.reserve + SHORTEST_CALL else None

    def ask(self, caller: Caller, call: Call, tally: Tally) -> Reply:
        """Spotify's good answer to ``call``.

        Raises Refused (a lasting no, with the answer), WaitUntil (the group is closed until then), SpotifyUnavailable
        (the group is closed for this run), Stopped, and what the tokens raise.
        """
        denials = 0
        for attempt in range(MOST_ATTEMPTS):
            if attempt:
                tally.retries += 1
            self._enter(call, tally)
            try:
                reply = caller.call(call.method, call.arguments, seconds=self._seconds())
                fault = self._fault(call, reply)
            except (SpotifyUnavailable, WaitUntil) as error:  # the network's, or the token service's
                reply, fault = None, error
            if fault is None:
                assert reply is not None
                return reply
            if isinstance(fault, WaitUntil):
                self._wait_or_close(call, fault)
                continue
            if reply is not None and reply.status in (401, 403):
                denials += 1
                self._doubt(caller, reply, fault, denials)
            elif reply is not None and not isinstance(fault, SpotifyUnavailable):
                raise Refused(fault, reply)
            self._rest(attempt, tally)
        message = f"Spotify left {call.template} unanswered {MOST_ATTEMPTS} times; the next run asks again"
        self.unavailable[call.group] = message
        raise SpotifyUnavailable(message)

    def _enter(self, call: Call, tally: Tally) -> None:
        """Wait for a pause that all share, then count one request; or refuse to let it leave."""
        while True:
            with self._lock:
                reason = self.exhausted()
                if reason:
                    raise Stopped(reason)
                closed = self.closed(call.group)
                if closed:
                    raise closed
                pause = (self._pause_until - self.clock()).total_seconds() if self._pause_until else 0.0
                if pause <= 0:
                    self.spent += 1
                    self.by_endpoint[call.template] += 1
                    tally.calls += 1
                    return
            self._nap(pause, tally)

    def _seconds(self) -> float:
        return max(SHORTEST_CALL, min(self.call_timeout, self.remaining() - self.reserve))

    def _fault(self, call: Call, reply: Reply) -> LakeError | None:
        """What is wrong with an answer, as a type that says whether asking again may help."""
        said = message_of(reply)
        if reply.status == 200:
            if holds(reply.document, call.expect):
                return None
            return SpotifyUnavailable(f"Spotify's answer to {call.template} is not what it should be")
        if reply.status == 429:
            return self._too_many(call, reply)
        if reply.status >= 500 or reply.status in (408, 425):
            return SpotifyUnavailable(f"Spotify answered {reply.status} to {call.template}")
        if reply.status == 403 and said == "Forbidden" and not call.template.startswith("playlists/"):
            return EndpointRemoved(f"Spotify does not offer {call.template} to this app", endpoint=call.template)
        if reply.status == 403 and "not be registered" in said:
            return AuthorizationEnded(
                "Spotify does not count this listener among the app's users: add the account under User Management "
                "at https://developer.spotify.com/dashboard"
            )
        return SpotifyRefused(f"Spotify answered {reply.status} to {reply.endpoint}: {said}", status=reply.status)

    def _too_many(self, call: Call, reply: Reply) -> WaitUntil:
        seconds = retry_after(reply.headers)
        until = self.clock() + timedelta(seconds=DEFAULT_WAIT if seconds is None else seconds)
        words = f"Spotify asks not to call {call.group} before {until:%Y-%m-%d %H:%M:%S} UTC"
        if isinstance(reply.document, dict) and error_of(reply.document).get("reason") == "QUOTA_EXCEEDED":
            return QuotaExceeded(f"{words} (quota of the development-mode app)", not_before=until)
        return RateLimited(words, not_before=until)

    def _wait_or_close(self, call: Call, fault: WaitUntil) -> None:
        """A short wait holds everybody back a moment; a long one closes the group and raises."""
        seconds = (fault.not_before - self.clock()).total_seconds()
        with self._lock:
            if seconds <= self.longest_wait and seconds < self.remaining() - self.reserve:
                jitter = timedelta(seconds=0.05 + 0.2 * self.rng())
                self._pause_until = max(self._pause_until or fault.not_before, fault.not_before + jitter)
                return
            known = self.not_before.get(call.group)
            self.not_before[call.group] = max(known or fault.not_before, fault.not_before)
        raise fault

    def _doubt(self, caller: Caller, reply: Reply, fault: LakeError, denials: int) -> None:
        """A good token gets the odd 401 or 403: ask again before believing it, with another token after a 401."""
        if isinstance(fault, EndpointRemoved) and fault.details["endpoint"] in NOT_IN_DEVELOPMENT:
            raise Refused(fault, reply)
        if denials >= DENIALS.get(message_of(reply), MOST_DENIALS):
            raise Refused(fault, reply)
        if reply.status == 401 and (denials > 1 or message_of(reply) != "Access token missing"):
            caller.reject(reply.token)

    def _rest(self, attempt: int, tally: Tally) -> None:
        """The pause before the next attempt: half of it sure, half of it chance."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
        self._nap(pause * (0.5 + 0.5 * self.rng()), tally)

    def _nap(self, seconds: float, tally: Tally) -> None:
        seconds = min(seconds, max(0.0, self.remaining() - self.reserve))
        tally.waited_seconds += seconds
        self.sleep(seconds)


def message_of(reply: Reply) -> str:
    """What Spotify says is wrong."""
    return str(error_of(reply.document or {}).get("message", ""))[:200]


def error_of(document: dict[str, Any]) -> dict[str, Any]:
    error = document.get("error")
    return error if isinstance(error, dict) else {"message": str(error or "")}


def holds(document: dict[str, Any] | None, path: str) -> bool:
    """Whether ``document`` has something other than null at a dotted path; lists must be lists."""
    found: Any = document
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return isinstance(found, list) if path.endswith(("items", "artists", "albums", "tracks")) else found is not None
