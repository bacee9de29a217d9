"""What an answer changes in the state. Pure: the same entries give the same state, whoever takes them in and when."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from chalicelib.clock import parse_rfc3339, rfc3339
from chalicelib.extraction.library_readers import FULL_FOLLOWED_EVERY, library_listing
from chalicelib.extraction.reading import count, is_last
from chalicelib.extraction.state import WANTED, State, done_key
from chalicelib.raw import Answer
from chalicelib.tables import ID_PATTERN

RECENT_PLAYS = 50  # Spotify holds no more
MOST_STEPS_BACK = 3  # in one listing that shrinks while it is read; then the next reading has to see
ID = re.compile(ID_PATTERN)
HOLDERS = ("artists", "album", "albums", "item", "track", "tracks", "items")  # what lies in other names is not for us
Document = dict[str, Any]


@dataclass(slots=True)
class Taken:
    """What an answer brought: items in it, those of them that were not known, and a hole in the listening history."""

    items: int = 0
    new_items: int = 0
    hole: dict[str, Any] | None = None


def take_in(state: State, answer: Answer, document: Document) -> Taken:
    """Change the state by one good answer (status 200)."""
    seen = look(document)
    if seen.mode:
        state.mode = seen.mode
    state.want("artists", seen.artists)
    state.want("albums", seen.albums)
    for album_id, listed, total in seen.full_albums:
        if total > listed and state.details["albums"].get(album_id, WANTED) == WANTED:
            state.album_pages[album_id] = listed
    state.have("artists", seen.full_artists, answer.received_at)
    state.have("albums", [album_id for album_id, _, _ in seen.full_albums], answer.received_at)
    for pattern, take in TAKERS:
        found = re.fullmatch(pattern, answer.endpoint)
        if found:
            return take(state, answer, document, *found.groups())
    return Taken()


def take_refusal(state: State, answer: Answer) -> None:
    """Change the state by a lasting no (400, 403, 404): what was asked for is not asked again."""
    endpoint, moment = answer.endpoint, answer.received_at
    if found := re.fullmatch(r"(artists|albums|tracks)/(\w+)", endpoint):
        state.have(found[1], [found[2]], moment)
    elif endpoint in ("artists", "albums", "tracks"):
        state.have(endpoint, str(answer.params.get("ids", "")).split(","), moment)
    elif found := re.fullmatch(r"albums/(\w+)/tracks", endpoint):
        state.album_pages.pop(found[1], None)
    elif found := re.fullmatch(r"artists/(\w+)/albums", endpoint):
        state.walks.pop(f"discography:{found[1]}", None)
        state.known[f"discography:{found[1]}"] = {"at": int(moment.timestamp()), "total": 0, "first": []}
    elif found := re.fullmatch(r"playlists/(\w+)(?:/items)?", endpoint):
        if "snapshot_id" not in answer.context:
            state.finished(answer.source, found[1], moment)
        elif found[1] in state.playlists:
            state.walks.pop(f"playlist:{found[1]}", None)
            state.playlists[found[1]]["refused"] = answer.context["snapshot_id"]


def take_note(state: State, note: dict[str, Any]) -> None:
    """Change the state by a note: a group's wait, a removed endpoint, a page size."""
    state.not_before.update(note.get("not_before", {}))
    state.removed.update(note.get("removed", {}))
    state.limits.update(note.get("limits", {}))
    for pattern in note.get("forget", []):
        state.walks.pop(pattern, None)


# Listeners' own


def take_recently_played(state: State, answer: Answer, document: Document) -> Taken:
    user = str(answer.user_id)
    ends = sorted(str(item["played_at"]) for item in dicts(document["items"]) if item.get("played_at"))
    state.finished(answer.source, user, answer.received_at)
    newest = state.plays.get(user)
    if not ends:
        return Taken()
    state.plays[user] = max(ends[-1], newest or "")
    new = [end for end in ends if newest is None or end > newest]
    hole = None
    if newest is not None and len(document["items"]) >= RECENT_PLAYS and ends[0] > newest:
        hole = {"user_id": user, "after": newest, "before": ends[0]}
    return Taken(len(document["items"]), len(new), hole)


def take_top(state: State, answer: Answer, document: Document) -> Taken:
    state.finished(answer.source, answer.user_id, answer.received_at)
    return Taken(len(document["items"]), 0)


