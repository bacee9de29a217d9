"""Endpoints that read the catalogue: artists, albums, tracks, shows, episodes, new releases."""

from __future__ import annotations

from sandbox.api import (
    ApiError,
    Request,
    Route,
    Window,
    forbidden,
    known,
    page,
    window,
)
from sandbox.catalogue import ALL_TIME, TRACK_BITS
from sandbox.shapes import MARKETS, Json

ALBUM_GROUPS = frozenset(("album", "single", "appears_on", "compilation"))
DISCOGRAPHY_MAX, DISCOGRAPHY_DEFAULT = 10, 5  # items, Web API changelog of February 2026
DISCOGRAPHY_MAX_EXTENDED, DISCOGRAPHY_DEFAULT_EXTENDED = 50, 20  # items, before 2026
NEW_RELEASES = 100  # albums that /browse/new-releases goes back


def album_tracks(request: Request, album: int, shown: Window) -> Json:
    """A page of the tracks of an album."""
    made = request.view.catalogue.album(album)
    first = album << TRACK_BITS
    numbers = shown.of(range(first, first + made.total_tracks))
    items = [request.shapes.track_ref(number) for number in numbers]
    return page(request, f"albums/{made.id}/tracks", shown, made.total_tracks, items)


def whole_album(request: Request, album: int) -> Json:
    return request.shapes.album(album, album_tracks(request, album, Window(0, 50)))


def _album_number(request: Request, id_: str) -> int:
    return known(id_, lambda text: request.view.catalogue.album_number(text, request.view.now))


def _artist_number(request: Request, id_: str) -> int:
    return known(id_, request.view.catalogue.artist_number)


def get_album(request: Request, id: str) -> Json:
    return whole_album(request, _album_number(request, id))


def get_album_tracks(request: Request, id: str) -> Json:
    return album_tracks(request, _album_number(request, id), window(request))


def get_albums(request: Request) -> Json:
    numbers = [request.view.catalogue.album_number(id_, request.view.now) for id_ in request.ids(20)]
    return {"albums": [None if number is None else whole_album(request, number) for number in numbers]}


def get_artist(request: Request, id: str) -> Json:
    return request.shapes.artist(_artist_number(request, id))


def get_artists(request: Request) -> Json:
    numbers = [request.view.catalogue.artist_number(id_) for id_ in request.ids(50)]
    return {"artists": [None if number is None else request.shapes.artist(number) for number in numbers]}


def get_discography(request: Request, id: str) -> Json:
    artist = _artist_number(request, id)
    given = request.query.get("include_groups")
    groups = frozenset(given.split(",")) if given else ALBUM_GROUPS
    if not groups <= ALBUM_GROUPS:
        raise ApiError(400, "Invalid value for include_groups")
    extended = request.view.extended
    shown = window(
        request,
        DISCOGRAPHY_MAX_EXTENDED if extended else DISCOGRAPHY_MAX,
        DISCOGRAPHY_DEFAULT_EXTENDED if extended else DISCOGRAPHY_DEFAULT,
    )
    albums = request.view.catalogue.discography(artist, request.view.now, groups)
    items = [request.shapes.discography_album(album.number) for album in shown.of(albums)]
    return page(request, f"artists/{id}/albums", shown, len(albums), items, include_groups=given)


def get_artist_top_tracks(request: Request, id: str) -> Json:
    artist = _artist_number(request, id)
    catalogue = request.view.catalogue
    releases = catalogue.released(artist, request.view.now)
    tracks = [track for release in releases for track in catalogue.tracks(release.number)]
    tracks.sort(key=lambda track: (-track.popularity, track.number))
    return {"tracks": [request.shapes.track(track.number) for track in tracks[:10]]}


def get_track(request: Request, id: str) -> Json:
    number, relinked = known(id, lambda text: request.view.catalogue.track_number(text, request.view.now))
    return request.shapes.track(number, relinked)


