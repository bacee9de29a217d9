"""Readers of the catalogue: searches, new releases, discographies, details."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar

from chalicelib.clock import parse_moment, rfc3339
from chalicelib.extraction.kinds import ALBUM_GROUPS, FIRST, QUERY, RESULT_TYPES, Kind, Source, reads, spotify_ids
from chalicelib.extraction.listing import PAGE, Rule, Step, conclude, count, offset_of, repeated, taken_step, unlikely
from chalicelib.extraction.oddities import odd_items, odd_part
from chalicelib.extraction.reading import (
    SHORT_PAGE,
    Again,
    Document,
    KeepsNothing,
    SpotifyRequest,
    Taken,
    View,
    gives_up,
    pages,
    rest_of,
    takes,
)
from chalicelib.extraction.shapes import child, dicts, id_of, is_id, oddity
from chalicelib.extraction.state import ALBUM_PAGES, WANTED, Known, State, Walk, detail_key
from chalicelib.raw import Answer
from chalicelib.spotify.guard import Call, Endpoint

TRACK_BATCH, ARTIST_BATCH, ALBUM_BATCH = 50, 50, 20  # ids in one call, extended mode

SEARCH_TYPES = ("albums", "artists", "tracks")
SEARCHES = {kind: Endpoint("search", "search", f"{kind}.items") for kind in SEARCH_TYPES}
NEW_RELEASES = Endpoint("browse/new-releases", "browse", "albums.items")
ARTIST_ALBUMS = Endpoint("artists/{id}/albums", "artists", "items")
ALBUM_TRACKS = Endpoint("albums/{id}/tracks", "albums", "items")
SINGLE = {kind: Endpoint(f"{kind}/{{id}}", kind, "id") for kind in ("albums", "artists", "tracks")}
BATCH = {kind: Endpoint(kind, kind, kind) for kind in ("albums", "artists", "tracks")}


# --- first results ------------------------------------------------------------------------------------------------


@reads(
    search=Kind(
        params={"query": QUERY, "types": RESULT_TYPES, "first": FIRST}, defaults={"types": ["album"], "first": 50}
    ),
    new_releases=Kind(params={"first": FIRST}, defaults={"first": 50}),
)
@dataclass(slots=True)
class First(KeepsNothing):
    """The ``first`` results of a search, or of Spotify's new releases (which development mode does not have).

    When the first page is as it was, so, it is assumed, are the others.
    """

    source: Source
    user: str | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Search, expecting the first type that is asked for, or new releases."""
        return NEW_RELEASES if self.source.reads == "new_releases" else SEARCHES[f"{self.source.params['types'][0]}s"]

    @property
    def _listing(self) -> str:
        return first_listing(self.source.reads, self.source.name)

    def next(self, view: View) -> SpotifyRequest | None:
        """The next page of results, when they are due."""
        walk = view.state.walks.get(self._listing)
        if not self._offered(view) or not view.free(self._listing):
            return None
        if not (walk or view.source_due(self.source, self._listing, None)):
            return None
        offset, first = (walk.offset if walk else 0), self.source.params["first"]
        paging = {"offset": offset, "limit": max(1, min(self._size(view), first - offset))}
        return SpotifyRequest(self.source.name, self._listing, None, self._call(paging), about={"first": first})

    def _call(self, paging: dict[str, int]) -> Call:
        if self.source.reads == "new_releases":
            return Call("new_releases", paging, self.endpoint)
        arguments = {"q": self.source.params["query"], "type": ",".join(self.source.params["types"]), **paging}
        return Call("search", arguments, self.endpoint)

    def _size(self, view: View) -> int:
        return view.page_size(self.endpoint, PAGE, SHORT_PAGE)

    def _offered(self, view: View) -> bool:
        mode = "extended" if view.extended else "development"
        return mode in self.source.modes

    def calls_left(self, view: View) -> int:
        """The pages that are left; one of results that are due, for how many there are is not known."""
        walk = view.state.walks.get(self._listing)
        if walk:
            return rest_of(walk, self._size(view))
        return int(self._offered(view) and view.source_due(self.source, self._listing, None))


def first_listing(kind: str, source: str) -> str:
    """The key in the state of a source's first results."""
    return f"{kind}:{source}"


@takes(*SEARCHES.values())
def take_search(state: State, answer: Answer, document: Document, *_: str) -> Taken:
    """A page of a search's results, of all types that were asked for."""
    results = [page for page in document.values() if isinstance(page, dict) and isinstance(page.get("items"), list)]
    return take_first(state, answer, results, first_listing("search", answer.source))


