-- title = "How listening starts and ends"
-- description = "Why plays started and ended, as Spotify's extended history tells it, with the share of each reason."
-- chart = {kind = "bar", x = "reason", y = "plays", series = "moment"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
WITH pairs AS (
    SELECT reason_start, reason_end, count(*) AS plays
    FROM plays
    WHERE origin = 'extended_history'
        AND ended_at >= :from
        AND ended_at < :to
        AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2
),
counted AS (
    SELECT 'start' AS moment, coalesce(reason_start, 'not said') AS reason, sum(plays) AS plays
    FROM pairs
    GROUP BY 1, 2
    UNION ALL
    SELECT 'end', coalesce(reason_end, 'not said'), sum(plays)
    FROM pairs
    GROUP BY 1, 2
)
SELECT
    moment,
    reason,
    plays,
    round(100 * CAST(plays AS double) / sum(plays) OVER (PARTITION BY moment), 1) AS percent
FROM counted
ORDER BY 1 DESC, 3 DESC, 2
