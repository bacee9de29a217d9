-- title = "Top tracks"
-- description = "Tracks by plays or listening time, with their rank in the period before. Recordings are counted once over all albums they stand on, where their ISRC is known."
-- question = "What did I hear most?"
-- chart = {kind = "bar", x = "track", y = "plays"}
-- [parameters]
-- period = {type = "period", default = "4w"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- by = {type = "choice", default = "plays", values = ["plays", "time"], help = "What ranks them"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 20, least = 1, most = 1000, help = "Rows"}
WITH items AS (
    SELECT
        item_id,
        artist_name,
        item_name,
        heard_at >= :from AS is_now,
        count_if(play_seconds >= :min_seconds) AS plays,
        sum(ms) AS ms
    FROM heard
    WHERE item_type = 'track'
        AND item_name IS NOT NULL
        AND heard_at >= :previous_from
        AND heard_at < :to
        AND ended_at >= :previous_from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:previous_from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2, 3, 4
),
coded AS (
    SELECT items.*, upper(tracks.isrc) AS isrc
    FROM items
    LEFT JOIN tracks ON tracks.track_id = items.item_id
),
named AS ( -- what has no code is the recording of its name, where there is only one
    SELECT
        *,
        CASE
            WHEN isrc IS NULL
                AND min(isrc) OVER (PARTITION BY artist_name, item_name) = max(isrc) OVER (PARTITION BY artist_name, item_name)
                THEN min(isrc) OVER (PARTITION BY artist_name, item_name)
            ELSE isrc
        END AS recording
    FROM coded
),
tracks_heard AS (
    SELECT
        coalesce(recording, artist_name || ' ' || item_name, item_name) AS recording,
        min(item_name) AS track,
        min(artist_name) AS artist,
        min(item_id) AS track_id,
        sum(CASE WHEN is_now THEN plays ELSE 0 END) AS plays,
        sum(CASE WHEN is_now THEN 0 ELSE plays END) AS plays_before,
        sum(CASE WHEN is_now THEN ms ELSE 0 END) AS ms,
        sum(CASE WHEN is_now THEN 0 ELSE ms END) AS ms_before
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
WHERE CASE WHEN :by = 'time' THEN ms ELSE plays END > 0
ORDER BY place, track, artist, track_id
LIMIT :limit
