-- title = "Genres"
-- description = "Genres of the artists heard, by plays; percent_known says of what share of all plays a genre is known."
-- chart = {kind = "bar", x = "genre", y = "plays"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- limit = {type = "integer", default = 30, least = 1, most = 1000, help = "Rows"}
WITH heard AS (
    SELECT artist_name, ms_played AS ms
    FROM plays
    WHERE ms_played IS NOT NULL
        AND item_type = 'track'
        AND ended_at >= :from
        AND ended_at < :to
        AND (:user = '' OR user_id = :user)
    UNION ALL -- plays whose length Spotify did not say: the track's stands for it
    SELECT plays.artist_name, coalesce(tracks.duration_ms, 0)
    FROM plays
    LEFT JOIN tracks ON tracks.track_id = plays.item_id
    WHERE plays.ms_played IS NULL
        AND plays.item_type = 'track'
        AND plays.ended_at >= :from
        AND plays.ended_at < :to
        AND (:user = '' OR plays.user_id = :user)
),
artists_heard AS (
    SELECT lower(artist_name) AS name, count(*) AS plays, sum(ms) AS ms
    FROM heard
    GROUP BY 1
),
named AS (
    SELECT lower(name) AS name, max_by(genres, cardinality(genres)) AS genres
    FROM artists
    WHERE cardinality(genres) > 0
    GROUP BY 1
),
known AS (
    SELECT artists_heard.name, artists_heard.plays, artists_heard.ms, named.genres
    FROM artists_heard
    JOIN named ON named.name = artists_heard.name
),
shares AS (
    SELECT round(100 * CAST(coalesce((SELECT sum(plays) FROM known), 0) AS double) / sum(plays), 1) AS percent_known
    FROM artists_heard
)
SELECT
    listed.genre,
    sum(known.plays) AS plays,
    round(CAST(sum(known.ms) AS double) / 60000, 1) AS minutes,
    count(*) AS artists,
    max(shares.percent_known) AS percent_known
FROM known
CROSS JOIN UNNEST(known.genres) AS listed (genre)
CROSS JOIN shares
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT :limit
