-- title = "Rank by month"
-- description = "The place of one artist, album, track or show among all by plays, in each month in which it was played."
-- chart = {kind = "line", x = "month", y = "place"}
-- [parameters]
-- kind = {type = "choice", default = "artist", values = ["artist", "album", "track", "show"], help = "What it is"}
-- artist = {type = "text", help = "Name of the artist or show"}
-- name = {type = "text", help = "Name of the album or track; empty for an artist or show"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
WITH counted AS (
    SELECT
        date_trunc('month', CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp)) AS month,
        artist_name,
        CASE WHEN :kind = 'album' THEN album_name WHEN :kind = 'track' THEN item_name ELSE '' END AS name,
        count(*) AS plays
    FROM heard
    WHERE item_type = CASE WHEN :kind = 'show' THEN 'episode' ELSE 'track' END
        AND artist_name IS NOT NULL
        AND play_seconds >= :min_seconds
        AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2, 3
),
ranked AS (
    SELECT *, rank() OVER (PARTITION BY month ORDER BY plays DESC) AS place
    FROM counted
    WHERE name IS NOT NULL
)
SELECT CAST(month AS date) AS month, place, plays
FROM ranked
WHERE artist_name = :artist AND name = :name
ORDER BY 1
