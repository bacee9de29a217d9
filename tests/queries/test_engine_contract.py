"""What every engine does, whatever lies below it. Each test runs on each of tests/support/engines.py."""

# ruff: noqa: DTZ001  (timestamps without time zone are the tables' own)

from __future__ import annotations

import csv
import io
import urllib.request
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chalicelib.errors import InvalidRequest, LakeError, NotFound, PageTokenInvalid, QueryFailed, QueryRefused
from chalicelib.queries.engine import Download, QueryState
from chalicelib.tables import TABLES
from chalicelib.views import user_tables
from tests.support.engines import ENGINES, Opened, fill, on


@pytest.fixture(params=sorted(ENGINES))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    with ENGINES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def filled(opened: Opened) -> Opened:
    fill(opened)
    return opened


def test_a_declared_table_without_files_answers_no_rows(opened: Opened) -> None:
    for name in user_tables():
        assert opened.ask(f"SELECT count(*) FROM {name}") == [(0,)]


def test_a_query_goes_from_queued_to_succeeded_and_tells_what_it_took(filled: Opened) -> None:
    query = filled.engine.start_query("SELECT name FROM tracks ORDER BY name")
    assert query.state in QueryState
    done = filled.engine.wait(query.query_id, 30)
    assert (done.state, done.rows, done.error, done.truncated) == (QueryState.SUCCEEDED, 2, None, False)
    assert [(column.name, column.type) for column in done.columns] == [("name", "varchar")]
    assert done.sql == "SELECT name FROM tracks ORDER BY name"
    assert done.submitted_at.tzinfo is not None
    assert done.ended_at is not None and done.ended_at >= done.submitted_at
    assert done.bytes_scanned is not None and done.bytes_scanned > 0
    assert done.cost_usd is not None
    assert filled.engine.query(query.query_id) == done


def test_values_keep_their_types(opened: Opened) -> None:
    sql = """
        SELECT 1 AS i, BIGINT '9007199254740993' AS b, 1.50 AS d, 2.5e0 AS f, 'é' AS s, true AS t, NULL AS n,
               DATE '2026-11-20' AS day, TIMESTAMP '2026-11-20 10:15:30.123' AS at, ARRAY['a', NULL] AS list,
               map(ARRAY['k'], ARRAY[1]) AS pairs, TIMESTAMP '2026-11-20 10:15:30.000 UTC' AS zoned
    """
    query = opened.done(sql.replace("BIGINT '9007199254740993'", "9007199254740993"))
    row: dict[str, Any] = dict(
        zip([c.name for c in query.columns], opened.engine.rows(query.query_id).rows[0], strict=True)
    )
    zoned = row.pop("zoned")
    assert zoned.astimezone().timestamp() == datetime.fromisoformat("2026-11-20T10:15:30+00:00").timestamp()
    assert row == {
        "i": 1,
        "b": 9007199254740993,
        "d": Decimal("1.50"),
        "f": 2.5,
        "s": "é",
        "t": True,
        "n": None,
        "day": date(2026, 11, 20),
        "at": datetime(2026, 11, 20, 10, 15, 30, 123000),
        "list": ["a", None],
        "pairs": {"k": 1},
    }
    types = {column.name: column.type for column in query.columns}
    assert types["b"] == "bigint" and types["d"] == "decimal(3,2)" and types["at"] == "timestamp(3)"
    assert types["list"] == "array(varchar)" and types["zoned"] == "timestamp(3) with time zone"


def test_columns_without_a_name_get_one_and_equal_names_stay(opened: Opened) -> None:
    query = opened.done("SELECT 1, 2 AS a, 3 AS a")
    assert [column.name for column in query.columns] == ["_col0", "a", "a"]
    assert opened.engine.rows(query.query_id).rows == [(1, 2, 3)]


@pytest.mark.parametrize(
    "value", ["O'Neill", "'; DROP TABLE plays --", "?", "", "日本", 5, -1.5, True, None, date(2026, 1, 2)]
)
def test_parameters_are_values_not_text(opened: Opened, value: Any) -> None:
    ((found,),) = opened.ask("SELECT ?", value)
    assert found == value


