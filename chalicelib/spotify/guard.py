"""The one gate to Spotify: every call passes it, and it alone decides to wait, to try again or to stop.

- A wait of a few seconds is taken in place, and by every thread; a longer ``Retry-After`` closes that endpoint group
  until the time it names, for this run and, through the state, for the next ones. One that cannot be read closes it
  for a time that grows while Spotify goes on refusing.
- Passing faults (5xx, resets, timeouts, bodies that are not the JSON expected, the odd 401 or 403 of a good token)
  are tried again a few times, with growing, jittered pauses.
- An endpoint that was called in vain ``PATIENCE`` times in a row is left alone for the rest of the run, it alone: its
  group's others may work. While faults are seen to pass (the network is bad, Spotify is not), there is more patience.
- The first call to a group in a run goes alone: should Spotify want to wait, one call learns of it.
- What development mode is known not to have is believed to be removed; any other no is only a no to this call.
- No more than ``budget`` requests leave, and nothing waits or starts past the time left.

A run has a gate for the app and one for each listener (:meth:`Guard.beside`). They share the budget and every pause;
what is closed or left alone because of one listener's answers is so for that listener. Spotify counts calls of the
whole app, but a long wait may also be one listener's own: told to one of several, it holds for that one until another
is told the same; then it is the app's, and closes the group for all. A quota, and what the app's own token is told, is
the app's at once.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from chalicelib.clock import Clock, Sleep, parse_rfc3339, rfc3339
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
from chalicelib.spotify.client import SpotifyReply
from chalicelib.spotify.tokens import retry_after

PATIENCE = 3  # calls in vain in a row after which an endpoint is left alone for the run
LONG_PATIENCE = 8  # the same while faults are seen to pass; at 20 % faults one in 400,000 stays unanswered
ATTEMPTS_FOR_ONE = 2  # of a call about one thing, while no faults are seen to pass: it alone may be what is wrong
DENIALS = {"Forbidden": 2}  # 401 or 403 answers of one call before they are believed, else PATIENCE
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 4.0  # s, between attempts
FIRST_CLOSURE = {"QUOTA_EXCEEDED": timedelta(hours=1)}  # when a 429 does not say how long; it doubles each time
SHORT_CLOSURE, LONGEST_CLOSURE = timedelta(minutes=1), timedelta(days=1)
LONGEST_NAMED = timedelta(days=7)  # people report a day; what is further off was said or noted by mistake
RESERVE = 8.0  # s kept for packing, saving and ending the run; of a short run, a fifth
SHORTEST_CALL = 1.0  # s left below which no call starts

# Endpoints that development mode is known not to have: their first "Forbidden" is believed.
NOT_IN_DEVELOPMENT = frozenset(("artists", "albums", "tracks", "browse/new-releases"))


class Stopped(Exception):
    """The run must end here: ``reason`` is ``budget`` or ``time``. No call was made for what was asked."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Caller(Protocol):
    """One identity's client (see client.Spotify)."""

    def call(self, method: str, arguments: dict[str, Any], *, seconds: float) -> SpotifyReply:
        """Ask once. Raises SpotifyUnavailable when no whole answer arrived."""

    def reject(self, token: str) -> None:
        """This bearer token was refused: use another from now on."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint's ``template`` (``albums/{id}``), the ``group`` whose waits it shares, and the key that a good
    answer holds (``artists.items``).

    Spotify counts quotas by groups of endpoints; which, it does not say. Finer than its own is safe: each of ours
    then learns of the wait by itself.
    """

    template: str
    group: str
    expect: str

    @property
    def of_one_thing(self) -> bool:
        """Whether it is asked about one album, artist, track or playlist by its id."""
        return "{id}" in self.template

    @property
    def is_batch(self) -> bool:
        """Whether it is asked about many things by their ids."""
        return self.template == self.expect


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked: a method of spotipy's, its arguments, and the endpoint that they go to."""

    method: str
    arguments: dict[str, Any]
    endpoint: Endpoint

    @property
    def template(self) -> str:
        """The endpoint's template."""
        return self.endpoint.template


