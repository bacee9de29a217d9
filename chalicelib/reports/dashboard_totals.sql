-- title = "Totals of a period"
-- description = "Plays, hours, artists and artists heard for the first time ever, in the period and in the one before. Plays that only the API reported count with their track's length."
-- chart = {kind = "table"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
WITH heard AS (
    SELECT
        CASE WHEN plays.item_type = 'track' THEN plays.artist_name END AS artist_name,
        count_if(plays.ended_at >= :from AND plays.ended_at < :to) AS plays,
        count_if(plays.ended_at >= :previous_from AND plays.ended_at < :from) AS plays_before,
        sum(CASE WHEN plays.ended_at >= :from AND plays.ended_at < :to
            THEN coalesce(plays.ms_played, tracks.duration_ms, 0) ELSE 0 END) AS ms,
        sum(CASE WHEN plays.ended_at >= :previous_from AND plays.ended_at < :from
            THEN coalesce(plays.ms_played, tracks.duration_ms, 0) ELSE 0 END) AS ms_before,
        min(plays.ended_at) AS first_listen
    FROM plays
    LEFT JOIN tracks ON tracks.track_id = plays.item_id AND plays.ms_played IS NULL
    WHERE :user = '' OR plays.user_id = :user
    GROUP BY 1
)
SELECT
    coalesce(sum(plays), 0) AS plays,
    coalesce(sum(plays_before), 0) AS plays_before,
    round(CAST(coalesce(sum(ms), 0) AS double) / 3600000, 1) AS hours,
    round(CAST(coalesce(sum(ms_before), 0) AS double) / 3600000, 1) AS hours_before,
    count_if(artist_name IS NOT NULL AND plays > 0) AS artists,
    count_if(artist_name IS NOT NULL AND plays_before > 0) AS artists_before,
    count_if(artist_name IS NOT NULL AND first_listen >= :from AND first_listen < :to) AS new_artists,
    count_if(artist_name IS NOT NULL AND first_listen >= :previous_from AND first_listen < :from) AS new_artists_before
FROM heard
