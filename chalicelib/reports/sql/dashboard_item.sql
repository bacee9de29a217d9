-- title = "One artist, album or track"
-- description = "Listens to one artist, album or track: ever and in the period, the first and the last one, and the place among all. The names are the listens' own."
-- chart = {kind = "table"}
-- [parameters]
-- kind = {type = "choice", default = "artist", values = ["artist", "album", "track"], help = "What it is"}
-- artist = {type = "text", help = "Artist's name"}
-- name = {type = "text", help = "Name of the album or track; empty for an artist"}
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
WITH heard AS (
    SELECT
        artist_name,
        CASE WHEN :kind = 'album' THEN album_name WHEN :kind = 'track' THEN item_name ELSE '' END AS name,
        item_id,
        count(*) AS plays,
        count_if(ended_at >= :from AND ended_at < :to) AS plays_now,
        sum(ms_played) AS ms,
        sum(CASE WHEN ended_at >= :from AND ended_at < :to THEN ms_played END) AS ms_now,
        count_if(ms_played IS NULL) AS unmeasured,
        count_if(ms_played IS NULL AND ended_at >= :from AND ended_at < :to) AS unmeasured_now,
        count_if(skipped) AS skips,
        count_if(skipped IS NOT NULL) AS skips_known,
        min(ended_at) AS first_listen,
        max(ended_at) AS last_listen
    FROM plays
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2, 3
),
named AS (
    SELECT artist_name, name, sum(plays) AS plays, sum(plays_now) AS plays_now
    FROM heard
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
measured AS (
    SELECT
        sum(coalesce(heard.ms, 0) + heard.unmeasured * coalesce(tracks.duration_ms, 0)) AS ms,
        sum(coalesce(heard.ms_now, 0) + heard.unmeasured_now * coalesce(tracks.duration_ms, 0)) AS ms_now,
        count(DISTINCT heard.item_id) AS tracks,
        sum(heard.skips) AS skips,
        sum(heard.skips_known) AS skips_known,
        min(heard.first_listen) AS first_listen,
        max(heard.last_listen) AS last_listen,
        max_by(heard.item_id, heard.plays) AS item_id
    FROM heard
    LEFT JOIN tracks ON tracks.track_id = heard.item_id
    WHERE heard.artist_name = :artist AND heard.name = :name
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
