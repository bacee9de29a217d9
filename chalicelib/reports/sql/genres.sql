-- title = "Genres"
-- description = "Genres of the artists heard, by plays; percent_known says of what share of all plays a genre is known."
-- chart = {kind = "bar", x = "genre", y = "plays"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 30, least = 1, most = 1000, help = "Rows"}
WITH artists_heard AS (
    SELECT lower(artist_name) AS name, count_if(play_seconds >= :min_seconds) AS plays, sum(ms) AS ms
    FROM heard
    WHERE item_type = 'track'
        AND heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND (:user = '' OR user_id = :user)
    GROUP BY 1
),
described AS ( -- of artists with one name the one with the most genres, of those the first by its id
    SELECT
        lower(name) AS name,
        genres,
        row_number() OVER (PARTITION BY lower(name) ORDER BY cardinality(genres) DESC, artist_id) AS number
    FROM artists
    WHERE cardinality(genres) > 0
),
known AS (
    SELECT artists_heard.name, artists_heard.plays, artists_heard.ms, described.genres
    FROM artists_heard
    JOIN described ON described.name = artists_heard.name AND described.number = 1
),
shares AS (
    SELECT
        CASE
            WHEN sum(plays) > 0
                THEN round(100 * CAST(coalesce((SELECT sum(plays) FROM known), 0) AS double) / sum(plays), 1)
        END AS percent_known
    FROM artists_heard
)
SELECT
    listed.genre,
    sum(known.plays) AS plays,
    round(CAST(sum(known.ms) AS double) / 60000, 1) AS minutes,
    count_if(known.plays > 0) AS artists,
    max(shares.percent_known) AS percent_known
FROM known
CROSS JOIN UNNEST(known.genres) AS listed (genre)
CROSS JOIN shares
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT :limit
