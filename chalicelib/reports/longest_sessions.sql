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
        plays.play_id,
        plays.user_id,
        plays.artist_name,
        plays.ended_at,
        coalesce(
            plays.started_at,
            date_add('millisecond', -coalesce(plays.ms_played, tracks.duration_ms, 0), plays.ended_at)
        ) AS started_at,
        coalesce(plays.ms_played, tracks.duration_ms, 0) AS ms
    FROM plays
    LEFT JOIN tracks ON tracks.track_id = plays.item_id AND plays.ms_played IS NULL
    WHERE plays.ended_at >= :from
        AND plays.ended_at < :to
        AND (:user = '' OR plays.user_id = :user)
),
after_pause AS (
    SELECT
        *,
        CASE
            WHEN date_diff('second', lag(ended_at) OVER (PARTITION BY user_id ORDER BY ended_at, play_id), started_at)
                <= 60 * :gap_minutes THEN 0
            ELSE 1
        END AS is_first
    FROM heard
),
numbered AS (
    SELECT *, sum(is_first) OVER (PARTITION BY user_id ORDER BY ended_at, play_id ROWS UNBOUNDED PRECEDING) AS session
    FROM after_pause
),
sessions AS (
    SELECT
        user_id,
        session,
        min(started_at) AS started_at,
        max(ended_at) AS ended_at,
        count(*) AS plays,
        count(DISTINCT artist_name) AS artists,
        sum(ms) AS ms
    FROM numbered
    GROUP BY 1, 2
)
SELECT
    CAST(at_timezone(with_timezone(started_at, 'UTC'), :timezone) AS timestamp) AS started_local,
    CAST(at_timezone(with_timezone(ended_at, 'UTC'), :timezone) AS timestamp) AS ended_local,
    round(CAST(date_diff('second', started_at, ended_at) AS double) / 60, 1) AS minutes,
    round(CAST(ms AS double) / 60000, 1) AS minutes_heard,
    plays,
    artists,
    user_id
FROM sessions
ORDER BY 3 DESC, 1
LIMIT :limit
