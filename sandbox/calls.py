"""The record of calls that tests and demonstrations read."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, NamedTuple

from sandbox.clock import to_milliseconds

KEPT_CALLS = 100_000


class Call(NamedTuple):
    """One call as it was answered."""

    at_ms: int
    method: str
    path: str
    query: str
    template: str
    group: str
    status: int
    """The HTTP status, or 0 where nothing was answered."""


class Calls:
    """Counts all calls and keeps the last hundred thousand."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.log: deque[Call] = deque(maxlen=KEPT_CALLS)
        self.by_endpoint: Counter[str] = Counter()
        self.by_group: Counter[str] = Counter()
        self.by_status: Counter[int] = Counter()
        self.violations: deque[Call] = deque(maxlen=KEPT_CALLS)

    def add(self, call: Call, violation: bool = False) -> None:
        self.log.append(call)
        self.by_endpoint[f"{call.method} {call.template}"] += 1
        self.by_group[call.group] += 1
        self.by_status[call.status] += 1
        if violation:
            self.violations.append(call)

    @property
    def total(self) -> int:
        """Calls to the Web API; those to the accounts service, MusicBrainz and the image host are not counted in it."""
        others = ("accounts", "musicbrainz", "images")
        return sum(self.by_group.values()) - sum(self.by_group[group] for group in others)

    def to_json(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "by_endpoint": dict(sorted(self.by_endpoint.items())),
            "by_group": dict(sorted(self.by_group.items())),
            "by_status": {str(status): count for status, count in sorted(self.by_status.items())},
            "violations": [_shown(call) for call in self.violations],
            "log": [_shown(call) for call in self.log],
        }


def _shown(call: Call) -> list[Any]:
    path = f"{call.path}?{call.query}" if call.query else call.path
    return [to_milliseconds(call.at_ms), call.method, path, call.status]
