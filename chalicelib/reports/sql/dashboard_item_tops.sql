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
-- limit = {type = "integer", default = 20, least = 1, most = 1000, help = "Rows"}
WITH heard AS (
    SELECT
        CASE WHEN :items = 'albums' THEN plays.album_name ELSE plays.item_name END AS item,
        plays.ended_at,
        coalesce(plays.ms_played, tracks.duration_ms, 0) AS ms
    FROM plays
    LEFT JOIN tracks ON tracks.track_id = plays.item_id AND plays.ms_played IS NULL
    WHERE plays.item_type = 'track'
        AND plays.artist_name = :artist
        AND (:kind = 'artist' OR CASE WHEN :kind = 'album' THEN plays.album_name ELSE plays.item_name END = :name)
        AND plays.ended_at >= :from
        AND plays.ended_at < :to
        AND (:user = '' OR plays.user_id = :user)
),
summed AS (
    SELECT item, count(*) AS plays, sum(ms) AS ms, max(ended_at) AS last_listen
    FROM heard
    WHERE item IS NOT NULL
    GROUP BY 1
)
SELECT
    rank() OVER (ORDER BY plays DESC) AS place,
    item,
    plays,
    round(CAST(ms AS double) / 60000, 1) AS minutes,
    last_listen
FROM summed
ORDER BY place, item
LIMIT :limit
