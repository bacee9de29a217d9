"""``/search``: albums, artists, tracks and playlists."""

from __future__ import annotations

from sandbox.api import ApiError, Request, Route, Window, page
from sandbox.finding import Query
from sandbox.shapes import Json

SEARCH_MAX, SEARCH_DEFAULT = 10, 5  # items of each type, Web API changelog of February 2026
SEARCH_MAX_EXTENDED, SEARCH_DEFAULT_EXTENDED = 50, 20  # items of each type, before 2026
SEARCH_OFFSET_MAX = 1_000
KINDS = ("album", "artist", "track", "playlist")
OTHER_KINDS = ("show", "episode", "audiobook")  # known to Spotify, always empty here


def get_search(request: Request) -> Json:
    text = request.required("q" if "q" in request.query else "query")  # links between pages say "query"
    kinds = request.required("type").split(",")
    if not set(kinds) <= {*KINDS, *OTHER_KINDS}:
        raise ApiError(400, "Bad search type field")
    extended = request.view.extended
    most, default = (SEARCH_MAX_EXTENDED, SEARCH_DEFAULT_EXTENDED) if extended else (SEARCH_MAX, SEARCH_DEFAULT)
    shown = Window(request.offset(SEARCH_OFFSET_MAX), request.limit(most, default))
    return {f"{kind}s": _results(request, kind, text, shown) for kind in kinds}


def _results(request: Request, kind: str, text: str, shown: Window) -> Json:
    query = Query.parse(text)
    index, now, shapes = request.view.world.index, request.view.now, request.shapes
    items: list[object] = []
    total = 0
    if kind == "playlist":
        playlists = [one for one in request.view.world.playlists(now) if query.matches(one.name.casefold(), {})]
        total = len(playlists) if not query.filters else 0
        items = [shapes.playlist_ref(one, request.api_url) for one in shown.of(playlists[:total])]
    elif kind in KINDS:
        if kind == "artist":
            found, shape = index.artists(query), shapes.artist
        elif kind == "album":
            found, shape = index.albums(query, now), shapes.album_ref
        else:
            found, shape = index.tracks(query, now), shapes.track
        total = len(found)
        items = [shape(number) for number in shown.of(found)]
    return page(request, "search", shown, total, items, query=text, type=kind)


ROUTES = (Route("/search", "search", get_search),)
