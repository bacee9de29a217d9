-- title = "First and last listens"
-- description = "When each artist was heard first and last, and with which track; most-played artists first."
-- question = "When did I listen?"
-- chart = {kind = "table"}
-- [parameters]
-- period = {type = "period", default = "all"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- search = {type = "text", help = "Only artists whose name holds this"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 50, least = 1, most = 1000, help = "Rows"}

-- local times: first_listen, last_listen
WITH items AS (
    SELECT artist_name, item_name, count(*) AS plays, min(heard_at) AS first_listen, max(heard_at) AS last_listen
    FROM heard
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
        AND play_seconds >= :min_seconds
        AND (:search = '' OR strpos(lower(artist_name), lower(:search)) > 0)
    GROUP BY 1, 2
),
placed AS ( -- of tracks that ended together the first by name
    SELECT
        *,
        row_number() OVER (PARTITION BY artist_name ORDER BY first_listen, item_name) AS place_first,
        row_number() OVER (PARTITION BY artist_name ORDER BY last_listen DESC, item_name) AS place_last
    FROM items
),
artists_heard AS (
    SELECT
        artist_name,
        sum(plays) AS plays,
        min(first_listen) AS first_listen,
        min(CASE WHEN place_first = 1 THEN item_name END) AS first_track,
        max(last_listen) AS last_listen,
        min(CASE WHEN place_last = 1 THEN item_name END) AS last_track
    FROM placed
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
