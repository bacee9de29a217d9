-- title = "Growth of the library"
-- description = "Tracks and albums saved in each month, and how many there are since then, of those that are saved now and whose day is known."
-- chart = {kind = "line", x = "month", y = "saved", series = "item_type"}
-- [parameters]
-- timezone = {type = "timezone"}
-- user = {type = "user"}
WITH months AS (
    SELECT
        CAST(date_trunc('month', CAST(at_timezone(with_timezone(added_at, 'UTC'), :timezone) AS timestamp)) AS date) AS month,
        item_type,
        count(*) AS added
    FROM saved_items
    WHERE item_type IN ('track', 'album') AND added_at IS NOT NULL AND (:user = '' OR user_id = :user)
    GROUP BY 1, 2
)
SELECT
    month,
    item_type,
    added,
    sum(added) OVER (PARTITION BY item_type ORDER BY month) AS saved
FROM months
ORDER BY 1, 2
