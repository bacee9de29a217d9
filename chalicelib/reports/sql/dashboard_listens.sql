-- title = "Listens"
-- description = "Every listen of a period, newest or oldest first, narrowed down by what, when and how; the next page comes after the last row of this one."
-- chart = {kind = "table"}
-- [parameters]
-- period = {type = "period", default = "1y"}
-- timezone = {type = "timezone"}
-- user = {type = "user"}
-- kind = {type = "choice", default = "all", values = ["all", "track", "episode", "audiobook"], help = "What was heard"}
-- artist = {type = "text", help = "Only this artist or show"}
-- album = {type = "text", help = "Only this album or book"}
-- name = {type = "text", help = "Only this track or episode"}
-- search = {type = "text", help = "Only what holds this in one of its names"}
-- weekday = {type = "integer", default = 0, least = 0, most = 7, help = "1 is Monday; 0 for every day"}
-- hour = {type = "integer", default = -1, least = -1, most = 23, help = "Hour of the day; -1 for every hour"}
-- skipped = {type = "choice", default = "either", values = ["either", "yes", "no"], help = "Whether it was skipped"}
-- order = {type = "choice", default = "newest", values = ["newest", "oldest"], help = "What comes first"}
-- after = {type = "text", help = "heard_at of the last row before (YYYY-MM-DD HH:MM:SS.mmm, UTC); empty to begin"}
-- after_id = {type = "text", help = "play_id of the last row before"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 100, least = 1, most = 1000, help = "Rows"}

-- local times: heard_local
WITH chosen AS (
    SELECT
        play_id,
        user_id,
        heard_at,
        CAST(at_timezone(with_timezone(heard_at, 'UTC'), :timezone) AS timestamp) AS heard_local,
        item_type,
        item_name,
        artist_name,
        album_name,
        ms,
        was_skipped,
        platform,
        origin
    FROM heard
    WHERE heard_at >= :from
        AND heard_at < :to
        AND ended_at >= :from
        AND ended_at < date_add('day', 30, :to)
        AND year BETWEEN year(:from) AND year(date_add('day', 30, :to))
        AND (:user = '' OR user_id = :user)
        AND play_seconds >= :min_seconds
        AND (:kind = 'all' OR item_type = :kind)
        AND (:artist = '' OR artist_name = :artist)
        AND (:album = '' OR album_name = :album)
        AND (:name = '' OR item_name = :name)
        AND (:skipped = 'either' OR coalesce(was_skipped, false) = (:skipped = 'yes'))
        AND (
            :search = ''
            OR strpos(lower(concat_ws(' ', item_name, artist_name, album_name)), lower(:search)) > 0
        )
),
begun AS (
    SELECT TRY_CAST(nullif(:after, '') AS timestamp) AS moment
)
SELECT
    heard_local,
    item_name AS track,
    artist_name AS artist,
    album_name AS album,
    round(CAST(nullif(ms, 0) AS double) / 60000, 1) AS minutes,
    item_type,
    was_skipped AS skipped,
    platform,
    origin,
    user_id,
    heard_at,
    play_id
FROM chosen
CROSS JOIN begun
WHERE (:weekday = 0 OR day_of_week(heard_local) = :weekday)
    AND (:hour = -1 OR hour(heard_local) = :hour)
    AND (
        begun.moment IS NULL
        OR CASE WHEN :order = 'newest' THEN heard_at < begun.moment ELSE heard_at > begun.moment END
        OR (heard_at = begun.moment AND play_id > :after_id)
    )
ORDER BY
    CASE WHEN :order = 'oldest' THEN heard_at END,
    CASE WHEN :order = 'newest' THEN heard_at END DESC,
    play_id
LIMIT :limit
