-- title = "Featured artists"
-- description = "How many artists perform what is heard besides the first, and how that changes by month; only tracks whose details are known."
-- chart = {kind = "line", x = "month", y = "features_per_song"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
WITH performers AS (
    SELECT track_id, count(*) AS performers
    FROM track_artists
    GROUP BY 1
),
heard AS (
    SELECT
        date_trunc('month', CAST(at_timezone(with_timezone(ended_at, 'UTC'), :timezone) AS timestamp)) AS month,
        item_id,
        count(*) AS plays
    FROM plays
    WHERE item_type = 'track'
        AND ended_at >= :from
        AND ended_at < :to
        AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2
)
SELECT
    CAST(heard.month AS date) AS month,
    sum(heard.plays) AS plays,
    round(CAST(sum(heard.plays * (performers.performers - 1)) AS double) / sum(heard.plays), 2) AS features_per_song,
    round(100 * CAST(sum(CASE WHEN performers.performers > 1 THEN heard.plays ELSE 0 END) AS double) / sum(heard.plays), 1)
        AS percent_with_features
FROM heard
JOIN performers ON performers.track_id = heard.item_id
GROUP BY 1
ORDER BY 1
