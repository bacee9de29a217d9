-- title = "One genre by month"
-- description = "Plays and minutes of the artists of one genre in each month in which one of them was heard, and their share of that month's plays of music."
-- chart = {kind = "line", x = "month", y = "percent_of_plays"}
-- [parameters]
-- genre = {type = "text", help = "Genre, as the report of genres writes it"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
WITH performers AS (
    SELECT name
    FROM artist_genres_in_force
    WHERE stands_for_name AND contains(genres, :genre)
),
counted AS (
    SELECT
        date_trunc('month', CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp)) AS month,
        lower(artist_name) AS name,
        count_if(play_seconds >= :min_seconds) AS plays,
        sum(ms) AS ms
    FROM heard
    WHERE item_type = 'track' AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2
),
months AS (
    SELECT
        counted.month,
        sum(CASE WHEN performers.name IS NOT NULL THEN counted.plays ELSE 0 END) AS plays,
        sum(CASE WHEN performers.name IS NOT NULL THEN counted.ms ELSE 0 END) AS ms,
        sum(counted.plays) AS plays_in_all,
        count(performers.name) AS artists
    FROM counted
    LEFT JOIN performers ON performers.name = counted.name
    GROUP BY 1
)
SELECT
    CAST(month AS date) AS month,
    plays,
    round(CAST(ms AS double) / 60000, 1) AS minutes,
    CASE WHEN plays_in_all > 0 THEN round(100 * CAST(plays AS double) / plays_in_all, 1) END AS percent_of_plays
FROM months
WHERE artists > 0
ORDER BY 1
