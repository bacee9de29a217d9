-- title = "Top albums"
-- description = "Albums by plays or listening time, with their rank in the period before."
-- chart = {kind = "bar", x = "album", y = "plays"}
-- [parameters]
-- period = {type = "period", default = "4w"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- by = {type = "choice", default = "plays", values = ["plays", "time"], help = "What ranks them"}
-- min_seconds = {type = "integer", default = 30, least = 0, most = 3600, help = "Shorter plays do not count"}
-- limit = {type = "integer", default = 20, least = 1, most = 1000, help = "Rows"}
WITH items AS (
    SELECT
        album_name,
        artist_name,
        item_id,
        ended_at >= :from AS is_now,
        count(*) AS plays,
        sum(ms_played) AS ms,
        count_if(ms_played IS NULL) AS unmeasured
    FROM plays
    WHERE item_type = 'track'
        AND album_name IS NOT NULL
        AND ended_at >= :previous_from
        AND ended_at < :to
        AND (:user = '' OR user_id = :user)
        AND (ms_played IS NULL OR ms_played >= 1000 * :min_seconds)
    GROUP BY 1, 2, 3, 4
),
albums_heard AS (
    SELECT
        items.album_name,
        items.artist_name,
        sum(CASE WHEN is_now THEN plays ELSE 0 END) AS plays,
        sum(CASE WHEN is_now THEN 0 ELSE plays END) AS plays_before,
        sum(CASE WHEN is_now THEN coalesce(ms, 0) + unmeasured * coalesce(duration_ms, 0) ELSE 0 END) AS ms,
        sum(CASE WHEN is_now THEN 0 ELSE coalesce(ms, 0) + unmeasured * coalesce(duration_ms, 0) END) AS ms_before,
        count(DISTINCT CASE WHEN is_now THEN items.item_id END) AS tracks
    FROM items
    LEFT JOIN tracks ON tracks.track_id = items.item_id
    GROUP BY 1, 2
),
ranked AS (
    SELECT
        *,
        rank() OVER (ORDER BY CASE WHEN :by = 'time' THEN ms ELSE plays END DESC) AS place,
        rank() OVER (ORDER BY CASE WHEN :by = 'time' THEN ms_before ELSE plays_before END DESC) AS place_before
    FROM albums_heard
)
SELECT
    place,
    album_name AS album,
    artist_name AS artist,
    plays,
    round(CAST(ms AS double) / 60000, 1) AS minutes,
    tracks,
    CASE WHEN plays_before > 0 THEN place_before END AS place_before,
    CASE WHEN plays_before > 0 THEN place_before - place END AS climbed
FROM ranked
WHERE plays > 0
ORDER BY place, album, artist
LIMIT :limit
