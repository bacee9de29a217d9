-- title = "Most played of one genre"
-- description = "Artists, tracks or albums of the artists of one genre, by plays in the period."
-- chart = {kind = "bar", x = "item", y = "plays"}
-- [parameters]
-- genre = {type = "text", help = "Genre, as the report of genres writes it"}
-- items = {type = "choice", default = "artists", values = ["artists", "tracks", "albums"], help = "What to list"}
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 20, least = 1, most = 1000, help = "Rows"}
WITH performers AS (
    SELECT name
    FROM artist_genres_in_force
    WHERE stands_for_name AND contains(genres, :genre)
),
summed AS (
    SELECT
        CASE WHEN :items = 'albums' THEN heard.album_name WHEN :items = 'tracks' THEN heard.item_name ELSE heard.artist_name END AS item,
        heard.artist_name,
        count_if(heard.play_seconds >= :min_seconds) AS plays,
        sum(heard.ms) AS ms
    FROM heard
    JOIN performers ON performers.name = lower(heard.artist_name)
    WHERE heard.item_type = 'track'
        AND heard.heard_at >= :from
        AND heard.heard_at < :to
        AND heard.ended_at >= :from
        AND heard.ended_at < date_add('day', 30, :to)
        AND heard.year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR heard.user_id = :user)
    GROUP BY 1, 2
)
SELECT
    rank() OVER (ORDER BY plays DESC) AS place,
    item,
    artist_name AS artist,
    plays,
    round(CAST(ms AS double) / 60000, 1) AS minutes
FROM summed
WHERE item IS NOT NULL AND plays > 0
ORDER BY place, item, artist
LIMIT :limit
