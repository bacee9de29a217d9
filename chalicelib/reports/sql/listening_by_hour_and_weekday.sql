-- title = "Listening by hour and weekday"
-- description = "When the listener listens: plays and minutes per hour of the day and day of the week (1 is Monday)."
-- chart = {kind = "heatmap", x = "hour", y = "weekday", value = "plays"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
WITH heard AS (
    SELECT ended_at, ms_played AS ms
    FROM plays
    WHERE ms_played IS NOT NULL
        AND ended_at >= :from
        AND ended_at < :to
        AND (:user = '' OR user_id = :user)
    UNION ALL -- plays whose length Spotify did not say: the track's stands for it
    SELECT plays.ended_at, coalesce(tracks.duration_ms, 0)
    FROM plays
    LEFT JOIN tracks ON tracks.track_id = plays.item_id
    WHERE plays.ms_played IS NULL
        AND plays.ended_at >= :from
        AND plays.ended_at < :to
        AND (:user = '' OR plays.user_id = :user)
),
local AS (
    SELECT CAST(at_timezone(with_timezone(ended_at, 'UTC'), :timezone) AS timestamp) AS ended_local, ms
    FROM heard
)
SELECT
    day_of_week(ended_local) AS weekday,
    hour(ended_local) AS hour,
    count(*) AS plays,
    round(CAST(sum(ms) AS double) / 60000, 1) AS minutes
FROM local
GROUP BY 1, 2
ORDER BY 1, 2
