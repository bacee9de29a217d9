"""Whose queries a token sees: one that only reads its own, the owner's everybody's, on each engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.rest.access import READ, RUN
from chalicelib.rest.messages import Reply, Request
from tests.rest.test_sql_in_one_call import Caller
from tests.support.engines import ENGINES

OF_ONE = [("GET", "/queries/{query_id}"), ("GET", "/queries/{query_id}/rows"), ("GET", "/queries/{query_id}/download"),
          ("DELETE", "/queries/{query_id}")]  # fmt: skip


@pytest.fixture(params=sorted(ENGINES))
def caller(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with ENGINES[request.param](tmp_path_factory.mktemp("lake")) as opened:
        yield Caller(opened)


def ask(
    caller: Caller, who: str, method: str, route: str, query_id: str = "", scope: str = READ, **query: Any
) -> Reply:
    texts = {name: [str(value)] for name, value in query.items()}
    path = {"query_id": query_id} if query_id else {}
    request = Request(method, route, path=path, query=texts, scope=scope, token_id=who)
    return caller.api.handle(request)


def started(caller: Caller, who: str, sql: str) -> str:
    """The id of a query that has ended."""
    request = Request("POST", "/queries", body=json.dumps({"sql": sql}).encode(), scope=READ, token_id=who)
    query_id: str = json.loads(str(caller.api.handle(request).content))["query_id"]
    caller.opened.engine.wait(query_id, 30)
    return query_id


def listed(caller: Caller, who: str, scope: str = READ, limit: int = 50) -> list[tuple[str, str]]:
    """Who asked, and the query, page after page."""
    found: list[tuple[str, str]] = []
    token: dict[str, str] = {}
    while True:
        reply = ask(caller, who, "GET", "/queries", scope=scope, limit=limit, **token)
        assert reply.status == 200, reply.content
        page = json.loads(str(reply.content))
        assert len(page["queries"]) <= limit
        found += [(query["client"], query["query_id"]) for query in page["queries"]]
        if page["next_page_token"] is None:
            return found
        token = {"page_token": page["next_page_token"]}


@pytest.mark.parametrize("limit", [2, 50])
def test_a_token_that_only_reads_lists_what_it_asked_and_the_owners_everything(caller: Caller, limit: int) -> None:
    asked = [(who, started(caller, who, f"SELECT {number} AS n")) for number, who in enumerate("abbabbba")][::-1]
    for who in "ab":
        assert listed(caller, who, limit=limit) == [each for each in asked if each[0] == who]
    assert listed(caller, "c", limit=limit) == []
    assert listed(caller, "c", RUN, limit) == asked


@pytest.mark.parametrize(("method", "route"), OF_ONE)
def test_what_another_token_asked_is_not_there_for_one_that_only_reads(caller: Caller, method: str, route: str) -> None:
    query_id = started(caller, "a", "SELECT 1 AS one")
    assert ask(caller, "b", method, route, query_id).status == 404
    assert ask(caller, "b", method, route, query_id, RUN).status in (200, 302)
    assert ask(caller, "a", method, route, query_id).status in (200, 302)


def test_the_same_statement_is_each_askers_own(caller: Caller) -> None:
    """The second may be answered from the result of the first."""
    first, second = (started(caller, who, "SELECT count(*) AS n FROM plays") for who in "ab")
    assert (listed(caller, "a"), listed(caller, "b")) == ([("a", first)], [("b", second)])
    assert ask(caller, "b", "GET", "/queries/{query_id}/rows", second).status == 200
