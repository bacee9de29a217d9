-- title = "Playlists"
-- description = "Every playlist as it is now, whose it is, how many of its versions the lake has seen, and when it last changed."
-- chart = {kind = "table"}
-- [parameters]
-- user = {type = "user", help = "Only playlists of this listener; empty for all"}
WITH versions AS (
    SELECT playlist_id, count(DISTINCT snapshot_id) AS versions, min(observed_at) AS first_seen
    FROM (
        SELECT playlist_id, snapshot_id, observed_at FROM playlists_history
        UNION ALL
        SELECT playlist_id, snapshot_id, exported_at FROM exported_playlists
    ) AS seen
    GROUP BY 1
),
newest AS (
    SELECT playlist_items.playlist_id, max(playlist_items.added_at) AS last_addition
    FROM playlist_items
    JOIN playlists
        ON playlists.playlist_id = playlist_items.playlist_id AND playlists.snapshot_id = playlist_items.snapshot_id
    GROUP BY 1
)
SELECT
    playlists.playlist_id,
    playlists.name,
    playlists.owner_id,
    playlists.total_items,
    versions.versions,
    newest.last_addition,
    versions.first_seen,
    coalesce(listeners.name, playlists.owner_id) AS owner,
    owners.user_id
FROM playlists
LEFT JOIN listener_ids AS owners ON owners.id = playlists.owner_id
LEFT JOIN listeners ON listeners.user_id = owners.user_id
LEFT JOIN versions ON versions.playlist_id = playlists.playlist_id
LEFT JOIN newest ON newest.playlist_id = playlists.playlist_id
WHERE :user = '' OR coalesce(owners.user_id, playlists.owner_id) = :user
ORDER BY newest.last_addition DESC NULLS LAST, playlists.name, playlists.playlist_id
