"""The first hour, with nothing but what the screen and the README say: in a terminal of 80 columns and in Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from sandbox import export
from sandbox.listener import Listener
from sandbox.server import Sandbox
from tests.commands.test_sandbox import checkout, running
from tests.support.browser import Visit
from tests.support.newcomer import Newcomer, agreed, checked_out, go_to
from tests.support.pages import table_of
from tests.support.server import eventually
from tests.support.terminal import COLUMNS, typed_in_a_terminal

__all__ = ["checkout", "running"]  # fixtures
pytestmark = pytest.mark.timeout(600)
PLAYS_HEARD = "SELECT count(*) AS plays FROM heard WHERE play_seconds >= 30"
SINCE = (datetime.now(UTC) - timedelta(days=90)).date().isoformat()


# --- with the sandbox alone ---------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_the_first_hour_on_the_sandbox_needs_only_what_the_screen_says(
    checkout: Path, running: tuple[int, Path], browser: Browser
) -> None:
    port, screen = running
    printed = screen.read_text()
    (address,) = re.findall(rf"^http://127\.0\.0\.1:{port}/\?code=\S+$", printed, re.MULTILINE)
    (query,) = re.findall(r"`(\.venv/bin/lake --sandbox query .*?)`", printed)
    answer = typed_in_a_terminal(checkout, query)
    (counted,) = map(int, re.findall(r"^ *(\d+) *\r?$", answer, re.MULTILINE))  # below it stands `1 row`
    visit = Visit(browser, f"http://127.0.0.1:{port}", None, timezone_id="UTC")
    page = visit.page
    page.goto(address)
    visit.settle()
    page.locator("#select-period").select_option("all")
    page.wait_for_url("**period=all**")
    visit.settle()
    assert int(visit.figure("Plays").replace(",", "")) == counted > 0
    for name, heading in (("Year", "Year in review"), ("Listens", "Listens"), ("Library", "Library and playlists"),
                          ("Reports", "Reports"), ("SQL", "SQL"), ("Pipeline", "Pipeline")):  # fmt: skip
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
        visit.settle()
        expect(page.locator("h1").first).to_have_text(heading)
        expect(page.get_by_text("null", exact=True)).to_have_count(0)
    expect(page.locator("table.runs .badge").first).to_have_text("succeeded")
    visit.open("#/reports/top_artists?timezone=UTC")
    _, artist, plays, *_ = table_of(visit.panel("Result"))[0]
    typed = page.locator("code", has_text=re.compile(r"^\.venv/bin/lake .*report top_artists")).inner_text()
    assert re.search(rf"1 +{artist} +{plays.replace(',', '')} ", typed_in_a_terminal(checkout, typed))
    assert visit.faults == []
    visit.close()


@pytest.mark.thorough
@pytest.mark.parametrize(
    "words",
    [
        "report top_artists --set period=1y --set limit=5",
        "report year_in_review --set period=1y",
        "report listening_over_time --set period=all --set unit=year",
        "doctor",
    ],
)
def test_what_the_terminal_shows_fits_eighty_columns(checkout: Path, running: tuple[int, Path], words: str) -> None:
    shown = typed_in_a_terminal(checkout, f".venv/bin/lake --sandbox {words}")
    tables = [line for line in shown.splitlines() if "─" in line or re.match(r"^ {2,}\S", line)]
    assert shown.strip() and all(len(line) <= COLUMNS for line in tables), shown


# --- on Spotify ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spotify() -> Iterator[Sandbox]:
    """A stand-in for Spotify with an owner and friends."""
    with Sandbox(scale="household") as sandbox:
        yield sandbox


@pytest.fixture
def newcomer(tmp_path: Path, spotify: Sandbox) -> Newcomer:
    return Newcomer(checked_out(tmp_path), spotify)


def exported(spotify: Sandbox, listener: Listener, folder: Path) -> tuple[Path, int]:
    """A listener's extended history of three months, which names nobody, and how many plays it holds."""
    folder.mkdir()
    made = export.write(folder, spotify.world, "extended-2025", user_id=listener.id, since=SINCE)
    return made.path, sum(listen.ms_played >= 30_000 for listen in made.listens)


def shown_plays(visit: Visit, listener: str = "") -> int:
    """The overview's number of plays of all time, of everybody or of one listener by name."""
    visit.open("#/overview?period=all")
    if listener:
        visit.page.locator("#select-user").select_option(label=listener)
        visit.page.wait_for_url("**user=**")
        visit.settle()
    return int(visit.figure("Plays").replace(",", ""))


def is_fresh(visit: Visit) -> bool:
    """Whether the Pipeline page, opened anew, knows when a listen last came."""
    go_to(visit, "Overview")
    go_to(visit, "Pipeline")
    row = visit.panel("Freshness").get_by_role("row", name=re.compile(r"^heard\s"))
    return re.search(r"[1-9]\d* (s|min) ago", row.inner_text()) is not None