def test_parameters_stand_in_the_order_of_the_text(filled: Opened) -> None:
    sql = "SELECT ? AS a, name FROM (SELECT name FROM tracks WHERE track_id = ?) AS t WHERE name <> ? LIMIT ?"
    assert filled.ask(sql, "first", "t2", "nothing", 5) == [("first", "Two")]


def test_a_wrong_number_of_parameters_is_refused(opened: Opened) -> None:
    with pytest.raises(QueryRefused, match="1 '\\?' and 2 parameters"):
        opened.engine.start_query("SELECT ?", [1, 2])


def test_pages_hold_every_row_once_and_in_order(opened: Opened) -> None:
    query = opened.done("SELECT x FROM UNNEST(sequence(1, 2500)) AS t(x) ORDER BY x")
    found: list[int] = []
    token = None
    while True:
        page = opened.engine.rows(query.query_id, 700, token)
        assert len(page.rows) <= 700
        found += [row[0] for row in page.rows]
        token = page.next_page_token
        if token is None:
            break
    assert found == list(range(1, 2501))
    assert [row for page in opened.engine.all_rows(query.query_id) for row in page.rows] == [(x,) for x in found]


def test_an_empty_result_is_one_empty_page(opened: Opened) -> None:
    query = opened.done("SELECT 1 AS a WHERE false")
    page = opened.engine.rows(query.query_id)
    assert (page.rows, page.next_page_token, [column.name for column in page.columns]) == ([], None, ["a"])
    assert [page.rows for page in opened.engine.all_rows(query.query_id)] == [[]]


@pytest.mark.parametrize("token", ["x", "", "AAAA", "bm9uc2Vuc2U", "NQ==", "../../etc", "é"])
def test_a_made_up_page_token_is_refused(opened: Opened, token: str) -> None:
    query = opened.done("SELECT 1")
    with pytest.raises(PageTokenInvalid):
        opened.engine.rows(query.query_id, 10, token or "x")


def test_more_rows_than_asked_for_are_cut_and_said_to_be(opened: Opened) -> None:
    query = opened.done("SELECT x FROM UNNEST(sequence(1, 100)) AS t(x) ORDER BY x", max_rows=10)
    assert (query.rows, query.truncated) == (10, True)
    page = opened.engine.rows(query.query_id, 100)
    assert (len(page.rows), page.truncated, page.next_page_token) == (10, True, None)
    assert not opened.done("SELECT x FROM UNNEST(sequence(1, 10)) AS t(x)", max_rows=10).truncated


@pytest.mark.parametrize(
    "ending",
    [
        "LIMIT ALL",
        "LIMIT 2000000000",
        "LIMIT 0x100",
        "OFFSET 0 LIMIT 5_000",
        "FETCH FIRST 50 ROWS ONLY",
        "FETCH NEXT 50 ROWS WITH TIES",
    ],
)
def test_no_limit_of_a_statements_own_brings_more_than_is_kept(opened: Opened, ending: str) -> None:
    sql = f"SELECT x FROM UNNEST(sequence(1, 100)) AS t(x) ORDER BY x\n{ending}"
    query = opened.done(sql, max_rows=10)
    assert (query.error, query.rows, query.truncated, query.sql) == (None, 10, True, sql)
    assert [x for (x,) in opened.engine.rows(query.query_id, 100).rows] == list(range(1, 11))


@pytest.mark.parametrize(
    ("ending", "values", "rows"),
    [
        ("LIMIT 5", (), 5),
        ("LIMIT 0x5", (), 5),
        ("LIMIT ?", (5,), 5),
        ("LIMIT ?", (5_000,), 10),
        ("FETCH FIRST ROW ONLY", (), 1),
        ("OFFSET 97", (), 3),
    ],
)
def test_a_query_is_shown_as_it_was_written_however_it_ends(
    opened: Opened, ending: str, values: tuple[int, ...], rows: int
) -> None:
    sql = f"SELECT x FROM UNNEST(sequence(1, 100)) AS t(x) ORDER BY x\n{ending}"
    query = opened.done(sql, *values, max_rows=10)
    assert (query.error, query.rows, query.truncated) == (None, rows, rows == 10)
    (listed,), _ = opened.engine.queries(1)
    assert query.sql == listed.sql == sql


