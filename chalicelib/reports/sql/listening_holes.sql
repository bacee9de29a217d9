-- title = "Holes in the history"
-- description = "Times without a listen, longest first, and times in which plays may be lost because Spotify shows only the last 50."
-- question = "When did I listen?"
-- chart = {kind = "table"}
-- [parameters]
-- period = {type = "period", default = "all"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_days = {type = "integer", default = 3, least = 1, most = 3650, help = "Shorter silences are left out"}
-- limit = {type = "integer", default = 50, least = 1, most = 1000, help = "Rows"}

-- local times: after_local, before_local
WITH gaps AS (
    SELECT user_id, lag(heard_at) OVER (PARTITION BY user_id ORDER BY heard_at) AS window_start, heard_at AS window_end
    FROM heard
    WHERE heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
),
holes AS (
    SELECT 'silence' AS kind, user_id, window_start, window_end
    FROM gaps
    WHERE date_diff('day', window_start, window_end) >= :min_days
    UNION ALL
    SELECT 'plays may be lost', CAST(NULL AS varchar), window_start, window_end
    FROM quality_results
    WHERE window_start IS NOT NULL AND window_end >= :from AND window_start < :to
)
SELECT
    kind,
    CAST(at_timezone(with_timezone(window_start, 'UTC'), :timezone) AS timestamp) AS after_local,
    CAST(at_timezone(with_timezone(window_end, 'UTC'), :timezone) AS timestamp) AS before_local,
    round(CAST(date_diff('hour', window_start, window_end) AS double) / 24, 1) AS days,
    holes.user_id,
    listeners.name AS listener
FROM holes
LEFT JOIN listeners ON listeners.user_id = holes.user_id
ORDER BY 4 DESC, 2
LIMIT :limit
