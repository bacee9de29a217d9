-- title = "Longest sessions"
-- description = "Stretches of listening in which no pause was longer than ten minutes, longest first."
-- question = "When did I listen?"
-- chart = {kind = "bar", x = "started_local", y = "minutes"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- gap_minutes = {type = "integer", default = 10, least = 1, most = 1440, help = "A longer pause ends a session"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 10, least = 1, most = 1000, help = "Rows"}

-- local times: started_local, ended_local
WITH chosen AS (
    SELECT user_id, heard_at, started_at, play_seconds, ms, artist_name
    FROM heard
    WHERE heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
),
placed AS (
    SELECT
        user_id,
        started_at,
        heard_at,
        max(heard_at) OVER (
            PARTITION BY user_id ORDER BY heard_at, started_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS previous_end
    FROM chosen
),
firsts AS (
    SELECT *
    FROM placed
    WHERE previous_end IS NULL OR date_diff('second', previous_end, started_at) > 60 * :gap_minutes
),
last_ends AS (
    SELECT user_id, max(heard_at) AS last_end
    FROM chosen
    GROUP BY 1
),
sessions AS (
    SELECT
        firsts.user_id,
        firsts.started_at,
        firsts.heard_at AS first_end,
        coalesce(
            lead(firsts.previous_end) OVER (PARTITION BY firsts.user_id ORDER BY firsts.heard_at, firsts.started_at),
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
    round(CAST(sum(chosen.ms) AS double) / 60000, 1) AS minutes_heard,
    count_if(chosen.play_seconds >= :min_seconds) AS plays,
    count(DISTINCT CASE WHEN chosen.play_seconds >= :min_seconds THEN chosen.artist_name END) AS artists,
    longest.user_id,
    min(listeners.name) AS listener
FROM longest
LEFT JOIN listeners ON listeners.user_id = longest.user_id
JOIN chosen
    ON chosen.user_id = longest.user_id
    AND chosen.heard_at >= longest.first_end
    AND chosen.heard_at <= longest.ended_at
GROUP BY longest.started_at, longest.ended_at, longest.user_id
ORDER BY 3 DESC, 1, 7
