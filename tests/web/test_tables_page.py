"""The page of a table: what its columns hold, its rows filtered and sorted, and the ways on."""

from __future__ import annotations

import csv
import json
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.support.browser import Visit
from tests.support.pages import numbers


def columns_of(visit: Visit) -> dict[str, list[str]]:
    """The cells of each column's line, once they are counted."""
    region = visit.page.get_by_role("region", name="Columns")
    expect(region.get_by_text("…", exact=True)).to_have_count(0)
    rows = region.locator("tbody tr:not([hidden])").evaluate_all(
        "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return {row[0]: row[1:] for row in rows}


def rows_of(visit: Visit) -> list[list[str]]:
    found: list[list[str]] = (
        visit.panel("Rows")
        .locator("tbody tr")
        .evaluate_all("(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent))")
    )
    return found


@pytest.mark.thorough
def test_every_table_is_listed_with_its_page(filled, look):
    visit = look(filled.server)
    page = visit.open("#/tables")
    tables = filled.server.get("/tables").json()["tables"]
    assert page.locator("tbody tr").count() == len(tables)
    assert visit.violations() == []
    page.get_by_role("link", name="saved_items", exact=True).click()
    visit.settle()
    expect(page.locator("h1")).to_have_text("saved_items")


@pytest.mark.thorough
def test_a_tables_page_tells_what_each_column_holds(filled, look):
    visit = look(filled.server)
    visit.open("#/table/plays")
    told = columns_of(visit)
    table = filled.server.get("/tables/plays").json()
    assert list(told) == [column["name"] for column in table["columns"]]
    for column in table["columns"]:
        assert told[column["name"]][:2] == [column["type"], column["description"]]
    rows = filled.number("SELECT count(*) FROM plays")
    assert numbers(visit.figure("Rows")) == [rows]
    for name in ("artist_name", "platform", "ms_played", "skipped"):
        known = filled.number(f"SELECT count({name}) FROM plays")
        distinct = filled.number(f"SELECT count(*) FROM (SELECT DISTINCT {name} FROM plays WHERE {name} IS NOT NULL)")
        assert numbers(told[name][2])[0] == rows - known
        assert numbers(told[name][3]) == [distinct]
    least, most = filled.server.rows(
        "SELECT CAST(min(ended_at) AS varchar), CAST(max(ended_at) AS varchar) FROM plays"
    )[0]
    assert told["ended_at"][4:] == [least[:19], most[:19]]
    assert visit.violations() == []


@pytest.mark.thorough
def test_a_value_leads_to_its_rows_and_those_to_the_sql_page(filled, look):
    visit = look(filled.server)
    page = visit.open("#/table/plays")
    columns_of(visit)
    page.get_by_role("region", name="Columns").get_by_role("button", name="platform", exact=True).click()
    values = page.get_by_role("list", name="Most frequent values of platform").get_by_role("listitem")
    expected = filled.server.rows("SELECT platform, count(*) FROM plays GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 12")
    expect(values).to_have_text([f"{name or 'null'} {plays:,}" for name, plays in expected])
    values.nth(1).get_by_role("link").click()
    visit.settle()
    name, plays = expected[1]
    expect(visit.panel("Rows")).to_contain_text(f"{plays:,} rows fit in all")
    place = [column["name"] for column in filled.server.get("/tables/plays").json()["columns"]].index("platform")
    assert {row[place] for row in rows_of(visit)} == {name}
    visit.panel("Rows").get_by_role("link", name="Open in SQL").click()
    visit.settle()
    expect(page.locator(".result-facts .badge")).to_have_text(f"{plays:,} rows")


@pytest.mark.thorough
def test_rows_are_filtered_and_sorted_by_the_address(filled, look):
    artist = filled.report("top_artists", period="all", limit=1)[0]["artist"]
    visit = look(filled.server)
    page = visit.open("#/table/plays")
    page.get_by_label("Column", exact=True).select_option("artist_name")
    page.get_by_label("Condition").select_option("holds")
    page.get_by_label("Value").fill(artist[:6].upper())
    page.get_by_role("button", name="Filter", exact=True).click()
    visit.settle()
    page.locator("#sort-ms_played").click()
    visit.settle()
    page.locator("#sort-ms_played").click()
    visit.settle()
    asked = page.evaluate("new URLSearchParams(location.hash.split('?')[1]).get('where')")
    assert json.loads(asked) == [["artist_name", "holds", artist[:6].upper()]]
    fits = "strpos(lower(artist_name), ?) > 0"
    longest = filled.server.rows(
        f"SELECT ms_played FROM plays WHERE {fits} ORDER BY 1 DESC LIMIT 100", artist[:6].lower()
    )
    place = [column["name"] for column in filled.server.get("/tables/plays").json()["columns"]].index("ms_played")
    shown = [row[place] for row in rows_of(visit)]
    assert shown == [f"{value:,}" if value is not None else "–" for (value,) in longest]
    page.get_by_role("button", name="Without: artist_name").click()
    visit.settle()
    expect(visit.panel("Rows")).to_contain_text(f"{filled.number('SELECT count(*) FROM plays'):,} rows in all")
    assert "sort=-ms_played" in page.url


def test_names_in_rows_lead_to_their_pages_and_those_lead_back(filled, look):
    visit = look(filled.server)
    artist = filled.report("top_artists", period="all", limit=1)[0]["artist"]
    where = json.dumps([["artist_name", "is", artist]])
    page = visit.open(f"#/table/heard?{urlencode({'where': where})}")
    visit.panel("Rows").get_by_role("link", name=artist, exact=True).first.click()
    visit.settle()
    expect(page.locator("h1")).to_have_text(artist)
    page.get_by_role("link", name="Its rows in heard").click()
    visit.settle()
    listens = filled.server.rows("SELECT count(*) FROM heard WHERE artist_name = ?", artist)[0][0]
    expect(visit.panel("Rows")).to_contain_text(f"{listens:,} rows fit in all")


@pytest.mark.thorough
def test_what_fits_is_downloaded_whole(filled, look, tmp_path):
    visit = look(filled.server)
    where = json.dumps([["item_type", "is", "episode"]])
    page = visit.open(f"#/table/plays?{urlencode({'where': where})}")
    with page.expect_download() as saved:
        visit.panel("Rows").get_by_role("button", name="Download as CSV").click()
    saved.value.save_as(tmp_path / "plays.csv")
    with (tmp_path / "plays.csv").open(newline="") as lines:
        assert sum(1 for _ in csv.reader(lines)) - 1 == filled.number(
            "SELECT count(*) FROM plays WHERE item_type = 'episode'"
        )
    assert saved.value.suggested_filename == "plays.csv"
