-- title = "Listeners"
-- description = "Whose listens the lake holds, and from when to when."
-- chart = {kind = "table"}
SELECT
    user_id,
    count(*) AS plays,
    min(ended_at) AS first_listen,
    max(ended_at) AS last_listen
FROM plays
GROUP BY user_id
ORDER BY plays DESC, user_id
