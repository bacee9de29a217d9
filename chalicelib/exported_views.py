"""What account data says of the library and of playlists, in the views of what Spotify's API says of them.

The API's word counts from when it was last asked on. An export stands in where nothing newer is known: for what the API
was never asked, and where the export was made after it was asked for the last time (the authorisation has ended, say).
Then its list counts whole, as it was when the newest export was made. ``origin`` tells the two apart, and the tables
``exported_…`` have every export's state.
"""

from __future__ import annotations

from chalicelib.tables import (
    EXPORTED_LIBRARY,
    EXPORTED_PLAYLIST_ITEMS,
    EXPORTED_PLAYLISTS,
    LISTENER_IDS,
    LISTINGS,
    PLAYLISTS,
    Table,
)
from chalicelib.view_rules import SOON, credible, merged, observed, row


def reads(table: Table) -> tuple[str, ...]:
    """The physical tables that a view of this module stands on."""
    playlists = (PLAYLISTS.history, EXPORTED_PLAYLISTS.history, LISTENER_IDS.history)
    lists = (EXPORTED_LIBRARY.history, LISTINGS.history, LISTENER_IDS.history)
    more = {
        "saved_items": lists,
        "followed_artists": lists,
        "playlists": playlists,
        "playlist_items": (*playlists, EXPORTED_PLAYLIST_ITEMS.history),
    }[table.name]
    return tuple(dict.fromkeys((table.history, *more)))


# --- what is saved ------------------------------------------------------------------------------------------------


def newest_lists(table: Table, kind: str, types: str) -> str:
    """Parts of a query: ``looked``, when the API was last asked for each list, and ``newest``, the newest export's list
    of it where that is newer."""
    return f"""looked AS (
        SELECT user_id, item_type, max(moment) AS moment
        FROM (
            SELECT user_id, {kind} AS item_type, observed_at AS moment FROM {observed(table)}
            UNION ALL
            SELECT user_id, item_type, started_at FROM {observed(LISTINGS, LISTINGS.history)}
            WHERE table_name = '{table.name}'
        ) AS looks
        WHERE moment <= {SOON}
        GROUP BY user_id, item_type
    ),
    told AS (
        SELECT user_id, item_type, started_at, listing_id,
            row_number() OVER (PARTITION BY user_id, item_type ORDER BY started_at DESC, listing_id) AS place
        FROM {observed(LISTINGS, LISTINGS.history)}
        WHERE table_name = '{EXPORTED_LIBRARY.name}' AND started_at <= {SOON} AND item_type IN ({types})
    ),
    newest AS (
        SELECT told.user_id AS user_id, told.item_type AS item_type, told.listing_id AS listing_id
        FROM told
        LEFT JOIN looked ON looked.user_id = told.user_id AND looked.item_type = told.item_type
        WHERE told.place = 1 AND (looked.moment IS NULL OR looked.moment < told.started_at)
    ),
    library AS ({row(EXPORTED_LIBRARY)}),
    exported AS (
        SELECT library.user_id AS user_id, library.item_type AS item_type, library.item_id AS item_id,
            min(library.exported_at) AS exported_at, min_by(library.name, library.position) AS name,
            min_by(library.artist_name, library.position) AS artist_name,
            min_by(library.album_name, library.position) AS album_name
        FROM library
        JOIN newest ON newest.user_id = library.user_id AND newest.item_type = library.item_type
            AND newest.listing_id = concat(library.snapshot_id, '-', library.item_type)
        WHERE library.item_id IS NOT NULL
        GROUP BY library.user_id, library.item_type, library.item_id
    )"""


def saved_items(table: Table, api: str) -> str:
    """Tracks and albums as the API has them or the newest export; shows and episodes as the newest export has them."""
    return f"""WITH api AS ({api}),
    {newest_lists(table, "item_type", "'track', 'album', 'show', 'episode'")},
    dates AS (
        SELECT user_id, item_type, item_id, max_by(added_at, observed_at) AS added_at
        FROM {observed(table)}
        WHERE added_at IS NOT NULL
        GROUP BY user_id, item_type, item_id
    )
    SELECT api.user_id AS user_id, api.item_type AS item_type, api.item_id AS item_id, api.added_at AS added_at,
        api.observed_at AS observed_at, 'api' AS origin, CAST(NULL AS varchar) AS name,
        CAST(NULL AS varchar) AS artist_name, CAST(NULL AS varchar) AS album_name
    FROM api
    LEFT JOIN newest ON newest.user_id = api.user_id AND newest.item_type = api.item_type
    WHERE newest.user_id IS NULL
    UNION ALL
    SELECT exported.user_id, exported.item_type, exported.item_id, dates.added_at, exported.exported_at,
        'account_data', exported.name, exported.artist_name, exported.album_name
    FROM exported
    LEFT JOIN dates ON dates.user_id = exported.user_id AND dates.item_type = exported.item_type
        AND dates.item_id = exported.item_id"""


