"""SQL whose rows come with the first answer: ``POST /queries?wait=…`` and ``GET /sql``, on each engine."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from chalicelib.extraction.starting import Worker
from chalicelib.rest.access import Access
from chalicelib.rest.api import Api
from chalicelib.rest.messages import Reply, Request
from tests.support.engines import ENGINES, Opened, fill

TOP = "SELECT item_id, count(*) AS plays FROM plays GROUP BY item_id"


class Caller:
    """Who asks the API of an engine, without a server between them."""

    def __init__(self, opened: Opened) -> None:
        def nothing_starts() -> Worker:
            raise AssertionError("no run is asked for")

        def nobody_signs_in() -> Access:
            raise AssertionError("no sign-in is asked for")

        self.opened = opened
        self.api = Api(opened.settings, opened.lake, lambda: opened.engine, nothing_starts, nobody_signs_in)

    def get(self, path: str, accept: str = "application/json", **query: Any) -> Reply:
        """The answer; a query that takes longer than its wait, on a busy machine, is asked for again."""
        texts = {name: [str(value)] for name, value in query.items()}
        request = Request("GET", path, query=texts, headers={"accept": accept}, scope="read", token_id="t")
        for _ in range(5):
            reply = self._ask(request)
            if reply.status != 202:
                break
        return reply

    def post(self, query: Mapping[str, Any], **body: Any) -> Reply:
        texts = {name: [str(value)] for name, value in query.items()}
        text = json.dumps(body).encode()
        return self._ask(Request("POST", "/queries", query=texts, body=text, scope="read", token_id="t"))

    def _ask(self, request: Request) -> Reply:
        return self.api.handle(request)


def text_of(reply: Reply) -> str:
    """What a client reads at the end: here, in a file, in pieces, or behind the link to S3."""
    return bytes_of(reply).decode()


def bytes_of(reply: Reply) -> bytes:
    if reply.status == 302:
        import requests

        return requests.get(reply.headers["Location"], timeout=30).content
    assert reply.status == 200, reply.content
    if isinstance(reply.content, Path):
        return reply.content.read_bytes()
    return reply.content.encode() if isinstance(reply.content, str) else b"".join(reply.content)


@pytest.fixture(scope="module", params=sorted(ENGINES))
def caller(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with ENGINES[request.param](tmp_path_factory.mktemp("lake")) as opened:
        fill(opened)
        yield Caller(opened)


def test_a_query_that_ends_within_the_wait_comes_with_its_rows(caller: Caller) -> None:
    reply = caller.post({"wait": 20}, sql=f"{TOP} ORDER BY 1", parameters=[])
    assert reply.status == 200
    answer = json.loads(str(reply.content))
    assert answer["rows"] == [["t1", 2], ["t2", 1]] and answer["next_page_token"] is None
    assert answer["query"]["state"] == "succeeded"
    assert [column["name"] for column in answer["columns"]] == ["item_id", "plays"]
    assert reply.headers["Location"] == f"/queries/{answer['query']['query_id']}"


def test_its_first_page_leads_to_the_next(caller: Caller) -> None:
    reply = caller.post({"wait": 20, "limit": 1}, sql=f"{TOP} ORDER BY 1")
    first = json.loads(str(reply.content))
    assert first["rows"] == [["t1", 2]]
    query = {"page_token": [first["next_page_token"]]}
    path = {"query_id": first["query"]["query_id"]}
    request = Request("GET", "/queries/{query_id}/rows", path=path, query=query, scope="read", token_id="t")
    assert json.loads(str(caller.api.handle(request).content))["rows"] == [["t2", 1]]


def test_without_a_wait_a_query_is_accepted_as_ever(caller: Caller) -> None:
    assert caller.post({}, sql="SELECT 1 AS one").status == 202


def test_a_query_that_fails_within_the_wait_says_why(caller: Caller) -> None:
    reply = caller.post({"wait": 20}, sql="SELECT 1 / count(*) AS x FROM plays WHERE play_id = 'none'")
    assert reply.status == 422 and "zero" in str(reply.content)


def test_sql_in_the_address_answers_in_every_shape(caller: Caller) -> None:
    sql = f"{TOP} ORDER BY 1"
    assert json.loads(text_of(caller.get("/sql", sql=sql)))["rows"] == [["t1", 2], ["t2", 1]]
    assert text_of(caller.get("/sql", "text/csv", sql=sql)) == "item_id,plays\r\nt1,2\r\nt2,1\r\n"
    lines = text_of(caller.get("/sql.csv", sql=sql)).replace('"', "").split()
    assert lines == ["item_id,plays", "t1,2", "t2,1"]
    objects = json.loads(text_of(caller.get("/sql.json", sql=sql)))
    assert objects == [{"item_id": "t1", "plays": 2}, {"item_id": "t2", "plays": 1}]
    table = pq.read_table(io.BytesIO(bytes_of(caller.get("/sql.parquet", sql=sql))))
    assert table.to_pylist() == objects


def test_rows_are_sorted_by_columns_of_the_result_and_cut_after_that(caller: Caller) -> None:
    def names(**query: Any) -> list[str]:
        return [row["item_id"] for row in json.loads(text_of(caller.get("/sql.json", sql=f"{TOP};", **query)))]

    assert names(sort="plays") == ["t2", "t1"]
    assert names(sort="-plays") == ["t1", "t2"]
    assert names(sort="-plays,item_id", limit=1) == ["t1"]
    assert json.loads(text_of(caller.get("/sql", sql=TOP, sort="plays", limit=1)))["rows"] == [["t2", 1]]


def test_a_column_that_the_result_lacks_cannot_be_sorted_by(caller: Caller) -> None:
    reply = caller.get("/sql", sql=TOP, sort="nothing")
    assert reply.status == 400 and "nothing" in str(reply.content)
    assert caller.get("/sql", sql=TOP, sort='plays" DESC, (SELECT 1) --').status == 400


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("30000", "integer", 30000),
        ("-1.5", None, "-1.5"),
        ("true", "boolean", True),
        ("Radiohead", None, "Radiohead"),
        ('"1975"', None, "1975"),
        ("007", None, "007"),
        ("null", None, None),
        ("it's; DROP TABLE x --", None, "it's; DROP TABLE x --"),
    ],
)
def test_parameters_are_what_they_look_like(caller: Caller, text: str, kind: str | None, value: Any) -> None:
    sql = "SELECT ? AS v" if kind else "SELECT CAST(? AS varchar) AS v"
    if text == "-1.5":
        sql = "SELECT CAST(CAST(? AS decimal(3,1)) AS varchar) AS v"
    assert json.loads(text_of(caller.get("/sql", sql=sql, p1=text)))["rows"] == [[value]]


def test_a_number_compares_with_a_number(caller: Caller) -> None:
    sql = "SELECT count(*) AS n FROM plays WHERE ms_played > ? AND item_id = ?"
    assert json.loads(text_of(caller.get("/sql", sql=sql, p1="1500", p2="t2")))["rows"] == [[1]]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, "sql is missing"),
        ({"sql": "SELECT ?", "p2": "x"}, "p1 is missing"),
        ({"sql": "SELECT 1", "limit": "0", "wait": "21"}, "limit must be"),
        ({"sql": "DROP TABLE plays"}, "only SELECT"),
        ({"sql": "SELECT 1; SELECT 2"}, "statement"),
        ({"sql": "SELECT ?, ?", "p1": "x"}, "parameter"),
        ({"sql": "SELECT 1", "parameters": "x"}, "parameters"),
    ],
)
def test_what_is_not_in_order_is_said(caller: Caller, query: dict[str, str], words: str) -> None:
    for path in ("/sql", "/sql.csv", "/sql.json", "/sql.parquet"):
        reply = caller.get(path, **query)
        assert reply.status == 400 and words in str(reply.content), (path, reply.content)


def test_the_place_of_a_fault_is_that_in_the_statement_as_given(caller: Caller) -> None:
    sql = "SELECT nothing_such FROM plays"
    plain, sorted_ = (json.loads(str(caller.get("/sql", sql=sql, **more).content)) for more in ({}, {"sort": "x"}))
    assert plain["error"] == sorted_["error"]
    assert plain["error"]["details"]["position"] == {"line": 1, "column": 8}


def test_an_empty_result_is_an_empty_array(caller: Caller) -> None:
    reply = caller.get("/sql.json", sql="SELECT play_id FROM plays WHERE play_id = 'none'")
    assert json.loads(text_of(reply)) == []


@pytest.mark.parametrize(
    ("sql", "sort"),
    [
        (f"{TOP}; -- of each", "-plays"),
        (f"{TOP}\n;;\n/* ; */ ", "-plays"),
        ("SELECT item_id, count(*) FROM plays GROUP BY item_id", "-_col1"),
        ("SELECT item_id, ';--' AS word, count(*) AS plays FROM plays GROUP BY item_id", "-plays"),
    ],
)
def test_a_statement_ends_as_it_likes_and_its_columns_need_no_names(caller: Caller, sql: str, sort: str) -> None:
    found = [json.loads(text_of(caller.get("/sql", sql=sql, sort=sort))), sent(caller, sql, sort)]
    assert [[row[0] for row in each["rows"]] for each in found] == [["t1", "t2"]] * 2
    assert [row[0] for row in sent(caller, sql, sort.removeprefix("-"))["rows"]] == ["t2", "t1"]


def sent(caller: Caller, sql: str, sort: str) -> Any:
    """The answer to SQL in a body, sorted."""
    return json.loads(text_of(caller.post({"wait": 20}, sql=sql, sort=sort)))


def test_two_statements_stay_two_however_they_are_sorted(caller: Caller) -> None:
    for sql in ("SELECT 1 AS one; SELECT 2 AS one", "SELECT 1 AS one) AS a; SELECT * FROM (SELECT 2 AS one"):
        assert caller.get("/sql", sql=sql, sort="one").status == 400
