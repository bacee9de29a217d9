"""Readers of what belongs to a listener: plays, rankings, library, followed artists, playlists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from chalicelib.clock import parse_moment, parse_rfc3339
from chalicelib.extraction.kinds import TIME_RANGE, Kind, Source, reads, spotify_ids
from chalicelib.extraction.listing import (
    PAGE,
    ListingPage,
    Rule,
    Step,
    conclude,
    count,
    follow,
    offset_of,
    repeated,
    started_at_of,
    taken_step,
    unlikely,
    whole,
)
from chalicelib.extraction.oddities import odd_part
from chalicelib.extraction.reading import (
    Document,
    HeaderContext,
    KeepsNothing,
    SpotifyRequest,
    Taken,
    View,
    astray,
    gives_up,
    pages,
    rest_of,
    takes,
)
from chalicelib.extraction.shapes import child, dicts, id_of
from chalicelib.extraction.state import Known, KnownPlaylist, State, Walk
from chalicelib.raw import Answer
from chalicelib.spotify.guard import Call, Endpoint

RECENT_PLAYS = 50  # Spotify holds no more
FULL_FOLLOWED_EVERY = timedelta(days=7)  # between complete readings of followed artists that seem unchanged

RECENTLY_PLAYED = Endpoint("me/player/recently-played", "player", "items")
TOP_ARTISTS = Endpoint("me/top/artists", "top", "items")
TOP_TRACKS = Endpoint("me/top/tracks", "top", "items")
SAVED_TRACKS = Endpoint("me/tracks", "library", "items")
SAVED_ALBUMS = Endpoint("me/albums", "library", "items")
MY_PLAYLISTS = Endpoint("me/playlists", "playlists", "items")
FOLLOWING = Endpoint("me/following", "following", "artists.items")
PLAYLIST = Endpoint("playlists/{id}", "playlists", "snapshot_id")
PLAYLIST_ITEMS = Endpoint("playlists/{id}/items", "playlists", "items")


def library_listing(what: str, user: str | None) -> str:
    """The key of a listener's listing in the state: ``saved_tracks:u1``."""
    return f"{what}:{user}"


# --- recently played ----------------------------------------------------------------------------------------------


@reads(recently_played=Kind(user=True))
@dataclass(slots=True)
class RecentlyPlayed(KeepsNothing):
    """The last 50 plays: Spotify holds no more, so one page brings all there is, late and out-of-order ones too."""

    source: Source
    user: str
    endpoint: ClassVar[Endpoint] = RECENTLY_PLAYED

    @property
    def _listing(self) -> str:
        return library_listing("recently_played", self.user)

    def next(self, view: View) -> SpotifyRequest | None:
        """The one page, when it is due."""
        if not view.free(self._listing) or not view.source_due(self.source, self._listing, self.user):
            return None
        call = Call("current_user_recently_played", {"limit": PAGE}, self.endpoint)
        return SpotifyRequest(self.source.name, self._listing, self.user, call)

    def calls_left(self, view: View) -> int:
        """One when it is due."""
        return int(view.source_due(self.source, self._listing, self.user))


@takes(RECENTLY_PLAYED)
def take_recently_played(state: State, answer: Answer, document: Document, *_: str) -> Taken:
    """Note the newest play, and a hole where the page does not reach back to the one known before."""
    user = str(answer.user_id)
    items = document["items"]
    told = {end for item in dicts(items) if (end := moment_in(item, "played_at")) is not None}
    ends = sorted(told, key=parse_rfc3339)
    newest = known_play(state, user, answer.received_at)
    apart = newest is not None and bool(ends) and parse_rfc3339(ends[0]) > parse_rfc3339(newest)
    short = f"it shows {len(ends)} plays, none of those known" if apart and len(ends) < RECENT_PLAYS else None
    fault = no_page_of_plays(items, newest) or odd_part(answer, document) or short
    listing = library_listing("recently_played", user)
    believed = not (fault and not state.doubt(listing, fault, answer.run_id, answer.received_at).believed())
    if fault is None:
        state.trust(listing)
        state.finished(answer.source, user, answer.received_at)
    new = len(ends) if newest is None else sum(parse_rfc3339(end) > parse_rfc3339(newest) for end in ends)
    taken = Taken(len(items), new, faults=[fault] if fault else [], whole=fault is None)
    if short and not believed:  # what lies between may come in the next run
        return taken
    if apart:
        taken.hole = {"user_id": user, "after": newest, "before": ends[0]}
    if ends and (newest is None or parse_rfc3339(ends[-1]) > parse_rfc3339(newest)):
        state.plays[user] = ends[-1]
    return taken


