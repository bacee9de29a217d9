-- title = "Two listeners compared"
-- description = "Artists that two listeners share, by how much of each one's listening they are; without names the two who listened most."
-- chart = {kind = "bar", x = "artist", y = "percent_shared"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user", help = "One listener; empty for the one who listened most"}
-- other_user = {type = "user", help = "The other listener; empty for who listened most of the others"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 30, least = 1, most = 1000, help = "Rows"}
WITH counted AS (
    SELECT user_id, artist_name, count(*) AS plays
    FROM heard
    WHERE item_type = 'track'
        AND artist_name IS NOT NULL
        AND heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND play_seconds >= :min_seconds
    GROUP BY 1, 2
),
listeners AS (
    SELECT user_id, sum(plays) AS plays
    FROM counted
    GROUP BY 1
),
first_one AS (
    SELECT user_id, plays
    FROM listeners
    WHERE (:user = '' AND user_id <> :other_user) OR user_id = :user
    ORDER BY plays DESC, user_id
    LIMIT 1
),
second_one AS (
    SELECT listeners.user_id, listeners.plays
    FROM listeners
    CROSS JOIN first_one
    WHERE listeners.user_id <> first_one.user_id AND (:other_user = '' OR listeners.user_id = :other_user)
    ORDER BY listeners.plays DESC, listeners.user_id
    LIMIT 1
),
shares AS (
    SELECT
        one.artist_name,
        one.plays AS plays,
        other.plays AS other_plays,
        100 * CAST(one.plays AS double) / first_one.plays AS percent,
        100 * CAST(other.plays AS double) / second_one.plays AS other_percent,
        one.user_id,
        other.user_id AS other_user_id
    FROM first_one
    CROSS JOIN second_one
    JOIN counted AS one ON one.user_id = first_one.user_id
    JOIN counted AS other ON other.user_id = second_one.user_id AND other.artist_name = one.artist_name
)
SELECT
    artist_name AS artist,
    plays,
    other_plays,
    round(percent, 1) AS percent,
    round(other_percent, 1) AS other_percent,
    round(least(percent, other_percent), 1) AS percent_shared,
    user_id,
    other_user_id
FROM shares
ORDER BY least(percent, other_percent) DESC, artist_name
LIMIT :limit