@pytest.mark.thorough
def test_an_export_first_and_a_login_later_are_one_person_and_one_number(
    newcomer: Newcomer, spotify: Sandbox, browser: Browser
) -> None:
    owner = spotify.world.default_listener
    path, plays = exported(spotify, owner, newcomer.folder / "export")
    told = newcomer.types(f".venv/bin/lake import-history {path}", ("Whose listening is it?", "Ann"))
    assert "imported for Ann" in told
    assert newcomer.counted(PLAYS_HEARD) == plays
    with newcomer.served(browser) as visit:
        assert shown_plays(visit) == plays
        assert eventually(lambda: is_fresh(visit), 90), "though no page and no schedule brought it here"
        visit.page.get_by_role("button", name="Start a run").click()
        expect(visit.page.get_by_role("alert")).to_contain_text(
            "there are no Spotify credentials: set SPOTIPY_CLIENT_ID", timeout=30_000
        )
        visit.allow("Failed to load resource")
        newcomer.has_credentials()
        same_person = ("Is that the same person", "y")
        assert "are one listener" in newcomer.types(".venv/bin/lake login", same_person)
        visit.page.get_by_role("button", name="Start a run").click()
        expect(visit.page.locator("table.runs .badge").first).to_have_text(
            re.compile("succeeded|partial"), timeout=60_000
        )
        only = visit.panel("Listeners").locator("strong")
        expect(only).to_have_count(1)
        seen = lambda: newcomer.counted("SELECT count(*) AS runs FROM runs") == 1  # noqa: E731
        assert eventually(seen, 30)
        whole = newcomer.counted(PLAYS_HEARD)
        assert shown_plays(visit) == whole >= plays  # what was heard since the export came with the run
        expect(visit.page.locator("#select-user")).to_have_count(0)  # nobody is split
        assert visit.faults == []
    assert newcomer.types(".venv/bin/lake listeners list").count(owner.account_id) == 1
    assert newcomer.counted("SELECT count(DISTINCT user_id) AS listeners FROM plays") == 1


@pytest.mark.thorough
def test_an_owner_invites_two_and_imports_their_exports_by_the_page(
    newcomer: Newcomer, spotify: Sandbox, browser: Browser
) -> None:
    owner, *friends = spotify.world.listeners.values()
    newcomer.has_credentials()
    newcomer.types(".venv/bin/lake login")
    plays = {}
    with newcomer.served(browser) as visit:
        page = visit.page
        visit.allow("400|404")  # whose it is, is asked; nothing was crawled yet
        for name, friend in zip(("Ben", "Cleo"), friends, strict=False):
            go_to(visit, "Pipeline")
            page.get_by_label("Somebody new").fill(name)
            page.get_by_role("button", name="Invite").click()
            link = visit.panel("Listeners").get_by_role("status").get_by_role("link")
            assert f"{name} is logged in until" in agreed(browser, spotify, friend, str(link.get_attribute("href")))
            page.reload()
            visit.settle()
            path, plays[name] = exported(spotify, friend, newcomer.folder / name)
            page.locator("#import-files").set_input_files(path)
            page.get_by_role("group", name=re.compile("Whose listening")).get_by_role("button", name=name).click()
            expect(visit.panel("Import your history")).to_contain_text(f"for {name}", timeout=60_000)
        expect(visit.panel("Listeners").locator("strong")).to_have_text(
            sorted([owner.person.display_name, "Ben", "Cleo"], key=str.casefold)
        )
        assert {name: shown_plays(visit, name) for name in plays} == plays
        assert shown_plays(visit) == sum(plays.values())
        listed = newcomer.types(".venv/bin/lake listeners list")
        assert all(name in listed for name in plays)
        look_at_one_listeners_pages(visit, browser, "Ben", plays["Ben"])
        assert visit.faults == []


def look_at_one_listeners_pages(owner: Visit, browser: Browser, name: str, plays: int) -> None:
    """Share a listener's pages, and open the link elsewhere: nothing is offered there that is refused."""
    go_to(owner, "Pipeline")
    line: Any = owner.panel("Listeners").locator(".row.spread", has_text=name)
    line.get_by_role("button", name="Share").click()
    link = owner.panel("Listeners").get_by_role("status").get_by_role("link").get_attribute("href")
    visit = Visit(browser, owner.url, None, timezone_id="UTC")
    visit.page.goto(str(link))
    visit.settle()
    assert shown_plays(visit) == plays
    pages = visit.page.get_by_role("navigation", name="Pages").get_by_role("link")
    for offered in pages.all_inner_texts():
        go_to(visit, offered)
        assert visit.page.locator(".fault").all_inner_texts() == [], offered
    visit.open("#/overview?period=all")
    visit.panel("Top artists").locator("li a").first.click()
    visit.settle()
    assert visit.page.locator(".fault").all_inner_texts() == []
    assert not {"SQL", "Pipeline"} & set(pages.all_inner_texts())
    for address in ("#/sql", "#/pipeline"):
        visit.open(address)
        expect(visit.page.locator("main")).to_contain_text("You see one listener’s pages")
    assert visit.faults == []
    visit.close()
