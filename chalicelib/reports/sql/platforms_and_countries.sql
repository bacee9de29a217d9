-- title = "Platforms and countries"
-- description = "Where you listen, and on which devices. Only Spotify's extended history says so."
-- question = "How do I listen?"
-- chart = {kind = "bar", x = "name", y = "minutes", series = "kind"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 50, least = 1, most = 1000, help = "Rows"}

-- local times: first_used, last_used
WITH pairs AS (
    SELECT platform, country, count_if(play_seconds >= :min_seconds) AS plays, sum(ms) AS ms, min(heard_at) AS first_used, max(heard_at) AS last_used
    FROM heard
    WHERE origin = 'extended_history'
        AND heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2
),
counted AS (
    SELECT
        'platform' AS kind,
        coalesce(platform, 'not said') AS name,
        sum(plays) AS plays,
        sum(ms) AS ms,
        min(first_used) AS first_used,
        max(last_used) AS last_used
    FROM pairs
    GROUP BY 1, 2
    UNION ALL
    SELECT 'country', coalesce(country, 'not said'), sum(plays), sum(ms), min(first_used), max(last_used)
    FROM pairs
    GROUP BY 1, 2
)
SELECT
    kind,
    name,
    plays,
    round(CAST(ms AS double) / 60000, 1) AS minutes,
    CAST(at_timezone(with_timezone(first_used, 'UTC'), :timezone) AS timestamp) AS first_used,
    CAST(at_timezone(with_timezone(last_used, 'UTC'), :timezone) AS timestamp) AS last_used
FROM counted
ORDER BY 1 DESC, 3 DESC, 2
LIMIT :limit
