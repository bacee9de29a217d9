"""What to ask next: a reader of each source looks at the state and names its next call.

A reader keeps nothing between calls but what is in the state, so that a run which ends anywhere is taken up exactly
there by the next. Beside each reader stands what its answers change in the state (``@takes``); intake.py looks it up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol

from chalicelib.clock import parse_rfc3339, rfc3339
from chalicelib.extraction.kinds import Source
from chalicelib.extraction.listing import PAGE, Rule, Step, step_of
from chalicelib.extraction.state import SLACK, Shown, State, Walk
from chalicelib.raw import Answer
from chalicelib.spotify.guard import Call, Endpoint

SHORT_PAGE = 10  # items; Spotify's most for search and, in development mode, discographies
OFTEN = timedelta(hours=1)  # sources read at least this often are always due when a person starts the run
REMOVED_FOR = timedelta(days=30)  # then a removed endpoint is tried once again: apps are granted more, too

Document = dict[str, Any]
HeaderContext = Callable[[Document], dict[str, Any]]


class Again(Enum):
    """When a call that brought nothing is made again."""

    NOW = "before all others"
    LATER = "after all others"
    NEXT_RUN = "in the next run"


@dataclass(frozen=True, slots=True)
class SpotifyRequest:
    """One call to make. ``listing`` is what it is a step of: a listing has one call under way at a time.

    ``user`` is the listener whose token is used, None for the app's own. ``about`` is what the raw header's context
    says of the answer in any case, ``context`` what it says of a good one; ``ids`` are what details are asked for.
    """

    source: str
    listing: str
    user: str | None
    call: Call
    about: Mapping[str, Any] = field(default_factory=dict)
    context: HeaderContext = lambda _: {}
    ids: tuple[str, ...] = ()


@dataclass(slots=True)
class View:
    """What readers see.

    ``listeners`` maps user ids to Spotify ids. ``by_hand``: a person asked for this run; ``chosen``: and for these
    very sources. ``unsettled``: sources earlier in the order may still bring more to read. ``busy`` holds the listings
    with a call under way, ``given_up`` those that failed in this run, ``read`` those that were read in it;
    ``denied`` are endpoints that Spotify said in it are not for this app.
    ``may_ask`` says of an endpoint whether calls may leave for it now. ``beside``: the states of all listeners in the
    run, by user id.
    """

    state: State
    now: datetime
    refresh_after: timedelta
    listeners: Mapping[str, str]
    forced_mode: str | None = None
    by_hand: bool = False
    chosen: bool = False
    unsettled: bool = False
    wanted_tracks: list[str] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    may_ask: Callable[[Endpoint], bool] = lambda _: True
    beside: Mapping[str, State] = field(default_factory=dict)

    @property
    def extended(self) -> bool:
        """False also while the mode is not known: what development mode offers, every app may use."""
        return (self.forced_mode or self.state.mode) == "extended"

    def free(self, listing: str) -> bool:
        """Whether ``listing`` may be asked for now."""
        return listing not in self.busy and listing not in self.given_up

    def due(self, source: Source, listing: str, last: datetime | None) -> bool:
        """Whether ``listing``, last read at ``last``, is to be read in this run. A time from the future is the work
        of a clock that was ahead: nobody knows when it was read."""
        if listing in self.read:
            return False
        if last is None or self.chosen:
            return True
        if source.every is None:
            return False
        if self.by_hand and source.every <= OFTEN:
            return True
        age = self.now - last
        return age < -SLACK or age >= source.every - min(SLACK, source.every / 10)

    def source_due(self, source: Source, listing: str, user: str | None) -> bool:
        """Whether a source of one listing is to be read in this run."""
        return self.due(source, listing, self.state.last_done(source.name, user))

    def removed(self, endpoint: Endpoint) -> bool:
        """Whether Spotify said in this run that this app may not use ``endpoint``, or has said so to several. Who asks
        for it by name gets it asked."""
        if endpoint.template in self.denied:
            return True
        text = self.state.removed.get(endpoint.template)
        return text is not None and not self.chosen and -SLACK <= self.now - parse_rfc3339(text) < REMOVED_FOR

    def page_size(self, endpoint: Endpoint, extended: int, development: int) -> int:
        """Items a page of this endpoint may have."""
        return self.state.limits.get(endpoint.template, extended if self.extended else development)

    def listing_context(self, listing: str, asked: int, rule: Rule) -> HeaderContext:
        """The context of a page of ``listing``, asked for from item ``asked`` on: whether it ends a reading that
        counts, and whether it is another page than was asked for."""
        walk = self.state.walks.get(listing)
        started_at = walk.started_at if walk else rfc3339(self.now)

        def context(document: Document) -> dict[str, Any]:
            step = step_of(self.state, listing, document, asked, started_at, rule)
            return {"listing": described(step, started_at), **astray(step)}

        return context


def described(step: Step, started_at: str) -> dict[str, Any]:
    """What a page's header says of the reading that it belongs to."""
    listing: dict[str, Any] = {"started_at": started_at, "complete": step.complete}
    if step.complete:
        listing["items"] = step.walk.offset if not step.walk.ids else len(step.walk.ids) + step.walk.nameless
    return listing