@takes(NEW_RELEASES)
def take_new_releases(state: State, answer: Answer, document: Document, *_: str) -> Taken:
    """A page of Spotify's new releases."""
    return take_first(state, answer, [document["albums"]], first_listing("new_releases", answer.source))


def take_first(state: State, answer: Answer, results: list[Document], listing: str) -> Taken:
    """A page of the first results of something; when the first page is as it was, so are the rest.

    Spotify's totals of results change from page to page, so only what cannot be is held against them.
    """
    offset = offset_of(answer)
    items = [item for page in results for item in page["items"]]
    ids = [item_id for item in items if (item_id := id_of(item))]
    total = min(int(answer.context["first"]), max((count(page.get("total")) for page in results), default=0))
    walk = state.walks.setdefault(listing, Walk("", total=total))
    step = results_step(walk, results, ids, offset, total, state.known.get(listing))
    walk.odd = step.walk.odd = walk.odd or odd_part(answer, {"items": results})
    walk.total, walk.last = total, ids
    walk.offset = offset + count(answer.params.get("limit") or len(items))
    known = state.known.get(listing)
    unchanged = not step.fault and offset == 0 and known is not None and known.first == ids
    if offset == 0 and not step.fault:
        state.known[listing] = Known(total, ids)
    faults = []
    if step.flaw or step.doubt or unchanged or walk.offset >= total:
        faults = conclude(state, listing, answer, step)
    return Taken(len(items), 0 if unchanged else len(items), faults=faults)


def results_step(
    walk: Walk, results: list[Document], ids: list[str], offset: int, total: int, known: Known | None
) -> Step:
    """What speaks against a page of results."""
    shown = sum(len(page["items"]) for page in results)
    astray = [page["offset"] for page in results if count(page.get("offset")) not in (0, offset)]
    if astray:
        return Step(walk, True, f"the page from item {astray[0]} on came instead of the one from {offset} on")
    if offset and ids and ids == walk.last:
        return Step(walk, True, "the same page came again")
    if not shown and offset < total:
        return Step(walk, True, f"an empty page came after {offset} of {total} items")
    if shown > total and shown > len(results) * PAGE:
        return Step(walk, True, f"{shown} items were shown of {total}")
    nameless = shown - len(ids)
    return Step(walk, True, doubt=None if offset else unlikely(shown, nameless, len(known.first) if known else 0))


# --- discographies ------------------------------------------------------------------------------------------------


RELEASES = Rule(lambda item: id_of(item), unique=False)


@reads(
    discographies=Kind(
        params={"ids": spotify_ids, "include_groups": ALBUM_GROUPS},
        defaults={"ids": [], "include_groups": ["album", "single"]},
    )
)
@dataclass(slots=True)
class Discographies(KeepsNothing):
    """Releases of followed artists, those longest unread first."""

    source: Source
    user: str | None = None
    endpoint: ClassVar[Endpoint] = ARTIST_ALBUMS

    def next(self, view: View) -> SpotifyRequest | None:
        """The next page of the artist who waits longest; those whose pages did not agree come last."""
        waiting = [artist for artist in self._due(view) if view.free(discography_listing(artist))]
        if not waiting:
            return None
        return self._page(view, min(waiting, key=lambda artist: self._tried(view, artist)))

    def _tried(self, view: View, artist: str) -> tuple[str, str]:
        doubt = view.state.doubts.get(discography_listing(artist))
        known = view.state.known.get(discography_listing(artist))
        return (doubt.last if doubt else ""), (known.at or "" if known else "")

    def _page(self, view: View, artist: str) -> SpotifyRequest:
        listing = discography_listing(artist)
        walk = view.state.walks.get(listing)
        arguments = {
            "artist_id": artist,
            "include_groups": ",".join(self.source.params["include_groups"]),
            "limit": view.page_size(self.endpoint, PAGE, SHORT_PAGE),
            "offset": walk.offset if walk else 0,
        }
        call = Call("artist_albums", arguments, self.endpoint)
        return SpotifyRequest(self.source.name, listing, None, call, about={"artist_id": artist})

    def _due(self, view: View) -> list[str]:
        artists = dict.fromkeys(self.source.params["ids"])
        for user in view.listeners:
            artists.update(dict.fromkeys(view.state.followed.get(user, [])))
        return [artist for artist in artists if self._is_due(view, artist)]

    def _is_due(self, view: View, artist: str) -> bool:
        listing = discography_listing(artist)
        known = view.state.known.get(listing)
        return listing in view.state.walks or view.due(self.source, listing, parse_moment(known.at if known else None))

    def calls_left(self, view: View) -> int:
        """The pages that are left; one of each artist who is due, for how many follow is not known."""
        size = view.page_size(self.endpoint, PAGE, SHORT_PAGE)
        walks = view.state.walks
        return sum(max(1, rest_of(walks.get(discography_listing(artist)), size)) for artist in self._due(view))


