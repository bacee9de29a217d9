"""The API on a served lake with data in it: catalogue, crawls, queries, rows, downloads, reports."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests

from chalicelib.tables import BY_NAME
from tests.support.server import LakeServer, eventually, filled

NUMBERS = "SELECT n FROM UNNEST(sequence(1, 100)) AS a(x) CROSS JOIN UNNEST(sequence(x * 100 - 99, x * 100)) AS b(n)"
ENDLESS = (
    "SELECT count(*) AS c FROM UNNEST(sequence(1, 9999)) a(x) CROSS JOIN UNNEST(sequence(1, 9999)) b(y) "
    "CROSS JOIN UNNEST(sequence(1, 9999)) c(z) WHERE x * y + z < 0"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    with LakeServer(filled(tmp_path_factory, "asked"), {"REQUESTS_PER_MINUTE": "1000000"}) as running:
        assert running.get("/crawls/latest").status_code == 404
        crawl(running)
        yield running


def crawl(server: LakeServer) -> dict[str, Any]:
    """A crawl that has ended."""
    started = server.post("/crawls")
    assert started.status_code == 202 and started.headers["Location"] == "/crawls/latest"
    return dict(eventually(lambda: (c := server.get("/crawls/latest").json())["state"] != "running" and c))


def start(server: LakeServer, sql: str, **more: Any) -> requests.Response:
    return server.post("/queries", json={"sql": sql, **more})


def done(server: LakeServer, sql: str, **more: Any) -> dict[str, Any]:
    """A query that has ended."""
    started = start(server, sql, **more)
    assert started.status_code == 202, started.text
    answer = server.get(started.headers["Location"], params={"wait": 20})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def rows_of(server: LakeServer, query: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    answer = server.get(f"/queries/{query['query_id']}/rows", params=parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def error_of(answer: requests.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"} and answer.json()["error"].keys() == {"code", "message", "details"}
    return dict(answer.json()["error"])


# --- catalogue ----------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_the_catalogue_lists_the_tables_with_what_is_in_them(server):
    tables = {table["name"]: table for table in server.get("/tables").json()["tables"]}
    assert {name for name, table in BY_NAME.items() if table.current != "internal"} <= tables.keys()
    plays = tables["plays"]
    assert plays["rows"] > 0 and plays["bytes"] > 0 and plays["newest"].endswith("Z")
    described = {column["name"]: column for column in plays["columns"]}
    assert described["ended_at"]["type"].startswith("timestamp")
    assert all(column["description"] for column in described.values())


def test_one_table_shows_its_partitions(server):
    table = server.get("/tables/tracks").json()
    assert table["name"] == "tracks"
    assert all(partition["month"] and partition["rows"] > 0 for partition in table["partitions"])


def test_an_unknown_table_is_404_in_words(server):
    assert "no_such_table" in error_of(server.get("/tables/no_such_table"), 404)["message"]


@pytest.mark.thorough
def test_a_crawl_says_what_it_changed(server, tmp_path_factory):
    again = crawl(server)
    assert again["state"] == "succeeded" and again["changes"] == [] and again["ended_at"] >= again["started_at"]
    with LakeServer(filled(tmp_path_factory, "crawled")) as other:
        first = crawl(other)
        assert {"plays", "tracks", "artists"} <= {
            str(change.get("table", "")).removesuffix("_history") for change in first["changes"]
        }


# --- queries ------------------------------------------------------------------------------------------------------


def test_a_query_goes_from_start_to_rows(server):
    started = start(server, "SELECT count(*) AS plays FROM plays")
    assert started.status_code == 202
    query_id = started.json()["query_id"]
    assert started.headers["Location"] == f"/queries/{query_id}"
    assert started.json()["state"] in ("queued", "running", "succeeded")
    query = server.get(f"/queries/{query_id}", params={"wait": 20}).json()
    assert query["state"] == "succeeded" and query["rows"] == 1 and query["error"] is None
    assert query["submitted_at"] <= query["started_at"] <= query["ended_at"]
    page = rows_of(server, query)
    assert page["columns"] == [{"name": "plays", "type": "bigint"}]
    assert page["rows"][0][0] > 0 and page["next_page_token"] is None and page["truncated"] is False


def test_rows_keep_their_types_in_json(server):
    sql = """
        SELECT 1 AS i, CAST(9007199254740993 AS bigint) AS big, CAST(1.5 AS double) AS d, CAST('1.10' AS decimal(5,2))
        AS exact, true AS b, CAST(NULL AS varchar) AS nothing, DATE '2026-01-02' AS day,
        TIMESTAMP '2026-01-02 03:04:05.678' AS moment, ARRAY['x', NULL] AS list, 'é"' AS text, nan() AS nan
    """
    (row,) = rows_of(server, done(server, sql))["rows"]
    assert row == [
        1, "9007199254740993", 1.5, "1.10", True, None, "2026-01-02", "2026-01-02T03:04:05.678Z", ["x", None], 'é"',
        "NaN",
    ]  # fmt: skip


def test_parameters_are_values_and_never_text(server):
    hostile = "'; DROP TABLE plays; --"
    sql = "SELECT ? AS text, ? AS number, CAST(? AS double) AS fraction, ? AS truth, CAST(? AS varchar) AS nothing"
    (row,) = server.rows(sql, hostile, 7, 1.25, True, None)
    assert row == [hostile, 7, 1.25, True, None]
    assert server.rows("SELECT count(*) FROM plays")[0][0] > 0


def test_a_wrong_number_of_parameters_is_refused(server):
    error_of(start(server, "SELECT ?", parameters=[]), 400)
    error_of(start(server, "SELECT 1", parameters=[1]), 400)


def test_pages_together_are_the_whole_result_in_its_order(server):
    query = done(server, NUMBERS + " ORDER BY n")
    seen, token, pages = [], None, 0
    while True:
        page = rows_of(server, query, limit=999, **({"page_token": token} if token else {}))
        seen += [row[0] for row in page["rows"]]
        token, pages = page["next_page_token"], pages + 1
        if token is None:
            break
    assert seen == list(range(1, 10_001)) and pages == 11


def test_a_page_token_that_is_not_ours_is_refused(server):
    query = done(server, "SELECT 1 AS one")
    for token in ("x", "999999999999", "../../etc/passwd", "MTA="):
        error_of(server.get(f"/queries/{query['query_id']}/rows", params={"page_token": token}), 400)


def test_rows_come_as_csv_for_those_who_ask(server):
    query = done(
        server, "SELECT n, CASE WHEN n = 1 THEN NULL ELSE 'a,\"b' END AS t FROM UNNEST(sequence(1, 3)) u(n) ORDER BY n"
    )
    address = f"/queries/{query['query_id']}/rows"
    first = server.get(address, params={"limit": 2}, headers={"Accept": "text/csv"})
    assert first.headers["Content-Type"].startswith("text/csv")
    assert first.text == 'n,t\r\n1,\r\n2,"a,""b"\r\n'
    assert first.headers["X-Truncated"] == "false"
    following = server.get(
        requests.utils.parse_header_links(first.headers["Link"])[0]["url"], headers={"Accept": "text/csv"}
    )
    assert following.text == '3,"a,""b"\r\n' and "Link" not in following.headers
    error_of(server.get(address, headers={"Accept": "image/png"}), 406)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FRO plays", "query_refused"),
        ("DROP TABLE plays", "query_refused"),
        ("SELECT 1; SELECT 2", "query_refused"),
        ("SELECT * FROM read_csv('/etc/passwd')", "query_refused"),
        ("SELECT * FROM nowhere", "query_refused"),
    ],
)
def test_sql_that_is_not_allowed_is_refused_with_the_place(server, sql, code):
    error = error_of(start(server, sql), 400)
    assert error["code"] == code and error["message"]


def test_a_query_that_fails_says_why_and_has_no_rows(server):
    query = done(server, "SELECT 1 / (count(*) - count(*)) AS x FROM plays")
    assert query["state"] == "failed" and query["error"]["message"]
    assert error_of(server.get(f"/queries/{query['query_id']}/rows"), 422)["message"] == query["error"]["message"]
    error_of(server.get(f"/queries/{query['query_id']}/download"), 422)


def test_a_running_query_has_no_rows_yet_and_can_be_cancelled(server):
    started = start(server, ENDLESS).json()
    address = f"/queries/{started['query_id']}"
    assert eventually(lambda: server.get(address).json()["state"] == "running")
    assert server.get(address).headers["Retry-After"]
    assert "wait=10" in error_of(server.get(f"{address}/rows"), 409)["message"]
    cancelled = server.delete(address)
    assert cancelled.status_code == 200
    assert eventually(lambda: server.get(address).json()["state"] == "cancelled")
    error_of(server.get(f"{address}/rows"), 409)


def test_a_query_nobody_started_is_404(server):
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/rows"), ("GET", "/download")):
        answer = server.session.request(method, f"{server.url}/queries/none{path}", timeout=10)
        assert error_of(answer, 404)["code"] == "not_found"


def test_max_rows_cuts_the_result_and_says_so(server):
    query = done(server, NUMBERS, max_rows=10)
    assert query["truncated"] is True and query["rows"] == 10
    page = rows_of(server, query)
    assert len(page["rows"]) == 10 and page["truncated"] is True


def test_an_identical_query_is_answered_from_the_result_there_is(server):
    sql = "SELECT count(*) AS n, 'reused' AS marker FROM tracks"
    first, second = done(server, sql), done(server, sql)
    assert second["reused"] is True and rows_of(server, first)["rows"] == rows_of(server, second)["rows"]


def test_queries_are_listed_newest_first_in_pages(server):
    made = [done(server, f"SELECT {number} AS n")["query_id"] for number in range(5)]
    first = server.get("/queries", params={"limit": 3}).json()
    second = server.get("/queries", params={"limit": 3, "page_token": first["next_page_token"]}).json()
    listed = [query["query_id"] for query in first["queries"] + second["queries"]]
    assert listed[:5] == made[::-1]


def test_the_whole_result_downloads_as_csv_and_parquet(server):
    query = done(server, NUMBERS + " ORDER BY n")
    address = f"/queries/{query['query_id']}/download"
    text = server.get(address, params={"format": "csv"})
    assert text.headers["Content-Type"].startswith("text/csv") and "attachment" in text.headers["Content-Disposition"]
    assert [int(row["n"]) for row in csv.DictReader(io.StringIO(text.text))] == list(range(1, 10_001))
    packed = server.get(address, params={"format": "parquet"})
    assert pq.read_table(io.BytesIO(packed.content))["n"].to_pylist() == list(range(1, 10_001))
    error_of(server.get(address, params={"format": "xlsx"}), 400)


def test_one_clients_heavy_queries_do_not_keep_another_from_answers(server):
    heavy = [start(server, ENDLESS).json() for _ in range(2)]
    assert server.get("/health").status_code == 200
    assert server.get("/reports").status_code == 200
    for query in heavy:
        assert server.get(f"/queries/{query['query_id']}").json()["state"] in ("queued", "running")
    for query in heavy:
        server.delete(f"/queries/{query['query_id']}")


def test_clients_at_the_same_time_each_get_their_own_answer(server):
    wrong: list[object] = []

    def ask(number: int) -> None:
        for turn in range(5):
            rows = server.rows("SELECT ? AS n, ? AS turn", number, turn)
            if rows != [[number, turn]]:
                wrong.append((number, turn, rows))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.soak
def test_five_million_rows_page_and_download_in_constant_memory(server, tmp_path):
    def memory() -> float:
        return int(Path(f"/proc/{server.pid()}/statm").read_text().split()[1]) * 4096 / 1e6

    numbers = "UNNEST(sequence(1, 2500)) AS a(x) CROSS JOIN UNNEST(sequence(1, 2000)) AS b(y)"
    query = done(server, f"SELECT x * 2000 + y AS n, concat('row ', CAST(y AS varchar)) AS t FROM {numbers}")
    if query["state"] in ("queued", "running"):
        query = eventually(
            lambda: (q := server.get(f"/queries/{query['query_id']}").json())["state"] == "succeeded" and q, 120
        )
    assert query["rows"] == 5_000_000
    highest = before = memory()
    token, seen = None, 0
    for _ in range(40):
        page = rows_of(server, query, limit=10_000, **({"page_token": token} if token else {}))
        token, seen = page["next_page_token"], seen + len(page["rows"])
        highest = max(highest, memory())
    assert seen == 400_000
    for kind in ("csv", "parquet"):
        with server.get(f"/queries/{query['query_id']}/download", params={"format": kind}, stream=True) as answer:
            size = sum(len(piece) for piece in answer.iter_content(1 << 20))
            highest = max(highest, memory())
        assert answer.status_code == 200 and size > 5_000_000
    assert highest - before < 150, (before, highest)


# --- reports ------------------------------------------------------------------------------------------------------


def test_a_report_answers_rows_with_its_parameters(server):
    answer = server.get("/reports/top_artists", params={"period": "all", "limit": 3})
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["report"]["name"] == "top_artists" and document["values"]["limit"] == 3
    assert 0 < len(document["rows"]) <= 3 and document["columns"]
    text = server.get("/reports/top_artists", params={"period": "all", "limit": 3}, headers={"Accept": "text/csv"})
    assert len(text.text.strip().splitlines()) == len(document["rows"]) + 1


@pytest.mark.thorough
def test_every_saved_report_runs(server):
    for report in server.get("/reports").json()["reports"]:
        answer = server.get(f"/reports/{report['name']}")
        assert answer.status_code == 200, (report["name"], answer.text)


def test_wrong_parameters_of_a_report_are_all_named(server):
    error = error_of(server.get("/reports/top_artists", params={"limit": "many", "perod": "1y"}), 400)
    assert "limit" in error["message"] and "perod" in error["message"]
    error_of(server.get("/reports/top_artists?limit=1&limit=2"), 400)
    error_of(server.get("/reports/nothing"), 404)


OWN = """-- title = "Mine"
-- description = "How many tracks"
-- [parameters]
-- least = {type = "integer", default = 0, least = 0, most = 1000000000}
SELECT count(*) AS n FROM tracks WHERE duration_ms >= :least
"""


def test_a_report_of_ones_own_is_saved_run_replaced_and_deleted(server):
    assert server.put("/reports/mine", json={"sql": OWN}).status_code == 201
    assert server.get("/reports/mine", params={"least": 0}).json()["rows"][0][0] > 0
    listed = {report["name"]: report for report in server.get("/reports").json()["reports"]}
    assert listed["mine"]["built_in"] is False and listed["mine"]["title"] == "Mine"
    assert server.put("/reports/mine", json={"sql": OWN.replace("Mine", "Still mine")}).status_code == 200
    assert server.delete("/reports/mine").status_code == 200
    error_of(server.get("/reports/mine"), 404)
    error_of(server.delete("/reports/mine"), 404)


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("Mine", OWN),
        ("mine", "SELECT 1"),
        ("mine", OWN.replace("SELECT count(*) AS n FROM tracks", "DELETE FROM tracks")),
        ("mine", OWN.replace("tracks WHERE", "read_csv('/etc/passwd') WHERE")),
        ("mine", OWN.replace(":least", ":nothing")),
        ("mine", OWN.replace("-- [parameters]", '-- chart = {kind = "bar", x = "artist", y = "n"}\n-- [parameters]')),
        ("mine", OWN.replace("-- [parameters]", '-- chart = {kind = "number", y = ["n", "m"]}\n-- [parameters]')),
    ],
)
def test_a_report_that_is_none_or_not_allowed_is_not_saved(server, name, sql):
    error_of(server.put(f"/reports/{name}", json={"sql": sql}), 400)
    assert not list((server.lake / "reports").glob("*")) if (server.lake / "reports").exists() else True


@pytest.mark.thorough
def test_a_token_that_asks_too_often_is_told_when_to_come_back(tmp_path: Path):
    with LakeServer(tmp_path, {"REQUESTS_PER_MINUTE": "60"}) as limited:
        answers = [limited.get("/reports") for _ in range(40)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused and answers[0].status_code == 200
        assert error_of(refused[0], 429)["code"] == "too_many_requests"
        assert 1 <= int(refused[0].headers["Retry-After"]) <= 2
        assert requests.get(f"{limited.url}/health", timeout=5).status_code == 200