def take_saved(state: State, answer: Answer, document: Document, what: str) -> Taken:
    """A page of saved items, newest first.

    Reading stops where items are known, if the total is what is known plus what is new; if it is not, something was
    removed and the whole listing is read. A listing that shrinks while it is read is read again from so far back.
    """
    user = str(answer.user_id)
    listing = library_listing(f"saved_{what}", user)
    known = state.known.get(listing)
    total = count(document.get("total"))
    walk = state.walks.setdefault(listing, new_walk(answer, total, new=0, newest="", newest_ids=[], met=known is None))
    kind = what.removesuffix("s")
    new = 0
    for item in dicts(document["items"]):
        added, item_id = str(item.get("added_at") or ""), str(child(item, kind).get("id") or "")
        if added > walk["newest"]:
            walk["newest"], walk["newest_ids"] = added, []
        if added == walk["newest"]:
            walk["newest_ids"].append(item_id)
        if (
            known is None
            or added > known["newest"]
            or (added == known["newest"] and item_id not in known["newest_ids"])
        ):
            new += 1
        else:
            walk["met"] = True
    walk["new"] += new
    advance(walk, answer, document, total)
    unchanged = known is not None and walk["met"] and walk["first_total"] == known["total"] + walk["new"]
    if is_last(document) or unchanged:
        names = ("newest", "newest_ids")
        state.known[listing] = {"total": walk["first_total"], **{name: walk[name] for name in names}}
        end_walk(state, answer, listing)
    return Taken(len(document["items"]), new)


def take_playlists(state: State, answer: Answer, document: Document) -> Taken:
    user = str(answer.user_id)
    listing = library_listing("my_playlists", user)
    total = count(document.get("total"))
    walk = state.walks.setdefault(listing, new_walk(answer, total, ids=[]))
    new = 0
    for playlist in dicts(document["items"]):
        if is_id(playlist.get("id")):
            walk["ids"].append(playlist["id"])
            new += note_playlist(state, playlist["id"], playlist, user)
    advance(walk, answer, document, total)
    if is_last(document):
        for playlist_id in [
            id_ for id_, one in state.playlists.items() if one["user"] == user and id_ not in walk["ids"]
        ]:
            del state.playlists[playlist_id]
            state.walks.pop(f"playlist:{playlist_id}", None)
        end_walk(state, answer, listing)
    return Taken(len(document["items"]), new)


def note_playlist(state: State, playlist_id: str, playlist: Document, user: str | None) -> bool:
    """Remember a playlist's version; True when it is another than before."""
    owner = child(playlist, "owner").get("id")
    page = child(playlist, "items") or child(playlist, "tracks")
    one = state.playlists.setdefault(playlist_id, {"user": user})
    before = one.get("snapshot")
    one["user"] = one["user"] or user
    one.update(snapshot=playlist.get("snapshot_id"), owner=owner, total=count(page.get("total")))
    one["collaborative"] = bool(playlist.get("collaborative"))
    if one["total"] == 0 and "total" in page:
        one["done"] = one["snapshot"]
    return bool(one["snapshot"] != before)


def take_followed(state: State, answer: Answer, document: Document) -> Taken:
    """A page of followed artists; when the first page and the total are as they were, so are the rest."""
    user = str(answer.user_id)
    listing = library_listing("followed_artists", user)
    page = document["artists"]
    known = state.known.get(listing)
    total = count(page.get("total"))
    walk = state.walks.setdefault(listing, new_walk(answer, total, ids=[], after=None))
    ids = [artist["id"] for artist in dicts(page["items"]) if is_id(artist.get("id"))]
    before = set(state.followed.get(user, []))
    first = not walk["ids"]
    walk["ids"] += ids
    walk["after"] = child(page, "cursors").get("after")
    taken = Taken(len(page["items"]), len(set(ids) - before))
    if is_last(page) or walk["after"] is None:
        state.followed[user] = walk["ids"]
        first_page = ids if first else walk["first"]
        state.known[listing] = {"total": total, "first": first_page, "full_at": walk["started_at"]}
        end_walk(state, answer, listing)
    elif first:
        walk["first"] = ids
        if known and known["total"] == total and known["first"] == ids and recent(known["full_at"], answer):
            end_walk(state, answer, listing)
    return taken


def recent(full_at: str, answer: Answer) -> bool:
    return answer.received_at - parse_rfc3339(full_at) < FULL_FOLLOWED_EVERY


# Playlists


