-- title = "Details of an artist, album or track"
-- description = "What Spotify says of an album or track of this artist and name: length, release, label, codes; of an artist its genres and who says so. Null, and so left out, is what it did not say."
-- chart = {kind = "table"}
-- [parameters]
-- kind = {type = "choice", default = "album", values = ["artist", "album", "track"], help = "What it is"}
-- artist = {type = "text", help = "Artist's name"}
-- name = {type = "text", help = "Name of the album or track; of an artist its own"}
WITH wanted AS (
    SELECT item_id
    FROM heard
    WHERE artist_name = :artist
        AND item_id IS NOT NULL
        AND CASE WHEN :kind = 'album' THEN album_name WHEN :kind = 'track' THEN item_name END = :name
    GROUP BY 1
    ORDER BY count(*) DESC, 1
    LIMIT 1
),
gone AS (
    SELECT count(*) AS decisions
    FROM exclusions
    WHERE is_active AND kind = 'artist' AND user_id IS NULL AND lower(artist_name) = lower(:artist)
),
described AS (
    SELECT tracks.*, albums.name AS album, albums.album_type, albums.release_date, albums.total_tracks, albums.label, albums.upc
    FROM wanted
    JOIN tracks ON tracks.track_id = wanted.item_id
    LEFT JOIN albums ON albums.album_id = tracks.album_id
),
lines AS (
    SELECT 1 AS place, 'Album' AS what, album AS value FROM described WHERE :kind = 'track'
    UNION ALL
    SELECT 2, 'Kind', album_type FROM described
    UNION ALL
    SELECT 3, 'Released', release_date FROM described
    UNION ALL
    SELECT 4, 'Length', CAST(duration_ms / 60000 AS varchar) || ' min ' || CAST((duration_ms % 60000) / 1000 AS varchar) || ' s'
    FROM described
    WHERE :kind = 'track'
    UNION ALL
    SELECT 5, 'Number', CAST(track_number AS varchar) FROM described WHERE :kind = 'track'
    UNION ALL
    SELECT 6, 'Tracks', CAST(total_tracks AS varchar) FROM described WHERE :kind = 'album'
    UNION ALL
    SELECT 7, 'Explicit', CASE WHEN explicit THEN 'yes' ELSE 'no' END FROM described WHERE :kind = 'track' AND explicit IS NOT NULL
    UNION ALL
    SELECT 8, 'ISRC', isrc FROM described WHERE :kind = 'track'
    UNION ALL
    SELECT 9, 'Label', label FROM described
    UNION ALL
    SELECT 10, 'UPC', upc FROM described WHERE :kind = 'album'
    UNION ALL
    SELECT
        11,
        CASE WHEN source = 'spotify' THEN 'Genres, as Spotify says' ELSE 'Genres, by MusicBrainz (CC BY-NC-SA 3.0)' END,
        array_join(genres, ', ')
    FROM artist_genres_in_force
    WHERE :kind = 'artist' AND name = lower(:artist) AND stands_for_name
)
SELECT lines.what, lines.value
FROM lines
CROSS JOIN gone
WHERE lines.value IS NOT NULL AND gone.decisions = 0
ORDER BY lines.place
