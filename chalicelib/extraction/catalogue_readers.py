"""Readers of the catalogue: searches, new releases, discographies, details."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar

from chalicelib.extraction.reading import PAGE, SHORT_PAGE, KeepsNothing, Request, View, fixed, moment_of, pages
from chalicelib.extraction.sources import Source
from chalicelib.extraction.state import WANTED
from chalicelib.spotify.guard import Call

TRACK_BATCH, ARTIST_BATCH, ALBUM_BATCH = 50, 50, 20  # ids in one call, extended mode


@dataclass(slots=True)
class First(KeepsNothing):
    """The ``first`` results of a search, or of Spotify's new releases (which development mode does not have).

    When the first page is as it was, so, it is assumed, are the others.
    """

    source: Source
    user: str | None = None

    @property
    def endpoint(self) -> str:
        return "search" if self.source.reads == "search" else "browse/new-releases"

    @property
    def _listing(self) -> str:
        return f"{self.source.reads}:{self.source.name}"

    def next(self, view: View) -> Request | None:
        walk = view.state.walks.get(self._listing)
        if not self._offered(view) or not view.free(self._listing):
            return None
        if not (walk or view.source_due(self.source, None)):
            return None
        offset, first = (walk["offset"] if walk else 0), self.source.params["first"]
        paging = {"offset": offset, "limit": min(self._size(view), first - offset)}
        context = fixed({"first": first})
        return Request(self.source.name, self._listing, None, self._call(paging), context)

    def _call(self, paging: dict[str, int]) -> Call:
        if self.source.reads == "new_releases":
            return Call("new_releases", paging, self.endpoint, "albums.items")
        types = self.source.params["types"]
        arguments = {"q": self.source.params["query"], "type": ",".join(types), **paging}
        return Call("search", arguments, self.endpoint, f"{types[0]}s.items")

    def _size(self, view: View) -> int:
        return view.page_size(self.endpoint, PAGE, SHORT_PAGE)

    def _offered(self, view: View) -> bool:
        mode = "extended" if view.extended else "development"
        return mode in self.source.modes

    def calls_left(self, view: View) -> int:
        walk = view.state.walks.get(self._listing)
        if walk:
            return pages(walk["total"] - walk["offset"], self._size(view))
        return int(self._offered(view) and view.source_due(self.source, None))


@dataclass(slots=True)
class Discographies(KeepsNothing):
    """Releases of followed artists, those longest unread first."""

    source: Source
    user: str | None = None
    endpoint: ClassVar[str] = "artists/{id}/albums"

    def next(self, view: View) -> Request | None:
        waiting = [artist for artist in self._due(view) if view.free(f"discography:{artist}")]
        if not waiting:
            return None
        known = view.state.known
        artist = min(waiting, key=lambda artist: known.get(f"discography:{artist}", {}).get("at", 0))
        return self._page(view, artist)

    def _page(self, view: View, artist: str) -> Request:
        walk = view.state.walks.get(f"discography:{artist}")
        arguments = {
            "artist_id": artist,
            "include_groups": ",".join(self.source.params["include_groups"]),
            "limit": view.page_size(self.endpoint, PAGE, SHORT_PAGE),
            "offset": walk["offset"] if walk else 0,
        }
        call = Call("artist_albums", arguments, self.endpoint, "items")
        return Request(self.source.name, f"discography:{artist}", None, call, fixed({"artist_id": artist}))

    def _due(self, view: View) -> list[str]:
        artists = dict.fromkeys(self.source.params["ids"])
        for user in view.listeners:
            artists.update(dict.fromkeys(view.state.followed.get(user, [])))
        return [artist for artist in artists if self._is_due(view, artist)]

    def _is_due(self, view: View, artist: str) -> bool:
        listing = f"discography:{artist}"
        known = view.state.known.get(listing)
        return listing in view.state.walks or view.due(self.source, moment_of(known["at"]) if known else None)

    def calls_left(self, view: View) -> int:
        size = view.page_size(self.endpoint, PAGE, SHORT_PAGE)
        waiting = [f"discography:{artist}" for artist in self._due(view)]
        walks = view.state.walks
        return sum(
            max(1, pages(walks[one]["total"] - walks[one]["offset"], size)) if one in walks else 1 for one in waiting
        )


@dataclass(slots=True)
class Details:
    """Details of each album or artist seen in any answer, once, and again when they are old; of tracks, on demand.

    In extended mode many to a call: a batch waits until it is full or nothing more can join it.
    """

    source: Source
    user: str | None = None
    stale: deque[str] | None = None
    failed: list[str] = field(default_factory=list)  # left for the next run
    BATCHES: ClassVar[dict[str, int]] = {"albums": ALBUM_BATCH, "artists": ARTIST_BATCH, "tracks": TRACK_BATCH}

    @property
    def kind(self) -> str:
        return self.source.reads

    @property
    def endpoint(self) -> str:
        return f"{self.kind}/{{id}}"

    def next(self, view: View) -> Request | None:
        if self.kind == "albums":
            page = self._album_page(view)
            if page:
                return page
        batched = view.extended and not view.removed(self.kind)
        size = self.BATCHES[self.kind] if batched else 1
        if batched and view.unsettled and len(view.state.queues[self.kind]) < size:
            return None
        ids = self._take(view, size)
        if not ids:
            return None
        return self._batch(ids) if batched else self._single(ids[0])

    def _single(self, item_id: str) -> Request:
        one = self.kind.removesuffix("s")
        call = Call(one, {f"{one}_id": item_id}, self.endpoint, "id")
        return Request(self.source.name, f"{one}:{item_id}", None, call, ids=(item_id,))

    def _batch(self, ids: list[str]) -> Request:
        call = Call(self.kind, {self.kind: ids}, self.kind, self.kind)
        return Request(self.source.name, f"{self.kind}:{ids[0]}", None, call, ids=tuple(ids))

    def _album_page(self, view: View) -> Request | None:
        """The tracks of an album that its details had no room for."""
        for album_id, offset in view.state.album_pages.items():
            listing = f"album-tracks:{album_id}"
            if view.free(listing):
                arguments = {"album_id": album_id, "limit": PAGE, "offset": offset}
                call = Call("album_tracks", arguments, "albums/{id}/tracks", "items")
                return Request(self.source.name, listing, None, call, fixed({"album_id": album_id}))
        return None

    def _take(self, view: View, most: int) -> list[str]:
        """The next ids to read: those never read, then the stalest."""
        self._begin(view)
        ids: list[str] = []
        read_at = view.state.details[self.kind]
        queue = view.state.queues[self.kind]
        while queue and len(ids) < most:
            item_id = queue.popleft()
            if read_at[item_id] == WANTED and item_id not in ids:
                ids.append(item_id)
        while self.stale and len(ids) < most and not view.unsettled:
            ids.append(self.stale.popleft())
        return ids

    def _begin(self, view: View) -> None:
        """Look once in a run for details that are old, and for tracks that an imported history asks for."""
        if self.stale is not None:
            return
        oldest = (view.run_started - view.refresh_after).timestamp()
        known = view.state.details[self.kind]
        old = sorted((read_at, item_id) for item_id, read_at in known.items() if WANTED < read_at <= oldest)
        self.stale = deque(item_id for _, item_id in old) if self.kind != "tracks" else deque()
        if self.kind == "tracks":
            view.state.want("tracks", view.wanted_tracks)

    def put_back(self, view: View, request: Request, *, again: bool) -> None:
        if again:
            view.state.queues[self.kind].extendleft(reversed(request.ids))
        else:
            self.failed.extend(request.ids)

    def calls_left(self, view: View) -> int:
        self._begin(view)
        batched = view.extended and not view.removed(self.kind)
        items = len(view.state.queues[self.kind]) + len(self.stale or ()) + len(self.failed)
        further = len(view.state.album_pages) if self.kind == "albums" else 0
        return pages(items, self.BATCHES[self.kind] if batched else 1) + further
