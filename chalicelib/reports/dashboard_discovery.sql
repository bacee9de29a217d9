-- title = "Artists heard for the first time"
-- description = "How many artists were heard for the first time ever in each month of the period."
-- chart = {kind = "bar", x = "month", y = "new_artists"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
WITH first_listens AS (
    SELECT artist_name, min(ended_at) AS first_listen
    FROM plays
    WHERE item_type = 'track' AND artist_name IS NOT NULL AND (:user = '' OR user_id = :user)
    GROUP BY 1
)
SELECT
    CAST(date_trunc('month', CAST(at_timezone(with_timezone(first_listen, 'UTC'), :timezone) AS timestamp)) AS date) AS month,
    count(*) AS new_artists
FROM first_listens
WHERE first_listen >= :from AND first_listen < :to
GROUP BY 1
ORDER BY 1
