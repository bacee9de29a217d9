-- title = "Two listeners compared"
-- description = "How much two listeners have in common, in sentences: the part of their listening that is of the same artists (100 % where each artist has the same share with both), the artists they share, and what only one of them hears. Without listeners chosen the two who listened most."
-- question = "Who shares my taste, and what do I keep?"
-- chart = {kind = "table"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user", help = "One listener; empty for the one who listened most"}
-- other_user = {type = "user", help = "The other listener; empty for who listened most of the others"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 30, least = 1, most = 1000, help = "Artists of each kind"}
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
totals AS (
    SELECT user_id, sum(plays) AS plays
    FROM counted
    GROUP BY 1
),
first_one AS (
    SELECT user_id, plays
    FROM totals
    WHERE (:user = '' AND user_id <> :other_user) OR user_id = :user
    ORDER BY plays DESC, user_id
    LIMIT 1
),
second_one AS (
    SELECT totals.user_id, totals.plays
    FROM totals
    CROSS JOIN first_one
    WHERE totals.user_id <> first_one.user_id AND (:other_user = '' OR totals.user_id = :other_user)
    ORDER BY totals.plays DESC, totals.user_id
    LIMIT 1
),
pair AS (
    SELECT
        first_one.user_id,
        one.name,
        first_one.plays,
        second_one.user_id AS other_user_id,
        other.name AS other_name,
        second_one.plays AS other_plays
    FROM first_one
    CROSS JOIN second_one
    JOIN listeners AS one ON one.user_id = first_one.user_id
    JOIN listeners AS other ON other.user_id = second_one.user_id
),
artists AS (
    SELECT
        counted.artist_name,
        sum(CASE WHEN counted.user_id = pair.user_id THEN counted.plays ELSE 0 END) AS plays,
        sum(CASE WHEN counted.user_id = pair.other_user_id THEN counted.plays ELSE 0 END) AS other_plays
    FROM counted
    CROSS JOIN pair
    WHERE counted.user_id IN (pair.user_id, pair.other_user_id)
    GROUP BY 1
),
shares AS (
    SELECT
        artists.artist_name,
        artists.plays,
        artists.other_plays,
        100 * CAST(artists.plays AS double) / pair.plays AS percent,
        100 * CAST(artists.other_plays AS double) / pair.other_plays AS other_percent,
        pair.name,
        pair.other_name,
        pair.user_id,
        pair.other_user_id
    FROM artists
    CROSS JOIN pair
),
kinds AS (
    SELECT
        shares.*,
        CASE WHEN plays = 0 THEN 4 WHEN other_plays = 0 THEN 3 ELSE 2 END AS part
    FROM shares
),
numbered AS (
    SELECT
        kinds.*,
        row_number() OVER (
            PARTITION BY part
            ORDER BY least(percent, other_percent) DESC, greatest(percent, other_percent) DESC, artist_name
        ) AS nth
    FROM kinds
),
told AS (
    SELECT
        1 AS part,
        'match' AS kind,
        1 AS nth,
        CAST(NULL AS varchar) AS artist,
        max(pair.name) || ' and ' || max(pair.other_name) || ' have '
            || CAST(CAST(round(coalesce(sum(least(shares.percent, shares.other_percent)), 0)) AS bigint) AS varchar)
            || ' % of their listening in common.' AS sentence,
        max(pair.plays) AS plays,
        max(pair.other_plays) AS other_plays,
        CAST(NULL AS double) AS percent,
        CAST(NULL AS double) AS other_percent,
        round(coalesce(sum(least(shares.percent, shares.other_percent)), 0), 1) AS percent_shared,
        max(pair.user_id) AS user_id,
        max(pair.other_user_id) AS other_user_id
    FROM pair
    LEFT JOIN shares ON shares.user_id = pair.user_id
    HAVING count(*) > 0
    UNION ALL
    SELECT
        part,
        CASE part WHEN 2 THEN 'both' ELSE 'only one' END,
        nth,
        artist_name,
        CASE part
            WHEN 2 THEN 'Both hear ' || artist_name || ': ' || name || ' ' || CAST(plays AS varchar)
                || CASE plays WHEN 1 THEN ' play, ' ELSE ' plays, ' END || other_name || ' ' || CAST(other_plays AS varchar) || '.'
            WHEN 3 THEN 'Only ' || name || ' hears ' || artist_name || ': ' || CAST(plays AS varchar)
                || CASE plays WHEN 1 THEN ' play.' ELSE ' plays.' END
            ELSE 'Only ' || other_name || ' hears ' || artist_name || ': ' || CAST(other_plays AS varchar)
                || CASE other_plays WHEN 1 THEN ' play.' ELSE ' plays.' END
        END,
        plays,
        other_plays,
        round(percent, 1),
        round(other_percent, 1),
        round(least(percent, other_percent), 1),
        user_id,
        other_user_id
    FROM numbered
    WHERE nth <= :limit
)
SELECT
    sentence,
    kind,
    artist,
    plays,
    other_plays,
    percent,
    other_percent,
    percent_shared,
    user_id,
    other_user_id
FROM told
ORDER BY part, nth