def test_a_refused_query_says_where_and_leaves_no_trace(opened: Opened) -> None:
    with pytest.raises(QueryRefused) as refused:
        opened.engine.start_query("SELECT 1,\n  nonsense(2)")
    assert refused.value.details["position"] == {"line": 2, "column": 3}
    assert "nonsense" in refused.value.message
    assert opened.engine.queries()[0] == []


def test_a_query_that_fails_says_why_and_has_no_rows(opened: Opened) -> None:
    query = opened.done("SELECT CAST('abc' AS integer)")
    assert query.state == QueryState.FAILED
    assert query.error is not None and query.error["code"] == "query_failed" and "abc" in query.error["message"]
    with pytest.raises(QueryFailed):
        opened.engine.rows(query.query_id)
    with pytest.raises(QueryFailed):
        opened.engine.download(query.query_id, "csv")


@pytest.mark.parametrize("query_id", ["nonsense", "20200101T000000000000Z-0123456789abcdef", "../x", ""])
def test_an_unknown_query_is_not_found(opened: Opened, query_id: str) -> None:
    for ask in (opened.engine.query, opened.engine.rows, opened.engine.cancel):
        with pytest.raises(NotFound):
            ask(query_id)


def test_queries_are_listed_newest_first_in_pages(opened: Opened) -> None:
    started = [opened.done(f"SELECT {number}").query_id for number in range(5)]
    first, token = opened.engine.queries(3)
    assert token is not None
    rest, end = opened.engine.queries(3, token)
    assert [query.query_id for query in first + rest] == started[::-1]
    assert end is None


def test_cancelling_what_has_ended_changes_nothing(opened: Opened) -> None:
    query = opened.done("SELECT 1")
    assert opened.engine.cancel(query.query_id) == query


def test_internal_tables_cannot_be_named(opened: Opened) -> None:
    hidden = {table.history for table in TABLES} - set(user_tables())
    assert "plays_history" in hidden and "listings" in hidden
    for name in hidden:
        with pytest.raises(QueryRefused, match="there is no table"):
            opened.engine.start_query(f"SELECT * FROM {name}")


def test_a_download_holds_the_whole_result(filled: Opened) -> None:
    query = filled.done("SELECT artist_id, name, genres, followers FROM artists ORDER BY artist_id")
    text = read(filled.engine.download(query.query_id, "csv")).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["artist_id", "name", "genres", "followers"],
        ["a1", 'Ärzte, "Die"', '["punk","rock"]', ""],
        ["a2", "B", "[]", ""],
    ]
    assert text.splitlines(keepends=True)[0] == "artist_id,name,genres,followers\r\n"
    table = pq.read_table(pa.BufferReader(read(filled.engine.download(query.query_id, "parquet"))))
    assert table.column("genres").to_pylist() == [["punk", "rock"], []]
    with pytest.raises(InvalidRequest):
        filled.engine.download(query.query_id, "xlsx")


def read(download: Download) -> bytes:
    if download.path:
        return download.path.read_bytes()
    if download.chunks:  # it takes longer to write than an answer waits
        return b"".join(download.chunks)
    assert download.link is not None
    with urllib.request.urlopen(download.link) as answer:
        body: bytes = answer.read()
    return body


# One row per key, by each table's rule


def test_merged_tables_show_the_newest_that_was_said_of_each_column(filled: Opened) -> None:
    sql = "SELECT name, duration_ms, popularity, explicit, observed_at FROM tracks WHERE track_id = 't1'"
    assert filled.ask(sql) == [("One (remastered)", 181_000, 50, None, on(2))]