def get_tracks(request: Request) -> Json:
    found = [request.view.catalogue.track_number(id_, request.view.now) for id_ in request.ids(50)]
    return {"tracks": [None if one is None else request.shapes.track(*one) for one in found]}


def get_show(request: Request, id: str) -> Json:
    number = known(id, request.view.catalogue.show_number)
    shown = Window(0, 50)
    return {**request.shapes.show(number, request.view.now), "episodes": _show_episodes(request, number, id, shown)}


def get_show_episodes(request: Request, id: str) -> Json:
    number = known(id, request.view.catalogue.show_number)
    return _show_episodes(request, number, id, window(request))


def _show_episodes(request: Request, show: int, id_: str, shown: Window) -> Json:
    episodes = request.view.catalogue.episodes(show, request.view.now)[::-1]
    items = [request.shapes.episode_ref(number) for number in shown.of(episodes)]
    return page(request, f"shows/{id_}/episodes", shown, len(episodes), items)


def get_shows(request: Request) -> Json:
    numbers = [request.view.catalogue.show_number(id_) for id_ in request.ids(50)]
    return {"shows": [None if number is None else request.shapes.show(number, request.view.now) for number in numbers]}


def get_episode(request: Request, id: str) -> Json:
    number = known(id, lambda text: request.view.catalogue.episode_number(text, request.view.now))
    return request.shapes.episode(number, request.view.now)


def get_episodes(request: Request) -> Json:
    now = request.view.now
    numbers = [request.view.catalogue.episode_number(id_, now) for id_ in request.ids(50)]
    return {"episodes": [None if number is None else request.shapes.episode(number, now) for number in numbers]}


def get_new_releases(request: Request) -> Json:
    shown = window(request)
    numbers = request.view.catalogue.released_between(ALL_TIME, request.view.now)[:NEW_RELEASES]
    items = [request.shapes.album_ref(number) for number in shown.of(numbers)]
    return {"albums": page(request, "browse/new-releases", shown, len(numbers), items)}


def get_markets(_: Request) -> Json:
    return {"markets": MARKETS}


def gone(_: Request, **__: str) -> Json:
    """What no new app has been shown since 2024-11-27 (Spotify's blog)."""
    raise forbidden()


ROUTES = (
    Route("/albums/{id}", "albums", get_album),
    Route("/albums/{id}/tracks", "albums", get_album_tracks),
    Route("/albums", "albums", get_albums, extended_only=True),
    Route("/artists/{id}", "artists", get_artist),
    Route("/artists/{id}/albums", "artists", get_discography),
    Route("/artists/{id}/top-tracks", "artists", get_artist_top_tracks, extended_only=True),
    Route("/artists", "artists", get_artists, extended_only=True),
    Route("/tracks/{id}", "tracks", get_track),
    Route("/tracks", "tracks", get_tracks, extended_only=True),
    Route("/shows/{id}", "shows", get_show),
    Route("/shows/{id}/episodes", "shows", get_show_episodes),
    Route("/shows", "shows", get_shows, extended_only=True),
    Route("/episodes/{id}", "episodes", get_episode),
    Route("/episodes", "episodes", get_episodes, extended_only=True),
    Route("/browse/new-releases", "browse", get_new_releases, extended_only=True),
    Route("/markets", "browse", get_markets, extended_only=True),
    Route("/browse/categories", "browse", gone),
    Route("/browse/categories/{id}", "browse", gone),
    Route("/browse/categories/{id}/playlists", "browse", gone),
    Route("/browse/featured-playlists", "browse", gone),
    Route("/artists/{id}/related-artists", "artists", gone),
    Route("/audio-features", "tracks", gone),
    Route("/audio-features/{id}", "tracks", gone),
    Route("/audio-analysis/{id}", "tracks", gone),
    Route("/recommendations", "browse", gone),
    Route("/recommendations/available-genre-seeds", "browse", gone),
    Route("/audiobooks", "shows", gone),
    Route("/chapters", "shows", gone),
)
