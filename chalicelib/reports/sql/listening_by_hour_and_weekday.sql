-- title = "Listening by hour and weekday"
-- description = "When the listener listens: plays and minutes per hour of the day and day of the week (1 is Monday)."
-- question = "When did I listen?"
-- chart = {kind = "heatmap", x = "hour", y = "weekday", value = "plays"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
WITH local AS (
    SELECT CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp) AS heard_local, play_seconds, ms
    FROM heard
    WHERE heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
)
SELECT
    day_of_week(heard_local) AS weekday,
    hour(heard_local) AS hour,
    count_if(play_seconds >= :min_seconds) AS plays,
    round(CAST(sum(ms) AS double) / 60000, 1) AS minutes
FROM local
GROUP BY 1, 2
ORDER BY 1, 2