def test_the_history_of_a_changing_table_stays(filled: Opened) -> None:
    sql = "SELECT name, popularity FROM tracks_history WHERE track_id = 't1' ORDER BY observed_at"
    assert filled.ask(sql) == [("One", 50), ("One (remastered)", None)]


def test_a_history_shows_the_partition_that_its_rows_lie_in(filled: Opened) -> None:
    (row,) = filled.ask("SELECT * FROM artists_history WHERE artist_id = 'a2' AND month = '2026-11'")
    assert row[0] == "a2" and row[-1] == "2026-11"
    assert [column.name for column in filled.engine.table("artists_history").columns][-1] == "month"


def test_sets_are_replaced_together(filled: Opened) -> None:
    assert filled.ask("SELECT track_id, position, artist_id FROM track_artists") == [("t1", 0, "a2")]


@pytest.mark.thorough
def test_listed_tables_show_what_the_last_complete_listing_showed(filled: Opened) -> None:
    assert filled.ask("SELECT item_id, observed_at FROM saved_items") == [("t1", on(5))]


def test_only_the_highest_resolution_of_a_month_counts(filled: Opened) -> None:
    assert filled.ask("SELECT play_id, ms_played FROM plays ORDER BY ended_at") == [
        ("p1", 1000),
        ("p2", 2000),
        ("p3", None),
    ]


def test_an_observation_delivered_twice_counts_once(filled: Opened) -> None:
    filled.put(
        "saved_items",
        {"user_id": "u", "item_type": "track", "item_id": "t1", "added_at": on(1), "observed_at": on(5)},
        name="again",
    )
    assert filled.ask("SELECT count(*) FROM saved_items") == [(1,)]


def test_times_of_day_are_the_listeners(filled: Opened) -> None:
    sql = """
        SELECT day_of_week(local) AS weekday, hour(local) AS hour, count(*) AS plays
        FROM (SELECT ended_at AT TIME ZONE 'Asia/Tokyo' AS local FROM plays) AS heard
        GROUP BY 1, 2
        ORDER BY 1, 2
    """
    assert filled.ask(sql) == [(3, 7, 1), (3, 18, 2)]


# The catalogue


def test_the_catalogue_has_every_table_with_its_descriptions(filled: Opened) -> None:
    filled.crawl()
    tables = {table.name: table for table in filled.engine.tables()}
    assert tables.keys() == user_tables().keys()
    tracks = filled.engine.table("tracks")
    assert [(column.name, column.type) for column in tracks.columns][:3] == [
        ("track_id", "varchar"),
        ("name", "varchar"),
        ("album_id", "varchar"),
    ]
    assert all(column.description for table in tables.values() for column in table.columns)
    assert tracks.bytes and tracks.files == 1 and tracks.newest is not None
    assert [(part["month"], part["files"]) for part in tracks.partitions] == [("2026-11", 1)]
    with pytest.raises(NotFound):
        filled.engine.table("nonsense")


@pytest.mark.thorough
def test_a_crawl_finds_tables_partitions_and_columns_and_says_what_changed(filled: Opened) -> None:
    first = filled.crawl()
    assert first.state == "succeeded" and first.ended_at is not None and first.error is None
    assert "tracks_history" in {change["table"] for change in first.changes}
    assert filled.crawl().changes == ()
    filled.put("tracks", {"track_id": "t3", "name": "Three", "observed_at": datetime(2026, 12, 1)}, name="december")
    changes = filled.crawl().changes
    assert {change["table"] for change in changes} == {"tracks_history"}
    assert filled.engine.latest_crawl() is not None


def test_published_generations_replace_each_other(filled: Opened) -> None:
    filled.lake.name_generation()  # as the first look at all raw objects does
    filled.put("tracks", {"track_id": "new", "name": "Rebuilt", "observed_at": on(1)}, generation="g2")
    assert filled.ask("SELECT count(*) FROM tracks") == [(2,)]
    filled.engine.publish("g2")
    assert filled.ask("SELECT name FROM tracks") == [("Rebuilt",)]
    filled.engine.publish("g1")
    assert filled.ask("SELECT count(*) FROM tracks") == [(2,)]