def no_page_of_plays(items: list[Any], newest: str | None) -> str | None:
    """What speaks against a page of plays: it is empty although plays are known, or some have no time or no track."""
    whole_ones = [
        one for one in dicts(items) if moment_in(one, "played_at") and (child(one, "track") or child(one, "item"))
    ]
    return unlikely(len(items), len(items) - len(whole_ones), 1 if newest and not items else 0)


def known_play(state: State, user: str, moment: datetime) -> str | None:
    """The end of the newest known play; None where it lies in the future, which no play does."""
    newest = parse_moment(state.plays.get(user))
    return state.plays[user] if newest is not None and newest <= moment + timedelta(days=1) else None


def moment_in(item: Document, name: str) -> str | None:
    """The time in a member of an item, None where there is none."""
    text = item.get(name)
    with suppress(ValueError):
        if isinstance(text, str) and parse_rfc3339(text):
            return text
    return None


# --- rankings -----------------------------------------------------------------------------------------------------


@reads(
    top_artists=Kind(user=True, params={"time_range": TIME_RANGE}),
    top_tracks=Kind(user=True, params={"time_range": TIME_RANGE}),
)
@dataclass(slots=True)
class Top(KeepsNothing):
    """Spotify's ranking for one time range, its first 50."""

    source: Source
    user: str

    @property
    def endpoint(self) -> Endpoint:
        """That of artists or that of tracks."""
        return TOP_ARTISTS if self.source.reads == "top_artists" else TOP_TRACKS

    @property
    def _listing(self) -> str:
        return library_listing(self.source.name, self.user)

    def next(self, view: View) -> SpotifyRequest | None:
        """The one page, when it is due."""
        if not view.free(self._listing) or not view.source_due(self.source, self._listing, self.user):
            return None
        arguments = {"limit": PAGE, "offset": 0, "time_range": self.source.params["time_range"]}
        call = Call(f"current_user_{self.source.reads}", arguments, self.endpoint)
        return SpotifyRequest(self.source.name, self._listing, self.user, call, context=self._context(view))

    def _context(self, view: View) -> HeaderContext:
        def context(document: Document) -> dict[str, Any]:
            return astray(ranking_step(view.state, self._listing, document))

        return context

    def calls_left(self, view: View) -> int:
        """One when it is due."""
        return int(view.source_due(self.source, self._listing, self.user))


RANKING = Rule(lambda item: id_of(item))


def ranking_step(state: State, listing: str, document: Document) -> Step:
    """What a ranking's first page is worth: all of it, or its first 50."""
    page = ListingPage.of(document, RANKING)
    known = state.known.get(listing)
    walk = Walk("", offset=len(page.items), total=count(page.total), ids=page.ids, nameless=page.nameless)
    expected = min(PAGE, count(page.total))
    if page.offset:
        return Step(walk, True, f"it begins at place {page.offset}", astray=True)
    if page.total is None or len(page.items) != expected:
        of = "an unknown number of" if page.total is None else str(page.total)
        return Step(walk, True, f"it shows {len(page.items)} of {of} places", astray=len(page.items) > expected)
    if len(set(page.ids)) < len(page.ids):
        return Step(walk, True, "something stands in it twice", astray=True)
    return Step(walk, True, doubt=unlikely(len(page.items), page.nameless, min(PAGE, known.total) if known else 0))


