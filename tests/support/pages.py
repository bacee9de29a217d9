"""What the dashboard's tests read on its pages."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from tests.support import overview
from tests.support.browser import Visit


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(r"-?\d[\d,]*\.?\d*", text)]


def table_of(panel: Any) -> list[list[str]]:
    """The cells of the data table behind a panel's chart."""
    panel.get_by_role("button", name="Table", exact=True).click()
    rows: list[list[str]] = panel.locator("tbody tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText))"
    )
    return rows


def shown_list(visit: Visit, title: str) -> list[overview.Ranked]:
    """The rows of a ranked list, as read aloud."""
    found: list[list[str]] = (
        visit.panel(title)
        .locator(".ranked li")
        .evaluate_all(
            """(items) => items.map((item) => {
            const own = (place) => [...(place?.childNodes ?? [])].filter((node) => node.nodeType === 3)
                .map((node) => node.data).join("");
            const all = (place) => place?.textContent ?? "";
            const [place, much] = [item.querySelector(".place"), item.querySelector(".much")];
            return [own(place), all(place.querySelector("small")), all(item.querySelector(".what a")),
                all(item.querySelector(".by")), own(much), all(much.querySelector("small"))];
        })"""
        )
    )
    return [overview.Ranked(*map(words, row)) for row in found]


def words(text: str | None) -> str:
    return " ".join((text or "").split())


def write_sql(visit: Visit, sql: str) -> None:
    editor = visit.page.locator(".cm-content")
    editor.click()
    visit.page.keyboard.press("ControlOrMeta+a")
    visit.page.keyboard.insert_text(sql)


def run_sql(visit: Visit, sql: str) -> None:
    write_sql(visit, sql)
    visit.page.keyboard.press("Control+Enter")
    expect(visit.page.locator(".result-facts .badge").first).to_contain_text("row")
