"""What to ask next: a reader of each source looks at the state and names its next call.

A reader keeps nothing between calls but what is in the state, so that a run which ends anywhere is taken up exactly
there by the next. The counterpart, what an answer changes in the state, is in intake.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from chalicelib.clock import parse_rfc3339, rfc3339
from chalicelib.extraction.sources import Source
from chalicelib.extraction.state import State
from chalicelib.spotify.guard import Call

PAGE = 50  # items; Spotify's most but where said otherwise
SHORT_PAGE = 10  # items; its most for search and, in development mode, discographies
OFTEN = timedelta(hours=1)  # sources read at least this often are always due when a person starts the run
SLACK = timedelta(minutes=2)  # a schedule's jitter must not make a source wait for the next run

REMOVED_FOR = timedelta(days=30)  # then a removed endpoint is tried once again: apps are granted more, too

Context = Callable[[dict[str, Any]], dict[str, Any]]


def fixed(context: dict[str, Any]) -> Context:
    """A context that does not depend on the answer."""
    return lambda _: dict(context)


def no_context(_: dict[str, Any]) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Request:
    """One call to make. ``listing`` is what it is a step of: a listing has one call under way at a time.

    ``user`` is the listener whose token is used, None for the app's own; ``context`` makes the raw header's context
    from the answer; ``ids`` are what details are asked for.
    """

    source: str
    listing: str
    user: str | None
    call: Call
    context: Context = no_context
    ids: tuple[str, ...] = ()


@dataclass(slots=True)
class View:
    """What readers see. ``listeners`` maps user ids to Spotify ids; ``busy`` holds the listings with a call under way

    and ``given_up`` those that failed in this run; ``by_hand``: a person asked for this run; ``chosen``: and for
    these very sources; ``unsettled``: sources earlier in the order may still bring more to read.
    """

    state: State
    now: datetime
    run_started: datetime
    refresh_after: timedelta
    listeners: Mapping[str, str]
    forced_mode: str | None = None
    by_hand: bool = False
    chosen: bool = False
    unsettled: bool = False
    wanted_tracks: list[str] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)

    @property
    def extended(self) -> bool:
        """False also while the mode is not known: what development mode offers, every app may use."""
        return (self.forced_mode or self.state.mode) == "extended"

    def free(self, listing: str) -> bool:
        return listing not in self.busy and listing not in self.given_up

    def due(self, source: Source, last: datetime | None) -> bool:
        """Whether what was last read at ``last`` is to be read in this run."""
        if last is None:
            return True
        if last >= self.run_started or source.every is None:
            return False
        if self.chosen or (self.by_hand and source.every <= OFTEN):
            return True
        return self.now - last >= source.every - min(SLACK, source.every / 10)

    def source_due(self, source: Source, user: str | None) -> bool:
        return self.due(source, self.state.last_done(source.name, user))

    def removed(self, endpoint: str) -> bool:
        """Whether Spotify has lately said that this app may not use ``endpoint``."""
        text = self.state.removed.get(endpoint)
        return text is not None and self.run_started - parse_rfc3339(text) < REMOVED_FOR

    def page_size(self, template: str, extended: int, development: int) -> int:
        """Items a page of this endpoint may have."""
        return self.state.limits.get(template, extended if self.extended else development)


class Reader(Protocol):
    """One source, for one listener where it needs one."""

    @property
    def source(self) -> Source: ...

    @property
    def user(self) -> str | None: ...

    @property
    def endpoint(self) -> str:
        """What it cannot do without; its group's waits are the reader's."""

    def next(self, view: View) -> Request | None:
        """The next call that may leave now; None when there is none, or none before an answer under way arrives."""

    def put_back(self, view: View, request: Request, *, again: bool) -> None:
        """A request brought nothing: ask for it anew in this run (``again``) or in the next."""

    def calls_left(self, view: View) -> int:
        """About how many calls remain, the ones under way included."""


class KeepsNothing:
    """A reader that finds its next call in the state alone has nothing to put back."""

    __slots__ = ()

    def put_back(self, view: View, request: Request, *, again: bool) -> None:
        """The state names it again."""


def pages(items: int, size: int = PAGE) -> int:
    return max(0, -(-items // size))


def moment_of(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def listing_context(started_at: datetime | str, before: int, container: str = "") -> Context:
    """The context of a page of a listing read by offset: ``before`` items precede it."""
    started = started_at if isinstance(started_at, str) else rfc3339(started_at)

    def context(document: dict[str, Any]) -> dict[str, Any]:
        page = document[container] if container else document
        listing: dict[str, Any] = {"started_at": started, "complete": is_last(page)}
        if listing["complete"]:
            listing["items"] = before + len(page["items"])
        return {"listing": listing}

    return context


def is_last(page: Mapping[str, Any]) -> bool:
    """Whether a page is its listing's last. Spotify's ``next`` says so; where it is missing, the numbers do."""
    if not page["items"]:
        return True
    if "next" in page:
        return page["next"] is None
    return count(page.get("offset")) + len(page["items"]) >= count(page.get("total"))


def count(value: object) -> int:
    """A number of things; 0 where Spotify does not say one."""
    return int(value) if isinstance(value, (int, float)) and 0 <= value < 10**9 else 0
