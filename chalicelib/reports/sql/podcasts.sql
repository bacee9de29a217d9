-- title = "Podcasts and audiobooks"
-- description = "Shows and books by listening time."
-- chart = {kind = "bar", x = "title", y = "minutes"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- limit = {type = "integer", default = 20, least = 1, most = 1000, help = "Rows"}
SELECT
    CASE item_type WHEN 'episode' THEN 'podcast' ELSE 'audiobook' END AS kind,
    CASE item_type WHEN 'episode' THEN artist_name ELSE album_name END AS title,
    count(DISTINCT item_name) AS episodes,
    count(*) AS plays,
    round(CAST(sum(ms_played) AS double) / 60000, 1) AS minutes,
    CAST(at_timezone(with_timezone(max(ended_at), 'UTC'), :timezone) AS timestamp) AS last_listen
FROM plays
WHERE item_type IN ('episode', 'audiobook')
    AND ended_at >= :from
    AND ended_at < :to
    AND (:user = '' OR user_id = :user)
GROUP BY 1, 2
ORDER BY 5 DESC, 2
LIMIT :limit