@dataclass(slots=True)
class Wait:
    """Until when a group may not be called, since when, and how often in a row Spotify did not say how long."""

    until: str
    since: str
    closures: int = 0
    whole_app: bool = False  # whether it is everybody's

    def in_force(self, moment: datetime) -> bool:
        """Whether it holds at ``moment``. One that began after it, or lasts longer than any, was noted by a clock
        that was wrong."""
        since, until = parse_rfc3339(self.since), parse_rfc3339(self.until)
        return since <= moment + timedelta(minutes=2) and moment < until <= moment + LONGEST_NAMED


@dataclass(slots=True)
class Tally:
    """What calls cost, counted by the guard; ``calls`` holds every request that left."""

    calls: int = 0
    retries: int = 0
    waited_seconds: float = 0.0


class CallRefused(Exception):
    """Spotify's last word on a call, with the answer that holds it: ``error`` says what it means."""

    def __init__(self, error: LakeError, reply: SpotifyReply) -> None:
        super().__init__(error.message)
        self.error = error
        self.reply = reply


@dataclass(slots=True)
class AppWide:
    """What all gates of a run share, whoever asks."""

    spent: int = 0
    by_endpoint: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)  # answers that brought something, by group
    waits: dict[str, Wait] = field(default_factory=dict)  # of the whole app, by group
    passed: int = 0  # faults after which the same call was answered
    told: dict[str, set[int]] = field(default_factory=dict)  # gates that were told to wait long, by group
    pause_until: datetime | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True)
