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
    SELECT
        counted.*,
        sum(plays) OVER (PARTITION BY user_id) AS all_plays,
        CASE WHEN (:user = '' AND user_id <> :other_user) OR user_id = :user THEN user_id END AS may_be_one
    FROM counted
),
with_one AS (
    SELECT
        totals.*,
        first_value(may_be_one) OVER (
            ORDER BY CASE WHEN may_be_one IS NULL THEN 1 ELSE 0 END, all_plays DESC, user_id
        ) AS one_id
    FROM totals
),
with_others AS (
    SELECT
        with_one.*,
        CASE WHEN user_id <> one_id AND (:other_user = '' OR user_id = :other_user) THEN user_id END AS may_be_other
    FROM with_one
),
with_pair AS (
    SELECT
        with_others.*,
        first_value(may_be_other) OVER (
            ORDER BY CASE WHEN may_be_other IS NULL THEN 1 ELSE 0 END, all_plays DESC, user_id
        ) AS other_id
    FROM with_others
),
pair AS (
    SELECT
        with_pair.*,
        max(CASE WHEN user_id = one_id THEN all_plays END) OVER () AS one_plays,
        max(CASE WHEN user_id = other_id THEN all_plays END) OVER () AS other_plays
    FROM with_pair
    WHERE user_id IN (one_id, other_id) AND one_id IS NOT NULL AND other_id IS NOT NULL
),
artists AS (
    SELECT
        artist_name,
        one_id,
        other_id,
        one_plays AS all_plays,
        other_plays AS all_other_plays,
        sum(CASE WHEN user_id = one_id THEN plays ELSE 0 END) AS plays,
        sum(CASE WHEN user_id = other_id THEN plays ELSE 0 END) AS other_plays
    FROM pair
    GROUP BY artist_name, one_id, other_id, one_plays, other_plays
),
shares AS (
    SELECT
        artists.*,
        100 * CAST(plays AS double) / all_plays AS percent,
        100 * CAST(other_plays AS double) / all_other_plays AS other_percent,
        CASE WHEN plays = 0 THEN 4 WHEN other_plays = 0 THEN 3 ELSE 2 END AS part
    FROM artists
),
numbered AS (
    SELECT
        shares.*,
        row_number() OVER (
            PARTITION BY part
            ORDER BY least(percent, other_percent) DESC, greatest(percent, other_percent) DESC, artist_name
        ) AS nth,
        row_number() OVER (ORDER BY artist_name) AS any_nth,
        sum(least(percent, other_percent)) OVER () AS in_common
    FROM shares
),
-- The sentence about both goes out beside one of the artists, so that everything is read once.
sentences AS (
    SELECT
        numbered.*,
        told.row_part,
        element_at(names.names, one_id) AS name,
        element_at(names.names, other_id) AS other_name
    FROM numbered
    CROSS JOIN (SELECT map_agg(user_id, name) AS names FROM listeners) AS names
    CROSS JOIN UNNEST(CASE any_nth WHEN 1 THEN ARRAY[1, part] ELSE ARRAY[part] END) AS told(row_part)
    WHERE told.row_part = 1 OR nth <= :limit
)
SELECT
    CASE row_part
        WHEN 1 THEN name || ' and ' || other_name || ' have ' || CAST(CAST(round(in_common) AS bigint) AS varchar)
            || ' % of their listening in common.'
        WHEN 2 THEN 'Both hear ' || artist_name || ': ' || name || ' ' || CAST(plays AS varchar)
            || CASE plays WHEN 1 THEN ' play, ' ELSE ' plays, ' END || other_name || ' ' || CAST(other_plays AS varchar) || '.'
        WHEN 3 THEN 'Only ' || name || ' hears ' || artist_name || ': ' || CAST(plays AS varchar)
            || CASE plays WHEN 1 THEN ' play.' ELSE ' plays.' END
        ELSE 'Only ' || other_name || ' hears ' || artist_name || ': ' || CAST(other_plays AS varchar)
            || CASE other_plays WHEN 1 THEN ' play.' ELSE ' plays.' END
    END AS sentence,
    CASE row_part WHEN 1 THEN 'match' WHEN 2 THEN 'both' ELSE 'only one' END AS kind,
    CASE WHEN row_part > 1 THEN artist_name END AS artist,
    CASE row_part WHEN 1 THEN all_plays ELSE plays END AS plays,
    CASE row_part WHEN 1 THEN all_other_plays ELSE other_plays END AS other_plays,
    CASE WHEN row_part > 1 THEN round(percent, 1) END AS percent,
    CASE WHEN row_part > 1 THEN round(other_percent, 1) END AS other_percent,
    round(CASE row_part WHEN 1 THEN in_common ELSE least(percent, other_percent) END, 1) AS percent_shared,
    one_id AS user_id,
    other_id AS other_user_id
FROM sentences
ORDER BY row_part, CASE row_part WHEN 1 THEN 1 ELSE nth END
