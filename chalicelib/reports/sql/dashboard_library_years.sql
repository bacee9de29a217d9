-- title = "Release years of the library"
-- description = "Saved tracks and albums by the year in which the album came out, where Spotify said it."
-- chart = {kind = "bar", x = "release_year", y = "tracks"}
-- [parameters]
-- user = {type = "user"}
WITH saved AS (
    SELECT saved_items.item_type, coalesce(own.release_year, whole.release_year) AS release_year
    FROM saved_items
    LEFT JOIN tracks ON saved_items.item_type = 'track' AND tracks.track_id = saved_items.item_id
    LEFT JOIN albums AS own ON own.album_id = tracks.album_id
    LEFT JOIN albums AS whole ON saved_items.item_type = 'album' AND whole.album_id = saved_items.item_id
    WHERE :user = '' OR saved_items.user_id = :user
)
SELECT
    release_year,
    count_if(item_type = 'track') AS tracks,
    count_if(item_type = 'album') AS albums
FROM saved
WHERE release_year IS NOT NULL
GROUP BY 1
ORDER BY 1