@takes(TOP_ARTISTS, TOP_TRACKS)
def take_top(state: State, answer: Answer, document: Document, *_: str) -> Taken:
    """Note that a ranking was read, if it can be believed."""
    listing = library_listing(answer.source, answer.user_id)
    step = ranking_step(state, listing, document)
    step.walk.odd = odd_part(answer, document)
    faults = conclude(state, listing, answer, step, user=answer.user_id)
    if not faults:
        state.known[listing] = Known(total=step.walk.total)
    return Taken(len(document["items"]), 0, faults=faults, whole=not faults)


# --- library ------------------------------------------------------------------------------------------------------


def saved(kind: str) -> Rule:
    """How a listing of saved items is read; one counts when its id and when it was saved can be read."""

    def key(item: Any) -> str | None:
        return id_of(item.get(kind)) if isinstance(item, dict) and moment_in(item, "added_at") else None

    return Rule(key)


def playlist_key(item: Any) -> str | None:
    """The id of a listed playlist that says its version."""
    named = isinstance(item, dict) and isinstance(item.get("snapshot_id"), str) and item["snapshot_id"]
    return id_of(item) if named else None


LISTED: dict[str, tuple[str, Endpoint, Rule]] = {  # what is read: spotipy's method, the endpoint, the rule
    "saved_tracks": ("current_user_saved_tracks", SAVED_TRACKS, saved("track")),
    "saved_albums": ("current_user_saved_albums", SAVED_ALBUMS, saved("album")),
    "my_playlists": ("current_user_playlists", MY_PLAYLISTS, Rule(playlist_key)),
}


@reads(saved_tracks=Kind(user=True), saved_albums=Kind(user=True), my_playlists=Kind(user=True))
@dataclass(slots=True)
class LibraryListing(KeepsNothing):
    """A listing read by offset: saved tracks, saved albums, my playlists.

    Whether a saved listing may stop at items already known is decided when its pages are taken in.
    """

    source: Source
    user: str

    @property
    def endpoint(self) -> Endpoint:
        """That of what is listed."""
        return LISTED[self.source.reads][1]

    @property
    def _listing(self) -> str:
        return library_listing(self.source.reads, self.user)

    def next(self, view: View) -> SpotifyRequest | None:
        """The next page of a reading that is due or was begun."""
        walk = view.state.walks.get(self._listing)
        if not view.free(self._listing) or not (walk or view.source_due(self.source, self._listing, self.user)):
            return None
        offset = walk.offset if walk else 0
        method, endpoint, rule = LISTED[self.source.reads]
        call = Call(method, {"limit": PAGE, "offset": offset}, endpoint)
        context = view.listing_context(self._listing, offset, rule)
        return SpotifyRequest(self.source.name, self._listing, self.user, call, context=context)

    def calls_left(self, view: View) -> int:
        """The pages that are left; one of a reading that is due, for how many follow is not known."""
        walk = view.state.walks.get(self._listing)
        return rest_of(walk) or int(view.source_due(self.source, self._listing, self.user))


@takes(SAVED_TRACKS, SAVED_ALBUMS)
def take_saved(state: State, answer: Answer, document: Document, *_: str) -> Taken:
    """A page of saved items, newest first.

    Reading stops where items are known, if the total is what is known plus what is new; if it is not, something was
    removed and the whole listing is read. A listing that shrinks while it is read is read again from so far back.
    """
    what = f"saved_{answer.endpoint.removeprefix('me/')}"
    rule = LISTED[what][2]
    listing = library_listing(what, answer.user_id)
    known = state.known.get(listing)
    step = taken_step(state, listing, answer, document, rule)
    new = compare_saved(step.walk, document, rule, known)
    walk = step.walk
    unchanged = known is not None and walk.met and not walk.nameless and walk.first_total == known.total + walk.new
    state.walks[listing] = walk
    faults = []
    if step.flaw or not (step.ended or unchanged):
        faults = conclude(state, listing, answer, step, user=answer.user_id) if step.flaw else []
    else:
        certain = Step(walk, True) if unchanged else step
        faults = conclude(state, listing, answer, certain, user=answer.user_id)
        if not faults:
            state.known[listing] = Known(walk.first_total, newest=walk.newest, newest_ids=walk.newest_ids)
    return Taken(len(document["items"]), new, faults=faults)


