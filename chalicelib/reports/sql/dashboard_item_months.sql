-- title = "One artist, album or track by month"
-- description = "Plays and minutes of one artist, album or track in each month since the first listen to it."
-- chart = {kind = "line", x = "month", y = "plays"}
-- [parameters]
-- kind = {type = "choice", default = "artist", values = ["artist", "album", "track"], help = "What it is"}
-- artist = {type = "text", help = "Artist's name"}
-- name = {type = "text", help = "Name of the album or track; empty for an artist"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
WITH heard AS (
    SELECT
        date_trunc('month', CAST(at_timezone(with_timezone(plays.ended_at, 'UTC'), :timezone) AS timestamp)) AS month,
        coalesce(plays.ms_played, tracks.duration_ms, 0) AS ms
    FROM plays
    LEFT JOIN tracks ON tracks.track_id = plays.item_id AND plays.ms_played IS NULL
    WHERE plays.item_type = 'track'
        AND plays.artist_name = :artist
        AND (:kind = 'artist' OR CASE WHEN :kind = 'album' THEN plays.album_name ELSE plays.item_name END = :name)
        AND (:user = '' OR plays.user_id = :user)
)
SELECT
    CAST(month AS date) AS month,
    count(*) AS plays,
    round(CAST(sum(ms) AS double) / 60000, 1) AS minutes
FROM heard
GROUP BY 1
ORDER BY 1
