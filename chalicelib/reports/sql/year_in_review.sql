-- title = "Year in review"
-- description = "A period in a dozen lines: how much, what most, what was new, the busiest day."
-- chart = {kind = "table"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
WITH heard AS (
    SELECT item_type, artist_name, item_name, album_name, ended_at, ms_played AS ms
    FROM plays
    WHERE ms_played >= 30000
        AND ended_at >= :from
        AND ended_at < :to
        AND (:user = '' OR user_id = :user)
    UNION ALL -- plays whose length Spotify did not say: the track's stands for it
    SELECT
        plays.item_type,
        plays.artist_name,
        plays.item_name,
        plays.album_name,
        plays.ended_at,
        coalesce(tracks.duration_ms, 0)
    FROM plays
    LEFT JOIN tracks ON tracks.track_id = plays.item_id
    WHERE plays.ms_played IS NULL
        AND plays.ended_at >= :from
        AND plays.ended_at < :to
        AND (:user = '' OR plays.user_id = :user)
),
period AS (
    SELECT item_type, artist_name, item_name, album_name, count(*) AS plays, sum(ms) AS ms
    FROM heard
    GROUP BY 1, 2, 3, 4
),
days AS (
    SELECT
        date_trunc('day', CAST(at_timezone(with_timezone(ended_at, 'UTC'), :timezone) AS timestamp)) AS day,
        count(*) AS plays,
        sum(ms) AS ms
    FROM heard
    GROUP BY 1
),
artists_heard AS (
    SELECT artist_name, sum(plays) AS plays
    FROM period
    WHERE item_type = 'track' AND artist_name IS NOT NULL
    GROUP BY 1
),
tracks_heard AS (
    SELECT artist_name, item_name, sum(plays) AS plays
    FROM period
    WHERE item_type = 'track' AND item_name IS NOT NULL
    GROUP BY 1, 2
),
albums_heard AS (
    SELECT artist_name, album_name, sum(plays) AS plays
    FROM period
    WHERE item_type = 'track' AND album_name IS NOT NULL
    GROUP BY 1, 2
),
shows_heard AS (
    SELECT artist_name, sum(ms) AS ms
    FROM period
    WHERE item_type = 'episode' AND artist_name IS NOT NULL
    GROUP BY 1
),
artists_before AS (
    SELECT DISTINCT artist_name
    FROM plays
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND ended_at < :from
        AND (:user = '' OR user_id = :user)
        AND (ms_played IS NULL OR ms_played >= 30000)
),
lines AS (
    SELECT 1 AS place, 'minutes' AS what, CAST(NULL AS varchar) AS name, CAST(round(CAST(sum(ms) AS double) / 60000) AS bigint) AS number
    FROM days
    UNION ALL
    SELECT 2, 'plays', CAST(NULL AS varchar), sum(plays) FROM days
    UNION ALL
    SELECT 3, 'days with listening', CAST(NULL AS varchar), count(*) FROM days
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
)
SELECT what, name, number
FROM lines
ORDER BY place
