-- title = "Podcasts and audiobooks"
-- description = "Shows and books by listening time."
-- question = "What did I hear most?"
-- chart = {kind = "bar", x = "title", y = "minutes"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 20, least = 1, most = 1000, help = "Rows"}

-- local times: last_listen
SELECT
    CASE item_type WHEN 'episode' THEN 'podcast' ELSE 'audiobook' END AS kind,
    CASE item_type WHEN 'episode' THEN artist_name ELSE album_name END AS title,
    count(DISTINCT CASE WHEN play_seconds >= :min_seconds THEN item_name END) AS episodes,
    count_if(play_seconds >= :min_seconds) AS plays,
    round(CAST(sum(ms) AS double) / 60000, 1) AS minutes,
    CAST(at_timezone(with_timezone(max(heard_at), 'UTC'), :timezone) AS timestamp) AS last_listen
FROM heard
WHERE item_type IN ('episode', 'audiobook')
    AND heard_at >= :from
    AND heard_at < :to
    AND ended_at >= :from
    AND ended_at < date_add('day', 30, :to)
    AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
    AND (:user = '' OR user_id = :user)
GROUP BY 1, 2
ORDER BY 5 DESC, 2
LIMIT :limit
