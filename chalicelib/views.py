"""The user-facing tables as views over the physical ones, in Athena's dialect, from each table's ``current`` rule."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib import exported_views
from chalicelib.tables import BY_NAME, HEARD, LISTENER_IDS, PHYSICAL, PLAY_SECONDS, TABLES, Column, Table
from chalicelib.view_rules import RULES, is_listeners_own, pruned, resolutions

MONTH = Column("month", "string", "The Hive partition: YYYY-MM of observed_at, or earlier for what lies together")


def views() -> Iterator[tuple[str, str]]:
    """Name and SQL of every view: one per user-facing table."""
    for table in TABLES:
        if table.current != "internal":
            yield table.name, view_sql(table)


def user_tables() -> dict[str, tuple[Column, ...]]:
    """Everything that a query may name, with its columns. Histories are the stored tables themselves, so that they
    have their partition's column too: ``SELECT *`` shows it in Athena."""
    names = {table.name: table.shown_columns for table in TABLES if table.current != "internal"}
    return names | {table.history: (*table.physical_columns, MONTH) for table in TABLES if table.shows_history}


def physical_tables() -> dict[str, tuple[Column, ...]]:
    """Everything that a view may name: the stored tables with their partition column."""
    return {name: (*table.physical_columns, MONTH) for name, table in PHYSICAL.items()}


def reads(name: str) -> tuple[str, ...]:
    """The physical tables that a user-facing name stands on."""
    table = BY_NAME.get(name)
    if table is None or table.current == "internal":
        return (name,)
    if table.current == "derived":
        return tuple(dict.fromkeys(physical for base in table.of for physical in reads(base)))
    if table.current == "resolved":
        return (resolutions(table),)
    if name in exported_views.VIEWS:
        return exported_views.reads(table)
    ids = (LISTENER_IDS.history,) if is_listeners_own(table) else ()
    return (table.history, "listings", *ids) if table.current == "listed" else (table.history, *ids)


def view_sql(table: Table, *, files_pruned: bool = False, all_kept: bool = False) -> str:
    """The query behind a user-facing name: one row per key, whatever was delivered twice, late or out of order.

    Of the embedded engine, which knows the files: with ``files_pruned`` those of lower resolutions are left out of the
    listing already, with ``all_kept`` there are none of ``exclusions``, so that nothing needs to be held against them.
    """
    if table.current == "derived":
        return derived(table, files_pruned, all_kept)
    if table.current == "resolved" and files_pruned:
        return pruned(table)
    rows = RULES[table.current](table)
    return exported_views.VIEWS[table.name](table, rows) if table.name in exported_views.VIEWS else rows


def derived(table: Table, files_pruned: bool, all_kept: bool) -> str:
    """A query over other user-facing tables, each of which becomes a part of it: views stand on stored tables only."""
    bases = ", ".join(f"{name} AS ({sql})" for name, sql in parts(table, files_pruned, all_kept).items())
    return f"WITH {bases}, {rule(table.name, all_kept)}"


def rule(name: str, all_kept: bool) -> str:
    """What a derived table is, said of the parts that it is made of."""
    return ALL_HEARD if name == HEARD.name and all_kept else DERIVED[name]


def parts(table: Table, files_pruned: bool, all_kept: bool) -> dict[str, str]:
    """What a derived table is made of, each once and after what it is made of itself."""
    found: dict[str, str] = {}
    for name in table.of:
        base = BY_NAME[name]
        if base.current == "derived":
            found |= parts(base, files_pruned, all_kept)
            found[name] = f"WITH {rule(name, all_kept)}"
        else:
            found[name] = view_sql(base, files_pruned=files_pruned)
    return found


#: When an offline device played it, if that can be: devices report within a month.
HEARD_AT = """CASE
            WHEN coalesce(offline, true) AND offline_at >= date_add('day', -30, ended_at)
                THEN least(ended_at, date_add('millisecond', ms, offline_at))
            ELSE ended_at
        END"""

#: Exports made since 2023 say false for every listen from April 2015 to October 2022; there, and where nothing is
#: said, the reason tells: it is one of these wherever Spotify says true.
WAS_SKIPPED = """CASE
            WHEN skipped IS NULL OR (NOT skipped AND ended_at < TIMESTAMP '2022-11-01 00:00:00')
                THEN reason_end IN ('fwdbtn', 'backbtn', 'endplay')
            ELSE skipped
        END"""

