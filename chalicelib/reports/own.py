"""Reports of one listener alone: every table that a report reads is narrowed to what is that listener's.

The narrowing does not rest on what a report does with its parameter ``user``. Each table is read through a part of the
query in front of the report's own, so that no row of anybody else is there to be counted, joined or named; of artists,
albums and tracks only those stay that the listener has heard, saved or in playlists. A report that reads anything else
(runs, checks, what was rejected), or compares listeners, is not theirs to run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from chalicelib.errors import Forbidden
from chalicelib.reports.catalogue import Report
from chalicelib.tables import BY_NAME

#: What of each table is a listener's, in the order in which one part builds on another.
OWN = {
    "plays": "user_id = {user}",
    "heard": "user_id = {user}",
    "heard_names": "user_id = {user}",
    "play_details": "user_id = {user}",
    "saved_items": "user_id = {user}",
    "followed_artists": "user_id = {user}",
    "top_items": "user_id = {user}",
    "exported_playlists": "user_id = {user}",
    "exclusions": "user_id = {user} OR user_id IS NULL",  # reports compare names with them, and answer none
    "listener_ids": "user_id = {user}",
    "listeners": "user_id = {user}",
    "playlists": "owner_id = {user} OR owner_id IN (SELECT id FROM own_listener_ids)",
    "playlists_history": "playlist_id IN (SELECT playlist_id FROM own_playlists)",
    "playlist_items": "playlist_id IN (SELECT playlist_id FROM own_playlists)",
    "tracks": "track_id IN (SELECT item_id FROM own_plays UNION SELECT item_id FROM own_saved_items"
    " UNION SELECT item_id FROM own_top_items UNION SELECT item_id FROM own_playlist_items)",
    "track_artists": "track_id IN (SELECT track_id FROM own_tracks)",
    "albums": "album_id IN (SELECT album_id FROM own_tracks UNION SELECT item_id FROM own_saved_items)",
    "artists": "artist_id IN (SELECT artist_id FROM own_track_artists UNION SELECT artist_id FROM own_followed_artists"
    " UNION SELECT item_id FROM own_top_items)",
    "artist_genres": "artist_id IN (SELECT artist_id FROM own_artists)",
    "artist_genres_in_force": "artist_id IN (SELECT artist_id FROM own_artists)",
}
STAMP = "listener_ids"
NEVER = ("compare_listeners",)
READ = re.compile(r"(?<![:\w])(FROM|JOIN)(\s+)([a-z_]+)\b(?!\s*\()(\s+AS\b)?", re.IGNORECASE)
PART = re.compile(r"\b([a-z_]+) AS \(", re.IGNORECASE)
PARTS = re.compile(r"(\s*--[^\n]*\n)*\s*WITH\s+", re.IGNORECASE)


def may_be_own(report: Report) -> bool:
    """Whether a report can be narrowed to one listener: one of this release, which reads nothing but their tables."""
    if not report.built_in or report.fault or report.name in NEVER:
        return False
    parts = {match[1].lower() for match in PART.finditer(report.sql)}
    tables = tables_of(report.sql)
    return not parts & BY_NAME.keys() and tables - parts <= OWN.keys()


def tables_of(sql: str) -> set[str]:
    """What stands behind FROM and JOIN."""
    return {match[3].lower() for match in READ.finditer(sql)}


def require_own(report: Report) -> None:
    """Raises Forbidden for a report that a token of one listener may not run."""
    if not may_be_own(report):
        raise Forbidden(f"report {report.name} tells of more than one listener: this token is of one")


def own_sql(sql: str, user_id: str) -> str:
    """A report's SQL, narrowed to what is one listener's."""

    def narrowed(match: re.Match[str]) -> str:
        table = match[3].lower()
        if table not in OWN:
            return match[0]
        return f"{match[1]}{match[2]}own_{table}{match[4] or f' AS {table}'}"

    body = READ.sub(narrowed, sql)
    parts = own_parts(user_id, tables_of(sql) & OWN.keys())
    return PARTS.sub(lambda _: f"{parts}, ", body, count=1) if PARTS.match(body) else f"{parts}\n{body}"


def own_parts(user_id: str, tables: Iterable[str] = ()) -> str:
    """What stands before a query that is narrowed to a listener: a part for each of its tables, and for those on which
    these build. The first is before every such query, and before no other."""
    needed = {STAMP}
    waiting = list(tables)
    while waiting:
        table = waiting.pop()
        if table not in needed:
            needed.add(table)
            waiting += re.findall(r"own_([a-z_]+)", OWN[table])
    literal = "'" + user_id.replace("'", "''") + "'"
    ordered = [STAMP, *(table for table in OWN if table in needed and table != STAMP)]
    parts = [f"own_{table} AS (SELECT * FROM {table} WHERE {OWN[table].format(user=literal)})" for table in ordered]
    return "WITH " + ", ".join(parts)


def is_own(sql: str, user_id: str) -> bool:
    """Whether a query was narrowed to a listener."""
    return sql.startswith(own_parts(user_id))