def discography_listing(artist_id: str) -> str:
    """The key in the state of an artist's releases."""
    return f"discography:{artist_id}"


@takes(ARTIST_ALBUMS)
def take_discography(state: State, answer: Answer, document: Document, *ids: str) -> Taken:
    """A page of an artist's releases; when the first page and the total are as they were, so are the rest."""
    listing = discography_listing(ids[0])
    known = state.known.get(listing)
    step = taken_step(state, listing, answer, document, RELEASES)
    walk = step.walk
    agrees = not (step.flaw or walk.nameless or walk.odd)
    unchanged = agrees and not offset_of(answer) and known is not None and known.first == walk.first
    unchanged = unchanged and known is not None and known.total == walk.total
    state.walks[listing] = walk
    faults = []
    if unchanged or step.ended:
        del state.walks[listing]
        faults = end_discography(state, answer, listing, Step(walk, True) if unchanged else step)
    return Taken(len(walk.last), 0 if unchanged else len(walk.last), faults=faults)


def end_discography(state: State, answer: Answer, listing: str, step: Step) -> list[str]:
    """End the reading of an artist's releases; answers what there is to say against it."""
    fault = step.fault
    if fault is not None and not state.doubt(listing, fault, answer.run_id, answer.received_at).believed():
        return [fault]
    if fault is None:
        state.trust(listing)
    state.known[listing] = Known(step.walk.total, step.walk.first, at=rfc3339(answer.received_at))
    return [fault] if fault else []


@gives_up(ARTIST_ALBUMS)
def give_up_discography(state: State, answer: Answer, *ids: str) -> None:
    """Do not ask for an artist's releases again before they are due anew."""
    listing = discography_listing(ids[0])
    state.walks.pop(listing, None)
    state.known[listing] = Known(at=rfc3339(answer.received_at))


# --- details ------------------------------------------------------------------------------------------------------