def followed_artists(table: Table, api: str) -> str:
    """Artists as the API has them or the newest export."""
    return f"""WITH api AS ({api}),
    {newest_lists(table, "'artist'", "'artist'")}
    SELECT api.user_id AS user_id, api.artist_id AS artist_id, api.observed_at AS observed_at, 'api' AS origin,
        CAST(NULL AS varchar) AS name
    FROM api
    LEFT JOIN newest ON newest.user_id = api.user_id
    WHERE newest.user_id IS NULL
    UNION ALL
    SELECT exported.user_id, exported.item_id, exported.exported_at, 'account_data', exported.name
    FROM exported"""


# --- playlists ----------------------------------------------------------------------------------------------------

#: Parts of a query: ``versions``, what exports tell of playlists that the API does not know, or has not told of since;
#: ``known_as`` is the API's id where it tells of one playlist of that name, whose owner is the listener or nobody here.
VERSIONS = f"""api AS ({merged(PLAYLISTS)}),
    owners AS (
        SELECT id, max_by(user_id, {credible("observed_at")}) AS user_id FROM {LISTENER_IDS.history} GROUP BY id
    ),
    told AS (
        SELECT snapshot_id, user_id, exported_at, playlist_id, name, description, collaborative, total_items,
            lower(trim(name)) AS called
        FROM ({row(EXPORTED_PLAYLISTS)}) AS each_export
        WHERE exported_at <= {SOON}
    ),
    called AS (
        SELECT user_id, called, count(DISTINCT playlist_id) AS bearers FROM told GROUP BY user_id, called
    ),
    twins AS (
        SELECT called.user_id AS user_id, called.called AS called, min(api.playlist_id) AS playlist_id,
            max(api.observed_at) AS observed_at, max(called.bearers) + count(*) AS bearers
        FROM called
        JOIN api ON lower(trim(api.name)) = called.called
        LEFT JOIN owners ON owners.id = api.owner_id
        WHERE owners.user_id IS NULL OR owners.user_id = called.user_id
        GROUP BY called.user_id, called.called
    ),
    versions AS (
        SELECT told.snapshot_id AS snapshot_id, told.user_id AS user_id, told.exported_at AS exported_at,
            told.playlist_id AS told_as, coalesce(twins.playlist_id, told.playlist_id) AS known_as, told.name AS name,
            told.description AS description, told.collaborative AS collaborative, told.total_items AS total_items,
            row_number() OVER (
                PARTITION BY told.playlist_id ORDER BY told.exported_at DESC, told.snapshot_id
            ) AS place
        FROM told
        LEFT JOIN twins ON twins.user_id = told.user_id AND twins.called = told.called
        WHERE twins.user_id IS NULL OR (twins.bearers = 2 AND twins.observed_at < told.exported_at)
    )"""


def playlists(_table: Table, _api: str) -> str:
    """Playlists as the API describes them; those of exports where it does not, or has not since."""
    return f"""WITH {VERSIONS},
    newest AS (SELECT * FROM versions WHERE place = 1)
    SELECT api.playlist_id AS playlist_id, coalesce(newest.name, api.name) AS name,
        CASE WHEN newest.known_as IS NULL THEN api.description ELSE newest.description END AS description,
        api.owner_id AS owner_id, api.public AS public,
        coalesce(newest.collaborative, api.collaborative) AS collaborative,
        coalesce(newest.snapshot_id, api.snapshot_id) AS snapshot_id,
        coalesce(newest.total_items, api.total_items) AS total_items,
        coalesce(newest.exported_at, api.observed_at) AS observed_at,
        CASE WHEN newest.known_as IS NULL THEN 'api' ELSE 'account_data' END AS origin
    FROM api
    LEFT JOIN newest ON newest.known_as = api.playlist_id
    UNION ALL
    SELECT newest.known_as, newest.name, newest.description, newest.user_id, CAST(NULL AS boolean),
        newest.collaborative, newest.snapshot_id, newest.total_items, newest.exported_at, 'account_data'
    FROM newest
    WHERE newest.known_as = newest.told_as"""


def playlist_items(_table: Table, api: str) -> str:
    """Items of every version that was read; those of exports of the playlists that stand in :func:`playlists`."""
    return f"""WITH items AS ({api}),
    {VERSIONS},
    exported AS ({row(EXPORTED_PLAYLIST_ITEMS)})
    SELECT playlist_id, snapshot_id, position, item_type, item_id, item_uri, name, added_at, added_by_id, observed_at,
        'api' AS origin
    FROM items
    UNION ALL
    SELECT versions.known_as, versions.snapshot_id, exported.position, exported.item_type, exported.item_id,
        coalesce(exported.item_uri, ''), exported.name, exported.added_at, CAST(NULL AS varchar), versions.exported_at,
        'account_data'
    FROM versions
    JOIN exported ON exported.snapshot_id = versions.snapshot_id AND exported.playlist_id = versions.told_as"""


VIEWS = {
    "saved_items": saved_items,
    "followed_artists": followed_artists,
    "playlists": playlists,
    "playlist_items": playlist_items,
}
