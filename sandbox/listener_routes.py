"""Endpoints that read what belongs to listeners: profile, plays, charts, library and playlists."""

from __future__ import annotations

from sandbox.api import (
    ApiError,
    Request,
    Route,
    Window,
    forbidden,
    known,
    not_found,
    page,
    window,
)
from sandbox.catalogue_routes import whole_album
from sandbox.clock import to_seconds
from sandbox.listener import TIME_RANGES
from sandbox.playlists import Playlist
from sandbox.shapes import PLAYLIST_PAGE, Json, person


def get_me(request: Request) -> Json:
    return request.shapes.me(request.listener)


def get_user(request: Request, user_id: str) -> Json:
    listener = request.view.world.listener(user_id)
    if listener is None:
        raise not_found()
    return {**person(listener.person), "display_name": listener.person.display_name, "followers": _no_followers()}


def _no_followers() -> Json:
    return {"href": None, "total": 0}


def get_recently_played(request: Request) -> Json:
    """A page of the last 50 plays by time; past their end null cursors."""
    limit = request.limit()
    if "after" in request.query and "before" in request.query:
        raise ApiError(400, "Only one of 'before' and 'after' may be specified")
    after = request.whole("after", 0, 0, 10**15)
    before = request.whole("before", 10**15, 0, 10**15)
    plays = [play for play in request.listener.recently_played(request.view.now) if after < play.played_at_ms < before]
    shown, rest = plays[:limit], plays[limit:]
    path = "me/player/recently-played"
    cursors = following = None
    if shown:
        first, last = max(p.played_at_ms for p in shown), min(p.played_at_ms for p in shown)
        cursors = {"after": str(first), "before": str(last)}
        following = request.url(path, before=last, limit=limit) if rest else None
    given = {name: request.query[name] for name in ("after", "before") if name in request.query}
    return {
        "items": [request.shapes.play(play, request.listener.id) for play in shown],
        "next": following,
        "cursors": cursors,
        "limit": limit,
        "href": request.url(path, limit=limit, **given),
    }


def get_top(request: Request, kind: str) -> Json:
    if kind not in ("artists", "tracks"):
        raise not_found()
    time_range = request.query.get("time_range", "medium_term")
    if time_range not in TIME_RANGES:
        raise ApiError(400, "Invalid time range")
    shown = window(request)
    listener, now = request.listener, request.view.now
    ranked = listener.top_artists(time_range, now) if kind == "artists" else listener.top_tracks(time_range, now)
    shape = request.shapes.artist if kind == "artists" else request.shapes.track
    items = [shape(number) for number in shown.of(ranked)]
    return page(request, f"me/top/{kind}", shown, len(ranked), items, time_range=request.query.get("time_range"))


def get_saved_tracks(request: Request) -> Json:
    shown = window(request)
    saved = request.listener.library(request.view.now).saved_tracks()
    items = [request.shapes.saved_track(track, added) for track, added in shown.of(saved)]
    return page(request, "me/tracks", shown, len(saved), items)


def get_saved_albums(request: Request) -> Json:
    shown = window(request)
    saved = request.listener.library(request.view.now).saved_albums()
    items = [{"added_at": to_seconds(added), "album": whole_album(request, album)} for album, added in shown.of(saved)]
    return page(request, "me/albums", shown, len(saved), items)


def get_following(request: Request) -> Json:
    if request.required("type") != "artist":
        raise ApiError(400, "Invalid type: only artist is supported")
    limit, after = request.limit(), request.query.get("after")
    catalogue = request.view.catalogue
    followed = request.listener.library(request.view.now).followed()
    last_seen = known(after, catalogue.artist_number) if after else -1
    rest = [artist for artist in followed if artist > last_seen]
    shown = rest[:limit]
    cursor = catalogue.artist(shown[-1]).id if len(rest) > limit else None
    path = "me/following"
    return {
        "artists": {
            "href": request.url(path, type="artist", limit=limit, after=after),
            "limit": limit,
            "next": request.url(path, type="artist", limit=limit, after=cursor) if cursor else None,
            "cursors": {"after": cursor},
            "total": len(followed),
            "items": [request.shapes.artist(artist) for artist in shown],
        }
    }


