-- title = "Listeners"
-- description = "Whose listens the lake holds, by name, and from when to when."
-- chart = {kind = "table"}
-- [parameters]
-- min_seconds = {type = "integer"}
WITH counted AS (
    SELECT
        user_id,
        count_if(play_seconds >= :min_seconds) AS plays,
        min(heard_at) AS first_listen,
        max(heard_at) AS last_listen
    FROM heard
    GROUP BY user_id
)
SELECT
    counted.user_id,
    listeners.name,
    counted.plays,
    counted.first_listen,
    counted.last_listen
FROM counted
JOIN listeners ON listeners.user_id = counted.user_id
ORDER BY counted.plays DESC, counted.user_id
