-- title = "Release years"
-- description = "When the music heard was released, by the album it stands on; plays whose album's details are not known yet are one row without a year."
-- chart = {kind = "bar", x = "release_year", y = "plays"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
SELECT
    release_year,
    count(*) AS plays,
    round(CAST(sum(coalesce(ms_played, duration_ms, 0)) AS double) / 60000, 1) AS minutes,
    count(DISTINCT item_id) AS tracks
FROM play_details
WHERE item_type = 'track'
    AND ended_at >= :from
    AND ended_at < :to
    AND (:user = '' OR user_id = :user)
GROUP BY 1
ORDER BY 1