def compare_saved(walk: Walk, document: Document, rule: Rule, known: Known | None) -> int:
    """Note in ``walk`` which of a page's items are new and which were known; answers how many are new."""
    new = 0
    walk.met = walk.met or known is None
    walk.newest_ids = list(walk.newest_ids)
    for item in dicts(document["items"]):
        item_id, added = rule.key(item), str(item.get("added_at") or "")
        if item_id is None:
            continue
        if added > walk.newest:
            walk.newest, walk.newest_ids = added, []
        if added == walk.newest:
            walk.newest_ids.append(item_id)
        if known is None or added > known.newest or (added == known.newest and item_id not in known.newest_ids):
            new += 1
        else:
            walk.met = True
    walk.new += new
    return new


@takes(MY_PLAYLISTS)
def take_playlists(state: State, answer: Answer, document: Document, *_: str) -> Taken:
    """A page of a listener's playlists; what a whole reading does not show is not the listener's any more."""
    user = str(answer.user_id)
    listing = library_listing("my_playlists", user)
    step = taken_step(state, listing, answer, document, LISTED["my_playlists"][2])
    listed = [playlist for playlist in dicts(document["items"]) if playlist_key(playlist)]
    new = sum(note_playlist(state, playlist["id"], playlist, user) for playlist in listed)
    state.walks[listing] = step.walk
    faults = []
    if step.ended:
        faults = conclude(state, listing, answer, step, user=user)
        if not faults:
            state.known[listing] = Known(step.walk.total)
            forget_playlists(state, user, set(step.walk.ids))
    return Taken(len(document["items"]), new, faults=faults)


def forget_playlists(state: State, user: str, listed: set[str]) -> None:
    """Forget the playlists that a listener's list does not show any more."""
    gone = [id_ for id_, playlist in state.playlists.items() if playlist.user == user and id_ not in listed]
    for playlist_id in gone:
        del state.playlists[playlist_id]
        state.walks.pop(playlist_listing(playlist_id), None)
        state.trust(playlist_listing(playlist_id))


def note_playlist(state: State, playlist_id: str, document: Document, user: str | None) -> bool:
    """Remember a playlist's version; True when it is another than before."""
    playlist = state.playlists.setdefault(playlist_id, KnownPlaylist())
    before = playlist.snapshot
    owner = child(document, "owner").get("id")
    page = child(document, "items") or child(document, "tracks")
    total = whole(page.get("total"))
    playlist.user = playlist.user or user
    playlist.owner = owner if isinstance(owner, str) else playlist.owner
    playlist.collaborative = document.get("collaborative") is True
    snapshot = document.get("snapshot_id")
    if isinstance(snapshot, str) and snapshot:
        playlist.snapshot = snapshot
    playlist.total = total
    if total == 0:
        playlist.done, playlist.empty = playlist.snapshot, True
    elif user and playlist.check_in:
        playlist.check_in -= 1
        playlist.done = playlist.done if playlist.check_in else None
    return playlist.snapshot != before


# --- followed artists ---------------------------------------------------------------------------------------------


FOLLOWED = Rule(lambda item: id_of(item), by_cursor=True, container="artists")


@reads(followed_artists=Kind(user=True))
@dataclass(slots=True)
class FollowedArtists(KeepsNothing):
    """Followed artists, by cursor."""

    source: Source
    user: str
    endpoint: ClassVar[Endpoint] = FOLLOWING

    @property
    def _listing(self) -> str:
        return library_listing("followed_artists", self.user)

    def next(self, view: View) -> SpotifyRequest | None:
        """The next page of a reading that is due or was begun."""
        walk = view.state.walks.get(self._listing)
        if not view.free(self._listing) or not (walk or view.source_due(self.source, self._listing, self.user)):
            return None
        arguments: dict[str, Any] = {"limit": PAGE, "after": walk.after if walk else None}
        call = Call("current_user_followed_artists", arguments, self.endpoint)
        context = view.listing_context(self._listing, 0, FOLLOWED)
        return SpotifyRequest(self.source.name, self._listing, self.user, call, context=context)

    def calls_left(self, view: View) -> int:
        """The pages that are left; one of a reading that is due, for how many follow is not known."""
        walk = view.state.walks.get(self._listing)
        if walk:
            return max(1, pages(walk.total - len(walk.ids)))
        return int(view.source_due(self.source, self._listing, self.user))


