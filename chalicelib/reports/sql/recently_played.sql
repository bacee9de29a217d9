-- title = "Recently played"
-- description = "The newest listens, with the listener's local time."
-- chart = {kind = "table"}
-- [parameters]
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- limit = {type = "integer", default = 20, least = 1, most = 1000, help = "Rows"}
WITH newest AS (
    SELECT play_id, user_id, ended_at, item_type, item_name, artist_name, album_name, ms_played, origin
    FROM plays
    WHERE :user = '' OR user_id = :user
    ORDER BY ended_at DESC, play_id
    LIMIT :limit
)
SELECT
    CAST(at_timezone(with_timezone(ended_at, 'UTC'), :timezone) AS timestamp) AS ended_local,
    item_name AS name,
    artist_name AS artist,
    album_name AS album,
    round(CAST(ms_played AS double) / 60000, 1) AS minutes,
    item_type,
    origin,
    user_id
FROM newest
ORDER BY ended_at DESC, play_id
