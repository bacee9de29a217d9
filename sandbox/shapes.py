"""The JSON objects of the Web API, in both shapes.

Development mode leaves out what Spotify has removed in February 2026 and keys playlist entries by ``item`` alone;
extended mode shows everything, with both ``track`` and ``item``. Field order follows recorded answers.
Links to objects name the real API, links to pages the sandbox.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any
from urllib.parse import quote_plus

from sandbox.catalogue import Catalogue, Track, album_of
from sandbox.clock import moment_of, to_milliseconds, to_seconds
from sandbox.listener import Listener
from sandbox.listening import Stream
from sandbox.playlists import Entry, Person, Playlist

Json = dict[str, Any]

OBJECTS = "https://api.spotify.com/v1"
PLAYLIST_PAGE = 100  # entries on the page inside a playlist, as recorded in 2026
_KEPT = 20_000  # objects kept before the memory is cleared
_FLOAT_EVERY = 40  # one object in so many gives its integers as floats, as Spotify's did in March 2024

_MARKETS = (
    "AR AU AT BE BO BR BG CA CL CO CR CY CZ DK DO DE EC EE SV FI FR GR GT HN HK HU IS IE IT LV LT LU MY MT MX NL NZ "
    "NI NO PA PY PE PH PL PT SG SK ES SE CH TW TR UY US GB AD LI MC ID JP TH VN RO IL ZA SA AE BH QA OM KW EG MA DZ "
    "TN LB JO PS IN BY KZ MD UA AL BA HR ME MK RS SI KR BD PK LK GH KE NG TZ UG AG AM BS BB BZ BT BW BF CV CW DM FJ "
    "GM GE GD GW GY HT JM KI LS LR MW MV ML MH FM NA NR NE PW PG PR WS SM ST SN SC SL SB KN LC VC SR TL TO TT TV VU "
    "AZ BN BI KH CM TD KM GQ SZ GA GN KG LA MO MR MN NP RW TG UZ ZW BJ MG MU MZ AO CI DJ ZM CD CG IQ LY TJ VE ET XK"
)
MARKETS = _MARKETS.split()
EVERYWHERE = "\ue000everywhere"
"""May stand for ``MARKETS`` until ``encoded``: half of the text of extended answers is this one list."""
_EVERYWHERE_JSON = json.dumps(EVERYWHERE, ensure_ascii=False)
_MARKETS_JSON = json.dumps(MARKETS, separators=(",", ":"))


def encoded(body: object) -> bytes:
    """An answer as JSON, in UTF-8 and without spaces."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.replace(_EVERYWHERE_JSON, _MARKETS_JSON).encode()


def links(kind: str, id_: str) -> Json:
    """What every object says about where it lives."""
    return {
        "external_urls": {"spotify": f"https://open.spotify.com/{kind}/{id_}"},
        "href": f"{OBJECTS}/{kind}s/{id_}",
        "id": id_,
    }


#: How the names of Spotify's pictures begin, by what they are of and their pixels.
PICTURES = {
    "artist": {640: "ab6761610000e5eb", 320: "ab67616100005174", 160: "ab6761610000f178"},
    "show": {640: "ab6765630000ba8a", 300: "ab67656300005f1f", 64: "ab6765630000f68d"},
    "user": {300: "ab6775700000ee85", 64: "ab67757000003b82"},
    "album": {640: "ab67616d0000b273", 300: "ab67616d00001e02", 64: "ab67616d00004851"},
}


def images(kind: str, id_: str, sizes: tuple[int, ...] = (640, 300, 64)) -> list[Json]:
    picture = blake2b(f"{kind}:{id_}".encode(), digest_size=12).hexdigest()
    starts = PICTURES[{"episode": "show"}.get(kind, kind)]
    return [
        {"url": f"https://i.scdn.co/image/{starts[size]}{picture}", "height": size, "width": size} for size in sizes
    ]