@takes(FOLLOWING)
def take_followed(state: State, answer: Answer, document: Document, *_: str) -> Taken:
    """A page of followed artists; when the first page and the total are as they were, so are the rest."""
    user = str(answer.user_id)
    listing = library_listing("followed_artists", user)
    known = state.known.get(listing)
    first = listing not in state.walks
    step = taken_step(state, listing, answer, document, FOLLOWED)
    walk = step.walk
    fresh = set(walk.last) - set(state.followed.get(user, []))
    state.walks[listing] = walk
    unchanged = (
        first
        and not (step.ended or walk.nameless)
        and known is not None
        and (known.total, known.first) == (walk.total, walk.first)
        and is_recent(known.at, answer)
    )
    faults = []
    if unchanged:
        faults = conclude(state, listing, answer, Step(walk, True), user=user)
    elif step.ended:
        faults = conclude(state, listing, answer, step, user=user)
        if not faults:
            state.followed[user] = walk.ids
            state.known[listing] = Known(walk.total, walk.first, at=walk.started_at)
    return Taken(len(document["artists"]["items"]), len(fresh), faults=faults, followed=state.followed.get(user))


def is_recent(full_at: str | None, answer: Answer) -> bool:
    """Whether followed artists were read in full not long before ``answer``."""
    if full_at is None:
        return False
    return timedelta(0) <= answer.received_at - parse_rfc3339(full_at) < FULL_FOLLOWED_EVERY


# --- playlists ----------------------------------------------------------------------------------------------------


def playlist_listing(playlist_id: str) -> str:
    """The key in the state of the reading of a playlist's items."""
    return f"playlist:{playlist_id}"


GONE = "gone"  # the key of an entry that holds nothing, as one does whose track was removed from Spotify
OFTEN = 2  # times that many entries may be the same: track and time
CHECKED_IN = 2  # lists of playlists after the first reading of one that showed null entries


def entry_key(entry: Any) -> str | None:
    """What tells one entry of a playlist from another, as far as anything does."""
    if is_gone(entry):
        return GONE
    if not isinstance(entry, dict) or (entry.get("added_at") is not None and not moment_in(entry, "added_at")):
        return None
    item = child(entry, "item") or child(entry, "track")
    name = item.get("uri") or item.get("id")
    return f"{name} {entry.get('added_at')}" if isinstance(name, str) else None


def is_gone(entry: Any) -> bool:
    """Whether an entry of a playlist is null, or its item is."""
    holders = [entry[name] for name in ("item", "track") if name in entry] if isinstance(entry, dict) else []
    return entry is None or (bool(holders) and all(held is None for held in holders))


def is_bare(entry: Any) -> bool:
    """Whether an entry of a playlist is null or does not say when it was added, as very old ones do not."""
    return entry is None or (isinstance(entry, dict) and entry.get("added_at") is None)


ENTRIES = Rule(entry_key, unique=False)