def take_playlist(state: State, answer: Answer, document: Document, playlist_id: str) -> Taken:
    """A playlist by itself, with the first of its items where this app may see them."""
    if "playlist_id" not in answer.context:  # read for what it is, not opened for its items
        state.finished(answer.source, playlist_id, answer.received_at)
    new = note_playlist(state, playlist_id, document, None)
    playlist = state.playlists[playlist_id]
    page = child(document, "items") or child(document, "tracks")
    if not isinstance(page.get("items"), list) or not page["items"]:
        playlist["apart"] = True  # its items have to be asked for
    elif playlist["snapshot"] != playlist.get("done"):
        read_on(state, answer, page, playlist_id, document["snapshot_id"])
        return Taken(1 + len(page["items"]), 1 + len(page["items"]))
    return Taken(1, int(new))


def read_on(state: State, answer: Answer, page: Document, playlist_id: str, snapshot: str) -> None:
    """Move on behind a page of a playlist's items. One that changes meanwhile has a new version to read anew."""
    listing = f"playlist:{playlist_id}"
    total = count(page.get("total"))
    walk = state.walks.get(listing)
    if walk is None or walk["snapshot"] != snapshot or not answer.params.get("offset"):
        walk = state.walks[listing] = new_walk(answer, total, snapshot=snapshot)
    advance(walk, answer, page, total)
    if is_last(page):
        del state.walks[listing]
        if playlist_id in state.playlists:
            state.playlists[playlist_id]["done"] = snapshot


def take_playlist_items(state: State, answer: Answer, document: Document, playlist_id: str) -> Taken:
    read_on(state, answer, document, playlist_id, answer.context["snapshot_id"])
    return Taken(len(document["items"]), len(document["items"]))


# Catalogue


def take_search(state: State, answer: Answer, document: Document) -> Taken:
    results = [page for page in document.values() if isinstance(page, dict) and isinstance(page.get("items"), list)]
    return take_first(state, answer, results, f"search:{answer.source}")


def take_new_releases(state: State, answer: Answer, document: Document) -> Taken:
    return take_first(state, answer, [document["albums"]], f"new_releases:{answer.source}")


def take_first(state: State, answer: Answer, results: list[Document], listing: str) -> Taken:
    """A page of the first results of something; when the first page is as it was, so are the rest."""
    offset = int(answer.params.get("offset") or 0)
    items = [item for page in results for item in page["items"]]
    ids = [item["id"] for item in dicts(items) if is_id(item.get("id"))]
    total = min(int(answer.context["first"]), max((count(page.get("total")) for page in results), default=0))
    walk = state.walks.setdefault(listing, new_walk(answer, total))
    walk["total"], walk["offset"] = total, offset + int(answer.params.get("limit") or len(items))
    known = state.known.get(listing)
    unchanged = offset == 0 and known is not None and known["first"] == ids
    if offset == 0:
        state.known[listing] = {"first": ids}
    if unchanged or walk["offset"] >= total or not items:
        end_walk(state, answer, listing, user=None)
    return Taken(len(items), 0 if unchanged else len(items))


def take_discography(state: State, answer: Answer, document: Document, artist_id: str) -> Taken:
    """A page of an artist's releases; when the first page and the total are as they were, so are the rest."""
    listing = f"discography:{artist_id}"
    known = state.known.get(listing)
    total = count(document.get("total"))
    walk = state.walks.setdefault(listing, new_walk(answer, total, first=[]))
    ids = [album["id"] for album in dicts(document["items"]) if is_id(album.get("id"))]
    at_start = not answer.params.get("offset")
    if at_start:
        walk["first"] = ids
    advance(walk, answer, document, total)
    unchanged = at_start and known is not None and (known["total"], known["first"]) == (total, ids)
    if unchanged or is_last(document):
        at = int(answer.received_at.timestamp())
        state.known[listing] = {"at": at, "total": total, "first": walk["first"]}
        del state.walks[listing]
    return Taken(len(ids), 0 if unchanged else len(ids))


def take_album_tracks(state: State, answer: Answer, document: Document, album_id: str) -> Taken:
    state.album_pages[album_id] = int(answer.params.get("offset") or 0) + len(document["items"])
    if is_last(document):
        state.album_pages.pop(album_id, None)
    return Taken(len(document["items"]), len(document["items"]))


def take_detail(state: State, answer: Answer, _: Document, kind: str, item_id: str) -> Taken:
    state.have(kind, [item_id], answer.received_at)
    return Taken(1, 1)


def take_batch(state: State, answer: Answer, document: Document, kind: str) -> Taken:
    """Unknown ids are null in their place: they count as read, or they would be asked for for ever."""
    ids = str(answer.params.get("ids", "")).split(",")
    state.have(kind, ids, answer.received_at)
    found = len([item for item in document[kind] if item])
    return Taken(found, found)