@pytest.mark.thorough
def test_show_describe_and_explain(filled: Opened) -> None:
    assert ("tracks",) in filled.ask("SHOW TABLES")
    assert filled.ask("SHOW TABLES LIKE 'album%'")[0] == ("album_artists",)
    assert filled.ask("DESCRIBE tracks")[0][0].startswith("track_id")
    assert filled.ask("SHOW COLUMNS FROM tracks")[0][0].startswith("track_id")
    assert filled.ask("EXPLAIN SELECT count(*) FROM tracks")


def test_closing_twice_is_no_error(opened: Opened) -> None:
    opened.ask("SELECT 1")
    opened.engine.close()
    opened.engine.close()
    with pytest.raises(LakeError):
        opened.engine.start_query("SELECT 2")


# Files of results


ZONED_AND_NESTED = """
    SELECT 1 AS i, CAST(2 AS smallint) AS s, 1.50 AS d, 2.5e0 AS f, 'é' AS v, true AS t, NULL AS n,
           DATE '2026-11-20' AS day, TIMESTAMP '2026-11-20 10:15:30.123' AS at,
           TIMESTAMP '2026-07-01 22:30:00 UTC' AS z,
           TIMESTAMP '2026-07-01 22:30:00 UTC' AT TIME ZONE 'Europe/Berlin' AS berlin,
           CAST(ROW(1, 'x') AS ROW(p integer, q varchar)) AS r,
           ARRAY[CAST(ROW(1, ARRAY['a']) AS ROW(p integer, q array(varchar)))] AS nested,
           map(ARRAY['k'], ARRAY[1]) AS pairs, ARRAY[1, NULL] AS list, ARRAY[TIMESTAMP '2026-07-01 22:30:00 UTC'] AS zs,
           INTERVAL '1' DAY AS day_long, to_utf8('ä') AS bytes, json_parse('{"a": [1]}') AS j, 1 AS i
"""


def test_a_parquet_download_is_the_same_file_whoever_answered(tmp_path: Path) -> None:
    """Types, names and values; the zone of moments, which a column shares, with them."""
    found: dict[str, pa.Table] = {}
    for name, opening in ENGINES.items():
        folder = tmp_path / name
        folder.mkdir()
        with opening(folder) as opened:
            query = opened.done(ZONED_AND_NESTED)
            found[name] = pq.read_table(pa.BufferReader(read(opened.engine.download(query.query_id, "parquet"))))
    assert found["athena"].schema == found["embedded"].schema
    assert found["athena"].to_pylist() == found["embedded"].to_pylist()
    types = dict(zip(found["embedded"].column_names, map(str, found["embedded"].schema.types), strict=True))
    assert types["z"] == "timestamp[us, tz=UTC]" and types["berlin"] == "timestamp[us, tz=Europe/Berlin]"
    assert types["r"] == "struct<p: int32, q: string>" and types["d"] == "decimal128(3, 2)"
    (row,) = found["embedded"].to_pylist()
    assert row["berlin"].isoformat() == "2026-07-02T00:30:00+02:00"
    assert (row["r"], row["pairs"], row["i_2"]) == ({"p": 1, "q": "x"}, [("k", 1)], 1)


def test_moments_of_several_zones_are_instants_in_utc(opened: Opened) -> None:
    query = opened.done(
        """
        SELECT TIMESTAMP '2026-07-01 22:30:00 UTC' AT TIME ZONE 'Asia/Tokyo' AS z UNION ALL
        SELECT TIMESTAMP '2026-07-01 22:30:00 UTC' AT TIME ZONE 'Europe/Berlin' UNION ALL SELECT NULL
        """
    )
    assert query.error is None, query.error
    table = pq.read_table(pa.BufferReader(read(opened.engine.download(query.query_id, "parquet"))))
    assert str(table.schema.field("z").type) == "timestamp[us, tz=UTC]"
    assert {moment and moment.timestamp() for moment in table.column("z").to_pylist()} == {1782945000.0, None}
