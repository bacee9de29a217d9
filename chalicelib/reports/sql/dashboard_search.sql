-- title = "Search"
-- description = "Artists, albums, tracks, shows and playlists whose name holds a text, of each kind the most played."
-- chart = {kind = "table"}
-- [parameters]
-- search = {type = "text", help = "What the name holds"}
-- user = {type = "user"}
-- min_seconds = {type = "integer"}
-- limit = {type = "integer", default = 5, least = 1, most = 100, help = "Rows of each kind"}

WITH named AS (
    SELECT 'artist' AS kind, artist_name AS name, artist_name AS artist, play_seconds
    FROM heard_names
    WHERE item_type = 'track' AND (:user = '' OR user_id = :user)
    UNION ALL
    SELECT 'album', album_name, artist_name, play_seconds
    FROM heard_names
    WHERE item_type = 'track' AND (:user = '' OR user_id = :user)
    UNION ALL
    SELECT 'track', item_name, artist_name, play_seconds
    FROM heard_names
    WHERE item_type = 'track' AND (:user = '' OR user_id = :user)
    UNION ALL
    SELECT 'show', artist_name, artist_name, play_seconds
    FROM heard_names
    WHERE item_type = 'episode' AND (:user = '' OR user_id = :user)
),
found AS (
    SELECT
        kind,
        name,
        artist,
        sum(cardinality(filter(play_seconds, seconds -> seconds >= :min_seconds))) AS plays,
        CAST(NULL AS varchar) AS id
    FROM named
    WHERE strpos(lower(name), lower(:search)) > 0
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT 'playlist', playlists.name, CAST(NULL AS varchar), CAST(NULL AS bigint), playlists.playlist_id
    FROM playlists
    LEFT JOIN listener_ids AS owners ON owners.id = playlists.owner_id
    WHERE strpos(lower(playlists.name), lower(:search)) > 0
        AND (:user = '' OR coalesce(owners.user_id, playlists.owner_id) = :user)
),
placed AS ( -- names that begin with it first, then what is played most
    SELECT
        *,
        row_number() OVER (
            PARTITION BY kind ORDER BY strpos(lower(name), lower(:search)) > 1, plays DESC, name, artist, id
        ) AS place
    FROM found
)
SELECT kind, name, artist, plays, id
FROM placed
WHERE place <= :limit
ORDER BY CASE kind WHEN 'artist' THEN 1 WHEN 'album' THEN 2 WHEN 'track' THEN 3 WHEN 'playlist' THEN 4 ELSE 5 END, place
