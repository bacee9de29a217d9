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
        plays.ended_at >= :from AS is_now,
        count(*) AS plays,
        sum(coalesce(plays.ms_played, tracks.duration_ms, 0)) AS ms
    FROM plays
    LEFT JOIN tracks ON tracks.track_id = plays.item_id AND plays.ms_played IS NULL
    WHERE plays.ended_at >= :previous_from
        AND plays.ended_at < :to
        AND (:user = '' OR plays.user_id = :user)
    GROUP BY 1, 2
),
first_heard AS (
    SELECT artist_name, min(ended_at) AS first_listen
    FROM plays
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND ended_at < :to
        AND (:user = '' OR user_id = :user)
    GROUP BY 1
)
SELECT
    coalesce(sum(CASE WHEN is_now THEN plays END), 0) AS plays,
    coalesce(sum(CASE WHEN NOT is_now THEN plays END), 0) AS plays_before,
    round(CAST(coalesce(sum(CASE WHEN is_now THEN ms END), 0) AS double) / 3600000, 1) AS hours,
    round(CAST(coalesce(sum(CASE WHEN NOT is_now THEN ms END), 0) AS double) / 3600000, 1) AS hours_before,
    count_if(artist_name IS NOT NULL AND is_now) AS artists,
    count_if(artist_name IS NOT NULL AND NOT is_now) AS artists_before,
    (SELECT count_if(first_listen >= :from) FROM first_heard) AS new_artists,
    (SELECT count_if(first_listen >= :previous_from AND first_listen < :from) FROM first_heard) AS new_artists_before
FROM heard
