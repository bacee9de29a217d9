-- title = "Totals of a period"
-- description = "Plays, hours, artists and artists heard for the first time ever, in the period and in the one before. Time that is not known counts with the track's length."
-- chart = {kind = "table"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
WITH counted AS (
    SELECT
        CASE WHEN item_type = 'track' THEN artist_name END AS artist_name,
        heard_at >= :from AS is_now,
        count_if(play_seconds >= :min_seconds) AS plays,
        sum(ms) AS ms
    FROM heard
    WHERE heard_at >= :previous_from
        AND heard_at < :to
        AND ended_at >= :previous_from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:previous_from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2
),
first_heard AS (
    SELECT artist_name, min(heard_at) AS first_listen
    FROM heard
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND play_seconds >= :min_seconds
        AND heard_at < :to
        AND ended_at < date_add('day', 30, :to)
        AND (:user = '' OR user_id = :user)
    GROUP BY 1
)
SELECT
    coalesce(sum(CASE WHEN is_now THEN plays END), 0) AS plays,
    coalesce(sum(CASE WHEN NOT is_now THEN plays END), 0) AS plays_before,
    round(CAST(coalesce(sum(CASE WHEN is_now THEN ms END), 0) AS double) / 3600000, 1) AS hours,
    round(CAST(coalesce(sum(CASE WHEN NOT is_now THEN ms END), 0) AS double) / 3600000, 1) AS hours_before,
    count_if(artist_name IS NOT NULL AND plays > 0 AND is_now) AS artists,
    count_if(artist_name IS NOT NULL AND plays > 0 AND NOT is_now) AS artists_before,
    (SELECT count_if(first_listen >= :from) FROM first_heard) AS new_artists,
    (SELECT count_if(first_listen >= :previous_from AND first_listen < :from) FROM first_heard) AS new_artists_before
FROM counted
