-- title = "Best of each hour"
-- description = "What is heard most in each hour of the listener's day: the artist and the track."
-- question = "When did I listen?"
-- chart = {kind = "table"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
WITH counted AS (
    SELECT
        hour(CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp)) AS hour,
        artist_name,
        item_name,
        count(*) AS plays
    FROM heard
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND item_name IS NOT NULL
        AND heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
        AND play_seconds >= :min_seconds
    GROUP BY 1, 2, 3
),
most AS (
    SELECT hour, max(plays) AS plays
    FROM counted
    GROUP BY 1
),
tracks_placed AS (
    SELECT
        counted.hour,
        counted.artist_name,
        counted.item_name,
        counted.plays,
        row_number() OVER (PARTITION BY counted.hour ORDER BY counted.artist_name, counted.item_name) AS place
    FROM counted
    JOIN most ON most.hour = counted.hour AND most.plays = counted.plays
),
artists_counted AS (
    SELECT hour, artist_name, sum(plays) AS plays
    FROM counted
    GROUP BY 1, 2
),
artists_placed AS (
    SELECT *, row_number() OVER (PARTITION BY hour ORDER BY plays DESC, artist_name) AS place
    FROM artists_counted
)
SELECT
    artists_placed.hour,
    artists_placed.artist_name AS artist,
    artists_placed.plays AS artist_plays,
    tracks_placed.item_name AS track,
    tracks_placed.artist_name AS track_artist,
    tracks_placed.plays AS track_plays
FROM artists_placed
JOIN tracks_placed ON tracks_placed.hour = artists_placed.hour AND tracks_placed.place = 1
WHERE artists_placed.place = 1
ORDER BY 1
