"""Whether the pages of a listing agree with one another, and where its reading stands after each.

Spotify says of a page how many items there are in all (``total``), whether another follows (``next``, a cursor), where
it begins (``offset``) and what is on it. It has been seen to end a listing early, to answer the same page for ever,
and to answer an empty page in the middle. So a listing counts as read only when all of these agree; else the reading
ends, nothing is taken to have been removed, and the next run reads it anew.

What is well-formed and yet unlikely (most of a library gone at once, items without an id) is believed once several
runs over some days were told the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.clock import rfc3339
from chalicelib.extraction.oddities import odd_part
from chalicelib.extraction.state import State, Walk
from chalicelib.raw import Answer

PAGE = 50  # items; Spotify's most but where said otherwise
MOST_STEPS_BACK = 2  # in one listing that shrinks while it is read; then the next reading has to see
FEWEST_DROPPED = 3  # items that must be missing before a smaller library is doubted

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """How a listing is read: ``key`` names an item that can be kept (None: it cannot), ``container`` where in the
    answer its page lies; in a ``unique`` one nothing stands twice; ``by_cursor`` it is read by Spotify's cursor."""

    key: Callable[[Any], str | None]
    unique: bool = True
    by_cursor: bool = False
    container: str = ""


@dataclass(frozen=True, slots=True)
class ListingPage:
    """One page, as far as it can be read; what it does not say is None."""

    items: list[Any]
    ids: list[str]
    nameless: int  # items that cannot be kept
    total: int | None
    offset: int | None
    last: bool | None  # whether ``next`` is null; None where there is no ``next``
    after: str | None
    limit: int | None  # items that it had room for

    @classmethod
    def of(cls, page: Document, rule: Rule) -> ListingPage:
        """The page in an answer, or in the part of it that ``rule`` names."""
        items = page["items"]
        ids = [key for item in items if (key := rule.key(item)) is not None]
        cursors = page.get("cursors")
        after = cursors.get("after") if isinstance(cursors, dict) else None
        return cls(
            items=items,
            ids=ids,
            nameless=len(items) - len(ids),
            total=whole(page.get("total")),
            offset=whole(page.get("offset")),
            last=page["next"] is None if "next" in page else None,
            after=after if isinstance(after, str) and after else None,
            limit=whole(page.get("limit")),
        )


@dataclass(frozen=True, slots=True)
class Step:
    """Where a reading stands after a page.

    ``flaw`` says what does not agree: the reading ends without a result. ``doubt`` says what is unlikely of a reading
    that has ended. ``astray``: the page is not the one that was asked for, so that no place in it means anything.
    """

    walk: Walk
    ended: bool
    flaw: str | None = None
    doubt: str | None = None
    astray: bool = False

    @property
    def complete(self) -> bool:
        """Whether everything was shown, beyond doubt."""
        return self.ended and not self.flaw and not self.doubt

    @property
    def fault(self) -> str | None:
        """Why it has to be read again, if so: what is described oddly is in the listing all the same."""
        return self.flaw or self.doubt or self.walk.odd


def follow(walk: Walk, page: ListingPage, asked: int, rule: Rule, known_total: int = 0) -> Step:
    """The reading ``walk`` after ``page``, which was asked for from item ``asked`` on."""
    begun = len(walk.ids) if rule.by_cursor else asked
    flaw, astray = contradiction(walk, page, begun, rule)
    after = advanced(walk, page, asked, rule)
    if asked != walk.offset and not rule.by_cursor:
        return Step(after, ended=True, flaw="how it begins has been forgotten")
    if flaw:
        return Step(after, ended=True, flaw=flaw, astray=astray)
    if not is_last(page, begun, rule):
        return Step(after, ended=False)
    if rule.unique and (missing := after.least_total - len(set(after.ids)) - after.nameless) > 0:
        return Step(after, ended=True, flaw=f"{missing} of {after.least_total} items were not shown")
    shown = len(set(after.ids)) + after.nameless if rule.unique else after.offset
    return Step(after, ended=True, doubt=unlikely(shown, after.nameless, known_total))


def contradiction(walk: Walk, page: ListingPage, begun: int, rule: Rule) -> tuple[str | None, bool]:
    """What in a page does not agree with itself or with the pages before it, and whether it is another page."""
    shown = begun + len(page.items)
    total = page.total
    if page.offset is not None and not rule.by_cursor and page.offset != begun:
        return f"the page from item {page.offset} on came instead of the one from {begun} on", True
    if is_repeated(walk, page, rule):
        return "the same page came again", True
    if total is None:
        return "it does not say how many items there are", False
    if shown > total and page.items:
        return f"{shown} items were shown of {total}", True
    if not page.items and shown < total:
        return f"an empty page came after {shown} of {total} items", False
    if page.last and shown < total:
        return f"it ends after {shown} of {total} items", False
    if walk.total - total > PAGE:
        return f"it shrank from {walk.total} to {total} items while it was read", False
    if rule.by_cursor and not page.last and shown < total and page.after in (None, walk.after):
        return "its cursor does not move on", False
    return None, False


