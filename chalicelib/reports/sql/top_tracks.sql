-- title = "Top tracks"
-- description = "Tracks by plays or listening time, with their rank in the period before. Recordings are counted once over all albums they stand on, where their ISRC is known."
-- chart = {kind = "bar", x = "track", y = "plays"}
-- [parameters]
-- period = {type = "period", default = "4w"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- by = {type = "choice", default = "plays", values = ["plays", "time"], help = "What ranks them"}
-- min_seconds = {type = "integer", default = 30, least = 0, most = 3600, help = "Shorter plays do not count"}
-- limit = {type = "integer", default = 20, least = 1, most = 1000, help = "Rows"}
WITH items AS (
    SELECT
        item_id,
        artist_name,
        item_name,
        ended_at >= :from AS is_now,
        count(*) AS plays,
        sum(ms_played) AS ms,
        count_if(ms_played IS NULL) AS unmeasured
    FROM plays
    WHERE item_type = 'track'
        AND item_name IS NOT NULL
        AND ended_at >= :previous_from
        AND ended_at < :to
        AND (:user = '' OR user_id = :user)
        AND (ms_played IS NULL OR ms_played >= 1000 * :min_seconds)
    GROUP BY 1, 2, 3, 4
),
named AS (
    SELECT
        items.*,
        coalesce(ms, 0) + unmeasured * coalesce(tracks.duration_ms, 0) AS heard_ms,
        min(tracks.isrc) OVER (PARTITION BY items.artist_name, items.item_name) AS isrc
    FROM items
    LEFT JOIN tracks ON tracks.track_id = items.item_id
),
tracks_heard AS (
    SELECT
        coalesce(isrc, artist_name || ' ' || item_name) AS recording,
        min(item_name) AS track,
        min(artist_name) AS artist,
        min(item_id) AS track_id,
        sum(CASE WHEN is_now THEN plays ELSE 0 END) AS plays,
        sum(CASE WHEN is_now THEN 0 ELSE plays END) AS plays_before,
        sum(CASE WHEN is_now THEN heard_ms ELSE 0 END) AS ms,
        sum(CASE WHEN is_now THEN 0 ELSE heard_ms END) AS ms_before
    FROM named
    GROUP BY 1
),
ranked AS (
    SELECT
        *,
        rank() OVER (ORDER BY CASE WHEN :by = 'time' THEN ms ELSE plays END DESC) AS place,
        rank() OVER (ORDER BY CASE WHEN :by = 'time' THEN ms_before ELSE plays_before END DESC) AS place_before
    FROM tracks_heard
)
SELECT
    place,
    track,
    artist,
    plays,
    round(CAST(ms AS double) / 60000, 1) AS minutes,
    CASE WHEN plays_before > 0 THEN place_before END AS place_before,
    CASE WHEN plays_before > 0 THEN place_before - place END AS climbed,
    track_id
FROM ranked
WHERE plays > 0
ORDER BY place, track, artist
LIMIT :limit
