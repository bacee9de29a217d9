-- title = "Most played of one artist, album or show"
-- description = "Tracks of one artist or album, albums of one artist, or episodes of one show, by plays in the period. For a track: the albums it was played from."
-- chart = {kind = "bar", x = "item", y = "plays"}
-- [parameters]
-- kind = {type = "choice", default = "artist", values = ["artist", "album", "track", "show"], help = "What it is"}
-- artist = {type = "text", help = "Name of the artist or show"}
-- name = {type = "text", help = "Name of the album or track; empty for an artist or show"}
-- items = {type = "choice", default = "tracks", values = ["tracks", "albums"], help = "What to list"}
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 20, least = 1, most = 1000, help = "Rows"}
WITH summed AS (
    SELECT
        CASE WHEN :items = 'albums' THEN album_name ELSE item_name END AS item,
        count_if(play_seconds >= :min_seconds) AS plays,
        sum(ms) AS ms,
        max(CASE WHEN play_seconds >= :min_seconds THEN heard_at END) AS last_listen
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
)
SELECT
    rank() OVER (ORDER BY plays DESC) AS place,
    item,
    plays,
    round(CAST(ms AS double) / 60000, 1) AS minutes,
    last_listen
FROM summed
WHERE item IS NOT NULL AND plays > 0
ORDER BY place, item
LIMIT :limit
