-- title = "Discovery"
-- description = "New artists by month, and which share of the plays was of artists first heard in that month."
-- chart = {kind = "line", x = "month", y = "new_artists"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
WITH by_month AS (
    SELECT
        date_trunc('month', CAST(at_timezone(with_timezone(ended_at, 'UTC'), :timezone) AS timestamp)) AS month,
        artist_name,
        count(*) AS plays
    FROM plays
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND ended_at < :to
        AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2
),
known AS (
    SELECT *, min(month) OVER (PARTITION BY artist_name) AS first_month
    FROM by_month
)
SELECT
    CAST(month AS date) AS month,
    count(*) AS artists,
    count_if(month = first_month) AS new_artists,
    sum(plays) AS plays,
    sum(CASE WHEN month = first_month THEN plays ELSE 0 END) AS plays_of_new,
    round(100 * CAST(sum(CASE WHEN month = first_month THEN plays ELSE 0 END) AS double) / sum(plays), 1) AS percent_of_new
FROM known
WHERE month >= date_trunc('month', CAST(at_timezone(with_timezone(:from, 'UTC'), :timezone) AS timestamp))
GROUP BY 1
ORDER BY 1
