-- title = "Saved but never played"
-- description = "Tracks in the library that were not heard, under any id, recording or name; longest saved first. Without what is left out."
-- question = "What is new, and what is forgotten?"
-- chart = {kind = "table"}
-- [parameters]
-- user = {type = "user"}
-- limit = {type = "integer", default = 50, least = 1, most = 1000, help = "Rows"}
WITH saved AS (
    SELECT
        saved_items.user_id,
        saved_items.item_id,
        saved_items.added_at,
        coalesce(tracks.name, saved_items.name) AS name,
        upper(tracks.isrc) AS isrc,
        coalesce(artists.name, saved_items.artist_name) AS artist_name
    FROM saved_items
    LEFT JOIN tracks ON tracks.track_id = saved_items.item_id
    LEFT JOIN track_artists ON track_artists.track_id = saved_items.item_id AND track_artists.position = 0
    LEFT JOIN artists ON artists.artist_id = track_artists.artist_id
    WHERE saved_items.item_type = 'track' AND (:user = '' OR saved_items.user_id = :user)
),
played AS (
    SELECT DISTINCT user_id, item_id, lower(artist_name) AS artist_name, lower(item_name) AS item_name
    FROM heard
    WHERE item_type = 'track' AND (:user = '' OR user_id = :user)
),
heard_ids AS (
    SELECT DISTINCT user_id, item_id FROM played WHERE item_id IS NOT NULL
),
heard_recordings AS (
    SELECT DISTINCT heard_ids.user_id, upper(tracks.isrc) AS isrc
    FROM heard_ids
    JOIN tracks ON tracks.track_id = heard_ids.item_id
    WHERE tracks.isrc IS NOT NULL
),
names_played AS (
    SELECT DISTINCT user_id, artist_name, item_name FROM played
)
SELECT
    saved.name AS track,
    saved.artist_name AS artist,
    saved.added_at,
    saved.item_id AS track_id,
    saved.user_id,
    coalesce(listeners.name, saved.user_id) AS listener
FROM saved
LEFT JOIN listeners ON listeners.user_id = saved.user_id
LEFT JOIN heard_ids ON heard_ids.user_id = saved.user_id AND heard_ids.item_id = saved.item_id
LEFT JOIN heard_recordings ON heard_recordings.user_id = saved.user_id AND heard_recordings.isrc = saved.isrc
LEFT JOIN names_played
    ON names_played.user_id = saved.user_id
    AND names_played.artist_name = lower(saved.artist_name)
    AND names_played.item_name = lower(saved.name)
LEFT JOIN exclusions AS gone
    ON gone.is_active
    AND lower(gone.artist_name) = lower(saved.artist_name)
    AND (gone.kind = 'artist' OR (gone.kind = 'track' AND lower(gone.item_name) = lower(saved.name)))
    AND (gone.user_id IS NULL OR gone.user_id = saved.user_id)
WHERE gone.exclusion_id IS NULL AND heard_ids.item_id IS NULL AND heard_recordings.isrc IS NULL AND names_played.item_name IS NULL
ORDER BY saved.added_at, track
LIMIT :limit
