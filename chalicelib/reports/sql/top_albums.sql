-- title = "Top albums"
-- description = "Albums by plays or listening time, with their rank in the period before and the number of titles played."
-- question = "What did I hear most?"
-- chart = {kind = "bar", x = "album", y = "plays"}
-- [parameters]
-- period = {type = "period", default = "4w"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- by = {type = "choice", default = "plays", values = ["plays", "time"], help = "What ranks them"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 20, least = 1, most = 1000, help = "Rows"}
WITH items AS (
    SELECT
        album_name,
        artist_name,
        item_name,
        heard_at >= :from AS is_now,
        count_if(play_seconds >= :min_seconds) AS plays,
        sum(ms) AS ms
    FROM heard
    WHERE item_type = 'track'
        AND album_name IS NOT NULL
        AND heard_at >= :previous_from
        AND heard_at < :to
        AND ended_at >= :previous_from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:previous_from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2, 3, 4
),
albums_heard AS (
    SELECT
        album_name,
        artist_name,
        sum(CASE WHEN is_now THEN plays ELSE 0 END) AS plays,
        sum(CASE WHEN is_now THEN 0 ELSE plays END) AS plays_before,
        sum(CASE WHEN is_now THEN ms ELSE 0 END) AS ms,
        sum(CASE WHEN is_now THEN 0 ELSE ms END) AS ms_before,
        count(DISTINCT CASE WHEN is_now AND plays > 0 THEN item_name END) AS tracks
    FROM items
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
WHERE CASE WHEN :by = 'time' THEN ms ELSE plays END > 0
ORDER BY place, album, artist
LIMIT :limit
