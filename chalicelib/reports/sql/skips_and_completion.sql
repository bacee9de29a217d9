-- title = "Skips and completion"
-- description = "How much of what starts is heard: share skipped, share under 30 seconds, and how far plays get where the track's length is known."
-- question = "How do I listen?"
-- chart = {kind = "bar", x = "name", y = "percent_skipped"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- by = {type = "choice", default = "artist", values = ["artist", "track"], help = "What a row is"}
-- min_plays = {type = "integer", default = 5, least = 1, most = 100000, help = "Only what was started as often"}
-- limit = {type = "integer", default = 30, least = 1, most = 1000, help = "Rows"}
WITH items AS (
    SELECT
        artist_name,
        item_name,
        item_id,
        count(*) AS starts,
        count_if(was_skipped) AS skipped,
        count_if(play_seconds < 30) AS short,
        count(ms_played) AS measured,
        sum(ms_played) AS ms
    FROM heard
    WHERE item_type = 'track'
        AND ms_played IS NOT NULL
        AND artist_name IS NOT NULL
        AND item_name IS NOT NULL
        AND heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2, 3
),
named AS (
    SELECT
        CASE WHEN :by = 'track' THEN artist_name || ' - ' || item_name ELSE artist_name END AS name,
        sum(starts) AS starts,
        sum(skipped) AS skipped,
        sum(short) AS short,
        sum(CASE WHEN tracks.duration_ms > 0 THEN ms END) AS ms,
        sum(measured * tracks.duration_ms) AS whole_ms
    FROM items
    LEFT JOIN tracks ON tracks.track_id = items.item_id
    GROUP BY 1
)
SELECT
    name,
    starts,
    round(100 * CAST(skipped AS double) / starts, 1) AS percent_skipped,
    round(100 * CAST(short AS double) / starts, 1) AS percent_under_30_s,
    CASE WHEN whole_ms > 0 THEN round(100 * CAST(ms AS double) / whole_ms, 1) END AS percent_heard
FROM named
WHERE starts >= :min_plays
ORDER BY 3 DESC, 2 DESC, 1
LIMIT :limit