PLACED = f"""measured AS (
        SELECT plays.*, coalesce(plays.ms_played, tracks.duration_ms, 0) AS ms
        FROM plays
        LEFT JOIN tracks ON tracks.track_id = CASE WHEN plays.ms_played IS NULL THEN plays.item_id END
    ),
    placed AS (SELECT *, {HEARD_AT} AS heard_at FROM measured)"""

#: Whether ``placed`` is what ``gone`` leaves out.
IS_LEFT_OUT = """gone.is_active
            AND (gone.user_id IS NULL OR gone.user_id = placed.user_id)
            AND CASE gone.kind
                WHEN 'artist' THEN placed.item_type = 'track' AND lower(placed.artist_name) = lower(gone.artist_name)
                WHEN 'track' THEN lower(placed.artist_name) = lower(gone.artist_name)
                    AND lower(placed.item_name) = lower(gone.item_name)
                WHEN 'show' THEN placed.item_type <> 'track' AND lower(placed.artist_name) = lower(gone.artist_name)
                WHEN 'playlist' THEN placed.context_uri = gone.context_uri
                ELSE placed.heard_at >= gone.from_at AND placed.heard_at < gone.to_at
            END"""

KEPT = f"""kept AS (
        SELECT placed.*
        FROM placed
        LEFT JOIN exclusions AS gone ON {IS_LEFT_OUT}
        WHERE gone.exclusion_id IS NULL
    )"""

HEARD_OF_KEPT = f"""SELECT play_id, user_id, heard_at,
        coalesce(started_at, date_add('millisecond', -ms, heard_at)) AS started_at,
        ended_at, ms, ms_played,
        CASE WHEN ms_played IS NULL THEN greatest(ms / 1000, {PLAY_SECONDS}) ELSE ms_played / 1000 END AS play_seconds,
        item_type, item_id, item_name, artist_name, album_name, origin, platform, country, reason_start, reason_end,
        {WAS_SKIPPED} AS was_skipped, year
    FROM kept"""

SPOTIFY_GENRES = """SELECT artist_id, genre, CAST(NULL AS integer) AS votes, 'spotify' AS source
    FROM artists
    CROSS JOIN UNNEST(genres) AS listed (genre)"""


def own_first(column: str) -> str:
    """What is said of the listener's own id or, failing that, of the least of the others of which something is."""
    return (
        f"coalesce(max({column}) FILTER (WHERE id = user_id), min_by({column}, id) FILTER (WHERE {column} IS NOT NULL))"
    )


