"""What the handlers share: made once, when first needed, and by nobody else's waiting."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chalicelib.queries.engine import Engine
from chalicelib.reports import catalogue
from chalicelib.rest.messages import Reply, Request
from chalicelib.wiring import Parts
from tests.support.server import environment


def environ(folder: Path) -> dict[str, str]:
    return {"LAKE_URL": str(folder / "lake"), "SECRETS_URL": str(folder / "secrets")}


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(environ(tmp_path), None)
    yield made
    made.close()


def test_everybody_who_asks_at_once_gets_the_same(parts: Parts) -> None:
    together = threading.Barrier(8)

    def ask(name: str) -> object:
        together.wait(10)
        return getattr(parts, name)

    for name in ("settings", "lake", "secrets", "access", "api", "engine"):
        with ThreadPoolExecutor(8) as threads:
            assert len(set(map(id, threads.map(ask, [name] * 8)))) == 1


def test_who_does_not_need_the_engine_does_not_wait_for_it(tmp_path: Path) -> None:
    asked, go_on = threading.Event(), threading.Event()

    class Slow(Parts):
        @property
        def engine(self) -> Engine:
            return self._once("engine", self.opened)

        def opened(self) -> Engine:
            asked.set()
            assert go_on.wait(10)
            return super().engine

    parts = Slow(environ(tmp_path), None)
    with ThreadPoolExecutor(2) as threads:
        opening = threads.submit(lambda: parts.engine)
        assert asked.wait(10)
        assert threads.submit(lambda: parts.api).result(10)
        assert not opening.done()
        go_on.set()
        opening.result(10)
    parts.close()


def test_warming_up_runs_no_query_and_leaves_an_engine_that_answers(parts: Parts) -> None:
    parts.warm_up()
    assert parts.engine.queries() == ([], None)
    done = catalogue.run(parts.engine, catalogue.report("dashboard_listeners"))
    assert done.page is not None
    assert done.page.rows == []


@pytest.mark.thorough
@pytest.mark.parametrize("rounds", [12, pytest.param(3_000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_a_fresh_lake_answers_everybody_at_once_while_its_first_files_arrive(tmp_path: Path, rounds: int) -> None:
    """Everything is made for the first time by several threads, beside a crawl and whoever writes."""
    for number in range(rounds):
        folder = tmp_path / str(number)
        parts = Parts(environ(folder), None)
        together = threading.Barrier(len(ASKED) + 1)

        def ask(method: str, route: str, parts: Parts = parts, together: threading.Barrier = together) -> Reply:
            together.wait(30)
            path = {"name": "top_artists"} if "{name}" in route else {}
            return parts.api.handle(Request(method, route, path, scope="run", token_id="me"))

        def write(parts: Parts = parts, together: threading.Barrier = together) -> None:
            together.wait(30)
            for key in (
                "raw/spotify/2026/11/20/run/a-0001.jsonl.gz",
                "reports/mine.sql",
                "state/runs/x",
                "reports/b.sql",
            ):
                parts.lake.store.write(key, b"x")
            parts.lake.publish_generation("g2")
            parts.lake.store.delete(["reports/mine.sql"])

        with ThreadPoolExecutor(len(ASKED) + 1) as threads:
            writing = threads.submit(write)
            replies = [threads.submit(ask, *asked) for asked in ASKED]
            assert [reply.result(60).status for reply in replies if reply.result(60).status >= 500] == []
            writing.result(60)
        parts.close()
        shutil.rmtree(folder)


ASKED = [
    *[("GET", "/reports")] * 6,
    ("GET", "/health"),
    ("GET", "/tables"),
    ("GET", "/runs"),
    ("GET", "/crawls/latest"),
    ("POST", "/crawls"),
    ("GET", "/queries"),
    ("GET", "/reports/{name}"),
    ("GET", "/reports/{name}"),
]


FIRST_PAGE = """
import sys
from chalicelib.rest.messages import Request
from chalicelib.wiring import Parts
from tests.support.server import environment
parts = Parts()
parts.warm_up()
loaded = set(sys.modules)
for route, path in (("/", {}), ("/static/{name}", {"name": "app.js"}), ("/health", {}), ("/reports", {}),
                    ("/reports/{name}", {"name": "dashboard_totals"})):
    reply = parts.api.handle(Request("GET", route, path, scope="read", token_id="me"))
    assert reply.status == 200, reply
print(*sorted(name for name in set(sys.modules) - loaded if name.startswith("chalicelib")))
parts.close()
"""


@pytest.mark.thorough
def test_once_warm_the_first_page_needs_no_module_that_may_have_been_replaced_meanwhile(tmp_path: Path) -> None:
    """A server that goes on while its own files are updated must not mix the old with the new."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_PAGE], env=environment(tmp_path, {}), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