@reads(playlist_items=Kind(user=True, cadence=False))
@dataclass(slots=True)
class PlaylistItems(KeepsNothing):
    """Items of playlists whose version is new: those that a listener lists, or those that are read by id (no user)."""

    source: Source
    user: str | None = None
    endpoint: ClassVar[Endpoint] = PLAYLIST_ITEMS

    def next(self, view: View) -> SpotifyRequest | None:
        """The next page of the first playlist that needs one; those that were refused before come last."""
        doubts = view.state.doubts
        waiting = [id_ for id_, playlist in self._waiting(view) if view.free(playlist_listing(id_))]
        if not waiting:
            return None
        playlist_id = next((id_ for id_ in waiting if playlist_listing(id_) not in doubts), None)
        if playlist_id is None:
            playlist_id = min(waiting, key=lambda id_: doubts[playlist_listing(id_)].last)
        playlist = view.state.playlists[playlist_id]
        return self._page(view, playlist_id, playlist, str(who_reads(view, self.user, playlist_id, playlist)))

    def _waiting(self, view: View) -> Iterator[tuple[str, KnownPlaylist]]:
        for playlist_id, playlist in view.state.playlists.items():
            if playlist.outdated and who_reads(view, self.user, playlist_id, playlist):
                yield playlist_id, playlist

    def _page(self, view: View, playlist_id: str, playlist: KnownPlaylist, user: str) -> SpotifyRequest:
        """The next page; a playlist too long for one page is opened by itself, which brings its first 100 items."""
        listing = playlist_listing(playlist_id)
        walk = view.state.walks.get(listing)
        offset = walk.offset if walk and walk.snapshot == playlist.snapshot else 0
        about = {"playlist_id": playlist_id, "snapshot_id": playlist.snapshot}
        if offset == 0 and (playlist.total or PAGE) > PAGE and not playlist.apart and view.may_ask(PLAYLIST):
            context = opened(view, playlist_id, str(playlist.snapshot))
            return SpotifyRequest(self.source.name, listing, user, whole_playlist(playlist_id), about, context)
        arguments = {"playlist_id": playlist_id, "limit": PAGE, "offset": offset}
        call = Call("playlist_items", arguments, self.endpoint)
        context = entries_context(view, playlist_id, str(playlist.snapshot), offset)
        return SpotifyRequest(self.source.name, listing, user, call, about, context)

    def calls_left(self, view: View) -> int:
        """The pages of all playlists with a new version."""
        return sum(self._pages(view, playlist_id, playlist) for playlist_id, playlist in self._waiting(view))

    def _pages(self, view: View, playlist_id: str, playlist: KnownPlaylist) -> int:
        walk = view.state.walks.get(playlist_listing(playlist_id))
        read = walk.offset if walk and walk.snapshot == playlist.snapshot else 0
        return max(1, pages((playlist.total or 0) - read))


def whole_playlist(playlist_id: str) -> Call:
    """A playlist by itself: what it is, its version, and where this app may see them its first items."""
    arguments = {"playlist_id": playlist_id, "additional_types": ("track", "episode")}
    return Call("playlist", arguments, PLAYLIST)


def entries_context(view: View, playlist_id: str, snapshot: str, offset: int) -> HeaderContext:
    """The context of a page of a playlist's items."""

    def context(document: Document) -> dict[str, Any]:
        return misplaced(entries_step(view.state, document, playlist_id, snapshot, offset, ""))

    return context


def misplaced(step: Step) -> dict[str, Any]:
    """What a page's header says where its entries cannot stand where they are shown."""
    doubled = repeated(shown_keys(step.walk), OFTEN)
    return {"astray": doubled} if doubled else astray(step)


def shown_keys(walk: Walk) -> list[str]:
    """The keys of the last page's entries that hold something."""
    return [key for key in walk.last if key != GONE]


def opened(view: View, playlist_id: str, listed: str) -> HeaderContext:
    """The context of a playlist opened for its items: its own version, which may be newer than the listed one."""

    def context(document: Document) -> dict[str, Any]:
        snapshot = document.get("snapshot_id") or listed
        page = child(document, "items") or child(document, "tracks")
        strayed = itself(playlist_id)(document)
        if not strayed and isinstance(page.get("items"), list):
            strayed = misplaced(entries_step(view.state, page, playlist_id, str(snapshot), 0, ""))
        return {"snapshot_id": snapshot, **strayed}

    return context


def who_reads(view: View, user: str | None, playlist_id: str, playlist: KnownPlaylist) -> str | None:
    """The listener with whose token the items of a playlist that ``user`` lists are read; None where nobody may, or
    where another listener of the run lists it who reads it once for all: its owner, else the first."""
    if user is None:
        return who_may_read_by_id(view, playlist)
    if user not in view.listeners:
        return None
    readers = [
        other
        for other, state in view.beside.items()
        if other in view.listeners
        and (listed := state.playlists.get(playlist_id))
        and (view.extended or listed.collaborative or view.listeners[other] == listed.owner)
    ]
    owners = [other for other in readers if view.listeners[other] == playlist.owner]
    return user if user in [*owners, *readers][:1] else None


