-- title = "Discovery"
-- description = "New artists by month, and which share of the plays was of artists first heard in that month; a month that the period cuts counts what lies in the period."
-- question = "What is new, and what is forgotten?"
-- chart = {kind = "line", x = "month", y = "new_artists"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
WITH first_heard AS (
    SELECT artist_name, min(heard_at) AS first_listen
    FROM heard
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND play_seconds >= :min_seconds
        AND heard_at < :to
        AND ended_at < date_add('day', 30, :to)
        AND (:user = '' OR user_id = :user)
    GROUP BY 1
),
by_month AS (
    SELECT
        date_trunc('month', CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp)) AS month,
        artist_name,
        count(*) AS plays
    FROM heard
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND play_seconds >= :min_seconds
        AND heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2
),
known AS (
    SELECT
        by_month.month,
        by_month.plays,
        first_heard.first_listen >= :from
            AND by_month.month = date_trunc('month', CAST(at_timezone(with_timezone(first_heard.first_listen, 'UTC'), :timezone) AS timestamp)) AS is_new
    FROM by_month
    JOIN first_heard ON first_heard.artist_name = by_month.artist_name
)
SELECT
    CAST(month AS date) AS month,
    count(*) AS artists,
    count_if(is_new) AS new_artists,
    sum(plays) AS plays,
    sum(CASE WHEN is_new THEN plays ELSE 0 END) AS plays_of_new,
    round(100 * CAST(sum(CASE WHEN is_new THEN plays ELSE 0 END) AS double) / sum(plays), 1) AS percent_of_new
FROM known
GROUP BY 1
ORDER BY 1
