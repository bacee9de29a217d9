"""Which reader reads a declared source."""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.extraction.catalogue_readers import Details, Discographies, First
from chalicelib.extraction.library_readers import (
    FollowedArtists,
    Listing,
    PlaylistItems,
    Playlists,
    RecentlyPlayed,
    Top,
)
from chalicelib.extraction.reading import Reader
from chalicelib.extraction.sources import Source

OF_LISTENERS: dict[str, Callable[[Source, str], Reader]] = {
    "recently_played": RecentlyPlayed,
    "top_artists": Top,
    "top_tracks": Top,
    "saved_tracks": Listing,
    "saved_albums": Listing,
    "my_playlists": Listing,
    "followed_artists": FollowedArtists,
}
OF_THE_APP: dict[str, Callable[[Source], Reader]] = {
    "playlist_items": PlaylistItems,
    "playlists": Playlists,
    "search": First,
    "new_releases": First,
    "discographies": Discographies,
    "albums": Details,
    "artists": Details,
    "tracks": Details,
}


def reader_of(source: Source, user: str | None) -> Reader:
    """The reader of ``source``, for a listener where it is about one."""
    if user is not None:
        return OF_LISTENERS[source.reads](source, user)
    return OF_THE_APP[source.reads](source)