@reads(albums=Kind(cadence=False), artists=Kind(cadence=False), tracks=Kind(cadence=False))
@dataclass(slots=True)
class Details:
    """Details of each album or artist seen in any answer, once, and again when they are old; of tracks, on demand.

    In extended mode many to a call: a batch waits until it is full or nothing more can join it. What Spotify refused
    before is asked for last.
    """

    source: Source
    user: str | None = None
    queue: deque[str] = field(default_factory=deque)  # never read, in the order in which they were seen
    looked: int = 0  # how many of the state's details have been looked at for the queue
    stale: deque[tuple[int, str]] | None = None  # read before, the oldest first
    doubted: deque[str] = field(default_factory=deque)
    failed: list[str] = field(default_factory=list)  # left for the next run
    again: set[str] = field(default_factory=set)  # asked for in this run, and not answered
    BATCHES: ClassVar[dict[str, int]] = {"albums": ALBUM_BATCH, "artists": ARTIST_BATCH, "tracks": TRACK_BATCH}

    @property
    def kind(self) -> str:
        """Details of what."""
        return self.source.reads

    @property
    def endpoint(self) -> Endpoint:
        """That of one thing: it serves both modes."""
        return SINGLE[self.kind]

    def next(self, view: View) -> SpotifyRequest | None:
        """The next thing, or batch of things, to read."""
        if self.kind == "albums":
            page = self._album_page(view)
            if page:
                return page
        batched = self._batched(view)
        size = self.BATCHES[self.kind] if batched else 1
        self._look(view)
        if batched and view.unsettled and len(self.queue) < size:
            return None
        ids = self._take(view, size)
        if not ids:
            return None
        return self._batch(ids) if batched else self._single(ids[0])

    def _batched(self, view: View) -> bool:
        return view.extended and not view.removed(BATCH[self.kind])

    def _single(self, item_id: str) -> SpotifyRequest:
        one = self.kind.removesuffix("s")
        call = Call(one, {f"{one}_id": item_id}, self.endpoint)

        def context(document: Document) -> dict[str, Any]:
            return {} if is_the_same(item_id, document) else {"astray": ANOTHER}

        return SpotifyRequest(
            self.source.name, detail_key(self.kind, item_id), None, call, context=context, ids=(item_id,)
        )

    def _batch(self, ids: list[str]) -> SpotifyRequest:
        call = Call(self.kind, {self.kind: ids}, BATCH[self.kind])
        return SpotifyRequest(self.source.name, f"{self.kind}:{ids[0]}", None, call, ids=tuple(ids))

    def _album_page(self, view: View) -> SpotifyRequest | None:
        """The tracks of an album that its details had no room for."""
        for listing, walk in view.state.walks.items():
            if listing.startswith(ALBUM_PAGES) and view.free(listing):
                album_id = listing.removeprefix(ALBUM_PAGES)
                arguments = {"album_id": album_id, "limit": PAGE, "offset": walk.offset}
                call = Call("album_tracks", arguments, ALBUM_TRACKS)
                return SpotifyRequest(self.source.name, listing, None, call, about={"album_id": album_id})
        return None

    def _take(self, view: View, most: int) -> list[str]:
        """The next ids to read: those never read, then the stalest, then those that were refused."""
        ids: list[str] = []
        read_at = view.state.details[self.kind]
        while self.queue and len(ids) < most:
            item_id = self.queue.popleft()
            if item_id not in ids and (read_at[item_id] == WANTED or item_id in self.again):
                ids.append(item_id)
        if view.unsettled:
            return ids
        oldest = self._oldest(view)
        while self.stale and self.stale[0][0] <= oldest and len(ids) < most:
            ids.append(self.stale.popleft()[1])
        while self.doubted and not ids:
            ids.append(self.doubted.popleft())
        return ids

    def _look(self, view: View) -> None:
        """Look for what was seen since the last look and, once in a run, for what has to be read again."""
        if self.stale is None:
            self._begin(view)
        known = view.state.details[self.kind]
        if len(known) > self.looked:
            fresh = list(islice(known, self.looked, None))
            self.looked = len(known)
            doubts = view.state.doubts
            self.queue.extend(id_ for id_ in fresh if known[id_] == WANTED and detail_key(self.kind, id_) not in doubts)

    def _begin(self, view: View) -> None:
        if self.kind == "tracks":
            view.state.want("tracks", view.wanted_tracks)
        prefix = detail_key(self.kind, "")
        doubts = {key.removeprefix(prefix): doubt for key, doubt in view.state.doubts.items() if key.startswith(prefix)}
        self.doubted = deque(sorted(doubts, key=lambda item_id: doubts[item_id].last))
        known = view.state.details[self.kind] if self.kind != "tracks" else {}
        read = ((at, item_id) for item_id, at in known.items() if at > WANTED and item_id not in doubts)
        self.stale = deque(sorted(read))

    def _oldest(self, view: View) -> float:
        return (view.now - view.refresh_after).timestamp()

    def put_back(self, request: SpotifyRequest, when: Again) -> None:
        """Ask for a request's ids again: now, after all others, or in the next run."""
        self.again.update(request.ids)
        if when is Again.NOW:
            self.queue.extendleft(reversed(request.ids))
        elif when is Again.LATER:
            self.queue.extend(request.ids)
        else:
            self.failed.extend(request.ids)

    def calls_left(self, view: View) -> int:
        """The calls for all that is to be read and was not refused."""
        self._look(view)
        old = bisect_right(self.stale, (self._oldest(view), "~")) if self.stale else 0
        items = len(self.queue) + old + len(self.failed)
        further = sum(listing.startswith(ALBUM_PAGES) for listing in view.state.walks) if self.kind == "albums" else 0
        return pages(items, self.BATCHES[self.kind] if self._batched(view) else 1) + further


def place_on_album(track: Any) -> str | None:
    """What tells one track of an album from another; a market may have one track in the place of two."""
    track_id = id_of(track)
    return f"{track_id} {track.get('disc_number')}.{track.get('track_number')}" if track_id else None


TRACKS = Rule(place_on_album, unique=False)


def album_listing(album_id: str) -> str:
    """The key in the state of an album's tracks beyond those that its details show."""
    return f"{ALBUM_PAGES}{album_id}"


