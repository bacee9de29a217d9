-- title = "Listening over time"
-- description = "Plays, minutes and distinct artists and items in each hour, day, week, month or year of the listener."
-- chart = {kind = "line", x = "start", y = "minutes"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- unit = {type = "choice", default = "month", values = ["hour", "day", "week", "month", "year"], help = "Length of one row"}
WITH heard AS (
    SELECT ended_at, artist_name, item_name, ms_played AS ms
    FROM plays
    WHERE ms_played IS NOT NULL
        AND ended_at >= :from
        AND ended_at < :to
        AND (:user = '' OR user_id = :user)
    UNION ALL -- plays whose length Spotify did not say: the track's stands for it
    SELECT plays.ended_at, plays.artist_name, plays.item_name, coalesce(tracks.duration_ms, 0)
    FROM plays
    LEFT JOIN tracks ON tracks.track_id = plays.item_id
    WHERE plays.ms_played IS NULL
        AND plays.ended_at >= :from
        AND plays.ended_at < :to
        AND (:user = '' OR plays.user_id = :user)
),
local AS (
    SELECT
        CAST(at_timezone(with_timezone(ended_at, 'UTC'), :timezone) AS timestamp) AS ended_local,
        artist_name,
        item_name,
        ms
    FROM heard
),
placed AS (
    SELECT
        CASE :unit
            WHEN 'hour' THEN date_trunc('hour', ended_local)
            WHEN 'day' THEN date_trunc('day', ended_local)
            WHEN 'week' THEN date_trunc('week', ended_local)
            WHEN 'month' THEN date_trunc('month', ended_local)
            ELSE date_trunc('year', ended_local)
        END AS start,
        artist_name,
        item_name,
        count(*) AS plays,
        sum(ms) AS ms
    FROM local
    GROUP BY 1, 2, 3
)
SELECT
    start,
    sum(plays) AS plays,
    round(CAST(sum(ms) AS double) / 60000, 1) AS minutes,
    count(DISTINCT artist_name) AS artists,
    count(item_name) AS items
FROM placed
GROUP BY 1
ORDER BY 1
