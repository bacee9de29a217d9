-- title = "One artist, album, track or show"
-- description = "Listens to one artist, album, track or show: ever and in the period, the first and the last one, and the place among all. The names are the listens' own."
-- chart = {kind = "table"}
-- [parameters]
-- kind = {type = "choice", default = "artist", values = ["artist", "album", "track", "show"], help = "What it is"}
-- artist = {type = "text", help = "Name of the artist or show"}
-- name = {type = "text", help = "Name of the album or track; empty for an artist or show"}
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
WITH counted AS (
    SELECT
        artist_name,
        CASE WHEN :kind = 'album' THEN album_name WHEN :kind = 'track' THEN item_name ELSE '' END AS name,
        item_id,
        item_name,
        count_if(play_seconds >= :min_seconds) AS plays,
        count_if(play_seconds >= :min_seconds AND heard_at >= :from AND heard_at < :to) AS plays_now,
        sum(ms) AS ms,
        sum(CASE WHEN heard_at >= :from AND heard_at < :to THEN ms ELSE 0 END) AS ms_now,
        count_if(was_skipped) AS skips,
        count_if(was_skipped IS NOT NULL) AS skips_known,
        min(CASE WHEN play_seconds >= :min_seconds THEN heard_at END) AS first_listen,
        max(CASE WHEN play_seconds >= :min_seconds THEN heard_at END) AS last_listen
    FROM heard
    WHERE item_type = CASE WHEN :kind = 'show' THEN 'episode' ELSE 'track' END
        AND artist_name IS NOT NULL
        AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2, 3, 4
),
named AS (
    SELECT artist_name, name, sum(plays) AS plays, sum(plays_now) AS plays_now
    FROM counted
    WHERE name IS NOT NULL
    GROUP BY 1, 2
),
ranked AS (
    SELECT
        *,
        rank() OVER (ORDER BY plays DESC) AS place,
        rank() OVER (ORDER BY plays_now DESC) AS place_now
    FROM named
),
chosen AS (
    SELECT *, row_number() OVER (ORDER BY plays DESC, item_id, item_name) AS number
    FROM counted
    WHERE artist_name = :artist AND name = :name
),
measured AS (
    SELECT
        sum(ms) AS ms,
        sum(ms_now) AS ms_now,
        count(DISTINCT CASE WHEN plays > 0 THEN item_name END) AS tracks,
        sum(skips) AS skips,
        sum(skips_known) AS skips_known,
        min(first_listen) AS first_listen,
        max(last_listen) AS last_listen,
        min(CASE WHEN number = 1 THEN item_id END) AS item_id
    FROM chosen
)
SELECT
    ranked.plays,
    round(CAST(measured.ms AS double) / 3600000, 1) AS hours,
    ranked.place,
    ranked.plays_now AS plays_in_period,
    round(CAST(measured.ms_now AS double) / 3600000, 1) AS hours_in_period,
    CASE WHEN ranked.plays_now > 0 THEN ranked.place_now END AS place_in_period,
    measured.first_listen,
    measured.last_listen,
    measured.tracks,
    CASE WHEN measured.skips_known > 0 THEN round(CAST(measured.skips AS double) / measured.skips_known, 3) END AS skipped,
    measured.item_id
FROM ranked
CROSS JOIN measured
WHERE ranked.artist_name = :artist AND ranked.name = :name