def who_may_read_by_id(view: View, playlist: KnownPlaylist) -> str | None:
    """The listener with whose token a playlist that is read by id can be read: its owner or, in extended mode, any."""
    owner = next((user for user, name in view.listeners.items() if name == playlist.owner), None)
    return owner or (next(iter(view.listeners), None) if view.extended else None)


@reads(playlists=Kind(params={"ids": spotify_ids}))
@dataclass(slots=True)
class Playlists(KeepsNothing):
    """Playlists by id: what they are and which version they have."""

    source: Source
    user: str | None = None
    endpoint: ClassVar[Endpoint] = PLAYLIST

    def next(self, view: View) -> SpotifyRequest | None:
        """The first playlist that is due."""
        for playlist_id in self._due(view):
            listing = itself_listing(playlist_id)
            if view.free(listing):
                reader = next(iter(view.listeners), None)
                context = itself(playlist_id)
                return SpotifyRequest(self.source.name, listing, reader, whole_playlist(playlist_id), context=context)
        return None

    def _due(self, view: View) -> list[str]:
        ids: list[str] = self.source.params["ids"]
        return [id_ for id_ in ids if view.due(self.source, itself_listing(id_), self._last(view, id_))]

    def _last(self, view: View, playlist_id: str) -> datetime | None:
        return view.state.last_done(self.source.name, playlist_id)

    def calls_left(self, view: View) -> int:
        """A call for each playlist that is due."""
        return len(self._due(view))


def itself(playlist_id: str) -> HeaderContext:
    """The context of a playlist read for what it is."""
    return lambda document: {} if document.get("id") == playlist_id else {"astray": ANOTHER_PLAYLIST}


ANOTHER_PLAYLIST = "another playlist came than was asked for"


def itself_listing(playlist_id: str) -> str:
    """The key in the state of a playlist read for what it is."""
    return f"playlist-itself:{playlist_id}"


@takes(PLAYLIST)
def take_playlist(state: State, answer: Answer, document: Document, *ids: str) -> Taken:
    """A playlist by itself, with the first of its items where this app may see them."""
    playlist_id = ids[0]
    opened_for_items = "playlist_id" in answer.context
    if document.get("id") != playlist_id:
        return another_answered(state, answer, playlist_id, opened_for_items)
    page = child(document, "items") or child(document, "tracks")
    before = state.playlists.get(playlist_id)
    shown = whole(page.get("total"))
    snapshot = str(document.get("snapshot_id"))
    if opened_for_items and before and shown is not None and (fault := differs(before, snapshot, shown)):
        doubt = state.doubt(playlist_listing(playlist_id), fault, answer.run_id, answer.received_at)
        if not doubt.believed(timedelta(0)):
            return Taken(1, faults=[fault])
    if not opened_for_items:
        state.finished(answer.source, playlist_id, answer.received_at)
        state.trust(itself_listing(playlist_id))
    new = note_playlist(state, playlist_id, document, None)
    playlist = state.playlists[playlist_id]
    if not isinstance(page.get("items"), list) or not page["items"]:
        playlist.apart = True  # its items have to be asked for
    elif playlist.outdated:
        taken = read_on(state, answer, page, playlist_id, str(playlist.snapshot))
        taken.items = taken.new_items = 1 + len(page["items"])
        return taken
    return Taken(1, int(new))


def another_answered(state: State, answer: Answer, playlist_id: str, opened_for_items: bool) -> Taken:
    """Another playlist came than was asked for."""
    key = playlist_listing(playlist_id) if opened_for_items else itself_listing(playlist_id)
    why = ANOTHER_PLAYLIST
    if state.doubt(key, why, answer.run_id, answer.received_at).believed():
        give_up_playlist(state, answer, playlist_id)
    return Taken(1, faults=[why])