def is_repeated(walk: Walk, page: ListingPage, rule: Rule) -> bool:
    """Whether a page brings nothing but what was shown before."""
    if not page.ids or not walk.last or walk.stepped_back or (page.total or 0) > walk.total:
        return False
    if rule.unique:
        return set(page.ids) <= set(walk.ids)
    return page.ids == walk.last and len(set(page.ids)) > 1


def is_last(page: ListingPage, begun: int, rule: Rule) -> bool:
    """Whether a page is its listing's last. Spotify's ``next`` says so; where it is missing, the numbers do, and where
    a page that had room for more ends with the last item."""
    if not page.items:
        return True
    ends = begun + len(page.items) >= (page.total or 0)
    if page.last is None:
        return ends
    had_room = page.limit is not None and len(page.items) < page.limit
    return page.last or (rule.by_cursor and page.after is None) or (ends and had_room)


def idle_next(page: Document, begun: int) -> str | None:
    """What is odd of a page that ends with the last item and says that more follow."""
    items, total = page.get("items"), whole(page.get("total"))
    if not isinstance(items, list) or not items or page.get("next") is None:
        return None
    return "it says that more follow after its last item" if total is not None and begun + len(items) >= total else None


def advanced(walk: Walk, page: ListingPage, asked: int, rule: Rule) -> Walk:
    """The walk behind a page, or back by as many items as the listing has lost since the last one."""
    total = walk.total if page.total is None else page.total
    begins = not walk.last and not walk.ids and not asked
    lost = 0 if begins else max(0, walk.total - total)
    back = bool(lost and asked and walk.backs < MOST_STEPS_BACK)
    return replace(
        walk,
        offset=max(0, asked - lost) if back else asked + len(page.items),
        after=page.after,
        total=total,
        first_total=total if begins else walk.first_total,
        least_total=total if begins else min(walk.least_total, total),
        backs=walk.backs + back,
        stepped_back=back,
        ids=walk.ids + page.ids if rule.unique else [],
        first=page.ids if begins else walk.first,
        last=page.ids,
        nameless=walk.nameless + page.nameless,
    )


def unlikely(shown: int, nameless: int, known_total: int) -> str | None:
    """What in a reading that agrees with itself is hard to believe."""
    if known_total and (not shown or (shown * 2 < known_total and known_total - shown >= FEWEST_DROPPED)):
        return f"it shows {shown} items, and {known_total} were known"
    return f"{nameless} of {shown} items cannot be read" if nameless else None


def repeated(keys: Sequence[str], often: int = 1) -> str | None:
    """What is hard to believe of things of which each stands so ``often`` in a page at most."""
    different = len(set(keys))
    return f"only {different} of its {len(keys)} things are different" if len(keys) > often * different else None


# From answers and the state


def step_of(state: State, listing: str, document: Document, asked: int, started_at: str, rule: Rule) -> Step:
    """Where the reading of ``listing`` stands after an answer. Changes nothing."""
    walk = state.walks.get(listing) or Walk(started_at)
    page = ListingPage.of(document[rule.container] if rule.container else document, rule)
    known = state.known.get(listing)
    return follow(walk, page, asked, rule, known.total if known else 0)


def taken_step(state: State, listing: str, answer: Answer, document: Document, rule: Rule) -> Step:
    """As :func:`step_of`, for an answer that has been taken down."""
    step = step_of(state, listing, document, offset_of(answer), started_at_of(answer), rule)
    step.walk.odd = step.walk.odd or odd_part(answer, document) or (None if rule.unique else repeated(step.walk.last))
    return step


def conclude(state: State, listing: str, answer: Answer, step: Step, *, user: str | None = None) -> list[str]:
    """End a reading whose last page ``answer`` is; answers what there is to say against it.

    Only one without fault counts as read. What the same was said of in many runs is left to its own pace again.
    """
    state.walks.pop(listing, None)
    fault = step.fault
    if fault is None or (is_complete(answer) and not step.walk.odd):
        state.trust(listing)
        state.finished(answer.source, user, answer.received_at)
        return []
    doubt = state.doubt(listing, fault, answer.run_id, answer.received_at)
    if doubt.believed():
        state.finished(answer.source, user, answer.received_at)
    return [fault]


def is_complete(answer: Answer) -> bool:
    """Whether a page was taken down as the last of a reading that counts."""
    listing = answer.context.get("listing")
    return isinstance(listing, dict) and listing.get("complete") is True


def offset_of(answer: Answer) -> int:
    """From which item on a page was asked for."""
    return whole(answer.params.get("offset")) or 0


def started_at_of(answer: Answer) -> str:
    """When the reading that a page belongs to began."""
    listing = answer.context.get("listing")
    started_at = listing.get("started_at") if isinstance(listing, dict) else None
    return started_at if isinstance(started_at, str) else rfc3339(answer.requested_at)


def whole(value: object) -> int | None:
    """A number of things, None for what is none. Whole numbers have come as floats (``63.0``)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 10**9:
        return None
    return int(value) if value == int(value) else None


def count(value: object) -> int:
    """A number of things; 0 where Spotify does not say one."""
    return whole(value) or 0
