-- title = "Release years"
-- description = "When the music heard was released, by the album it stands on; plays whose album's details are not known yet are one row without a year."
-- question = "What did I hear most?"
-- chart = {kind = "bar", x = "release_year", y = "plays"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
WITH titles AS (
    SELECT
        release_year,
        artist_name,
        item_name,
        count_if(play_seconds >= :min_seconds) AS plays,
        sum(ms) AS ms
    FROM play_details
    WHERE item_type = 'track'
        AND heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2, 3
)
SELECT
    release_year,
    sum(titles.plays) AS plays,
    round(CAST(sum(ms) AS double) / 60000, 1) AS minutes,
    count_if(titles.plays > 0 AND item_name IS NOT NULL) AS tracks
FROM titles
GROUP BY 1
ORDER BY 1
