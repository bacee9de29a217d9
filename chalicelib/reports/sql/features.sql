-- title = "Featured artists"
-- description = "How many artists perform what is heard besides the first, and how that changes by month; only tracks whose details are known."
-- question = "How do I listen?"
-- chart = {kind = "line", x = "month", y = "features_per_song"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
WITH performers AS (
    SELECT track_id, count(*) AS performers
    FROM track_artists
    GROUP BY 1
),
counted AS (
    SELECT
        date_trunc('month', CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp)) AS month,
        item_id,
        count(*) AS plays
    FROM heard
    WHERE item_type = 'track'
        AND heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
        AND play_seconds >= :min_seconds
    GROUP BY 1, 2
)
SELECT
    CAST(counted.month AS date) AS month,
    sum(counted.plays) AS plays,
    round(CAST(sum(counted.plays * (performers.performers - 1)) AS double) / sum(counted.plays), 2) AS features_per_song,
    round(100 * CAST(sum(CASE WHEN performers.performers > 1 THEN counted.plays ELSE 0 END) AS double) / sum(counted.plays), 1)
        AS percent_with_features
FROM counted
JOIN performers ON performers.track_id = counted.item_id
GROUP BY 1
ORDER BY 1