class Shapes:
    """Makes the objects of one catalogue in one mode, remembering those that repeat.

    What it returns is shared: copy before changing.
    """

    def __init__(self, catalogue: Catalogue, mode: str, markets: object = MARKETS, *, genres: bool = True) -> None:
        self._catalogue = catalogue
        self._genres = genres
        self._markets = markets
        self._extended = mode == "extended"
        self._made: dict[tuple[str, int], Json] = {}

    # Artists

    def artist_ref(self, number: int) -> Json:
        return self._made.get(("artist", number)) or self._keep("artist", number, self._artist_ref(number))

    def _artist_ref(self, number: int) -> Json:
        artist = self._catalogue.artist(number)
        return {
            **links("artist", artist.id),
            "name": artist.name,
            "type": "artist",
            "uri": f"spotify:artist:{artist.id}",
        }

    def artist(self, number: int) -> Json:
        artist = self._catalogue.artist(number)
        shape: Json = {"external_urls": {"spotify": f"https://open.spotify.com/artist/{artist.id}"}}
        if self._extended:
            shape["followers"] = {"href": None, "total": artist.followers}
        shape |= {
            "genres": list(artist.genres) if self._genres else [],
            "href": f"{OBJECTS}/artists/{artist.id}",
            "id": artist.id,
            "images": images("artist", artist.id, (640, 320, 160)) if number % 23 else [],
            "name": artist.name,
        }
        if self._extended:
            shape["popularity"] = _number(artist.popularity, number)
        return shape | {"type": "artist", "uri": f"spotify:artist:{artist.id}"}

    # Albums

    def album_ref(self, number: int) -> Json:
        return self._made.get(("album", number)) or self._keep("album", number, self._album_ref(number))

    def _album_ref(self, number: int) -> Json:
        album = self._catalogue.album(number)
        shape: Json = {"album_type": album.form, "total_tracks": _number(album.total_tracks, number)}
        if self._extended:
            shape["available_markets"] = self._markets
        return shape | {
            **links("album", album.id),
            "images": images("album", album.id) if number % 37 else [],
            "name": album.name,
            "release_date": album.release_date,
            "release_date_precision": album.precision,
            "type": "album",
            "uri": f"spotify:album:{album.id}",
            "artists": [self.artist_ref(artist) for artist in album.artists],
        }

    def discography_album(self, number: int) -> Json:
        shape = self.album_ref(number)
        return {**shape, "album_group": self._catalogue.album(number).form} if self._extended else shape

    def album(self, number: int, first_tracks: Json) -> Json:
        """A whole album around the first page of its tracks."""
        album = self._catalogue.album(number)
        shape = {
            **self.album_ref(number),
            "tracks": first_tracks,
            "copyrights": [{"text": f"{album.release_date[:4]} {album.label}", "type": "C"}],
            "external_ids": {"upc": album.upc},
            "genres": [],
        }
        if self._extended:
            shape |= {"label": album.label, "popularity": _number(album.popularity, number)}
        return shape

    # Tracks

    def track_ref(self, number: int) -> Json:
        """A track as it stands inside its album."""
        track = self._catalogue.track(number)
        shape: Json = {"artists": [self.artist_ref(artist) for artist in track.artists]}
        if self._extended:
            shape["available_markets"] = self._markets
        return shape | self._track_basics(track)

    def track(self, number: int, relinked: bool = False) -> Json:
        """A track by itself; ``relinked``: asked for by its older id."""
        kind = "relinked" if relinked and self._extended else "track"
        return self._made.get((kind, number)) or self._keep(kind, number, self._track(number, kind))

    def _track(self, number: int, kind: str) -> Json:
        track = self._catalogue.track(number)
        shape: Json = {
            "album": self.album_ref(album_of(number)),
            "artists": [self.artist_ref(artist) for artist in track.artists],
        }
        if self._extended:
            shape |= {"available_markets": self._markets, "popularity": _number(track.popularity, number)}
        shape |= self._track_basics(track)
        shape["external_ids"] = {"isrc": track.isrc} if number % 211 else {}
        if kind == "relinked":
            older = self._catalogue.relinked_id(number)
            shape["linked_from"] = {**links("track", older), "type": "track", "uri": f"spotify:track:{older}"}
        return shape

    def _track_basics(self, track: Track) -> Json:
        return {
            "disc_number": track.disc_number,
            "duration_ms": _number(track.duration_ms, track.number),
            "explicit": track.explicit,
            **links("track", track.id),
            "name": track.name,
            "preview_url": None,
            "track_number": track.track_number,
            "type": "track",
            "uri": f"spotify:track:{track.id}",
            "is_local": False,
        }

    def local_track(self, number: int) -> Json:
        """A local file: null ids and no more than its tags."""
        local = self._catalogue.local_file(number)
        album: Json = {
            "album_type": None,
            "external_urls": {},
            "href": None,
            "id": None,
            "images": [],
            "name": local.album,
            "release_date": None,
            "release_date_precision": None,
            "type": "album",
            "uri": None,
            "artists": [],
        }
        artist: Json = {
            "external_urls": {},
            "href": None,
            "id": None,
            "name": local.artist,
            "type": "artist",
            "uri": None,
        }
        tags = ":".join(map(quote_plus, (local.artist, local.album, local.name)))
        shape: Json = {
            "album": album,
            "artists": [artist],
            "disc_number": 0,
            "duration_ms": local.seconds * 1000,
            "explicit": False,
            "external_ids": {},
            "external_urls": {},
            "href": None,
            "id": None,
            "is_local": True,
            "name": local.name,
            "preview_url": None,
            "track_number": 0,
            "type": "track",
            "uri": f"spotify:local:{tags}:{local.seconds}",
        }
        if self._extended:
            shape |= {"available_markets": [], "popularity": 0}
            album["available_markets"] = []
        return shape

    # Podcasts

    def show(self, number: int, at: int) -> Json:
        show = self._catalogue.show(number)
        shape: Json = {"available_markets": self._markets} if self._extended else {}
        return shape | {
            "copyrights": [],
            "description": f"About {show.name}.",
            "explicit": False,
            **links("show", show.id),
            "html_description": f"<p>About {show.name}.</p>",
            "images": images("show", show.id),
            "is_externally_hosted": False,
            "languages": ["en"],
            "media_type": "audio",
            "name": show.name,
            "publisher": show.publisher,
            "total_episodes": len(self._catalogue.episodes(number, at)),
            "type": "show",
            "uri": f"spotify:show:{show.id}",
        }

    def episode_ref(self, number: int) -> Json:
        episode = self._catalogue.episode(number)
        return {
            "audio_preview_url": None,
            "description": f"{episode.name}.",
            "duration_ms": episode.duration_ms,
            "explicit": False,
            **links("episode", episode.id),
            "html_description": f"<p>{episode.name}.</p>",
            "images": images("episode", episode.id),
            "is_externally_hosted": False,
            "is_playable": True,
            "language": "en",
            "languages": ["en"],
            "name": episode.name,
            "release_date": f"{moment_of(episode.published_at):%Y-%m-%d}",
            "release_date_precision": "day",
            "type": "episode",
            "uri": f"spotify:episode:{episode.id}",
        }

    def episode(self, number: int, at: int) -> Json:
        return {**self.episode_ref(number), "show": self.show(self._catalogue.episode(number).show, at)}

    # Libraries and plays

    def saved_track(self, track: int, added: int) -> Json:
        return {"added_at": to_seconds(added), "track": self.track(track, self._catalogue.is_relinked(track))}

    def play(self, stream: Stream, user_id: str) -> Json:
        return {
            "track": self.track(stream.number),
            "played_at": to_milliseconds(stream.played_at_ms),
            "context": _context(stream.context, user_id),
        }

    # Playlists

    def playlist_ref(self, playlist: Playlist, api_url: str) -> Json:
        """A playlist as it stands in a list: how many entries, not which."""
        path = f"{api_url}playlists/{playlist.id}"
        shape: Json = {"items": {"href": f"{path}/items", "total": playlist.length}}
        if self._extended:
            shape = {"tracks": {"href": f"{path}/tracks", "total": playlist.length}} | shape
        return self._playlist_basics(playlist) | shape

    def playlist(self, playlist: Playlist, tracks: Json | None, items: Json | None) -> Json:
        """A playlist by itself, with the first page of its entries under either name where given."""
        shape = self._playlist_basics(playlist) | {"followers": {"href": None, "total": playlist.number % 7}}
        if tracks is not None:
            shape["tracks"] = tracks
        if items is not None:
            shape["items"] = items
        return shape

    def _playlist_basics(self, playlist: Playlist) -> Json:
        return {
            "collaborative": playlist.collaborative,
            "description": playlist.description,
            **links("playlist", playlist.id),
            "images": [{"url": f"https://mosaic.scdn.co/640/{playlist.id}", "height": None, "width": None}],
            "name": playlist.name,
            "owner": {**person(playlist.owner), "display_name": playlist.owner.display_name},
            "primary_color": None,
            "public": playlist.public,
            "snapshot_id": playlist.snapshot_id,
            "type": "playlist",
            "uri": f"spotify:playlist:{playlist.id}",
        }

    def playlist_entry(self, entry: Entry, at: int) -> Json | None:
        if entry.kind == "void":
            return None
        item = self._playlist_item(entry, at)
        shape: Json = {
            "added_at": to_seconds(entry.added_ms),
            "added_by": person(Person(entry.added_by, "")),
            "is_local": entry.kind == "local",
            "primary_color": None,
        }
        if self._extended:
            shape["track"] = item
        return shape | {"item": item, "video_thumbnail": {"url": None}}

    def _playlist_item(self, entry: Entry, at: int) -> Json | None:
        if entry.kind == "gone":
            return None
        if entry.kind == "local":
            return self.local_track(entry.number)
        if entry.kind == "episode":
            return {**self.episode(entry.number, at), "episode": True, "track": False}
        item = self.track(entry.number, self._catalogue.is_relinked(entry.number))
        return {**item, "episode": False, "track": True}

    # Users

    def me(self, listener: Listener) -> Json:
        shape: Json = {
            "account_id": listener.account_id,
            "display_name": listener.person.display_name,
            "explicit_content": {"filter_enabled": False, "filter_locked": False},
            **person(listener.person),
            "images": images("user", listener.id, (300, 64)),
        }
        if self._extended:
            shape |= {
                "country": listener.country,
                "email": listener.email,
                "followers": {"href": None, "total": 12 + listener.number},
                "product": "premium",
            }
        return shape

    def _keep(self, kind: str, number: int, shape: Json) -> Json:
        if len(self._made) >= _KEPT:
            self._made.clear()
        self._made[kind, number] = shape
        return shape


def person(one: Person) -> Json:
    return {**links("user", one.id), "type": "user", "uri": f"spotify:user:{one.id}"}


def _number(value: int, number: int) -> int | float:
    """An integer, or for a few objects the float that came instead in March 2024."""
    return float(value) if number * 40_503 % _FLOAT_EVERY == 7 else value


def _context(context: str | None, user_id: str) -> Json | None:
    if context is None:
        return None
    if context == "collection":
        return {
            "type": "collection",
            "external_urls": {"spotify": "https://open.spotify.com/collection"},
            "href": f"{OBJECTS}/me/tracks",
            "uri": f"spotify:user:{user_id}:collection",
        }
    kind, id_ = context.split(":")
    basics = links(kind, id_)
    del basics["id"]
    return {"type": kind, **basics, "uri": f"spotify:{kind}:{id_}"}
