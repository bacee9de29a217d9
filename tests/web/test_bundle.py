"""The page's modules as one script: few requests before the first query, and few at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Request, Route

from chalicelib.rest import assets
from chalicelib.rest.bundle import bundle
from tests.support.browser import Visit
from tests.support.server import LakeServer

MOST_BEFORE = 4  # requests before the first query: the page, its style, its script, the charts
MOST_AT_ONCE = 10  # executions that a new account of AWS has


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    with LakeServer(tmp_path_factory.mktemp("lake")) as running:
        yield running


@pytest.fixture
def visit(browser: Browser, server: LakeServer) -> Iterator[Visit]:
    made = Visit(browser, server.url, server.token)
    yield made
    faults = made.faults
    made.close()
    assert faults == []


def is_file(request: Request) -> bool:
    return "/static/" in request.url or request.resource_type == "document"


@pytest.mark.thorough
def test_the_page_is_four_requests_before_it_asks_its_first_question(visit: Visit) -> None:
    visit.open("#/overview")
    names = [request.url.removeprefix(visit.url) for request in visit.requests]
    first = [is_file(request) for request in visit.requests].index(False)
    assert first <= MOST_BEFORE, names
    later = [name for name in names[first:] if "/static/" in name]
    assert set(later) <= {"/static/icon.svg"}, names  # Chromium asks for it twice


def test_the_script_and_the_style_are_kept_for_ever_and_the_page_is_not(server: LakeServer) -> None:
    page = requests.get(server.url + "/", timeout=10)
    assert page.headers["Cache-Control"] == "no-cache"
    named = re.findall(r'(?:src|href)="(static/\w+-[0-9a-f]{20}\.(?:js|css))"', page.text)
    assert len(named) == 2
    for name in named:
        answer = requests.get(f"{server.url}/{name}", timeout=10)
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        other = re.sub("-[0-9a-f]{20}", "-" + "0" * 20, name)
        assert requests.get(f"{server.url}/{other}", timeout=10).status_code == 404


@pytest.mark.thorough
def test_a_second_visit_asks_for_the_page_and_for_what_has_no_lasting_name(visit: Visit) -> None:
    visit.open("#/overview")
    visit.page.reload()
    visit.settle()
    sent = visit.page.evaluate(
        """() => Object.fromEntries(performance.getEntriesByType("resource")
            .map(({ name, transferSize }) => [name, transferSize]))"""
    )
    lasting = {name: size for name, size in sent.items() if re.search("-[0-9a-f]{20}", name)}
    assert len(lasting) == 2 and set(lasting.values()) == {0}, sent


def test_a_first_visit_asks_for_ten_things_at_once_and_no_more(visit: Visit) -> None:
    """As on AWS, where each is an execution: there reports are asked for side by side."""

    def of_athena(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "engine": "athena"})

    under_way: set[Request] = set()
    most = 0

    def begin(request: Request) -> None:
        nonlocal most
        under_way.add(request)
        most = max(most, len(under_way))

    visit.page.route("**/health", of_athena)
    visit.page.on("request", begin)
    visit.page.on("requestfinished", lambda request: under_way.discard(request))
    visit.page.on("requestfailed", lambda request: under_way.discard(request))
    visit.open("#/overview")
    assert 1 < most <= MOST_AT_ONCE


@pytest.mark.thorough
def test_every_module_of_the_page_is_in_the_bundle_and_runs_in_it(visit: Visit) -> None:
    visit.allow(r"404 .*/crawls/latest")
    for address in ("#/overview", "#/library", "#/reports", "#/sql", "#/pipeline", "#/artist/Nobody"):
        visit.open(address)
    loaded = {request.url.partition("/static/")[2] for request in visit.requests if "/static/" in request.url}
    lasting = {name for name in loaded if re.search("-[0-9a-f]{20}", name)}
    assert loaded - lasting <= {"vendor/chart.js", "vendor/editor.js", "icon.svg"}
    assert not visit.page.locator(".fault").count()


@pytest.mark.parametrize(
    "line", ["export default 1;", "export let count = 0;", 'import all from "./b.js";', 'import * as b from "./b.js";']
)
def test_a_form_of_import_or_export_that_the_bundle_does_not_know_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"app\.js"):
        bundle({"./app.js": line, "./b.js": "export const b = 1;\n"})


def test_modules_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match=r"circle: \./a\.js \./b\.js \./a\.js"):
        bundle({"./a.js": 'import { b } from "./b.js";\n', "./b.js": 'import { a } from "./a.js";\n'})


def test_a_bundle_does_what_its_modules_do(browser: Browser, tmp_path: Path) -> None:
    modules = {
        "./app.js": 'import { add, twice as doubled } from "./sums.js";\nimport "./early.js";\n'
        'globalThis.said.push(add(1, 2), doubled(4));\nconst late = await import("./late.js");\n'
        "globalThis.said.push(late.NAME, (await import(\"./late.js\")) === late);\n",
        "./sums.js": 'import "./early.js";\nexport function add(a, b) {\n  return a + b;\n}\n'
        "export const twice = (a) => add(a, a);\n",
        "./early.js": "globalThis.said = [\"once\"];\n",
        "./late.js": "export class Late {}\nexport const NAME = Late.name;\n",
    }  # fmt: skip
    page = browser.new_page()
    try:
        page.set_content("<h1></h1>")
        page.evaluate("(text) => import(URL.createObjectURL(new Blob([text], { type: 'text/javascript' })))",
                      bundle(modules))  # fmt: skip
        assert page.evaluate("said") == ["once", 3, 8, "Late", True]
    finally:
        page.close()


def test_the_page_names_files_by_what_is_in_them() -> None:
    script = assets.asset(assets.named(assets.SCRIPT, assets.script()))
    assert script.lasting and not assets.asset("app.js").lasting
    assert assets.named(assets.SCRIPT, script) in assets.asset(assets.PAGE).text
