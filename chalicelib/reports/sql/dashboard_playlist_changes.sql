-- title = "Changes of playlists"
-- description = "What was added to and removed from playlists between two versions that the lake has read, newest first."
-- chart = {kind = "table"}
-- [parameters]
-- user = {type = "user", help = "Only playlists of this listener; empty for all"}
-- playlist = {type = "text", help = "Playlist id; empty for all"}
-- limit = {type = "integer", default = 200, least = 1, most = 1000, help = "Rows"}
WITH seen AS (
    SELECT playlist_id, snapshot_id, min(observed_at) AS seen_at
    FROM playlist_items
    WHERE :playlist = '' OR playlist_id = :playlist
    GROUP BY 1, 2
    UNION ALL
    SELECT playlist_id, snapshot_id, min(observed_at)
    FROM playlists_history
    WHERE total_items = 0 AND snapshot_id IS NOT NULL AND (:playlist = '' OR playlist_id = :playlist)
    GROUP BY 1, 2
),
versions AS (
    SELECT
        playlist_id,
        snapshot_id,
        seen_at,
        lag(snapshot_id) OVER (PARTITION BY playlist_id ORDER BY seen_at, snapshot_id) AS snapshot_before
    FROM seen
),
items AS ( -- a track may stand in a playlist several times: each copy has a number
    SELECT
        playlist_id,
        snapshot_id,
        item_uri,
        name,
        row_number() OVER (PARTITION BY playlist_id, snapshot_id, item_uri ORDER BY position) AS copy
    FROM playlist_items
    WHERE item_uri IS NOT NULL AND (:playlist = '' OR playlist_id = :playlist)
),
changes AS (
    SELECT versions.playlist_id, versions.seen_at, 'added' AS change, now.item_uri, now.name, now.copy
    FROM versions
    JOIN items AS now ON now.playlist_id = versions.playlist_id AND now.snapshot_id = versions.snapshot_id
    LEFT JOIN items AS before
        ON before.playlist_id = versions.playlist_id
            AND before.snapshot_id = versions.snapshot_before
            AND before.item_uri = now.item_uri
            AND before.copy = now.copy
    WHERE versions.snapshot_before IS NOT NULL AND before.item_uri IS NULL
    UNION ALL
    SELECT versions.playlist_id, versions.seen_at, 'removed', before.item_uri, before.name, before.copy
    FROM versions
    JOIN items AS before
        ON before.playlist_id = versions.playlist_id AND before.snapshot_id = versions.snapshot_before
    LEFT JOIN items AS now
        ON now.playlist_id = versions.playlist_id
            AND now.snapshot_id = versions.snapshot_id
            AND now.item_uri = before.item_uri
            AND now.copy = before.copy
    WHERE now.item_uri IS NULL
)
SELECT
    changes.seen_at,
    playlists.name AS playlist,
    changes.change,
    changes.name AS item,
    changes.item_uri,
    changes.playlist_id
FROM changes
LEFT JOIN playlists ON playlists.playlist_id = changes.playlist_id
LEFT JOIN listener_ids AS owners ON owners.id = playlists.owner_id
WHERE :user = '' OR coalesce(owners.user_id, playlists.owner_id) = :user
ORDER BY changes.seen_at DESC, playlist, changes.change, item, changes.item_uri, changes.copy
LIMIT :limit
