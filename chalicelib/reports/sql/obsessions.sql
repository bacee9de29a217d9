-- title = "Obsessions"
-- description = "Tracks that were played most within one week (from Monday) of the listener; each track's strongest week."
-- question = "What did I hear most?"
-- chart = {kind = "bar", x = "track", y = "plays"}
-- [parameters]
-- period = {type = "period", default = "all"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 20, least = 1, most = 1000, help = "Rows"}
WITH weeks AS (
    SELECT
        date_trunc('week', CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp)) AS week,
        artist_name,
        item_name,
        count(*) AS plays
    FROM heard
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND item_name IS NOT NULL
        AND heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
        AND play_seconds >= :min_seconds
    GROUP BY 1, 2, 3
),
placed AS ( -- of weeks that are equally strong the first
    SELECT
        *,
        sum(plays) OVER (PARTITION BY artist_name, item_name) AS plays_in_all,
        row_number() OVER (PARTITION BY artist_name, item_name ORDER BY plays DESC, week) AS number
    FROM weeks
)
SELECT
    CAST(week AS date) AS week,
    item_name AS track,
    artist_name AS artist,
    plays,
    plays_in_all
FROM placed
WHERE number = 1
ORDER BY 4 DESC, 1, 2, 3
LIMIT :limit
