-- title = "How listening starts and ends"
-- description = "Why each listen began and why it ended, with the share of each reason; short listens count too. Only Spotify's extended history says so."
-- question = "How do I listen?"
-- chart = {kind = "bar", x = "reason", y = "starts", series = "moment"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
WITH pairs AS (
    SELECT reason_start, reason_end, count(*) AS starts
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
    SELECT 'start' AS moment, coalesce(reason_start, 'not said') AS reason, sum(starts) AS starts
    FROM pairs
    GROUP BY 1, 2
    UNION ALL
    SELECT 'end', coalesce(reason_end, 'not said'), sum(starts)
    FROM pairs
    GROUP BY 1, 2
)
SELECT
    moment,
    reason,
    starts,
    round(100 * CAST(starts AS double) / sum(starts) OVER (PARTITION BY moment), 1) AS percent
FROM counted
ORDER BY 1 DESC, 3 DESC, 2