def entries_step(state: State, page: Document, playlist_id: str, snapshot: str, offset: int, started_at: str) -> Step:
    """Where the reading of a version of a playlist stands after a page. Changes nothing."""
    walk = state.walks.get(playlist_listing(playlist_id))
    if walk is None or walk.snapshot != snapshot or not offset:
        walk = Walk(started_at, snapshot=snapshot)
    return follow(walk, ListingPage.of(page, ENTRIES), offset, ENTRIES)


def read_on(state: State, answer: Answer, page: Document, playlist_id: str, snapshot: str) -> Taken:
    """Move on behind a page of a playlist's items. One that changes meanwhile has a new version to read anew."""
    listing = playlist_listing(playlist_id)
    step = entries_step(state, page, playlist_id, snapshot, offset_of(answer), started_at_of(answer))
    there = shown_keys(step.walk)
    step.walk.odd = step.walk.odd or odd_part(answer, page) or repeated(there, OFTEN)
    step.walk.gone += len(step.walk.last) - len(there)
    step.walk.bare += sum(map(is_bare, page["items"]))
    state.walks[listing] = step.walk
    if not step.ended:
        return Taken()
    del state.walks[listing]
    playlist = state.playlists.setdefault(playlist_id, KnownPlaylist())
    fault = step.fault or differs(playlist, snapshot, step.walk.total) or newly_gone(playlist, step.walk)
    if fault is None:
        state.trust(listing)
        playlist.done, playlist.empty, playlist.gone = snapshot, False, step.walk.gone
        if not step.walk.bare or playlist.checked == snapshot:
            return Taken()
        playlist.check_in, playlist.checked = CHECKED_IN, snapshot
        return Taken(notes=[bare_entries(step.walk.bare)])
    doubt = state.doubt(listing, fault, answer.run_id, answer.received_at)
    if doubt.believed() if step.fault else doubt.believed(timedelta(0)):
        playlist.done, playlist.empty, playlist.gone = snapshot, False, step.walk.gone
    return Taken(faults=[fault])


def bare_entries(number: int) -> str:
    """What is noted of a playlist some of whose entries are bare, as Spotify documents that they may be."""
    which = (
        "1 entry of a playlist is null or bears" if number == 1 else f"{number} entries of a playlist are null or bear"
    )
    return f"{which} no time; it is read once more"


def differs(playlist: KnownPlaylist, snapshot: str, total: int) -> str | None:
    """What a version says of its length otherwise than the list of playlists did."""
    if playlist.snapshot != snapshot or playlist.total in (None, total):
        return None
    return f"its length is {total}, and {playlist.total} was listed"


def newly_gone(playlist: KnownPlaylist, walk: Walk) -> str | None:
    """What is hard to believe of the entries of a playlist that hold nothing. Tracks are removed now and then: it is
    believed once three runs were told the same, however near each other."""
    known = walk.offset // 2 if playlist.gone is None else playlist.gone
    if walk.gone <= known:
        return None
    before = f"; before, it was {known}" if playlist.gone else ""
    return f"entries that hold nothing: {walk.gone} of {walk.offset}{before}"


@takes(PLAYLIST_ITEMS)
def take_playlist_items(state: State, answer: Answer, document: Document, *ids: str) -> Taken:
    """A page of a playlist's items."""
    taken = read_on(state, answer, document, ids[0], answer.context["snapshot_id"])
    taken.items = taken.new_items = len(document["items"])
    return taken


@gives_up(PLAYLIST, PLAYLIST_ITEMS)
def give_up_playlist(state: State, answer: Answer, *ids: str) -> None:
    """Do not ask for this version of a playlist again, or not for the playlist before it is due anew."""
    playlist_id = ids[0]
    if "snapshot_id" not in answer.context:
        state.finished(answer.source, playlist_id, answer.received_at)
    elif playlist_id in state.playlists:
        state.walks.pop(playlist_listing(playlist_id), None)
        state.playlists[playlist_id].refused = answer.context["snapshot_id"]
