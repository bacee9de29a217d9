"""Every page of a lake of nobody, of one listener on their first day, and of three listeners."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from sandbox import export
from sandbox.demo import log_in
from sandbox.server import Sandbox
from sandbox.world import World
from tests.support.browser import Visit
from tests.support.dashboard import BEHIND, Filled, served
from tests.support.server import LakeServer

GUESTS = {"Ben": 11, "Cleo": 12}  # names and seeds
MONTHS = timedelta(days=200)
NEVER_CRAWLED = r"404 .*/crawls/latest"
NO_SUCH_THING = r"404 .*/(playlists|reports)/"
FOR_MACHINES = re.compile(r"\b(null|undefined|NaN|Invalid Date)\b|\[object ")
FOR_SQL = ("table", "sql")  # pages that speak of null as SQL does
CHOOSING = ("overview", "year", "listens", "library", "reports/compare_listeners")
SELECTS = "main select:visible"


@dataclass
class Lake:
    """A served lake and how many listeners it has."""

    server: LakeServer
    listeners: int

    def pages(self) -> list[str]:
        """An address of every page, of something that is there where there is such a thing."""
        found = self.server.rows(
            "SELECT artist_name, album_name, item_name FROM plays WHERE item_type = 'track' AND album_name IS NOT NULL"
            " GROUP BY 1, 2, 3 ORDER BY count(*) DESC, 1, 2, 3 LIMIT 1"
        )
        artist, album, track = (quote(name, safe="") for name in (found[0] if found else ("Nobody", "None", "Silence")))
        playlists = self.server.rows("SELECT min(playlist_id) FROM playlists")
        return [
            *("overview", "year", "listens", "library", "reports", "sql", "pipeline", "tables", "table/heard"),
            *(f"artist/{artist}", f"album/{artist}/{album}", f"track/{artist}/{track}", "show/None", "genre/pop"),
            *(f"playlist/{playlists[0][0] or 'none'}", "left-out"),
        ]

    def reports(self) -> list[str]:
        return [f"reports/{report['name']}" for report in self.server.get("/reports").json()["reports"]]


@pytest.fixture(scope="module")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Somebody who has logged in today: one run, which brings fifty plays."""
    with Sandbox(scale="small") as sandbox, served(tmp_path_factory.mktemp("first-day"), sandbox) as filled:
        filled.run_to_end()
        yield filled


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """An owner whose run and export are there, and two friends' exports."""
    now = datetime.now(UTC) - BEHIND
    period = {"since": (now - MONTHS).isoformat(), "until": now.isoformat()}
    with (
        Sandbox(scale="small", now=now.isoformat()) as sandbox,
        served(tmp_path_factory.mktemp("three"), sandbox) as filled,
    ):
        log_in({**filled.environ, "LAKE_URL": str(filled.server.lake)})  # as a person does: the name is noted
        run_id = filled.start_run()
        imports = [filled.send_import(filled.export(**period))]  # type: ignore[arg-type]
        filled.await_run(run_id)
        for name, seed in GUESTS.items():
            imports.append(filled.send_import(filled.export(World(seed=seed, scale="small"), **period), name))
        for import_id in imports:
            filled.await_import(import_id)
        yield filled


@pytest.fixture(params=[0, 1, 3], ids=["nobody", "one", "three"])
def lake(request: pytest.FixtureRequest) -> Lake:
    name = {0: "empty", 1: "first_day", 3: "three"}[request.param]
    made = request.getfixturevalue(name)
    return Lake(made if isinstance(made, LakeServer) else made.server, request.param)


def amiss(visit: Visit, where: str) -> list[str]:
    """What no reader should meet on the page as it is."""
    shown = visit.page.locator("body").inner_text()
    words = [word for word in FOR_MACHINES.finditer(shown) if word[0] != "null" or not where.startswith(FOR_SQL)]
    selects = visit.page.locator(SELECTS).evaluate_all("(all) => all.map((one) => [one.id, one.options.length])")
    return [
        *(f"{where}: {text}" for text in visit.page.locator(".fault").all_inner_texts()),
        *(f"{where}: …{shown[max(0, word.start() - 60) : word.end() + 30]!r}" for word in words),
        *(f"{where}: nothing to choose in {name}" for name, choices in selects if choices < 2),
    ]


@pytest.mark.thorough
def test_every_page_and_report_has_words_for_a_reader_and_choices_that_are_some(
    lake: Lake, look: Callable[..., Visit]
) -> None:
    visit = look(lake.server)
    visit.allow(NEVER_CRAWLED)
    visit.allow(NO_SUCH_THING)
    found: list[str] = []
    for address in lake.pages() + lake.reports():
        visit.open(f"#/{address}")
        found += amiss(visit, address)
        of_listeners = visit.page.locator("#select-user, #parameter-user")
        if lake.listeners > 1 and of_listeners.count():
            assert of_listeners.locator("option").count() == lake.listeners + 1, address
        elif lake.listeners < 2:
            expect(of_listeners).to_have_count(0)
    assert found == []


