-- title = "Recently played"
-- description = "The newest listens, with the listener's local time."
-- question = "When did I listen?"
-- chart = {kind = "table"}
-- [parameters]
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- limit = {type = "integer", default = 20, least = 1, most = 1000, help = "Rows"}

-- local times: ended_local
WITH newest AS (
    SELECT play_id, user_id, heard_at, item_type, item_name, artist_name, album_name, nullif(ms, 0) AS ms, origin
    FROM heard
    WHERE :user = '' OR user_id = :user
    ORDER BY heard_at DESC, play_id
    LIMIT :limit
)
SELECT
    CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp) AS ended_local,
    item_name AS name,
    artist_name AS artist,
    album_name AS album,
    round(CAST(ms AS double) / 60000, 1) AS minutes,
    item_type,
    origin,
    newest.user_id,
    listeners.name AS listener
FROM newest
LEFT JOIN listeners ON listeners.user_id = newest.user_id
ORDER BY heard_at DESC, play_id
