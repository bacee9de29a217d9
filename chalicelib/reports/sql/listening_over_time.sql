-- title = "Listening over time"
-- description = "Plays, minutes and distinct artists and items in each hour, day, week, month or year of the listener."
-- question = "When did I listen?"
-- chart = {kind = "line", x = "start", y = "minutes"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- unit = {type = "choice", default = "month", values = ["hour", "day", "week", "month", "year"], help = "Length of one row"}
-- min_seconds = {type = "integer"}

-- local times: start
WITH local AS (
    SELECT CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp) AS heard_local, item_type, artist_name, item_name, play_seconds, ms
    FROM heard
    WHERE heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
),
placed AS (
    SELECT
        CASE :unit
            WHEN 'hour' THEN date_trunc('hour', heard_local)
            WHEN 'day' THEN date_trunc('day', heard_local)
            WHEN 'week' THEN date_trunc('week', heard_local)
            WHEN 'month' THEN date_trunc('month', heard_local)
            ELSE date_trunc('year', heard_local)
        END AS start,
        item_type,
        artist_name,
        item_name,
        count_if(play_seconds >= :min_seconds) AS plays,
        sum(ms) AS ms
    FROM local
    GROUP BY 1, 2, 3, 4
)
SELECT
    start,
    sum(plays) AS plays,
    round(CAST(sum(ms) AS double) / 60000, 1) AS minutes,
    count(DISTINCT CASE WHEN item_type = 'track' AND plays > 0 THEN artist_name END) AS artists,
    count(CASE WHEN plays > 0 THEN item_name END) AS items
FROM placed
GROUP BY 1
ORDER BY 1
