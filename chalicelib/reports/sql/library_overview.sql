-- title = "Library overview"
-- description = "How much the lake holds: listens, artists, albums, tracks, playlists and what is saved."
-- chart = {kind = "table"}
-- [parameters]
-- user = {type = "user"}
WITH heard AS (
    SELECT ms_played AS ms FROM plays WHERE ms_played IS NOT NULL AND (:user = '' OR user_id = :user)
    UNION ALL -- plays whose length Spotify did not say: the track's stands for it
    SELECT coalesce(tracks.duration_ms, 0)
    FROM plays
    LEFT JOIN tracks ON tracks.track_id = plays.item_id
    WHERE plays.ms_played IS NULL AND (:user = '' OR plays.user_id = :user)
),
counts AS (
    SELECT 1 AS place, 'plays' AS what, count(*) AS number FROM plays WHERE :user = '' OR user_id = :user
    UNION ALL
    SELECT 2, 'hours listened', CAST(round(CAST(coalesce(sum(ms), 0) AS double) / 3600000) AS bigint)
    FROM heard
    UNION ALL
    SELECT 3, 'artists', count(*) FROM artists
    UNION ALL
    SELECT 4, 'albums', count(*) FROM albums
    UNION ALL
    SELECT 5, 'tracks', count(*) FROM tracks
    UNION ALL
    SELECT 6, 'playlists', count(*) FROM playlists
    UNION ALL
    SELECT 7, 'saved tracks', count(*)
    FROM saved_items
    WHERE item_type = 'track' AND (:user = '' OR user_id = :user)
    UNION ALL
    SELECT 8, 'saved albums', count(*)
    FROM saved_items
    WHERE item_type = 'album' AND (:user = '' OR user_id = :user)
    UNION ALL
    SELECT 9, 'followed artists', count(*) FROM followed_artists WHERE :user = '' OR user_id = :user
)
SELECT what, number
FROM counts
ORDER BY place
