"""Readers of what belongs to a listener: plays, rankings, library, followed artists, playlists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from chalicelib.clock import parse_rfc3339, rfc3339
from chalicelib.extraction.reading import PAGE, Context, KeepsNothing, Request, View, fixed, listing_context, pages
from chalicelib.extraction.sources import Source
from chalicelib.spotify.guard import Call

FULL_FOLLOWED_EVERY = timedelta(days=7)  # between complete readings of followed artists that seem unchanged


def library_listing(what: str, user: str) -> str:
    """The key of a listener's listing in the state: ``saved_tracks:u1``."""
    return f"{what}:{user}"


@dataclass(slots=True)
class RecentlyPlayed(KeepsNothing):
    """The last 50 plays: Spotify holds no more, so one page brings all there is, late and out-of-order ones too."""

    source: Source
    user: str
    endpoint: ClassVar[str] = "me/player/recently-played"

    def next(self, view: View) -> Request | None:
        listing = library_listing("recently_played", self.user)
        if not view.free(listing) or not view.source_due(self.source, self.user):
            return None
        call = Call("current_user_recently_played", {"limit": PAGE}, self.endpoint, "items")
        return Request(self.source.name, listing, self.user, call)

    def calls_left(self, view: View) -> int:
        return int(view.source_due(self.source, self.user))


@dataclass(slots=True)
class Top(KeepsNothing):
    """Spotify's ranking for one time range, its first 50."""

    source: Source
    user: str

    @property
    def endpoint(self) -> str:
        return f"me/top/{self.source.reads.removeprefix('top_')}"

    def next(self, view: View) -> Request | None:
        listing = library_listing(self.source.name, self.user)
        if not view.free(listing) or not view.source_due(self.source, self.user):
            return None
        arguments = {"limit": PAGE, "offset": 0, "time_range": self.source.params["time_range"]}
        call = Call(f"current_user_{self.source.reads}", arguments, self.endpoint, "items")
        return Request(self.source.name, listing, self.user, call)

    def calls_left(self, view: View) -> int:
        return int(view.source_due(self.source, self.user))


@dataclass(slots=True)
class Listing(KeepsNothing):
    """A listing read by offset: saved tracks, saved albums, my playlists.

    Whether a saved listing may stop at items already known is decided when its pages are taken in (intake.py).
    """

    source: Source
    user: str
    METHODS: ClassVar[dict[str, tuple[str, str]]] = {
        "saved_tracks": ("current_user_saved_tracks", "me/tracks"),
        "saved_albums": ("current_user_saved_albums", "me/albums"),
        "my_playlists": ("current_user_playlists", "me/playlists"),
    }

    @property
    def endpoint(self) -> str:
        return self.METHODS[self.source.reads][1]

    def next(self, view: View) -> Request | None:
        listing = library_listing(self.source.reads, self.user)
        walk = view.state.walks.get(listing)
        if not view.free(listing) or not (walk or view.source_due(self.source, self.user)):
            return None
        offset = walk["offset"] if walk else 0
        started_at = walk["started_at"] if walk else rfc3339(view.now)
        method, endpoint = self.METHODS[self.source.reads]
        call = Call(method, {"limit": PAGE, "offset": offset}, endpoint, "items")
        return Request(self.source.name, listing, self.user, call, listing_context(started_at, offset))

    def calls_left(self, view: View) -> int:
        walk = view.state.walks.get(library_listing(self.source.reads, self.user))
        if walk:
            return pages(walk["total"] - walk["offset"])
        return int(view.source_due(self.source, self.user))


@dataclass(slots=True)
class FollowedArtists(KeepsNothing):
    """Followed artists, by cursor."""

    source: Source
    user: str
    endpoint: ClassVar[str] = "me/following"

    def next(self, view: View) -> Request | None:
        listing = library_listing("followed_artists", self.user)
        walk = view.state.walks.get(listing)
        if not view.free(listing) or not (walk or view.source_due(self.source, self.user)):
            return None
        arguments: dict[str, Any] = {"limit": PAGE, "after": walk["after"] if walk else None}
        call = Call("current_user_followed_artists", arguments, self.endpoint, "artists.items")
        before = len(walk["ids"]) if walk else 0
        started_at = walk["started_at"] if walk else rfc3339(view.now)
        context = listing_context(started_at, before, "artists")
        return Request(self.source.name, listing, self.user, call, context)

    def calls_left(self, view: View) -> int:
        walk = view.state.walks.get(library_listing("followed_artists", self.user))
        if walk:
            return pages(walk["total"] - len(walk["ids"]))
        return int(view.source_due(self.source, self.user))


