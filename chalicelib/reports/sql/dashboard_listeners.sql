-- title = "Listeners"
-- description = "Whose listens the lake holds, and from when to when."
-- chart = {kind = "table"}
-- [parameters]
-- min_seconds = {type = "integer"}
SELECT
    user_id,
    count_if(play_seconds >= :min_seconds) AS plays,
    min(heard_at) AS first_listen,
    max(heard_at) AS last_listen
FROM heard
GROUP BY user_id
ORDER BY plays DESC, user_id
