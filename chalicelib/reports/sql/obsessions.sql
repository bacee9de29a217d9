-- title = "Obsessions"
-- description = "Tracks that were played most within one week (from Monday) of the listener; each track's strongest week."
-- chart = {kind = "bar", x = "track", y = "plays"}
-- [parameters]
-- period = {type = "period", default = "all"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer", default = 30, least = 0, most = 3600, help = "Shorter plays do not count"}
-- limit = {type = "integer", default = 20, least = 1, most = 1000, help = "Rows"}
WITH weeks AS (
    SELECT
        date_trunc('week', CAST(at_timezone(with_timezone(ended_at, 'UTC'), :timezone) AS timestamp)) AS week,
        artist_name,
        item_name,
        count(*) AS plays
    FROM plays
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND item_name IS NOT NULL
        AND ended_at >= :from
        AND ended_at < :to
        AND (:user = '' OR user_id = :user)
        AND (ms_played IS NULL OR ms_played >= 1000 * :min_seconds)
    GROUP BY 1, 2, 3
),
strongest AS (
    SELECT artist_name, item_name, max(plays) AS plays, min_by(week, -plays) AS week, sum(plays) AS plays_in_all
    FROM weeks
    GROUP BY 1, 2
)
SELECT
    CAST(week AS date) AS week,
    item_name AS track,
    artist_name AS artist,
    plays,
    plays_in_all
FROM strongest
ORDER BY 4 DESC, 1, 2, 3
LIMIT :limit
