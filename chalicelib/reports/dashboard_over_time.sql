-- title = "Listening over time"
-- description = "Plays, hours and artists in each day, week, month or year of the listener's."
-- chart = {kind = "line", x = "starts", y = "plays"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- grain = {type = "choice", default = "month", values = ["day", "week", "month", "year"], help = "How fine"}
WITH heard AS (
    SELECT
        CAST(at_timezone(with_timezone(plays.ended_at, 'UTC'), :timezone) AS timestamp) AS ended_local,
        CASE WHEN plays.item_type = 'track' THEN plays.artist_name END AS artist_name,
        coalesce(plays.ms_played, tracks.duration_ms, 0) AS ms
    FROM plays
    LEFT JOIN tracks ON tracks.track_id = plays.item_id AND plays.ms_played IS NULL
    WHERE plays.ended_at >= :from
        AND plays.ended_at < :to
        AND (:user = '' OR plays.user_id = :user)
)
SELECT
    CAST(date_trunc(:grain, ended_local) AS date) AS starts,
    count(*) AS plays,
    round(CAST(sum(ms) AS double) / 3600000, 2) AS hours,
    count(DISTINCT artist_name) AS artists
FROM heard
GROUP BY 1
ORDER BY 1
