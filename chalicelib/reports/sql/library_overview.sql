-- title = "Library overview"
-- description = "How much the lake holds: listens, artists, albums, tracks, playlists and what is saved."
-- question = "Who shares my taste, and what do I keep?"
-- chart = {kind = "table"}
-- [parameters]
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
WITH counted AS (
    SELECT count_if(play_seconds >= :min_seconds) AS plays, coalesce(sum(ms), 0) AS ms
    FROM heard
    WHERE :user = '' OR user_id = :user
),
counts AS (
    SELECT 1 AS place, 'plays' AS what, plays AS number FROM counted
    UNION ALL
    SELECT 2, 'hours listened', CAST(round(CAST(ms AS double) / 3600000) AS bigint) FROM counted
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