TAKERS: tuple[tuple[str, Callable[..., Taken]], ...] = (
    (r"me/player/recently-played", take_recently_played),
    (r"me/top/\w+", take_top),
    (r"me/(tracks|albums)", take_saved),
    (r"me/playlists", take_playlists),
    (r"me/following", take_followed),
    (r"playlists/(\w+)/items", take_playlist_items),
    (r"playlists/(\w+)", take_playlist),
    (r"search", take_search),
    (r"browse/new-releases", take_new_releases),
    (r"artists/(\w+)/albums", take_discography),
    (r"albums/(\w+)/tracks", take_album_tracks),
    (r"(artists|albums|tracks)/(\w+)", take_detail),
    (r"(artists|albums|tracks)", take_batch),
)


# Listings


def new_walk(answer: Answer, total: int, **more: Any) -> dict[str, Any]:
    """A listing that this answer begins."""
    started_at = answer.context.get("listing", {}).get("started_at") or rfc3339(answer.requested_at)
    return {"started_at": started_at, "offset": 0, "total": total, "first_total": total, "backs": 0, **more}


def advance(walk: dict[str, Any], answer: Answer, page: Document, total: int) -> None:
    """Move on behind this page, and back by as many items as the listing has lost since the last."""
    offset = int(answer.params.get("offset") or 0)
    lost = max(0, walk["total"] - total)
    walk["total"] = total
    if lost and offset and walk["backs"] < MOST_STEPS_BACK:
        walk["backs"] += 1
        walk["offset"] = max(0, offset - lost)
    else:
        walk["offset"] = offset + len(page["items"])


def end_walk(state: State, answer: Answer, listing: str, user: str | None = "") -> None:
    state.walks.pop(listing, None)
    state.done[done_key(answer.source, answer.user_id if user == "" else user)] = rfc3339(answer.received_at)


# Odd values


def dicts(items: list[Any]) -> Iterator[Document]:
    """The JSON objects among ``items``; what else lies there (null for what was removed) is nothing to ask for."""
    return (item for item in items if isinstance(item, dict))


def child(item: Document, name: str) -> Document:
    """The object at ``name``, an empty one where there is none."""
    found = item.get(name)
    return found if isinstance(found, dict) else {}


# What an answer shows besides


@dataclass(slots=True)
class Seen:
    """Artists and albums anywhere in an answer; ``full`` ones with all their details; the shape that it has."""

    artists: list[str] = field(default_factory=list)
    albums: list[str] = field(default_factory=list)
    full_artists: list[str] = field(default_factory=list)
    full_albums: list[tuple[str, int, int]] = field(default_factory=list)  # id, tracks listed, tracks in all
    mode: str | None = None


def look(document: Document) -> Seen:
    """Walk through an answer. What distinguishes the two shapes stands in facts of 2026: development mode shows
    neither an artist's followers nor the popularity of anything."""
    seen = Seen()
    for item in objects(document):
        kind, item_id = item.get("type"), item.get("id")
        if not is_id(item_id):
            continue
        if kind == "artist":
            seen.artists.append(item_id)
            if "images" in item or "genres" in item:
                seen.full_artists.append(item_id)
                show_mode(seen, "followers" in item or "popularity" in item)
        elif kind in ("album", "single", "compilation") and ("album_type" in item or "total_tracks" in item):
            seen.albums.append(item_id)
            tracks = item.get("tracks")
            if isinstance(tracks, dict) and isinstance(tracks.get("items"), list):
                total = count(tracks.get("total") or item.get("total_tracks"))
                seen.full_albums.append((item_id, len(tracks["items"]), total))
                show_mode(seen, "popularity" in item or "label" in item)
        elif kind == "track" and isinstance(item.get("album"), dict):
            show_mode(seen, "popularity" in item or "available_markets" in item)
    return seen


def is_id(value: object) -> TypeGuard[str]:
    """Whether ``value`` can be asked for."""
    return isinstance(value, str) and ID.match(value) is not None


def show_mode(seen: Seen, extended: bool) -> None:
    if extended:
        seen.mode = "extended"
    elif seen.mode is None:
        seen.mode = "development"


def objects(document: Document) -> Iterator[Document]:
    """The objects of an answer that may be, or hold, an artist, an album or a track."""
    waiting: list[Any] = [document]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield found
            waiting.extend(found[name] for name in HOLDERS if name in found)
        elif isinstance(found, list):
            waiting.extend(reversed(found))
