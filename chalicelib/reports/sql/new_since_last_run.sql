-- title = "New since the last run"
-- description = "What happened between the run before and the newest one: plays, items saved to the library, and artists and albums seen for the first time. After the first run everything is new."
-- question = "What is new, and what is forgotten?"
-- chart = {kind = "table"}
-- [parameters]
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 50, least = 1, most = 1000, help = "Rows"}
WITH numbered_runs AS (
    SELECT started_at, row_number() OVER (ORDER BY started_at DESC) AS number
    FROM runs
),
since AS (
    SELECT coalesce(max(CASE WHEN number = 2 THEN started_at END), TIMESTAMP '1970-01-01 00:00:00') AS moment
    FROM numbered_runs
),
first_seen_artists AS (
    SELECT artist_id, min(observed_at) AS moment
    FROM artists_history
    GROUP BY 1
),
first_seen_albums AS (
    SELECT album_id, min(observed_at) AS moment
    FROM albums_history
    GROUP BY 1
),
track_performers AS (
    SELECT track_artists.track_id, artists.name AS artist_name
    FROM track_artists
    JOIN artists ON artists.artist_id = track_artists.artist_id
    WHERE track_artists.position = 0
),
album_performers AS (
    SELECT album_artists.album_id, artists.name AS artist_name
    FROM album_artists
    JOIN artists ON artists.artist_id = album_artists.artist_id
    WHERE album_artists.position = 0
),
news AS (
    SELECT 'play' AS kind, item_name AS name, artist_name AS artist, heard_at AS moment, user_id
    FROM heard
    WHERE play_seconds >= :min_seconds AND (:user = '' OR user_id = :user)
    UNION ALL
    SELECT
        'saved track',
        coalesce(tracks.name, saved_items.name),
        coalesce(track_performers.artist_name, saved_items.artist_name),
        saved_items.added_at,
        saved_items.user_id
    FROM saved_items
    LEFT JOIN tracks ON tracks.track_id = saved_items.item_id
    LEFT JOIN track_performers ON track_performers.track_id = saved_items.item_id
    WHERE saved_items.item_type = 'track' AND (:user = '' OR saved_items.user_id = :user)
    UNION ALL
    SELECT
        'saved album',
        coalesce(albums.name, saved_items.name),
        coalesce(album_performers.artist_name, saved_items.artist_name),
        saved_items.added_at,
        saved_items.user_id
    FROM saved_items
    LEFT JOIN albums ON albums.album_id = saved_items.item_id
    LEFT JOIN album_performers ON album_performers.album_id = saved_items.item_id
    WHERE saved_items.item_type = 'album' AND (:user = '' OR saved_items.user_id = :user)
    UNION ALL
    SELECT 'new artist', artists.name, artists.name, first_seen_artists.moment, :user
    FROM first_seen_artists
    JOIN artists ON artists.artist_id = first_seen_artists.artist_id
    UNION ALL
    SELECT 'new album', albums.name, album_performers.artist_name, first_seen_albums.moment, :user
    FROM first_seen_albums
    JOIN albums ON albums.album_id = first_seen_albums.album_id
    LEFT JOIN album_performers ON album_performers.album_id = first_seen_albums.album_id
)
SELECT news.kind, news.name, news.artist, news.moment
FROM news
CROSS JOIN since
LEFT JOIN exclusions AS gone
    ON gone.is_active
    AND lower(gone.artist_name) = lower(news.artist)
    AND (gone.kind = 'artist' OR (gone.kind = 'track' AND lower(gone.item_name) = lower(news.name)))
    AND (gone.user_id IS NULL OR gone.user_id = news.user_id)
WHERE gone.exclusion_id IS NULL AND news.moment >= since.moment
ORDER BY news.moment DESC, news.kind, news.name
LIMIT :limit