class Guard:
    """The gate of one run for the app or for one listener, used by all its threads.

    ``remaining`` answers the seconds left; ``waits`` (by group) starts with those that earlier runs were told of.
    ``most_at_once`` calls to one endpoint may be under way. ``speaks_for_all``: what it is told is told the whole app.
    """

    budget: int
    longest_wait: float
    call_timeout: float
    remaining: Callable[[], float]
    clock: Clock
    sleep: Sleep
    rng: Callable[[], float]
    reserve: float = RESERVE
    most_at_once: int = PATIENCE
    waits: dict[str, Wait] = field(default_factory=dict)
    speaks_for_all: bool = True
    shared: AppWide = field(default_factory=AppWide)
    good: Counter[str] = field(default_factory=Counter)  # answers that brought something, by endpoint
    in_vain: Counter[str] = field(default_factory=Counter)  # calls in a row that brought nothing, by endpoint
    odd: Counter[str] = field(default_factory=Counter)  # answers that were not as they should be, by endpoint
    refusals: Counter[str] = field(default_factory=Counter)  # of one thing, by endpoint
    reasons: dict[str, str] = field(default_factory=dict)  # why the last call to an endpoint was in vain

    def __post_init__(self) -> None:
        moment = self.clock()
        everybodys = {group: wait for group, wait in self.waits.items() if wait.whole_app and wait.in_force(moment)}
        self.shared.waits.update(everybodys)
        for group, wait in self.waits.items():
            if wait.in_force(moment):
                self._witness(group)

    def beside(self, waits: dict[str, Wait], *, speaks_for_all: bool) -> Guard:
        """The gate of somebody else in the same run."""
        return Guard(
            budget=self.budget,
            longest_wait=self.longest_wait,
            call_timeout=self.call_timeout,
            remaining=self.remaining,
            clock=self.clock,
            sleep=self.sleep,
            rng=self.rng,
            reserve=self.reserve,
            most_at_once=self.most_at_once,
            waits=waits,
            speaks_for_all=speaks_for_all,
            shared=self.shared,
        )

    @property
    def spent(self) -> int:
        """Requests that have left, whoever asked."""
        return self.shared.spent

    def closed(self, endpoint: Endpoint) -> LakeError | None:
        """Why no call to ``endpoint`` may leave now, if so."""
        until = self.waiting_until(endpoint.group)
        if until is not None:
            return RateLimited(
                f"Spotify asks not to call {endpoint.group} before {until:%Y-%m-%d %H:%M:%S} UTC", not_before=until
            )
        if self.in_vain[endpoint.template] >= self.patience:
            return SpotifyUnavailable(self.reasons[endpoint.template])
        return None

    def waiting_until(self, group: str) -> datetime | None:
        """Until when a group may not be called; None where it may."""
        moment = self.clock()
        waits = (wait for wait in (self.waits.get(group), self.shared.waits.get(group)) if wait)
        return max((parse_rfc3339(wait.until) for wait in waits if wait.in_force(moment)), default=None)

    @property
    def patience(self) -> int:
        """How many calls in a row an endpoint may be asked in vain."""
        return LONG_PATIENCE if self.shared.passed else PATIENCE

    def at_once(self, endpoint: Endpoint) -> int:
        """How many calls to ``endpoint`` may be under way now: one until it has answered well, and no more than
        there is patience for."""
        if not self.shared.answered[endpoint.group]:
            return 1
        tried = self.good[endpoint.template] + 1
        return max(1, min(tried, self.most_at_once, self.patience - self.in_vain[endpoint.template]))

    def served(self, endpoint: Endpoint) -> None:
        """Note that an answer brought something."""
        with self.shared.lock:
            self.good[endpoint.template] += 1
            self.shared.answered[endpoint.group] += 1
            self.in_vain[endpoint.template] = self.odd[endpoint.template]
            wait = self.waits.get(endpoint.group)
            if wait is not None and not wait.in_force(self.clock()):
                del self.waits[endpoint.group]

    def answered_oddly(self, endpoint: Endpoint, why: str) -> None:
        """Note that an answer cannot be used. That is Spotify's mistake, which good answers between do not outweigh:
        what was odd is asked for last, so that the endpoint's others do not wait for it for ever."""
        self.odd[endpoint.template] += 1
        self.disappointed(endpoint, why)

    def disappointed(self, endpoint: Endpoint, why: str) -> None:
        """Note that a call brought nothing that can be used."""
        with self.shared.lock:
            self.in_vain[endpoint.template] += 1
            self.reasons[endpoint.template] = why

    def refused_one(self, endpoint: Endpoint, why: str) -> None:
        """Note a refusal of one thing. While others are shown it says nothing of the endpoint."""
        self.refusals[endpoint.template] += 1
        if self.refusals[endpoint.template] > self.good[endpoint.template]:
            self.disappointed(endpoint, why)

    def exhausted(self) -> str | None:
        """Why no call at all may leave any more: ``budget`` or ``time``."""
        if self.shared.spent >= self.budget:
            return "budget"
        return "time" if self.remaining() < self.reserve + SHORTEST_CALL else None

    def ask(self, caller: Caller, call: Call, tally: Tally) -> SpotifyReply:
        """Spotify's good answer to ``call``.

        Raises CallRefused (a no, with the answer), WaitUntil (the group is closed until then), SpotifyUnavailable
        (the call was in vain), Stopped, and what the tokens raise.
        """
        attempt = faults = denials = 0
        while True:
            if attempt:
                tally.retries += 1
            self._enter(call, tally)
            asked_at = self.clock()
            try:
                reply = caller.call(call.method, call.arguments, seconds=self._seconds())
                fault = self._fault(call, reply)
            except (SpotifyUnavailable, WaitUntil) as error:  # the network's, or the token service's
                reply, fault = None, error
            if fault is None:
                assert reply is not None
                self.shared.passed += faults
                return reply
            attempt += 1
            if isinstance(fault, WaitUntil):
                self._wait_or_close(call, fault, reply, asked_at)
                continue
            if reply is not None and not isinstance(fault, SpotifyUnavailable):
                denials += reply.status in (401, 403)
                self._doubt(caller, call, reply, fault, denials)
            faults += 1
            self.disappointed(call.endpoint, fault.message)
            if self.closed(call.endpoint) or attempt >= self._attempts(call):
                raise given_up(reply, fault)
            self._rest(attempt - 1, tally)

    def _attempts(self, call: Call) -> int:
        if self.shared.passed:
            return LONG_PATIENCE
        return ATTEMPTS_FOR_ONE if call.endpoint.of_one_thing else PATIENCE

    def _enter(self, call: Call, tally: Tally) -> None:
        """Wait for a pause that all share, then count one request; or refuse to let it leave."""
        while True:
            with self.shared.lock:
                reason = self.exhausted()
                if reason:
                    raise Stopped(reason)
                closed = self.closed(call.endpoint)
                if closed:
                    raise closed
                pause = (self.shared.pause_until - self.clock()).total_seconds() if self.shared.pause_until else 0.0
                if pause <= 0:
                    self.shared.spent += 1
                    self.shared.by_endpoint[call.template] += 1
                    tally.calls += 1
                    return
            self._nap(pause, tally)

    def _seconds(self) -> float:
        return max(SHORTEST_CALL, min(self.call_timeout, self.remaining() - self.reserve))

    def _fault(self, call: Call, reply: SpotifyReply) -> LakeError | None:
        """What is wrong with an answer, as a type that says whether asking again may help."""
        said = message_of(reply)
        if reply.status == 200:
            if holds(reply.document, call.endpoint.expect):
                return None
            return SpotifyUnavailable(f"Spotify's answer to {call.template} is not what it should be")
        if reply.status == 429:
            return self._too_many(call, reply)
        if reply.status >= 500 or reply.status in (408, 425) or reply.status < 300:
            return SpotifyUnavailable(f"Spotify answered {reply.status} to {call.template}")
        if reply.status == 403 and said == "Forbidden" and call.template in NOT_IN_DEVELOPMENT:
            return EndpointRemoved(f"Spotify does not offer {call.template} to this app", endpoint=call.template)
        if reply.status == 403 and re.search(r"\bnot (be )?registered\b", said):
            return AuthorizationEnded(
                "Spotify does not count this listener among the app's users: add the account under User Management "
                "at https://developer.spotify.com/dashboard"
            )
        return SpotifyRefused(f"Spotify answered {reply.status} to {reply.endpoint}: {said}", status=reply.status)

    def _too_many(self, call: Call, reply: SpotifyReply) -> WaitUntil:
        """How long a 429 asks to wait. Where it does not say so, the time grows from one 429 to the next."""
        moment, group = self.clock(), call.endpoint.group
        reason = str(error_of(reply.document or {}).get("reason", ""))
        seconds = retry_after(reply.headers, moment)
        if seconds is None:
            wait = self.waits.get(group)
            first = FIRST_CLOSURE.get(reason, SHORT_CLOSURE)
            until = moment + min(LONGEST_CLOSURE, first * 2 ** min(wait.closures if wait else 0, 16))
        else:
            until = moment + min(LONGEST_NAMED, timedelta(seconds=seconds))
        words = f"Spotify asks not to call {group} before {until:%Y-%m-%d %H:%M:%S} UTC"
        if reason == "QUOTA_EXCEEDED":
            return QuotaExceeded(f"{words} (quota of the development-mode app)", not_before=until)
        return RateLimited(words, not_before=until)

    def _wait_or_close(self, call: Call, fault: WaitUntil, reply: SpotifyReply | None, asked_at: datetime) -> None:
        """A short wait holds everybody back a moment; a long one, or one that is not named, closes the group and
        raises. Short waits that come in a row without an answer are not believed for ever."""
        moment = self.clock()
        seconds = (fault.not_before - moment).total_seconds()
        named = reply is None or retry_after(reply.headers, moment) is not None
        with self.shared.lock:
            known = self.shared.pause_until is not None and self.shared.pause_until > asked_at
            bearable = named and self.in_vain[call.template] + 1 < self.patience
            if bearable and seconds <= self.longest_wait and seconds < self.remaining() - self.reserve:
                self.in_vain[call.template] += not known
                self.reasons[call.template] = fault.message
                jitter = timedelta(seconds=0.05 + 0.2 * self.rng())
                self.shared.pause_until = max(self.shared.pause_until or fault.not_before, fault.not_before + jitter)
                return
            whole_app = reply is not None and (self.speaks_for_all or isinstance(fault, QuotaExceeded))
            self._close(call.endpoint.group, moment, fault.not_before, named, whole_app, told=reply is not None)
        raise fault

    def _close(
        self, group: str, moment: datetime, until: datetime, named: bool, whole_app: bool, *, told: bool
    ) -> None:
        """Note a long wait; ``told`` by Spotify's answer to a call, not by its token service."""
        wait = self.waits.get(group)
        if wait is not None and wait.in_force(moment) and parse_rfc3339(wait.until) >= until:
            return  # another thread was told the same
        closures = 0 if named else (wait.closures if wait else 0) + 1
        whole_app = whole_app or (told and self._witness(group) > 1)
        self.waits[group] = Wait(rfc3339(until), rfc3339(moment), closures, whole_app)
        if whole_app:
            self.shared.waits[group] = self.waits[group]

    def _witness(self, group: str) -> int:
        """Note that this gate was told to wait; answers how many were."""
        gates = self.shared.told.setdefault(group, set())
        gates.add(id(self))
        return len(gates)

    def _doubt(self, caller: Caller, call: Call, reply: SpotifyReply, fault: LakeError, denials: int) -> None:
        """A good token gets the odd 401 or 403: ask again before believing it, with another token after a 401."""
        if isinstance(fault, EndpointRemoved):
            raise CallRefused(fault, reply)
        if reply.status not in (401, 403):
            self._refuse(call, reply, fault)
        if reply.status == 403 and message_of(reply) == "Forbidden" and call.endpoint.of_one_thing:
            self._refuse(call, reply, fault)
        if denials >= DENIALS.get(message_of(reply), LONG_PATIENCE):
            self._refuse(call, reply, fault)
        if reply.status == 401 and (denials > 1 or message_of(reply) != "Access token missing"):
            caller.reject(reply.token)

    def _refuse(self, call: Call, reply: SpotifyReply, fault: LakeError) -> None:
        if call.endpoint.of_one_thing:
            self.refused_one(call.endpoint, fault.message)
        else:
            self.disappointed(call.endpoint, fault.message)
        raise CallRefused(fault, reply)

    def _rest(self, attempt: int, tally: Tally) -> None:
        """The pause before the next attempt: half of it sure, half of it chance."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
        self._nap(pause * (0.5 + 0.5 * self.rng()), tally)

    def _nap(self, seconds: float, tally: Tally) -> None:
        seconds = min(seconds, max(0.0, self.remaining() - self.reserve))
        tally.waited_seconds += seconds
        self.sleep(seconds)


def given_up(reply: SpotifyReply | None, fault: LakeError) -> Exception:
    """What a call ends as that is not made again."""
    if reply is not None and not isinstance(fault, SpotifyUnavailable):
        return CallRefused(fault, reply)
    return SpotifyUnavailable(f"{fault.message}; the next run asks again")


def message_of(reply: SpotifyReply) -> str:
    """What Spotify says is wrong."""
    return str(error_of(reply.document or {}).get("message", ""))[:200]


def error_of(document: dict[str, Any]) -> dict[str, Any]:
    """The error in an answer, in either of Spotify's two shapes."""
    error = document.get("error")
    return error if isinstance(error, dict) else {"message": str(error or "")}


def holds(document: dict[str, Any] | None, path: str) -> bool:
    """Whether ``document`` has something other than null at a dotted path; lists must be lists."""
    found: Any = document
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return isinstance(found, list) if path.endswith(("items", "artists", "albums", "tracks")) else found is not None
