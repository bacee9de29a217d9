-- title = "Streaks"
-- description = "Longest runs of days on which something was heard, each day of the listener without a gap."
-- question = "When did I listen?"
-- chart = {kind = "bar", x = "first_day", y = "days"}
-- [parameters]
-- period = {type = "period", default = "all"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 10, least = 1, most = 1000, help = "Rows"}
WITH days AS (
    SELECT
        user_id,
        date_trunc('day', CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp)) AS day,
        count(*) AS plays
    FROM heard
    WHERE heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
        AND play_seconds >= :min_seconds
    GROUP BY 1, 2
),
placed AS (
    SELECT
        *,
        date_diff('day', TIMESTAMP '1970-01-01 00:00:00', day)
            - row_number() OVER (PARTITION BY user_id ORDER BY day) AS streak
    FROM days
)
SELECT
    count(*) AS days,
    CAST(min(day) AS date) AS first_day,
    CAST(max(day) AS date) AS last_day,
    sum(plays) AS plays,
    placed.user_id,
    min(listeners.name) AS listener
FROM placed
LEFT JOIN listeners ON listeners.user_id = placed.user_id
GROUP BY placed.user_id, streak
ORDER BY 1 DESC, 2, 5
LIMIT :limit
