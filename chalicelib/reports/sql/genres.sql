-- title = "Genres"
-- description = "Genres of the artists heard, by plays: Spotify's where it gives any, else those of MusicBrainz' users (CC BY-NC-SA 3.0); source says whose. percent_known and percent_of_time_known say of what share of all plays, and of the time heard, a genre is known."
-- question = "What did I hear most?"
-- chart = {kind = "bar", x = "genre", y = "plays"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 30, least = 1, most = 1000, help = "Rows"}
WITH artists_heard AS (
    SELECT lower(artist_name) AS name, count_if(play_seconds >= :min_seconds) AS plays, sum(ms) AS ms
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
known AS (
    SELECT artists_heard.plays, artists_heard.ms, described.genres, described.source
    FROM artists_heard
    JOIN artist_genres_in_force AS described ON described.name = artists_heard.name AND described.stands_for_name
),
shares AS (
    SELECT
        CASE
            WHEN sum(plays) > 0
                THEN round(100 * CAST(coalesce((SELECT sum(plays) FROM known), 0) AS double) / sum(plays), 1)
        END AS percent_known,
        CASE
            WHEN sum(ms) > 0 THEN round(100 * CAST(coalesce((SELECT sum(ms) FROM known), 0) AS double) / sum(ms), 1)
        END AS percent_of_time_known
    FROM artists_heard
)
SELECT
    listed.genre,
    sum(known.plays) AS plays,
    round(CAST(sum(known.ms) AS double) / 60000, 1) AS minutes,
    count_if(known.plays > 0) AS artists,
    max(shares.percent_known) AS percent_known,
    max(shares.percent_of_time_known) AS percent_of_time_known,
    CASE WHEN min(known.source) = max(known.source) THEN min(known.source) ELSE 'both' END AS source
FROM known
CROSS JOIN UNNEST(known.genres) AS listed (genre)
CROSS JOIN shares
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT :limit
