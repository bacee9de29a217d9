-- title = "Listening by hour and weekday"
-- description = "When the listener listens: plays and minutes per hour of the day and day of the week (1 is Monday)."
-- chart = {kind = "heatmap", x = "hour", y = "weekday", value = "plays"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
WITH heard AS (
    SELECT
        CAST(at_timezone(with_timezone(plays.ended_at, 'UTC'), :timezone) AS timestamp) AS ended_local,
        coalesce(plays.ms_played, tracks.duration_ms, 0) AS ms
    FROM plays
    LEFT JOIN tracks ON tracks.track_id = plays.item_id AND plays.ms_played IS NULL
    WHERE plays.ended_at >= :from
        AND plays.ended_at < :to
        AND (:user = '' OR plays.user_id = :user)
)
SELECT
    day_of_week(ended_local) AS weekday,
    hour(ended_local) AS hour,
    count(*) AS plays,
    round(CAST(sum(ms) AS double) / 60000, 1) AS minutes
FROM heard
GROUP BY 1, 2
ORDER BY 1, 2