def astray(step: Step) -> dict[str, Any]:
    """What a page's header says where its places mean nothing."""
    return {"astray": step.flaw} if step.astray else {}


class Reader(Protocol):
    """One source, for one listener where it needs one."""

    @property
    def source(self) -> Source:
        """What it reads, as declared."""

    @property
    def user(self) -> str | None:
        """The listener it reads for."""

    @property
    def endpoint(self) -> Endpoint:
        """What it cannot do without; its group's waits are the reader's."""

    def next(self, view: View) -> SpotifyRequest | None:
        """The next call that may leave now; None when there is none, or none before an answer under way arrives."""

    def put_back(self, request: SpotifyRequest, when: Again) -> None:
        """A request brought nothing: ask for it anew."""

    def calls_left(self, view: View) -> int:
        """About how many calls remain, the ones under way included."""


class KeepsNothing:
    """A reader that finds its next call in the state alone has nothing to put back."""

    __slots__ = ()

    def put_back(self, request: SpotifyRequest, when: Again) -> None:
        """The state names it again."""


@dataclass(slots=True)
class Taken:
    """What an answer brought: items in it, those of them that were not known, and a hole in the listening history.

    ``faults`` says what is wrong with it, if anything; then what it is about is asked again. ``remarks`` says what else
    of it is odd, ``notes`` what is usual and worth noting. ``whole``: it is all that Spotify shows of what is always
    shown whole, such as a ranking.
    ``followed`` are the artists that a listener is now known to follow, ``shown`` what it shows of the catalogue.
    """

    items: int = 0
    new_items: int = 0
    hole: dict[str, Any] | None = None
    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    whole: bool = False
    followed: list[str] | None = None
    shown: Shown | None = None


class Taker(Protocol):
    """Changes the state by a good answer; ``ids`` are those in its path."""

    def __call__(self, state: State, answer: Answer, document: Document, *ids: str) -> Taken:
        """What the answer brought."""


class Yielder(Protocol):
    """Changes the state by a no that has been said often enough."""

    def __call__(self, state: State, answer: Answer, *ids: str) -> None:
        """What was asked for is not asked for again for a while."""


ENDPOINTS: dict[str, Endpoint] = {}  # by template
TAKERS: list[tuple[re.Pattern[str], Endpoint, Taker]] = []
YIELDERS: dict[str, Yielder] = {}  # by template


def takes(*endpoints: Endpoint) -> Callable[[Taker], Taker]:
    """Let a function take in the good answers of ``endpoints``."""

    def register(take: Taker) -> Taker:
        for endpoint in endpoints:
            ENDPOINTS[endpoint.template] = endpoint
            TAKERS.append((re.compile(endpoint.template.replace("{id}", r"(\w+)")), endpoint, take))
        return take

    return register


def gives_up(*endpoints: Endpoint) -> Callable[[Yielder], Yielder]:
    """Let a function take in that ``endpoints`` refuse one thing for good."""

    def register(give_up: Yielder) -> Yielder:
        YIELDERS.update({endpoint.template: give_up for endpoint in endpoints})
        return give_up

    return register


def pages(items: int, size: int = PAGE) -> int:
    """How many pages of ``size`` items hold ``items``."""
    return max(0, -(-items // size))


def rest_of(walk: Walk | None, size: int = PAGE) -> int:
    """How many pages a reading that was begun still needs."""
    return max(1, pages(walk.total - walk.offset, size)) if walk else 0