@pytest.mark.thorough
@pytest.mark.parametrize("lake", [1, 3], ids=["one", "three"], indirect=True)
@pytest.mark.parametrize("address", CHOOSING)
def test_each_choice_changes_the_address_and_stays_chosen(lake: Lake, look: Callable[..., Visit], address: str) -> None:
    visit = look(lake.server)
    page = visit.open(f"#/{address}")
    for name in page.locator(SELECTS).evaluate_all("(all) => all.map((one) => one.id).filter(Boolean)"):
        visit.open(f"#/{address}")
        select = page.locator(f"#{name}")
        expect(select.locator("option").nth(1)).to_be_attached()
        values = select.locator("option").evaluate_all("(all) => all.map((one) => one.value)")
        before = (page.url, select.input_value())
        chosen = next(one for one in reversed(values) if one not in (before[1], "custom"))
        select.select_option(chosen)
        page.wait_for_url(lambda url, old=before[0]: url != old)  # type: ignore[misc]
        visit.settle()
        expect(page.locator(f"#{name}")).to_have_value(chosen)
        assert amiss(visit, f"{address} with {name} {chosen}") == []


@pytest.mark.thorough
def test_a_year_of_nothing_is_said_to_be_one_and_has_no_picture(empty: LakeServer, look: Callable[..., Visit]) -> None:
    visit = look(empty)
    page = visit.open("#/year")
    for title in ("Minutes", "Plays", "Compared", "Top artists", "Seasons"):
        expect(visit.panel(title)).to_contain_text("Nothing was heard in this period")
    expect(page.locator(".poster")).to_be_hidden()


@pytest.mark.thorough
def test_on_the_first_day_nothing_is_compared_with_a_time_that_nobody_knows(
    first_day: Filled, look: Callable[..., Visit]
) -> None:
    visit = look(first_day.server)
    page = visit.open("#/overview")
    assert visit.figure("Plays") == str(first_day.number("SELECT count_if(play_seconds >= 30) FROM heard"))
    expect(page.get_by_text("new", exact=True)).to_have_count(0)
    expect(page.get_by_text("none in the period before")).to_have_count(0)
    first = first_day.server.rows("SELECT CAST(min(heard_at) AS date) FROM heard")[0][0]
    drawn = visit.labels("Listening over time")
    days = (datetime.now(UTC).date() - datetime.fromisoformat(first).date()).days
    assert len(drawn) <= days + 2  # not a year with a dot at its end


@pytest.mark.thorough
def test_the_first_query_on_fresh_data_has_hours_in_every_row(first_day: Filled, look: Callable[..., Visit]) -> None:
    visit = look(first_day.server)
    page = visit.open("#/sql")
    page.get_by_role("button", name=re.compile("^Run")).first.click()
    expect(page.locator(".result-facts .badge").first).to_contain_text("row")
    expect(page.locator(".sheet-row").first).to_be_visible()
    shown = page.locator(".sheet-row").evaluate_all(
        "(rows) => rows.map((row) => [...row.querySelectorAll('[role=gridcell]')].map((cell) => cell.textContent))"
    )
    assert len(shown) > 3 and all(re.fullmatch(r"[\d.,]+", hours) for _, _, hours in shown), shown


@pytest.mark.thorough
def test_an_export_dropped_on_an_empty_lake_is_imported_for_whom_the_reader_names(
    tmp_path: Path, look: Callable[..., Visit]
) -> None:
    (tmp_path / "export").mkdir()
    since = (datetime.now(UTC) - timedelta(days=60)).date().isoformat()
    made = export.write(tmp_path / "export", World(seed=1, scale="small"), "extended-2025", since=since)
    with LakeServer(tmp_path) as server:
        visit = look(server)
        visit.allow("400|404")  # whose it is, is asked; nothing was crawled yet
        page = visit.open("#/pipeline")
        page.locator("#import-files").set_input_files(made.path)
        asked = page.get_by_role("group", name=re.compile("Whose listening"))
        asked.get_by_role("textbox").fill("Ann")
        asked.get_by_role("button").last.click()
        expect(visit.panel("Import your history")).to_contain_text("for Ann", timeout=60_000)
        expect(visit.panel("Listeners").locator("strong")).to_have_text("Ann")
        visit.settle()
        expect(page.get_by_text("in quarantine:")).to_have_count(0)  # who was asked and answered has nothing to mend
        assert server.get("/quarantine").json()["objects"] == []
        heard = (
            "SELECT listeners.name, count(*) FROM plays JOIN listeners ON listeners.user_id = plays.user_id GROUP BY 1"
        )
        assert server.rows(heard) == [["Ann", len(made.listens)]]


@pytest.mark.thorough
def test_the_librarys_playlists_are_those_of_the_listener_who_is_chosen(
    three: Filled, look: Callable[..., Visit]
) -> None:
    visit = look(three.server)
    page = visit.open("#/library")
    whole = visit.panel("Playlists").locator("tbody a").count()
    assert whole > 0
    owner = three.sandbox.world.default_listener.person.display_name
    for name, expected in ((owner, whole), ("Ben", 0)):
        page.locator("#select-user").select_option(label=name)
        page.wait_for_url("**user=**")
        visit.settle()
        expect(visit.panel("Playlists").locator("tbody a")).to_have_count(expected)
