"""What can go wrong, on demand: refusals, waits, broken answers, silence."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from sandbox.clock import SECOND, Clock
from sandbox.dice import Dice

KINDS = {
    "rate_limit": "429 and a Retry-After for the endpoint's group",
    "quota": "429 with reason QUOTA_EXCEEDED for the endpoint's group",
    "unauthorized_once": "401 'Access token missing'; the same request works when repeated",
    "forbidden_once": "403 'Premium required'; the same request works when repeated",
    "server_error": "500, 502 or 503 (status)",
    "reset": "the connection is reset before any answer",
    "truncated": "200 with the first half of the JSON; with declared=true the length of the whole is promised",
    "html": "200 with a page of HTML",
    "slow": "the answer comes after some seconds",
    "timeout": "no answer for some seconds, then the connection is closed",
    "not_json": "200 with text that is no JSON",
    "removed": "403 'Forbidden', as endpoints that development mode has lost",
}
ONCE_BY_DEFAULT = frozenset(("rate_limit", "quota", "unauthorized_once", "forbidden_once"))
RATE_SECONDS, QUOTA_SECONDS = 30, 7_293
RATE_WINDOW = 30 * SECOND  # Spotify's rolling window, Web API rate limits


@dataclass(slots=True)
class Fault:
    """One thing going wrong.

    ``endpoint`` is a glob on the template or path, or a group's name; ``user_id`` the only listener whose calls it
    strikes, and who then has to wait; ``rate`` the share of calls it strikes;
    ``count`` how often at most (default: once for waits and ``*_once``, without end otherwise or when a rate is
    given).
    """

    kind: str
    endpoint: str = "*"
    retry_after: int | None = None
    """Seconds; by default 30, and for a quota 7,293, the shortest that people report of Spotify."""
    rate: float = 1.0
    count: int | None = None
    status: int = 500
    seconds: float = 1.0
    declared: bool = False
    user_id: str | None = None
    struck: int = 0
    _spared: set[str] = field(default_factory=set)

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Fault:
        allowed = {"kind", "endpoint", "retry_after", "rate", "count", "status", "seconds", "declared", "user_id"}
        unknown = set(given) - allowed
        if unknown or given.get("kind") not in KINDS:
            raise ValueError(f"a fault takes {sorted(allowed)}, its kind being one of {sorted(KINDS)}")
        fault = cls(**given)
        if fault.retry_after is None:
            fault.retry_after = QUOTA_SECONDS if fault.kind == "quota" else RATE_SECONDS
        if fault.count is None and "rate" not in given and fault.kind in ONCE_BY_DEFAULT:
            fault.count = 1
        return fault

    def matches(self, template: str, path: str, group: str, user_id: str | None) -> bool:
        if self.user_id not in (None, user_id):
            return False
        if group == "accounts" and self.endpoint == "*":
            return False  # the accounts service fails only when it is named
        pattern = self.endpoint.removeprefix("/v1")
        slashed = pattern if pattern.startswith("/") else f"/{pattern}"
        return group == pattern or fnmatchcase(template, slashed) or fnmatchcase(path, slashed)

    def strikes(self, target: str, dice: Dice) -> bool:
        """Whether it strikes this time."""
        if self.count is not None and self.struck >= self.count:
            return False
        if target in self._spared:
            self._spared.discard(target)
            return False
        if self.rate < 1.0 and not dice.chance(self.rate):
            return False
        self.struck += 1
        if self.kind.endswith("_once"):
            self._spared.add(target)
        return True

    def to_json(self) -> dict[str, Any]:
        shown = (
            "kind",
            "endpoint",
            "retry_after",
            "rate",
            "count",
            "status",
            "seconds",
            "declared",
            "user_id",
            "struck",
        )
        return {name: getattr(self, name) for name in (*shown, "struck")}


class Faults:
    """The faults in force, struck in the order they were given."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.clear()

    def clear(self) -> None:
        self.active: list[Fault] = []
        self._dice = Dice(self._seed, "faults")

    def add(self, kind: str, endpoint: str = "*", **settings: Any) -> Fault:
        """Put a fault in force; the settings are those of ``Fault``."""
        fault = Fault.from_json({"kind": kind, "endpoint": endpoint, **settings})
        self.active.append(fault)
        return fault

    def striking(self, template: str, path: str, group: str, target: str, user_id: str | None) -> list[Fault]:
        """Those that strike this call: any slowness, and at most one other."""
        struck = []
        for fault in self.active:
            if fault.matches(template, path, group, user_id) and fault.strikes(target, self._dice):
                struck.append(fault)
                if fault.kind != "slow":
                    break
        return struck


@dataclass(slots=True)
class Wait:
    """A refusal in force for a group of endpoints (or ``*``: all), and for a listener (or everybody)."""

    until: int
    base: int
    quota: bool


class Waits:
    """Who has to wait how long. Calling on meanwhile lengthens the wait, as people report of Spotify."""

    def __init__(self, clock: Clock, rate_limit_per_30s: int | None = None) -> None:
        self._clock = clock
        self._waits: dict[tuple[str, str | None], Wait] = {}
        self._calls: deque[int] = deque()
        self.rate_limit_per_30s = rate_limit_per_30s

    def start(self, group: str, seconds: int, quota: bool, user_id: str | None = None) -> Wait:
        base = seconds * SECOND
        wait = self._waits[group, user_id] = Wait(self._clock.waited_ms() + base, base, quota)
        return wait

    def violated(self, group: str, user_id: str | None) -> Wait | None:
        """The wait that a call of this group disregards, now longer, if there is one."""
        now = self._clock.waited_ms()
        for named in ((group, None), ("*", None), (group, user_id)):
            wait = self._waits.get(named)
            if wait is not None and wait.until > now:
                wait.until += max(SECOND, wait.base // 2)
                return wait
        return None

    def limited(self) -> Wait | None:
        """Count a call against the rate limit; the wait that begins if it is one too many."""
        if self.rate_limit_per_30s is None:
            return None
        now = self._clock.waited_ms()
        while self._calls and self._calls[0] <= now - RATE_WINDOW:
            self._calls.popleft()
        if len(self._calls) >= self.rate_limit_per_30s:
            return self.start("*", max(1, -((now - RATE_WINDOW - self._calls[0]) // SECOND)), quota=False)
        self._calls.append(now)
        return None

    def seconds_left(self, wait: Wait) -> int:
        """Whole seconds, rounded up: what Retry-After says."""
        return max(1, -((self._clock.waited_ms() - wait.until) // SECOND))

    def clear(self) -> None:
        self._waits.clear()
        self._calls.clear()

    def to_json(self) -> dict[str, int]:
        now = self._clock.waited_ms()
        held = {named: wait for named, wait in self._waits.items() if wait.until > now}
        return {f"{group} {user}" if user else group: self.seconds_left(wait) for (group, user), wait in held.items()}
