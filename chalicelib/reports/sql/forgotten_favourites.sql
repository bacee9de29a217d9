-- title = "Forgotten favourites"
-- description = "Tracks that were played often before the period and not once in it."
-- question = "What is new, and what is forgotten?"
-- chart = {kind = "bar", x = "track", y = "plays"}
-- [parameters]
-- period = {type = "period", default = "6m", help = "The time in which it was not heard: 6m, 1y, 2025 and so on"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_plays = {type = "integer", default = 10, least = 1, most = 100000, help = "What makes a favourite"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 30, least = 1, most = 1000, help = "Rows"}

-- local times: first_listen, last_listen
WITH tracks_heard AS (
    SELECT
        artist_name,
        item_name,
        count(*) AS plays,
        min(heard_at) AS first_listen,
        max(heard_at) AS last_listen
    FROM heard
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND item_name IS NOT NULL
        AND heard_at < :to
        AND ended_at < date_add('day', 30, :to)
        AND (:user = '' OR user_id = :user)
        AND play_seconds >= :min_seconds
    GROUP BY 1, 2
)
SELECT
    item_name AS track,
    artist_name AS artist,
    plays,
    CAST(at_timezone(with_timezone(first_listen, 'UTC'), :timezone) AS timestamp) AS first_listen,
    CAST(at_timezone(with_timezone(last_listen, 'UTC'), :timezone) AS timestamp) AS last_listen
FROM tracks_heard
WHERE last_listen < :from AND plays >= :min_plays
ORDER BY 3 DESC, 1, 2
LIMIT :limit