def get_my_playlists(request: Request) -> Json:
    """The user's playlists; older apps' links go by way of ``/users/{id}/playlists``, as recorded."""
    listener = request.listener
    path = f"users/{listener.id}/playlists" if request.view.extended else "me/playlists"
    return _list_playlists(request, path, listener.library(request.view.now).my_playlists())


def get_user_playlists(request: Request, user_id: str) -> Json:
    listener = request.view.world.listener(user_id)
    if listener is None:
        raise not_found()
    own = request.user is not None and request.user.id == listener.id
    playlists = listener.library(request.view.now).my_playlists()
    return _list_playlists(request, f"users/{user_id}/playlists", [one for one in playlists if own or one.public])


def _list_playlists(request: Request, path: str, playlists: list[Playlist]) -> Json:
    shown = window(request)
    items = [request.shapes.playlist_ref(playlist, request.api_url) for playlist in shown.of(playlists)]
    return page(request, path, shown, len(playlists), items)


def _playlist(request: Request, playlist_id: str) -> Playlist:
    now = request.view.now
    playlist = known(playlist_id, lambda text: request.view.world.playlist(text, now))
    if not playlist.public and not _own(request, playlist):
        raise not_found()
    return playlist


def _own(request: Request, playlist: Playlist) -> bool:
    """Whether the user owns or collaborates on it."""
    return request.user is not None and playlist.may_read_items(request.user.id)


def get_playlist(request: Request, playlist_id: str) -> Json:
    """Its first entries too, but in development mode only for its owner and collaborators."""
    playlist = _playlist(request, playlist_id)
    shown = Window(0, PLAYLIST_PAGE)
    items = tracks = None
    if request.view.extended:
        tracks = _entries(request, playlist, "tracks", shown)
    if request.view.extended or _own(request, playlist):
        items = _entries(request, playlist, "items", shown)
    return request.shapes.playlist(playlist, tracks, items)


def get_playlist_items(request: Request, playlist_id: str) -> Json:
    playlist = _playlist(request, playlist_id)
    if not request.view.extended and not _own(request, playlist):
        raise forbidden()
    return _entries(request, playlist, "items", window(request))


def get_playlist_tracks(request: Request, playlist_id: str) -> Json:
    return _entries(request, _playlist(request, playlist_id), "tracks", window(request, PLAYLIST_PAGE, PLAYLIST_PAGE))


def _entries(request: Request, playlist: Playlist, name: str, shown: Window) -> Json:
    entries = playlist.entries()
    items = [request.shapes.playlist_entry(entry, request.view.now) for entry in shown.of(entries)]
    return page(request, f"playlists/{playlist.id}/{name}", shown, len(entries), items)


ROUTES = (
    Route("/me", "me", get_me, user=True),
    Route("/me/player/recently-played", "player", get_recently_played, user=True, scope="user-read-recently-played"),
    Route("/me/top/{kind}", "top", get_top, user=True, scope="user-top-read"),
    Route("/me/tracks", "library", get_saved_tracks, user=True, scope="user-library-read"),
    Route("/me/albums", "library", get_saved_albums, user=True, scope="user-library-read"),
    Route("/me/following", "following", get_following, user=True, scope="user-follow-read"),
    Route("/me/playlists", "playlists", get_my_playlists, user=True, scope="playlist-read-private"),
    Route("/playlists/{playlist_id}", "playlists", get_playlist),
    Route("/playlists/{playlist_id}/items", "playlists", get_playlist_items, user=True),
    Route("/playlists/{playlist_id}/tracks", "playlists", get_playlist_tracks, extended_only=True),
    Route("/users/{user_id}", "users", get_user, extended_only=True),
    Route("/users/{user_id}/playlists", "users", get_user_playlists, extended_only=True),
)