@takes(ALBUM_TRACKS)
def take_album_tracks(state: State, answer: Answer, document: Document, *ids: str) -> Taken:
    """A page of an album's tracks."""
    listing = album_listing(ids[0])
    step = taken_step(state, listing, answer, document, TRACKS)
    state.walks[listing] = step.walk
    taken = Taken(len(document["items"]), len(document["items"]))
    if step.ended:
        fault = step.fault
        if fault is None or state.doubt(listing, fault, answer.run_id, answer.received_at).believed():
            give_up_album_tracks(state, answer, *ids)
        else:  # the next run goes on behind the page that came before this one
            step.walk.offset, step.walk.total = offset_of(answer), max(step.walk.total, step.walk.first_total)
            step.walk.least_total, step.walk.last = step.walk.total, []
        taken.faults = [fault] if fault else []
    return taken


@gives_up(ALBUM_TRACKS)
def give_up_album_tracks(state: State, answer: Answer, *ids: str) -> None:  # noqa: ARG001 (a Yielder)
    """Do not ask for an album's further tracks again."""
    state.walks.pop(album_listing(ids[0]), None)
    state.trust(album_listing(ids[0]))


@takes(*SINGLE.values())
def take_detail(state: State, answer: Answer, document: Document, *ids: str) -> Taken:
    """The details of one thing."""
    kind = answer.endpoint.partition("/")[0]
    return note_details(state, answer, kind, [ids[0]], [document])


@takes(*BATCH.values())
def take_batch(state: State, answer: Answer, document: Document, *_: str) -> Taken:
    """The details of many things; unknown ids are null in their place."""
    kind = answer.endpoint
    ids = str(answer.params.get("ids", "")).split(",")
    items = document[kind]
    by_id = {id_of(item): item for item in dicts(items)}
    in_place = items if len(items) == len(ids) else [None] * len(ids)
    answered = [by_id.get(item_id, other) for item_id, other in zip(ids, in_place, strict=True)]
    return note_details(state, answer, kind, ids, answered)


def note_details(state: State, answer: Answer, kind: str, ids: Sequence[str], items: Sequence[Any]) -> Taken:
    """Note what was read of things asked for by id, and doubt what cannot be their details."""
    faults = []
    odd = odd_items(answer)
    for place, (item_id, item) in enumerate(zip(ids, items, strict=True)):
        fault = detail_fault(kind, item_id, item) or odd.get(place) or odd.get(-1)
        if fault is None:
            state.have(kind, [item_id], answer.received_at)
            continue
        faults.append(fault)
        if state.doubt(detail_key(kind, item_id), fault, answer.run_id, answer.received_at).believed():
            state.have(kind, [item_id], answer.received_at)
    read = sum(item is not None for item in items)
    return Taken(read, read - min(read, len(faults)), faults=list(dict.fromkeys(faults)))


def detail_fault(kind: str, item_id: str, item: Any) -> str | None:
    """Why an answer cannot be the details of what was asked for; None where it can."""
    if not isinstance(item, dict):
        return "there are no details of some"
    if not is_the_same(item_id, item):
        return ANOTHER
    if not is_whole(kind, item):
        return "it lacks a part that it should have"
    return oddity(item)


def is_the_same(item_id: str, item: Document) -> bool:
    """Whether an answer is about what was asked for; where a market has another track in its place, it says so."""
    return item_id in (item.get("id"), child(item, "linked_from").get("id"))


ANOTHER = "another thing came than was asked for"


def is_whole(kind: str, item: Document) -> bool:
    """Whether an object holds what details of its kind always have."""
    named = isinstance(item.get("name"), str) and item.get("type") in (None, kind.removesuffix("s"), "episode")
    if kind == "artists":
        return named
    credited = isinstance(item.get("artists"), list) and all(id_of(artist) for artist in item["artists"])
    if kind == "tracks":
        return named and credited and isinstance(item.get("album"), dict)
    return named and credited and has_its_tracks(item)


def has_its_tracks(album: Document) -> bool:
    """Whether an album shows as many tracks as a first page of its total holds."""
    page = child(album, "tracks")
    items, total = page.get("items"), count(page.get("total"))
    if (
        not isinstance(items, list)
        or any(not is_id(track.get("id")) for track in dicts(items))
        or count(page.get("offset"))
    ):
        return False
    said = album.get("total_tracks")
    if repeated([str(place_on_album(track)) for track in items]):
        return False
    return len(items) == min(PAGE, total) == len(list(dicts(items))) and (said is None or count(said) == total)


@gives_up(*SINGLE.values())
def give_up_detail(state: State, answer: Answer, *ids: str) -> None:
    """Do not ask for the details of one thing again before they would be old."""
    state.have(answer.endpoint.partition("/")[0], [ids[0]], answer.received_at)