@dataclass(slots=True)
class PlaylistItems(KeepsNothing):
    """Items of playlists whose version is new."""

    source: Source
    user: str | None = None
    endpoint: ClassVar[str] = "playlists/{id}/items"

    def next(self, view: View) -> Request | None:
        for playlist_id, playlist in view.state.playlists.items():
            listing = f"playlist:{playlist_id}"
            if outdated(playlist) and view.free(listing):
                user = who_may_read(view, playlist)
                if user:
                    return self._page(view, playlist_id, playlist, user)
        return None

    def _page(self, view: View, playlist_id: str, playlist: dict[str, Any], user: str) -> Request:
        """The next page; a playlist too long for one page is opened by itself, which brings its first 100 items."""
        listing = f"playlist:{playlist_id}"
        walk = view.state.walks.get(listing)
        offset = walk["offset"] if walk and walk["snapshot"] == playlist["snapshot"] else 0
        if offset == 0 and playlist["total"] > PAGE and not playlist.get("apart"):
            context = opened(playlist_id, playlist["snapshot"])
            return Request(self.source.name, listing, user, whole_playlist(playlist_id), context)
        arguments = {"playlist_id": playlist_id, "limit": PAGE, "offset": offset}
        call = Call("playlist_items", arguments, self.endpoint, "items")
        context = fixed({"playlist_id": playlist_id, "snapshot_id": playlist["snapshot"]})
        return Request(self.source.name, listing, user, call, context)

    def calls_left(self, view: View) -> int:
        waiting = [
            (playlist_id, playlist)
            for playlist_id, playlist in view.state.playlists.items()
            if outdated(playlist) and who_may_read(view, playlist)
        ]
        return sum(self._pages(view, playlist_id, playlist) for playlist_id, playlist in waiting)

    def _pages(self, view: View, playlist_id: str, playlist: dict[str, Any]) -> int:
        walk = view.state.walks.get(f"playlist:{playlist_id}", {})
        read = walk["offset"] if walk.get("snapshot") == playlist["snapshot"] else 0
        return max(1, pages(playlist["total"] - read))


def whole_playlist(playlist_id: str) -> Call:
    """A playlist by itself: what it is, its version, and where this app may see them its first items."""
    arguments = {"playlist_id": playlist_id, "additional_types": ("track", "episode")}
    return Call("playlist", arguments, "playlists/{id}", "snapshot_id")


def opened(playlist_id: str, listed: str) -> Context:
    """The context of a playlist opened for its items: its own version, or the listed one of a refusal."""
    return lambda document: {"playlist_id": playlist_id, "snapshot_id": document.get("snapshot_id") or listed}


def outdated(playlist: dict[str, Any]) -> bool:
    """Whether this version's items have not been read yet, nor refused."""
    return playlist["snapshot"] not in (playlist.get("done"), playlist.get("refused"))


def who_may_read(view: View, playlist: dict[str, Any]) -> str | None:
    """The listener with whose token its items can be read: in development mode its owner or a collaborator."""
    owner = next((user for user, name in view.listeners.items() if name == playlist["owner"]), None)
    listed_by = playlist["user"] if playlist["user"] in view.listeners else None
    if owner or (listed_by and playlist["collaborative"]):
        return owner or listed_by
    return (listed_by or next(iter(view.listeners), None)) if view.extended else None


@dataclass(slots=True)
class Playlists(KeepsNothing):
    """Playlists by id: what they are and which version they have."""

    source: Source
    user: str | None = None
    endpoint: ClassVar[str] = "playlists/{id}"

    def next(self, view: View) -> Request | None:
        for playlist_id in self._due(view):
            if view.free(f"playlist-itself:{playlist_id}"):
                reader = next(iter(view.listeners), None)
                listing = f"playlist-itself:{playlist_id}"
                return Request(self.source.name, listing, reader, whole_playlist(playlist_id))
        return None

    def _due(self, view: View) -> list[str]:
        done = view.state.done
        last = {id_: done.get(f"{self.source.name}|{id_}") for id_ in self.source.params["ids"]}
        return [id_ for id_, text in last.items() if view.due(self.source, parse_rfc3339(text) if text else None)]

    def calls_left(self, view: View) -> int:
        return len(self._due(view))
