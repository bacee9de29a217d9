"""The SQL page: what is run stands in the address, can be taken along, and is remembered for who ran it alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import expect

from tests.support.browser import Visit
from tests.support.pages import run_sql, write_sql

SQL = """SELECT platform, count(*) AS plays
FROM plays
WHERE platform <> 'it''s "a" \\ & b?' OR true
GROUP BY 1 ORDER BY 2 DESC, 1"""
ROWS = "SELECT platform, count(*) FROM plays GROUP BY 1 ORDER BY 2 DESC, 1"


def history(visit: Visit):
    return visit.page.locator("section", has=visit.page.get_by_role("heading", name="History")).locator("tbody tr")


def cells(visit: Visit) -> list[list[str]]:
    rows = visit.page.locator(".sheet-row")
    expect(rows.first).to_be_visible()
    found: list[list[str]] = rows.evaluate_all(
        "(rows) => rows.map((row) => [...row.querySelectorAll('[role=gridcell]')].map((cell) => cell.textContent))"
    )
    return found


def token_of(filled, name: str) -> str:
    found = re.search(r"lake_[\w-]{20,}", filled.command("token", "add", "--name", name, "--scope", "read"))
    assert found
    return found[0]


@pytest.mark.thorough
def test_an_address_fills_the_editor_runs_and_draws(filled, look):
    visit = look(filled.server)
    page = visit.open(f"#/sql?{urlencode({'q': SQL, 'chart': 'bar', 'x': 'platform', 'y': 'plays'})}")
    expect(page.get_by_role("img", name="bar of plays by platform")).to_be_visible()
    assert page.locator(".cm-content").inner_text() == SQL
    page.get_by_role("button", name="Table", exact=True).click()
    expected = [[row[0] or "null", str(row[1])] for row in filled.server.rows(ROWS)]
    assert cells(visit) == expected
    assert "chart=" not in page.url and "q=SELECT" in page.url
    assert visit.violations() == []


def test_what_an_address_asks_for_is_guarded_as_ever(filled, look):
    visit = look(filled.server)
    visit.allow(r"status of 4\d\d .*/queries")
    page = visit.open(f"#/sql?{urlencode({'q': 'DROP TABLE plays'})}")
    expect(page.locator(".result-facts")).to_contain_text("Failed")
    assert filled.number("SELECT count(*) FROM plays") > 0


@pytest.mark.thorough
def test_what_is_run_and_drawn_stands_in_the_address_and_shows_the_same_elsewhere(filled, look):
    visit = look(filled.server)
    page = visit.open("#/sql")
    run_sql(visit, SQL)
    page.get_by_role("button", name="Chart", exact=True).click()
    page.locator("label.field", has_text=re.compile("^Chart")).locator("select").select_option("line")
    expect(page.get_by_role("img", name="line of plays by platform")).to_be_visible()
    other = look(filled.server)
    other.open(f"#{page.url.partition('#')[2]}")
    expect(other.page.get_by_role("img", name="line of plays by platform")).to_be_visible()
    assert visit.token not in page.url


@pytest.mark.thorough
@pytest.mark.parametrize("way", ["curl", "Python", "Notebook"])
def test_a_query_is_taken_along_and_answers_the_same_rows_there(filled, look, way, tmp_path):
    visit = look(filled.server, permissions=["clipboard-read", "clipboard-write"])
    page = visit.open(f"#/sql?{urlencode({'q': SQL})}")
    page.get_by_text("Copy as", exact=True).click()
    page.get_by_role("group", name="Copy the query as").get_by_role("button", name=way, exact=True).click()
    expect(page.get_by_text("Copied")).to_be_visible()
    text = page.evaluate("navigator.clipboard.readText()")
    assert visit.token not in text
    environ = {**os.environ, "TOKEN": visit.token or ""}
    if way == "curl":
        given = text.replace(text.splitlines()[0], "", 1)  # the line that asks for the token, which is there
        assert "token show" in text.splitlines()[0]
        command = ["bash", "-ec", given]
    else:
        file = tmp_path / "copied.py"
        shown = "\nprint(_.to_csv(index=False))" if way == "Notebook" else ""
        file.write_text(
            text if way == "Python" else text.replace("pandas.read_parquet", "_ = pandas.read_parquet") + shown
        )
        command = [sys.executable, str(file)]
    printed = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    for platform, plays in filled.server.rows(ROWS):
        assert str(plays) in printed and (platform or "") in printed


@pytest.mark.thorough
def test_a_copied_link_opens_the_same(filled, look):
    visit = look(filled.server, permissions=["clipboard-read", "clipboard-write"])
    page = visit.open("#/sql")
    write_sql(visit, "SELECT 'by link' AS word")
    page.get_by_text("Copy as", exact=True).click()
    page.get_by_role("button", name="Link", exact=True).click()
    expect(page.get_by_text("Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    other = look(filled.server)
    other.open(link.removeprefix(f"{filled.server.url}/"))
    assert cells(other) == [["by link"]]


@pytest.mark.thorough
def test_the_history_is_the_readers_alone_and_lasts(filled, look):
    ann, ben = token_of(filled, "ann"), token_of(filled, "ben")
    visit = look(filled.server, token=None)
    page = visit.page
    visit.open("#/sql", settle=False)
    page.get_by_label("API token").fill(ann)
    page.get_by_label("Stay signed in").check()
    page.get_by_role("button", name="Open the lake").click()
    visit.settle()
    run_sql(visit, "SELECT 'of Ann' AS whose")
    expect(history(visit).filter(has_text="of Ann")).to_have_count(1)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("API token").fill(ben)
    page.get_by_role("button", name="Open the lake").click()
    page.get_by_role("link", name="SQL", exact=True).click()
    visit.settle()
    expect(page.get_by_text("What you run is listed here")).to_be_visible()
    assert "of Ann" not in page.locator("main").inner_text()
    page.get_by_label("With those of reports").check()
    expect(history(visit).filter(has_text="of Ann")).to_have_count(0)
    page.evaluate("sessionStorage.clear()")
    page.reload()
    page.get_by_label("API token").fill(ann)
    page.get_by_role("button", name="Open the lake").click()
    visit.settle()
    expect(history(visit).filter(has_text="of Ann")).to_have_count(1)
    second = visit.context.new_page()  # another tab, days later: the lake has forgotten, the browser has not
    second.add_init_script(f"sessionStorage.setItem('lake-token', {json.dumps(ann)})")
    second.route("**/queries?*", lambda route: route.fulfill(status=200, json={"queries": [], "next_page_token": None}))
    second.goto(f"{filled.server.url}/#/sql")
    expect(second.get_by_role("row").filter(has_text="of Ann")).to_have_count(1)


@pytest.mark.thorough
def test_the_result_of_a_past_query_is_shown_again_also_once_its_rows_are_gone(filled, look):
    visit = look(filled.server)
    visit.allow(r"status of 404")
    page = visit.open("#/sql")
    run_sql(visit, "SELECT 'kept' AS word")
    missing = {"error": {"code": "not_found", "message": "there is no query", "details": {}}}
    page.route(
        re.compile(r"/queries/q[^/]*$|/queries/[0-9a-f-]+$"),
        lambda route: route.fulfill(status=404, json=missing),
        times=1,
    )
    write_sql(visit, "SELECT 1 AS other")
    history(visit).filter(has_text="'kept'").get_by_role("button", name=re.compile("^Show")).click()
    expect(page.locator(".sheet-row")).to_contain_text("kept")
    assert cells(visit) == [["kept"]]


@pytest.mark.thorough
def test_several_queries_stand_beside_each_other_and_outlast_the_page(filled, look):
    visit = look(filled.server)
    page = visit.open("#/sql")
    run_sql(visit, "SELECT 'one' AS word FROM plays LIMIT 1")
    page.get_by_role("button", name="New query").click()
    run_sql(visit, "SELECT 'two' AS word FROM albums LIMIT 1")
    tabs = page.get_by_role("tablist", name="Queries").get_by_role("tab")
    expect(tabs).to_have_text(["plays", "albums"])
    assert cells(visit) == [["two"]]
    tabs.first.click()
    assert cells(visit) == [["one"]]
    assert quote("'one'").lower() in page.url.lower()
    assert visit.violations() == []
    visit.open("#/library")
    visit.open("#/sql")
    expect(tabs).to_have_text(["plays", "albums"])
    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    expect(tabs.nth(1)).to_be_focused()
    expect(page.locator(".cm-content")).to_contain_text("'two'")
    page.keyboard.press("Delete")
    expect(tabs).to_have_text(["plays"])
    expect(page.locator(".cm-content")).to_contain_text("'one'")