#: Names stand for the least id that plays or tracks have under them, so that everybody finds the same one.
DERIVED = {
    "artist_genres": f"""of_spotify AS ({SPOTIFY_GENRES})
    SELECT artist_id, genre, votes, source FROM of_spotify
    UNION ALL
    SELECT artist_id, genre, votes, 'musicbrainz' FROM musicbrainz_genres""",
    "artist_genres_in_force": """placed AS (
        SELECT artist_id, genre,
            row_number() OVER (PARTITION BY artist_id ORDER BY votes DESC, genre) AS place,
            votes * 5 >= max(votes) OVER (PARTITION BY artist_id) AS is_sure
        FROM musicbrainz_genres
    ),
    voted AS (
        SELECT artist_id, array_agg(genre ORDER BY place) AS genres FROM placed WHERE place <= 5 AND is_sure
        GROUP BY artist_id
    ),
    chosen AS (
        SELECT artist_id, lower(name) AS name, genres, 'spotify' AS source
        FROM artists
        WHERE cardinality(genres) > 0
        UNION ALL
        SELECT voted.artist_id, lower(artists.name), voted.genres, 'musicbrainz'
        FROM voted
        LEFT JOIN artists ON artists.artist_id = voted.artist_id
        WHERE artists.artist_id IS NULL OR coalesce(cardinality(artists.genres), 0) = 0
    )
    SELECT artist_id, name, genres, source,
        row_number() OVER (PARTITION BY name ORDER BY source DESC, cardinality(genres) DESC, artist_id) = 1
            AS stands_for_name
    FROM chosen""",
    "play_details": """named AS (
        SELECT lower(artist_name) AS artist, lower(item_name) AS title, item_id AS track_id
        FROM plays
        WHERE item_type = 'track' AND item_id IS NOT NULL AND artist_name IS NOT NULL AND item_name IS NOT NULL
        UNION ALL
        SELECT lower(artists.name), lower(tracks.name), tracks.track_id
        FROM tracks
        JOIN track_artists ON track_artists.track_id = tracks.track_id AND track_artists.position = 0
        JOIN artists ON artists.artist_id = track_artists.artist_id
    ),
    by_name AS (SELECT artist, title, min(track_id) AS track_id FROM named GROUP BY artist, title)
    SELECT heard.play_id AS play_id, heard.user_id AS user_id, heard.heard_at AS heard_at, heard.ended_at AS ended_at,
        heard.ms AS ms, heard.ms_played AS ms_played, heard.play_seconds AS play_seconds, heard.item_type AS item_type,
        coalesce(heard.item_id, by_name.track_id) AS item_id,
        heard.item_id IS NULL AND by_name.track_id IS NOT NULL AS found_by_name,
        heard.item_name AS item_name, heard.artist_name AS artist_name, heard.album_name AS album_name,
        heard.origin AS origin, tracks.isrc AS isrc, tracks.duration_ms AS duration_ms,
        track_artists.artist_id AS artist_id, in_force.genres AS genres, in_force.source AS genre_source,
        tracks.album_id AS album_id,
        albums.release_year AS release_year, heard.year AS year
    FROM heard
    LEFT JOIN by_name ON heard.item_id IS NULL AND heard.item_type = 'track'
        AND by_name.artist = lower(heard.artist_name) AND by_name.title = lower(heard.item_name)
    LEFT JOIN tracks ON tracks.track_id = coalesce(heard.item_id, by_name.track_id)
    LEFT JOIN track_artists ON track_artists.track_id = tracks.track_id AND track_artists.position = 0
    LEFT JOIN artist_genres_in_force AS in_force ON in_force.artist_id = track_artists.artist_id
    LEFT JOIN albums ON albums.album_id = tracks.album_id""",
    "listeners": f"""known AS (
        SELECT user_id,
            coalesce({own_first("given_name")}, {own_first("display_name")}, user_id) AS name,
            array_agg(DISTINCT spotify_user_id) FILTER (WHERE spotify_user_id IS NOT NULL) AS spotify_user_ids,
            {own_first("account_id")} AS account_id,
            {own_first("image_url")} AS image_url,
            min(known_since) AS known_since,
            max(authorized_at) AS authorized_at,
            max(authorization_ends_at) AS authorization_ends_at
        FROM listener_ids
        GROUP BY user_id
    ),
    counted AS (
        SELECT user_id, count(*) AS listens, min(ended_at) AS first_listen, max(ended_at) AS last_listen
        FROM plays
        GROUP BY user_id
    )
    SELECT coalesce(known.user_id, counted.user_id) AS user_id, coalesce(known.name, counted.user_id) AS name,
        known.spotify_user_ids AS spotify_user_ids, known.account_id AS account_id, known.image_url AS image_url,
        known.known_since AS known_since, known.authorized_at AS authorized_at,
        known.authorization_ends_at AS authorization_ends_at, coalesce(counted.listens, 0) AS listens,
        counted.first_listen AS first_listen, counted.last_listen AS last_listen
    FROM known
    FULL OUTER JOIN counted ON counted.user_id = known.user_id""",
    "left_out": f"""{PLACED}
    SELECT placed.play_id, placed.user_id, placed.heard_at, placed.ms, placed.item_name, placed.artist_name,
        gone.exclusion_id
    FROM placed
    JOIN exclusions AS gone ON {IS_LEFT_OUT}""",
    "heard": f"{PLACED}, {KEPT} {HEARD_OF_KEPT}",
    "heard_names": """named AS (
        SELECT user_id, item_type, artist_name, album_name, item_name,
            array_agg(play_seconds ORDER BY play_seconds) AS play_seconds
        FROM heard
        GROUP BY user_id, item_type, artist_name, album_name, item_name
    )
    SELECT user_id, item_type, artist_name, album_name, item_name, play_seconds FROM named""",
}
ALL_HEARD = f"{PLACED}, kept AS (SELECT * FROM placed) {HEARD_OF_KEPT}"
