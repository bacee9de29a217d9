-- title = "Year in review"
-- description = "A period in a dozen lines: how much, what most, what was new, the busiest day, the genre heard most and whose word that is."
-- question = "What did I hear most?"
-- chart = {kind = "table"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
WITH chosen AS (
    SELECT item_type, artist_name, item_name, album_name, heard_at, ms, play_seconds
    FROM heard
    WHERE heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
),
period AS (
    SELECT
        item_type,
        artist_name,
        item_name,
        album_name,
        count_if(play_seconds >= :min_seconds) AS plays,
        sum(ms) AS ms
    FROM chosen
    GROUP BY 1, 2, 3, 4
),
days AS (
    SELECT
        date_trunc('day', CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp)) AS day,
        count_if(play_seconds >= :min_seconds) AS plays,
        sum(ms) AS ms
    FROM chosen
    GROUP BY 1
),
artists_heard AS (
    SELECT artist_name, sum(plays) AS plays
    FROM period
    WHERE item_type = 'track' AND artist_name IS NOT NULL AND plays > 0
    GROUP BY 1
),
tracks_heard AS (
    SELECT artist_name, item_name, sum(plays) AS plays
    FROM period
    WHERE item_type = 'track' AND item_name IS NOT NULL AND plays > 0
    GROUP BY 1, 2
),
albums_heard AS (
    SELECT artist_name, album_name, sum(plays) AS plays
    FROM period
    WHERE item_type = 'track' AND album_name IS NOT NULL AND plays > 0
    GROUP BY 1, 2
),
shows_heard AS (
    SELECT artist_name, sum(ms) AS ms
    FROM period
    WHERE item_type = 'episode' AND artist_name IS NOT NULL
    GROUP BY 1
),
genres_heard AS (
    SELECT artists.plays, artists.ms, described.genres, described.source
    FROM (
        SELECT lower(artist_name) AS name, sum(plays) AS plays, sum(ms) AS ms FROM period WHERE item_type = 'track' GROUP BY 1
    ) AS artists
    LEFT JOIN artist_genres_in_force AS described ON described.name = artists.name AND described.stands_for_name
),
artists_before AS (
    SELECT DISTINCT artist_name
    FROM heard
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND heard_at < :from
        AND ended_at < date_add('day', 30, :from)
        AND (:user = '' OR user_id = :user)
        AND play_seconds >= :min_seconds
),
lines AS (
    SELECT
        1 AS place,
        'minutes' AS what,
        CAST(NULL AS varchar) AS name,
        coalesce(CAST(round(CAST(sum(ms) AS double) / 60000) AS bigint), 0) AS number
    FROM days
    UNION ALL
    SELECT 2, 'plays', CAST(NULL AS varchar), coalesce(sum(plays), 0) FROM days
    UNION ALL
    SELECT 3, 'days with listening', CAST(NULL AS varchar), count_if(plays > 0) FROM days
    UNION ALL
    SELECT 4, 'artists', CAST(NULL AS varchar), count(*) FROM artists_heard
    UNION ALL
    SELECT 5, 'artists heard for the first time', CAST(NULL AS varchar), count(*)
    FROM artists_heard
    LEFT JOIN artists_before ON artists_before.artist_name = artists_heard.artist_name
    WHERE artists_before.artist_name IS NULL
    UNION ALL
    SELECT 6, 'tracks', CAST(NULL AS varchar), count(*) FROM tracks_heard
    UNION ALL
    (SELECT 7, 'top artist', artist_name, plays FROM artists_heard ORDER BY plays DESC, artist_name LIMIT 1)
    UNION ALL
    (SELECT 8, 'top track', artist_name || ' - ' || item_name, plays FROM tracks_heard ORDER BY plays DESC, artist_name, item_name LIMIT 1)
    UNION ALL
    (SELECT 9, 'top album', artist_name || ' - ' || album_name, plays FROM albums_heard ORDER BY plays DESC, artist_name, album_name LIMIT 1)
    UNION ALL
    (
        SELECT 10, 'top podcast (minutes)', artist_name, CAST(round(CAST(ms AS double) / 60000) AS bigint)
        FROM shows_heard
        ORDER BY ms DESC, artist_name
        LIMIT 1
    )
    UNION ALL
    (
        SELECT 11, 'busiest day (minutes)', CAST(CAST(day AS date) AS varchar), CAST(round(CAST(ms AS double) / 60000) AS bigint)
        FROM days
        ORDER BY ms DESC, day
        LIMIT 1
    )
    UNION ALL
    (
        SELECT 12, 'top genre', listed.genre, sum(genres_heard.plays)
        FROM genres_heard
        CROSS JOIN UNNEST(genres_heard.genres) AS listed (genre)
        GROUP BY 3
        HAVING sum(genres_heard.plays) > 0
        ORDER BY 4 DESC, 3
        LIMIT 1
    )
    UNION ALL
    SELECT
        13,
        'time with a known genre (percent)',
        CASE WHEN min(source) = max(source) THEN min(source) ELSE 'spotify and musicbrainz' END,
        CAST(round(100 * CAST(coalesce(sum(CASE WHEN source IS NOT NULL THEN ms END), 0) AS double) / sum(ms)) AS bigint)
    FROM genres_heard
    HAVING sum(ms) > 0 AND count(source) > 0
)
SELECT what, name, number
FROM lines
ORDER BY place
