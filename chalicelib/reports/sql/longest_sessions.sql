-- title = "Longest sessions"
-- description = "Stretches of listening in which no pause was longer than ten minutes, longest first."
-- chart = {kind = "bar", x = "started_local", y = "minutes"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- gap_minutes = {type = "integer", default = 10, least = 1, most = 1440, help = "A longer pause ends a session"}
-- limit = {type = "integer", default = 10, least = 1, most = 1000, help = "Rows"}
WITH heard AS (
    SELECT
        user_id,
        ended_at,
        coalesce(started_at, date_add('millisecond', -ms_played, ended_at)) AS started_at,
        ms_played AS ms,
        artist_name
    FROM plays
    WHERE ms_played IS NOT NULL
        AND ended_at >= :from
        AND ended_at < :to
        AND (:user = '' OR user_id = :user)
    UNION ALL -- plays whose length Spotify did not say: the track's stands for it
    SELECT
        plays.user_id,
        plays.ended_at,
        coalesce(plays.started_at, date_add('millisecond', -coalesce(tracks.duration_ms, 0), plays.ended_at)),
        coalesce(tracks.duration_ms, 0),
        plays.artist_name
    FROM plays
    LEFT JOIN tracks ON tracks.track_id = plays.item_id
    WHERE plays.ms_played IS NULL
        AND plays.ended_at >= :from
        AND plays.ended_at < :to
        AND (:user = '' OR plays.user_id = :user)
),
placed AS (
    SELECT
        user_id,
        started_at,
        ended_at,
        lag(ended_at) OVER (PARTITION BY user_id ORDER BY ended_at, started_at) AS previous_end
    FROM heard
),
firsts AS (
    SELECT *
    FROM placed
    WHERE previous_end IS NULL OR date_diff('second', previous_end, started_at) > 60 * :gap_minutes
),
last_ends AS (
    SELECT user_id, max(ended_at) AS last_end
    FROM heard
    GROUP BY 1
),
sessions AS (
    SELECT
        firsts.user_id,
        firsts.started_at,
        firsts.ended_at AS first_end,
        coalesce(
            lead(firsts.previous_end) OVER (PARTITION BY firsts.user_id ORDER BY firsts.ended_at, firsts.started_at),
            last_ends.last_end
        ) AS ended_at
    FROM firsts
    JOIN last_ends ON last_ends.user_id = firsts.user_id
),
longest AS (
    SELECT *
    FROM sessions
    ORDER BY date_diff('second', started_at, ended_at) DESC, started_at, user_id
    LIMIT :limit
)
SELECT
    CAST(at_timezone(with_timezone(longest.started_at, 'UTC'), :timezone) AS timestamp) AS started_local,
    CAST(at_timezone(with_timezone(longest.ended_at, 'UTC'), :timezone) AS timestamp) AS ended_local,
    round(CAST(date_diff('second', longest.started_at, longest.ended_at) AS double) / 60, 1) AS minutes,
    round(CAST(sum(heard.ms) AS double) / 60000, 1) AS minutes_heard,
    count(*) AS plays,
    count(DISTINCT heard.artist_name) AS artists,
    longest.user_id
FROM longest
JOIN heard
    ON heard.user_id = longest.user_id
    AND heard.ended_at >= longest.first_end
    AND heard.ended_at <= longest.ended_at
GROUP BY longest.started_at, longest.ended_at, longest.user_id
ORDER BY 3 DESC, 1, 7
