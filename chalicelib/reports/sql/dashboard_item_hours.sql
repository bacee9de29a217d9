-- title = "One artist, album, track or show by hour of the day"
-- description = "Plays and minutes of one artist, album, track or show in each hour of the listener's day, in the period."
-- chart = {kind = "bar", x = "hour", y = "plays"}
-- [parameters]
-- kind = {type = "choice", default = "artist", values = ["artist", "album", "track", "show"], help = "What it is"}
-- artist = {type = "text", help = "Name of the artist or show"}
-- name = {type = "text", help = "Name of the album or track; empty for an artist or show"}
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
SELECT
    hour(CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp)) AS hour,
    count_if(play_seconds >= :min_seconds) AS plays,
    round(CAST(sum(ms) AS double) / 60000, 1) AS minutes
FROM heard
WHERE item_type = CASE WHEN :kind = 'show' THEN 'episode' ELSE 'track' END
    AND artist_name = :artist
    AND (:kind IN ('artist', 'show') OR CASE WHEN :kind = 'album' THEN album_name ELSE item_name END = :name)
    AND heard_at >= :from
    AND heard_at < :to
    AND ended_at >= :from
    AND ended_at < date_add('day', 30, :to)
    AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
    AND (:user = '' OR user_id = :user)
GROUP BY 1
ORDER BY 1
