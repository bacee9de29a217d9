-- title = "One genre"
-- description = "Plays and time of the artists of one genre in the period, their share of all music, how many they are, and the genre's place among all."
-- chart = {kind = "table"}
-- [parameters]
-- genre = {type = "text", help = "Genre, as the report of genres writes it"}
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
WITH artists_heard AS (
    SELECT
        lower(artist_name) AS name,
        count_if(play_seconds >= :min_seconds) AS plays,
        sum(ms) AS ms,
        min(CASE WHEN play_seconds >= :min_seconds THEN heard_at END) AS first_listen,
        max(CASE WHEN play_seconds >= :min_seconds THEN heard_at END) AS last_listen
    FROM heard
    WHERE item_type = 'track'
        AND heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
    GROUP BY 1
),
totals AS (
    SELECT sum(plays) AS plays, sum(ms) AS ms
    FROM artists_heard
),
of_genres AS (
    SELECT
        listed.genre,
        sum(artists_heard.plays) AS plays,
        sum(artists_heard.ms) AS ms,
        count_if(artists_heard.plays > 0) AS artists,
        min(artists_heard.first_listen) AS first_listen,
        max(artists_heard.last_listen) AS last_listen
    FROM artists_heard
    JOIN artist_genres_in_force AS described ON described.name = artists_heard.name AND described.stands_for_name
    CROSS JOIN UNNEST(described.genres) AS listed (genre)
    GROUP BY 1
),
ranked AS (
    SELECT *, rank() OVER (ORDER BY plays DESC) AS place
    FROM of_genres
)
SELECT
    ranked.plays,
    round(CAST(ranked.ms AS double) / 3600000, 1) AS hours,
    CASE WHEN totals.plays > 0 THEN round(100 * CAST(ranked.plays AS double) / totals.plays, 1) END AS percent_of_plays,
    CASE WHEN totals.ms > 0 THEN round(100 * CAST(ranked.ms AS double) / totals.ms, 1) END AS percent_of_time,
    ranked.artists,
    ranked.place,
    ranked.first_listen,
    ranked.last_listen
FROM ranked
CROSS JOIN totals
WHERE ranked.genre = :genre
