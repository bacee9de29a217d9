-- title = "First and last listens"
-- description = "When each artist was heard first and last, and with which track; most-played artists first."
-- chart = {kind = "table"}
-- [parameters]
-- period = {type = "period", default = "all"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- search = {type = "text", help = "Only artists whose name holds this"}
-- limit = {type = "integer", default = 50, least = 1, most = 1000, help = "Rows"}
WITH artists_heard AS (
    SELECT
        artist_name,
        count(*) AS plays,
        min(ended_at) AS first_listen,
        min_by(item_name, ended_at) AS first_track,
        max(ended_at) AS last_listen,
        max_by(item_name, ended_at) AS last_track
    FROM plays
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND ended_at >= :from
        AND ended_at < :to
        AND (:user = '' OR user_id = :user)
        AND (:search = '' OR strpos(lower(artist_name), lower(:search)) > 0)
    GROUP BY 1
)
SELECT
    artist_name AS artist,
    plays,
    CAST(at_timezone(with_timezone(first_listen, 'UTC'), :timezone) AS timestamp) AS first_listen,
    first_track,
    CAST(at_timezone(with_timezone(last_listen, 'UTC'), :timezone) AS timestamp) AS last_listen,
    last_track,
    date_diff('day', first_listen, last_listen) AS days_between
FROM artists_heard
ORDER BY 2 DESC, 1
LIMIT :limit
