-- title = "Most played of one artist or album"
-- description = "Tracks of one artist or album, or albums of one artist, by plays in the period. For a track: the albums it was played from."
-- chart = {kind = "bar", x = "item", y = "plays"}
-- [parameters]
-- kind = {type = "choice", default = "artist", values = ["artist", "album", "track"], help = "What it is"}
-- artist = {type = "text", help = "Artist's name"}
-- name = {type = "text", help = "Name of the album or track; empty for an artist"}
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
    WHERE item_type = 'track'
        AND artist_name = :artist
        AND (:kind = 'artist' OR CASE WHEN :kind = 'album' THEN album_name ELSE item_name END = :name)
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
