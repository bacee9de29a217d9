-- title = "One artist, album, track or show by month"
-- description = "Plays and minutes of one artist, album, track or show in each month since the first listen to it."
-- chart = {kind = "line", x = "month", y = "plays"}
-- [parameters]
-- kind = {type = "choice", default = "artist", values = ["artist", "album", "track", "show"], help = "What it is"}
-- artist = {type = "text", help = "Name of the artist or show"}
-- name = {type = "text", help = "Name of the album or track; empty for an artist or show"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
SELECT
    CAST(date_trunc('month', CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp)) AS date) AS month,
    count_if(play_seconds >= :min_seconds) AS plays,
    round(CAST(sum(ms) AS double) / 60000, 1) AS minutes
FROM heard
WHERE item_type = CASE WHEN :kind = 'show' THEN 'episode' ELSE 'track' END
    AND artist_name = :artist
    AND (:kind IN ('artist', 'show') OR CASE WHEN :kind = 'album' THEN album_name ELSE item_name END = :name)
    AND (:user = '' OR user_id = :user)
GROUP BY 1
ORDER BY 1
