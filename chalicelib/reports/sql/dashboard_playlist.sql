-- title = "One playlist"
-- description = "What a playlist holds now, in its order: since when, who added it, and how often it was played."
-- chart = {kind = "table"}
-- [parameters]
-- playlist = {type = "text", help = "Playlist id"}
-- user = {type = "user", help = "Plays of this listener alone, and only if the playlist is theirs; empty for all"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 100, least = 1, most = 1000, help = "Rows"}
WITH items AS (
    SELECT playlist_items.position, playlist_items.item_type, playlist_items.item_id, playlist_items.item_uri,
        playlist_items.name, playlist_items.added_at, playlist_items.added_by_id
    FROM playlist_items
    JOIN playlists
        ON playlists.playlist_id = playlist_items.playlist_id AND playlists.snapshot_id = playlist_items.snapshot_id
    LEFT JOIN listener_ids AS owners ON owners.id = playlists.owner_id
    WHERE playlist_items.playlist_id = :playlist
        AND (:user = '' OR coalesce(owners.user_id, playlists.owner_id) = :user)
),
performers AS (
    SELECT track_artists.track_id, artists.name AS artist_name
    FROM track_artists
    JOIN artists ON artists.artist_id = track_artists.artist_id
    WHERE track_artists.position = 0
),
counted AS (
    SELECT item_id, max(artist_name) AS artist_name, count_if(play_seconds >= :min_seconds) AS plays
    FROM heard
    WHERE item_id IS NOT NULL AND (:user = '' OR user_id = :user)
    GROUP BY 1
)
SELECT
    items.position + 1 AS place,
    items.name AS track,
    coalesce(performers.artist_name, counted.artist_name) AS artist,
    items.added_at,
    items.added_by_id AS added_by,
    coalesce(counted.plays, 0) AS plays,
    items.item_type,
    items.item_uri
FROM items
LEFT JOIN performers ON performers.track_id = items.item_id
LEFT JOIN counted ON counted.item_id = items.item_id
ORDER BY 1
LIMIT :limit
