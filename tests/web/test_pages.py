"""The dashboard in a real browser, over a served lake that a sandbox Spotify and a privacy export fill."""

from __future__ import annotations

import csv
import re
import subprocess
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import pytest
import requests
from playwright.sync_api import Route, expect

from sandbox.service import picture
from tests.support import overview
from tests.support.browser import ARGUMENTS, CHROMIUM, WAITS, Visit
from tests.support.dashboard import GUEST
from tests.support.pages import numbers, run_sql, shown_list, table_of, words, write_sql
from tests.support.server import LakeServer, eventually

GERMAN = r"\d\. (Jan|Feb|März|Apr|Mai|Juni|Juli|Aug|Sept|Okt|Nov|Dez)\b"  # days as a German browser writes them itself
MOST_WEIGHT = 600_000  # bytes gzipped, everything that the page loads of itself
NEVER_CRAWLED = r"404 .*/crawls/latest"  # an answer that the page expects; Chromium logs it all the same
PAGES = {
    "overview": "#/overview",
    "year": "#/year?period=2025",
    "listens": "#/listens?period=2025",
    "tables": "#/tables",
    "table": "#/table/heard",
    "library": "#/library",
    "reports": "#/reports",
    "report": "#/reports/top_artists",
    "sql": "#/sql",
    "pipeline": "#/pipeline",
}


# --- each page ----------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_loads_without_a_fault_and_is_accessible(filled, look, theme):
    visit = look(filled.server, color_scheme=theme)
    for name, address in PAGES.items():
        visit.open(address)
        if name == "sql":
            run_sql(visit, "SELECT item_name, ms_played FROM plays LIMIT 50")
        assert visit.violations() == [], name


@pytest.mark.thorough
def test_artist_album_and_track_pages_are_reached_from_the_overview(filled, look):
    visit = look(filled.server)
    page = visit.open("#/overview?period=all&timezone=UTC")
    for kind, title in (("artist", "Top artists"), ("album", "Top albums"), ("track", "Top tracks")):
        first = visit.panel(title).locator(".ranked li a").first
        name = first.inner_text()
        first.click()
        visit.settle()
        expect(page.locator("h1")).to_have_text(name)
        assert f"#/{kind}/" in page.url
        assert numbers(visit.figure("Plays"))[0] > 0
        assert visit.figure("Rank").startswith("#")
        assert visit.violations() == []
        page.go_back()
        visit.settle()


@pytest.mark.thorough
@pytest.mark.parametrize("width", [360, 820, 1920])
def test_no_page_is_wider_than_its_window(filled, look, width):
    visit = look(filled.server, viewport={"width": width, "height": 800})
    for name, address in PAGES.items():
        page = visit.open(address)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, name


ROWS_OF_FIGURES = """(place) => Object.values(Object.groupBy(
    [...place.children].map((tile) => tile.getBoundingClientRect()), ({ top }) => Math.round(top)
)).map((row) => [row.length, Math.max(...row.map(({ right }) => right))])"""


@pytest.mark.thorough
@pytest.mark.parametrize("width", [390, 600, 768, 900, 1024, 1180, 1280, 1440])
def test_no_figure_stands_alone_below_the_others(filled, look, width):
    visit = look(filled.server, viewport={"width": width, "height": 800})
    artist = filled.report("top_artists", period="all", limit=1)[0]["artist"]
    for address in ("#/overview?period=all", f"#/artist/{quote(artist, safe='')}?period=all"):
        page = visit.open(address)
        first, *below = page.locator(".figures").first.evaluate(ROWS_OF_FIGURES)
        assert all(row[0] == first[0] or row[1] == pytest.approx(first[1], abs=1) for row in below), (address, below)


@pytest.mark.thorough
def test_a_browser_of_another_language_reads_numbers_and_dates_in_the_pages_english(filled, look):
    chosen = {"period": "2025", "timezone": "UTC"}
    (totals,), weeks, (listen, *_) = filled.reports(
        [
            ("dashboard_totals", chosen),
            ("listening_over_time", {**chosen, "unit": "week"}),
            ("dashboard_listens", {**chosen, "limit": 1}),
        ]
    )
    visit = look(filled.server, locale="de-DE", timezone_id="UTC")
    visit.open(f"#/overview?{urlencode(chosen)}")
    assert totals["plays"] > 1000 and visit.figure("Plays") == f"{totals['plays']:,}"
    days = [datetime.fromisoformat(row["start"]) for row in weeks]
    assert {in_english(day) for day in days} <= set(visit.labels("Listening over time"))
    page = visit.open(f"#/listens?{urlencode(chosen)}")
    at = datetime.fromisoformat(listen["heard_local"])
    expect(page.locator("[aria-label='List of listens'] tbody tr").first).to_contain_text(
        f"{in_english(at)}, {at:%H:%M}"
    )
    for address in PAGES.values():
        assert not re.search(GERMAN, visit.open(address).locator("main").inner_text()), address


def in_english(day: datetime) -> str:
    return f"{day.day} {day:%b} {day.year}".replace(" Sep ", " Sept ")  # as it is written in Britain


@pytest.mark.parametrize("page", ["library", "sql", "pipeline"])
def test_no_table_hides_columns_at_a_laptops_width(filled, look, page):
    visit = look(filled.server)
    visit.open(PAGES[page])
    if page == "sql":
        run_sql(visit, "SELECT item_name, artist_name, album_name, platform, ms_played FROM plays LIMIT 5")
    expect(visit.page.locator(".table-wrap").first).to_be_visible()
    hidden = visit.page.locator(".table-wrap").evaluate_all(
        "(places) => places.map((place) => [place.getAttribute('aria-label'), place.scrollWidth - place.clientWidth])"
    )
    assert hidden
    assert [name for name, wide in hidden if wide > 0] == []


LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaftskantate, zweiter Satz"


@pytest.mark.thorough
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", [LONG, "フジファブリック", "مجموعة الأغاني الكاملة", "🌈🦄 <b>& 100 %"])
def test_any_name_fits_its_page(filled, look, name, width):
    visit = look(filled.server, viewport={"width": width, "height": 800})
    page = visit.open(f"#/track/{quote(name, safe='')}/{quote(name, safe='')}")
    expect(page.locator("h1")).to_have_text(name)
    wide = (
        "(place) => place.getBoundingClientRect().right - document.querySelector('main').getBoundingClientRect().right"
    )
    assert all(page.locator(each).first.evaluate(wide) <= 0 for each in ("h1", ".item-head a"))
    cover = page.locator(".cover").bounding_box()
    assert cover and cover["width"] == cover["height"]
    expect(page.get_by_text("No listens")).to_be_visible()


@pytest.mark.thorough
def test_the_page_weighs_little(filled, look):
    visit = look(filled.server)
    for address in PAGES.values():
        visit.open(address)
    loaded = {
        request.url: request.sizes()["responseBodySize"]
        for request in visit.requests
        if "/static/" in request.url or request.resource_type == "document"
    }
    assert any("vendor/chart.js" in url for url in loaded)
    assert any("vendor/editor.js" in url for url in loaded)
    assert sum(loaded.values()) < MOST_WEIGHT


# --- numbers ------------------------------------------------------------------------------------------------------

OWNER = "owner"  # stands for the listener who is not the guest
SELECTIONS: list[dict[str, str]] = [
    {"period": "all", "timezone": "UTC"},
    {"period": "2025", "timezone": "America/New_York", "user": OWNER},
    {"period": "1y", "timezone": "Asia/Kolkata"},
    {"from": "2026-02-03", "to": "2026-04-20", "timezone": "Pacific/Auckland", "user": GUEST},
]
GRAINS = {"all": "month", "2025": "week", "1y": "week"}
TOPS = (
    ("Top artists", "top_artists", "artist", None),
    ("Top tracks", "top_tracks", "track", "artist"),
    ("Top albums", "top_albums", "album", "artist"),
)


@pytest.mark.thorough
@pytest.mark.parametrize("chosen", SELECTIONS, ids=lambda chosen: "-".join(chosen.values()).replace("/", " "))
def test_every_number_of_the_overview_is_the_commands(filled, look, chosen):
    if chosen.get("user") == OWNER:
        others = "SELECT user_id FROM plays WHERE user_id <> ? GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
        chosen = {**chosen, "user": filled.server.rows(others, GUEST)[0][0]}
    period = chosen.get("period", "")
    comparable, grain = period != "all", GRAINS.get(period, "day")
    visit = look(filled.server, timezone_id=chosen["timezone"])
    visit.open(f"#/overview?{urlencode(chosen)}")
    listeners, (totals,), over_time, clock, discovery, *tops = filled.reports(
        [
            ("dashboard_listeners", {}),
            ("dashboard_totals", chosen),
            ("listening_over_time", {**chosen, "unit": grain}),
            ("listening_by_hour_and_weekday", chosen),
            ("discovery", chosen),
            *((report, {**chosen, "limit": 10}) for _, report, _, _ in TOPS),
        ]
    )
    assert totals["plays"] > 100
    assert shown_figures(visit) == overview.figures(totals, comparable=comparable)
    for (title, _, name, by), rows in zip(TOPS, tops, strict=True):
        assert len(rows) == 10
        assert shown_list(visit, title) == overview.ranked(rows, name, by, comparable=comparable)
        assert shown_shares(visit, title) == pytest.approx(overview.shares(rows))
    charts = {"Listening over time": over_time, "When you listen": clock, "Discovery": discovery}
    asked = filled.server.get("/reports/listening_over_time", params={**chosen, "unit": grain}).json()
    today = datetime.now(ZoneInfo(chosen["timezone"])).date()
    steps = overview.steps(over_time, grain, days=overview.days_of(asked["values"], today))
    assert visit.drawn("Listening over time") == overview.of_steps(steps, "plays")
    assert visit.labels("Listening over time") == visit.dates((day for day, _ in steps), grain)
    assert visit.drawn("When you listen") == overview.cells(clock)
    if any(row["new_artists"] for row in discovery):
        months = overview.steps(discovery, "month", by="month")
        assert visit.drawn("Discovery") == overview.of_steps(months, "new_artists")
        assert visit.labels("Discovery") == visit.dates((month for month, _ in months), "month")
    else:
        expect(visit.panel("Discovery")).to_contain_text("No artist was heard for the first time")
    visit.panel("Listening over time").get_by_label("Measure").select_option("hours")
    assert visit.drawn("Listening over time") == pytest.approx(overview.of_steps(steps, "minutes", 1 / 60))
    for title, rows in [*charts.items(), *zip((title for title, *_ in TOPS), tops, strict=True)]:
        assert table_of(visit.panel(title)) == overview.table(rows), title
    assert visit.offered("#select-period")[5:-2] == overview.years(listeners)
    assert visit.offered("#select-user") == ["Everybody", *(each["user_id"] for each in listeners)]


def shown_figures(visit: Visit) -> list[overview.Figure]:
    return [
        overview.Figure(
            figure.locator("dt").inner_text(),
            figure.locator("dd").first.inner_text(),
            words(figure.locator("dd.change").text_content()),
        )
        for figure in visit.page.locator(".figure").all()
    ]


def shown_shares(visit: Visit, title: str) -> list[float]:
    lengths = "(bars) => bars.map((bar) => Number(getComputedStyle(bar).getPropertyValue('--share')))"
    shares: list[float] = visit.panel(title).locator(".ranked .bar").evaluate_all(lengths)
    return shares


# What the pages call a play: 30 seconds, as Spotify counts; the API says no time, so that its plays all count.
PLAYS = "SELECT count(*) FROM plays WHERE coalesce(ms_played, 30000) >= 30000"


@pytest.mark.thorough
def test_times_of_the_listeners_clock_leave_the_api_without_a_zone_and_utc_with_one(filled):
    """Which they are is seen by asking in two zones: local times move, moments do not."""
    zones = ("Asia/Kolkata", "UTC")
    moved = set()
    for report in filled.server.get("/reports").json()["reports"]:
        if not any(parameter["type"] == "timezone" for parameter in report["parameters"]):
            continue
        period = {"period": "all"} if any(each["name"] == "period" for each in report["parameters"]) else {}
        first = filled.server.get(f"/reports/{report['name']}", params={**period, "timezone": zones[0]}).json()
        times = [at for at, column in enumerate(first["columns"]) if column["type"].startswith("timestamp")]
        if not times:
            continue
        second = filled.server.get(f"/reports/{report['name']}", params={**period, "timezone": zones[1]}).json()
        for at in times:
            name = f"{report['name']}.{first['columns'][at]['name']}"
            values = [[row[at] for row in rows["rows"] if row[at]] for rows in (first, second)]
            if not values[0]:
                continue
            if {value.removesuffix("Z") for value in values[0]} != {value.removesuffix("Z") for value in values[1]}:
                moved.add(name)
            assert all(value.endswith("Z") == (name not in moved) for rows in values for value in rows), name
    assert {"recently_played.ended_local", "longest_sessions.started_local", "podcasts.last_listen"} <= moved


@pytest.mark.thorough
def test_a_local_time_is_what_the_listeners_clock_showed(filled):
    zone = ZoneInfo("Asia/Kolkata")
    moments = filled.server.rows("SELECT heard_at FROM heard ORDER BY heard_at DESC LIMIT 5")
    expected = [datetime.fromisoformat(moment).astimezone(zone).replace(tzinfo=None) for (moment,) in moments]
    asked = {"timezone": zone.key, "limit": 5}
    shown = filled.report("recently_played", **asked)
    assert [datetime.fromisoformat(row["ended_local"]) for row in shown] == expected
    lines = filled.server.get("/reports/recently_played", params=asked, headers={"Accept": "text/csv"}).text
    assert [row["ended_local"] for row in csv.DictReader(lines.splitlines())] == [row["ended_local"] for row in shown]


@pytest.mark.thorough
def test_period_and_time_zone_live_in_the_address_and_change_the_numbers(filled, look):
    visit = look(filled.server)
    page = visit.open("#/overview?period=all&timezone=UTC")
    everything = numbers(visit.figure("Plays"))[0]
    assert everything == filled.number(PLAYS)
    page.locator("#select-period").select_option("2025")
    page.wait_for_url("**period=2025**")
    visit.settle()
    assert numbers(visit.figure("Plays"))[0] == filled.number(
        f"{PLAYS} AND ended_at >= TIMESTAMP '2025-01-01' AND ended_at < TIMESTAMP '2026-01-01'"
    )
    in_utc = table_of(visit.panel("When you listen"))
    page.locator("#select-timezone").select_option("Asia/Tokyo")
    page.wait_for_url("**timezone=Asia%2FTokyo**")
    visit.settle()
    assert table_of(visit.panel("When you listen")) != in_utc
    page.go_back()
    visit.settle()
    assert table_of(visit.panel("When you listen")) == in_utc
    another = look(filled.server)
    shared = page.url.partition("#")[2]
    another.open(f"#{shared}")
    assert table_of(another.panel("When you listen")) == in_utc


@pytest.mark.thorough
def test_a_period_can_be_given_in_days(filled, look):
    visit = look(filled.server)
    page = visit.open("#/overview?period=all&timezone=UTC")
    page.locator("#select-period").select_option("custom")
    page.get_by_label("First day").fill("2025-03-01")
    page.get_by_label("Last day").fill("2025-03-14")
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**from=2025-03-01**")
    visit.settle()
    assert numbers(visit.figure("Plays"))[0] == filled.number(
        f"{PLAYS} AND ended_at >= TIMESTAMP '2025-03-01' AND ended_at < TIMESTAMP '2025-03-15'"
    )


@pytest.mark.thorough
def test_a_period_that_ends_before_it_begins_is_not_taken(filled, look):
    visit = look(filled.server)
    page = visit.open("#/overview?period=all&timezone=UTC")
    page.locator("#select-period").select_option("custom")
    page.get_by_label("First day").fill("2025-03-14")
    page.get_by_label("Last day").fill("2025-03-01")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.get_by_label("Last day").evaluate("(input) => input.validationMessage")
    page.get_by_label("Last day").fill("2025-03-14")
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**from=2025-03-14&to=2025-03-14**")


@pytest.mark.thorough
def test_every_chart_shows_the_sql_that_made_it(filled, look):
    visit = look(filled.server)
    page = visit.open("#/overview?period=2025&timezone=UTC")
    panel = visit.panel("Top artists")
    panel.get_by_role("button", name="SQL", exact=True).click()
    assert "FROM heard" in panel.locator("pre").inner_text()
    panel.get_by_role("link", name="Open in the editor").click()
    visit.settle()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".sheet-row").first).to_contain_text(filled.report("top_artists", period="2025")[0]["artist"])


# --- the year, listens, search ------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_the_year_compares_two_listeners_as_the_report_does(filled, look):
    chosen = {"period": "all", "timezone": "UTC"}
    visit = look(filled.server, timezone_id="UTC")
    page = visit.open(f"#/year?{urlencode(chosen)}")
    others = filled.report("dashboard_listeners")
    for other in ("", others[-1]["user_id"]):
        if other:
            page.locator("#select-with").select_option(other)
            page.wait_for_url(f"**with={other}**")
            visit.settle()
        rows = filled.report("compare_listeners", **chosen, other_user=other, limit=5)
        shown = words(visit.panel("Two listeners").inner_text())
        assert rows[0]["sentence"] in shown and f"{rows[0]['percent_shared']:g} %" in shown
        both = [row["sentence"] for row in rows if row["kind"] == "both"]
        only = [row["sentence"] for row in rows if row["kind"] == "only one"]
        assert only[0] in shown and all(sentence in shown for sentence in both[:3])
    visit.panel("Two listeners").get_by_role("button", name="SQL", exact=True).click()
    expect(visit.panel("Two listeners").locator("pre")).to_contain_text("FROM heard")
    assert visit.violations() == []


@pytest.mark.thorough
@pytest.mark.parametrize("selection", ["period=7d", "from=2025-03-01&to=2025-03-09", "period=2025-02"])
def test_any_period_is_a_story_with_a_picture_to_save_copy_or_share(filled, look, selection):
    visit = look(filled.server, permissions=["clipboard-read", "clipboard-write"])
    page = visit.open(f"#/year?{selection}&timezone=UTC")
    chosen = dict(part.split("=") for part in selection.split("&"))
    told = {row["what"]: row for row in filled.report("year_in_review", **chosen, timezone="UTC")}
    if not told["plays"]["number"]:
        expect(visit.panel("Minutes")).to_contain_text("Nothing was heard in this period")
        return
    assert overview.whole(told["minutes"]["number"]) in words(visit.panel("Minutes").inner_text())
    page.get_by_role("button", name="Copy the picture").click()
    expect(page.get_by_text("Copied")).to_be_visible(timeout=20_000)
    kinds = page.evaluate("navigator.clipboard.read().then((items) => items.flatMap((item) => [...item.types]))")
    assert kinds == ["image/png"]


@pytest.mark.thorough
def test_while_somebody_types_one_search_at_a_time_is_asked_for_and_the_last_is_of_all_letters(filled, look):
    """The server works out what it was asked for, whoever has left: one for each letter would keep the last back."""
    artist = filled.server.rows("SELECT max(artist_name) FROM heard WHERE length(artist_name) > 7")[0][0]
    page = look(filled.server).open("#/listens?period=all")
    began, left = [], []
    page.on("request", lambda request: began.append(request.url))
    page.on("requestfailed", lambda request: left.append(request.url))
    slowly = {"offline": False, "latency": 400, "downloadThroughput": -1, "uploadThroughput": -1}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slowly)
    page.locator("#search").press_sequentially(artist, delay=100)
    expect(page.locator("#search-answers")).to_contain_text(f"“{artist}”")
    expect(page.get_by_role("region", name="Found").get_by_role("link", name=artist).first).to_be_visible()
    assert 1 < sum("dashboard_search" in url for url in began) < len(artist)
    assert not left


@pytest.mark.thorough
def test_listens_go_on_to_the_last_one_and_each_is_there_once(filled, look):
    day = filled.server.rows(
        "SELECT CAST(date(heard_at) AS varchar) FROM heard WHERE play_seconds >= 30 GROUP BY 1 HAVING count(*) > 25 "
        "ORDER BY 1 LIMIT 1"
    )[0][0]
    chosen = {"from": f"{day[:8]}01", "to": f"{day[:8]}28", "timezone": "UTC"}
    rows = filled.report("dashboard_listens", **chosen, limit=1000)
    assert 200 < len(rows) < 1000
    visit = look(filled.server, timezone_id="UTC")
    page = visit.open(f"#/listens?{urlencode(chosen)}")
    shown = page.locator("[aria-label='List of listens'] tbody tr")
    for _ in range(600):  # at its end the list goes on by itself
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(100)
        if shown.count() == len(rows):
            break
    expect(shown).to_have_count(len(rows))
    titles = shown.evaluate_all("(rows) => rows.map((row) => row.cells[1].querySelector('bdi').textContent)")
    assert titles == [row["track"] or "unknown" for row in rows]


@pytest.mark.thorough
def test_a_cell_of_the_clock_leads_to_its_listens(filled, look):
    visit = look(filled.server)
    page = visit.open("#/overview?period=2025&timezone=UTC")
    place = visit.panel("When you listen").locator("canvas")
    visit.drawn("When you listen")
    box = place.bounding_box()
    place.click(position={"x": box["width"] * 0.3, "y": box["height"] * 0.45})
    page.wait_for_url("**#/listens**")
    visit.settle()
    hour, weekday = (re.findall(rf"[?&]{name}=(\d+)", page.url)[0] for name in ("hour", "weekday"))
    rows = filled.report("dashboard_listens", period="2025", timezone="UTC", hour=hour, weekday=weekday, limit=100)
    expect(page.locator("[aria-label='List of listens'] tbody tr")).to_have_count(len(rows))


@pytest.mark.thorough
def test_search_finds_from_every_page_by_keyboard(filled, look):
    visit = look(filled.server)
    page = visit.open("#/pipeline")
    artist = filled.report("top_artists", period="all", limit=30)[-1]["artist"]
    page.locator("h1").click()
    page.keyboard.press("/")
    page.keyboard.type(artist[:8].lower())
    found = page.locator(".answers section", has_text="Artists").get_by_role("link", name=re.compile(re.escape(artist)))
    expect(found).to_be_visible()
    expected = filled.report("dashboard_search", search=artist[:8].lower())
    assert page.locator(".answers li").count() == len(expected)
    assert visit.violations() == []
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('.answers') !== null")
    found.click()
    visit.settle()
    expect(page.locator("h1")).to_have_text(artist)
    assert (
        visit.drawn("Rank by month")[0]
        == filled.report("dashboard_ranks", artist=artist, timezone="Europe/Berlin")[0]["place"]
    )


@pytest.mark.thorough
def test_a_playlist_of_the_library_has_a_page(filled, look):
    visit = look(filled.server)
    page = visit.open("#/library")
    first = visit.panel("Playlists").get_by_role("link").first
    name = first.inner_text()
    first.click()
    visit.settle()
    expect(page.locator("h1")).to_have_text(name)
    assert "#/playlist/" in page.url
    assert visit.violations() == []


# --- the pipeline -------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_a_run_is_started_and_arrives(filled, look):
    filled.listen()
    before = filled.number(PLAYS)
    visit = look(filled.server)
    page = visit.open("#/pipeline")
    runs = page.locator("table.runs tbody tr[data-run]")
    count = runs.count()
    page.get_by_role("button", name="Start a run").click()
    expect(runs).to_have_count(count + 1, timeout=60_000)
    expect(page.get_by_text(re.compile(r"The run (succeeded|partial)"))).to_be_visible(timeout=60_000)
    runs.first.get_by_role("button").click()
    expect(page.locator("tr.sources").first).to_contain_text("Recently played")
    assert eventually(lambda: filled.number(PLAYS) > before)
    visit.open("#/overview?period=all&timezone=UTC")
    assert numbers(visit.figure("Plays"))[0] > before


@pytest.mark.thorough
def test_the_catalogue_tells_what_has_arrived_without_being_asked(filled):
    told = lambda: filled.server.get("/tables/plays").json()["rows"]  # noqa: E731
    before = told()
    filled.listen()
    filled.run_to_end()
    assert eventually(lambda: told() == filled.number("SELECT count(*) FROM plays") != before, 60)


@pytest.mark.thorough
def test_a_dropped_export_changes_the_numbers(filled, look):
    visit = look(filled.server)
    visit.open("#/overview?period=all&timezone=UTC")
    before, listens = numbers(visit.figure("Plays"))[0], filled.number("SELECT count(*) FROM plays")
    page = visit.open("#/pipeline")
    visit.drop(filled.export(since="2023-01-01", until="2023-07-01"))
    expect(page.get_by_text("imported", exact=True)).to_be_visible(timeout=60_000)
    told = page.locator(".panel", has_text="Import your history").inner_text()
    found = re.search(r"([\d,]+) new", told)
    assert found, told
    new = int(found[1].replace(",", ""))
    assert new > 100
    visit.open("#/overview?period=all&timezone=UTC")
    assert before < numbers(visit.figure("Plays"))[0] == filled.number(PLAYS)
    assert filled.number("SELECT count(*) FROM plays") == listens + new


@pytest.mark.thorough
def test_a_file_that_is_no_export_is_refused_in_words(filled, look, tmp_path):
    visit = look(filled.server)
    page = visit.open("#/pipeline")
    path = tmp_path / "holiday.zip"
    path.write_bytes(b"not a zip at all")
    expect(visit.panel("Quarantine")).to_contain_text("Nothing is in quarantine.")
    visit.drop(path)
    expect(page.locator(".panel", has_text="Import your history").get_by_role("alert")).to_be_visible(timeout=30_000)
    told = visit.panel("Quarantine").get_by_role("listitem")
    expect(told).to_contain_text(re.compile(r"Import refused: .*holiday\.zip: "))
    expect(told).to_contain_text("Import the export again")
    for reason in (filled.server.lake / "quarantine").rglob("*holiday.zip.json"):
        reason.unlink()


@pytest.mark.thorough
def test_what_lies_in_quarantine_is_told_with_the_reason_and_the_remedy_until_it_is_mended(filled, look):
    visit = look(filled.server, permissions=["clipboard-read", "clipboard-write"])
    run = filled.server.get("/runs").json()["runs"][-1]
    record = filled.server.get(f"/runs/{run['run_id']}").json()
    key = next(each["raw_keys"][0] for each in record["sources"] if each["source"] == "saved_albums")
    path = filled.server.lake / key
    whole = path.read_bytes()
    path.write_bytes(b"no answer of Spotify's")
    with pytest.raises(subprocess.CalledProcessError):
        filled.command("transform", key)
    try:
        page = visit.open("#/pipeline")
        expect(page.get_by_text(re.compile(r"^\d+ objects? (is|are) in quarantine"))).to_be_visible()
        told = visit.panel("Quarantine").get_by_role("listitem").filter(has_text=key)
        expect(told).to_contain_text("Raw object invalid: not a whole gzip file")
        told.get_by_role("button", name="Copy the command").click()
        assert page.evaluate("navigator.clipboard.readText()") == f".venv/bin/lake transform {key}"
        page.locator(f"tr[data-run='{run['run_id']}'] button").click()
        caution = page.locator("tr.sources .caution").filter(has_text="quarantine")  # the sandbox's clock has one too
        expect(caution).to_contain_text(f"{key} is in quarantine: not a whole gzip file")
        assert visit.violations() == []
    finally:
        path.write_bytes(whole)
        filled.command("transform", key)
    page.reload()
    visit.settle()
    expect(visit.panel("Quarantine").get_by_role("listitem").filter(has_text=key)).to_have_count(0)


@pytest.mark.thorough
def test_the_catalogue_is_refreshed(filled, look):
    visit = look(filled.server)
    page = visit.open("#/pipeline")
    page.get_by_role("button", name="Refresh the catalogue").click(timeout=60_000)  # when the service's own has ended
    expect(page.get_by_text("Catalogue refreshed")).to_be_visible(timeout=60_000)
    expect(visit.panel("Freshness").get_by_role("rowheader", name="plays", exact=True)).to_be_visible()


# --- SQL ----------------------------------------------------------------------------------------------------------

MANY = """SELECT a.n * 1000 + b.n AS n, 'row ' || CAST(b.n AS varchar) AS word
FROM UNNEST(sequence(0, 99)) AS a(n) CROSS JOIN UNNEST(sequence(1, 1000)) AS b(n)
ORDER BY 1"""
ENDLESS = (
    "SELECT count(*) FROM plays a CROSS JOIN plays b CROSS JOIN plays c WHERE a.ms_played + b.ms_played > c.ms_played"
)


@pytest.mark.thorough
def test_a_hundred_thousand_rows_scroll_sort_and_copy(filled, look):
    visit = look(filled.server, permissions=["clipboard-read", "clipboard-write"])
    page = visit.open("#/sql")
    run_sql(visit, MANY)
    expect(page.locator(".result-facts")).to_contain_text("100,000 rows")
    sheet = page.get_by_role("grid")
    assert sheet.get_attribute("aria-rowcount") == "100001"
    assert page.locator(".sheet-row").count() < 100  # only those in sight
    sheet.focus()
    page.keyboard.press("Control+End")
    expect(page.locator("[data-at='99999,0']")).to_have_text("100000")
    page.keyboard.press("Control+c")
    assert page.evaluate("navigator.clipboard.readText()") == "row 1000"
    page.get_by_role("columnheader", name=re.compile("^n")).get_by_role("button").click()
    page.get_by_role("columnheader", name=re.compile("^n")).get_by_role("button").click()
    expect(page.get_by_role("columnheader", name=re.compile("^n"))).to_have_attribute("aria-sort", "descending")
    page.keyboard.press("Control+Home")
    expect(page.locator("[data-at='0,0']")).to_have_text("100000")


@pytest.mark.thorough
def test_a_query_is_cancelled(filled, look):
    visit = look(filled.server)
    page = visit.open("#/sql")
    write_sql(visit, ENDLESS)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Running", exact=True)).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).first.click()
    expect(page.get_by_text("The query was cancelled.")).to_be_visible(timeout=10_000)
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()


@pytest.mark.thorough
def test_an_error_is_marked_at_its_position(filled, look):
    visit = look(filled.server)
    visit.allow(r"status of 4\d\d .*/queries")
    page = visit.open("#/sql")
    write_sql(visit, "SELECT item_name\nFROM plais")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".result-facts")).to_contain_text("Failed")
    expect(page.locator(".cm-lintRange-error")).to_have_text("plais")


@pytest.mark.thorough
def test_tables_and_columns_complete(filled, look):
    visit = look(filled.server)
    page = visit.open("#/sql")
    write_sql(visit, "SELECT * FROM saved_")
    page.keyboard.press("Control+Space")
    expect(page.locator(".cm-tooltip-autocomplete")).to_contain_text("saved_items")
    page.keyboard.press("Escape")
    write_sql(visit, "SELECT plays.ms_ FROM plays")
    for _ in range(len(" FROM plays")):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Control+Space")
    expect(page.locator(".cm-tooltip-autocomplete")).to_contain_text("ms_played")


@pytest.mark.thorough
def test_results_are_downloaded(filled, look, tmp_path):
    import pyarrow.parquet as parquet

    visit = look(filled.server)
    page = visit.open("#/sql")
    run_sql(visit, "SELECT play_id, ended_at FROM plays")
    plays = filled.number("SELECT count(*) FROM plays")
    with page.expect_download() as as_csv:
        page.get_by_role("button", name="Download as CSV").click()
    as_csv.value.save_as(tmp_path / "plays.csv")
    with (tmp_path / "plays.csv").open(newline="") as lines:
        assert sum(1 for _ in csv.reader(lines)) == plays + 1
    with page.expect_download() as as_parquet:
        page.get_by_role("button", name="Download as Parquet").click()
    as_parquet.value.save_as(tmp_path / "plays.parquet")
    assert parquet.read_metadata(tmp_path / "plays.parquet").num_rows == plays


@pytest.mark.thorough
def test_a_result_is_charted_saved_as_a_report_and_deleted(filled, look):
    visit = look(filled.server)
    page = visit.open("#/sql")
    run_sql(visit, "SELECT platform, count(*) AS plays FROM plays GROUP BY 1 ORDER BY 2 DESC")
    page.get_by_role("button", name="Chart", exact=True).click()
    expect(page.get_by_role("img", name="bar of plays by platform")).to_be_visible()
    page.locator("label.field", has_text=re.compile("^Chart")).locator("select").select_option("line")
    expect(page.get_by_role("img", name="line of plays by platform")).to_be_visible()
    page.get_by_role("button", name="Save as report").click()
    page.get_by_label("Name, for addresses").fill("by_platform")
    page.get_by_label("Title").fill("Plays by platform")
    page.get_by_label("What it answers").fill("On what is listened")
    page.locator("label.field", has_text=re.compile("^Shown as")).locator("select").select_option("bar")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="Open it").click()
    visit.settle()
    expect(page.locator("h1")).to_have_text("Plays by platform")
    assert [row["plays"] for row in filled.report("by_platform")] == [
        int(cells[1].replace(",", "")) for cells in table_of(visit.panel("Result"))
    ]
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("h1")).to_have_text("Reports")
    expect(page.get_by_role("link", name="Plays by platform")).to_have_count(0)


@pytest.mark.thorough
def test_a_report_is_saved_with_the_axes_of_its_own_query(filled, look):
    visit = look(filled.server)
    page = visit.open("#/sql")
    run_sql(visit, "SELECT item_name, ms_played FROM plays WHERE ms_played IS NOT NULL LIMIT 5")
    page.get_by_role("button", name="Chart", exact=True).click()
    expect(page.get_by_role("img", name="bar of ms_played by item_name")).to_be_visible()
    run_sql(visit, "SELECT artist_name, count(*) AS plays FROM plays GROUP BY 1 ORDER BY 2 DESC LIMIT 4")
    page.get_by_role("button", name="Save as report").click()
    page.get_by_label("Name, for addresses").fill("by_artist")
    page.get_by_label("Title").fill("Plays by artist")
    page.get_by_label("What it answers").fill("Who is played")
    page.locator("label.field", has_text=re.compile("^Shown as")).locator("select").select_option("bar")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="Open it").click()
    visit.settle()
    assert visit.drawn("Result") == [row["plays"] for row in filled.report("by_artist")]
    filled.server.delete("/reports/by_artist")


@pytest.mark.thorough
def test_a_list_goes_on_beyond_ten_when_asked(filled, look):
    visit = look(filled.server)
    visit.open("#/overview?period=all&timezone=UTC")
    panel = visit.panel("Top artists")
    panel.get_by_role("button", name="Show more").click()
    rows = filled.report("top_artists", period="all", timezone="UTC", limit=50)
    assert len(rows) > 10
    expect(panel.locator(".ranked li")).to_have_count(len(rows))
    assert shown_list(visit, "Top artists") == overview.ranked(rows, "artist", None, comparable=False)


@pytest.mark.thorough
def test_names_in_a_reports_table_and_its_bars_lead_to_their_pages(filled, look):
    visit = look(filled.server)
    page = visit.open("#/reports/top_tracks?period=all&timezone=UTC")
    first = filled.report("top_tracks", period="all", timezone="UTC")[0]
    visit.drawn("Result")
    box = page.locator("canvas").bounding_box()
    page.locator("canvas").click(position={"x": box["width"] * 0.6, "y": 20})
    page.wait_for_url("**#/track/**")
    page.go_back()
    visit.settle()
    visit.panel("Result").get_by_role("button", name="Table", exact=True).click()
    visit.panel("Result").get_by_role("link", name=first["track"], exact=True).first.click()
    expect(page.locator("h1")).to_have_text(first["track"])


@pytest.mark.thorough
def test_past_queries_are_listed_and_shown_again(filled, look):
    visit = look(filled.server)
    page = visit.open("#/sql")
    run_sql(visit, "SELECT 'remember me' AS memory")
    visit.open("#/library")
    visit.open("#/sql")
    row = page.locator("tr", has_text="remember me").first
    row.get_by_role("button", name=re.compile("^Show")).click()
    expect(page.locator("[data-at='0,0']")).to_have_text("remember me")


@pytest.mark.thorough
def test_the_history_lists_ones_own_queries_once_and_those_of_reports_when_wished(filled, look):
    visit = look(filled.server)
    visit.open("#/overview?period=all&timezone=UTC")
    page = visit.open("#/sql")
    for _ in range(2):
        run_sql(visit, "SELECT 'twice' AS word")
    rows = page.locator("section", has=page.get_by_role("heading", name="History")).locator("tbody tr")
    expect(rows.filter(has_text="'twice'")).to_have_count(1)
    expect(rows.filter(has_text="at_timezone(")).to_have_count(0)
    page.get_by_label("With those of reports").check()
    expect(rows.filter(has_text="at_timezone(").first).to_be_visible()


# --- reports ------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_every_report_is_listed_and_its_parameters_change_it(filled, look):
    visit = look(filled.server)
    page = visit.open("#/reports?timezone=UTC")
    listed = filled.server.get("/reports").json()["reports"]
    assert page.locator(".report-list li").count() == len(listed)
    visit.open("#/reports/top_artists?period=all&timezone=UTC")
    page.get_by_label("Limit").fill("3")
    page.keyboard.press("Tab")
    page.wait_for_url("**p_limit=3**")
    visit.settle()
    assert len(table_of(visit.panel("Result"))) == 3
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download as CSV").click()
    assert saved.value.suggested_filename == "top_artists.csv"


@pytest.mark.thorough
def test_a_report_is_of_the_days_and_the_listener_that_are_chosen(filled, look):
    visit = look(filled.server)
    chosen = {"from": "2026-02-03", "to": "2026-04-20", "timezone": "UTC", "user": GUEST}
    page = visit.open(f"#/reports/top_artists?{urlencode(chosen)}")
    form = page.get_by_role("form", name="Parameters")
    expect(form.locator("#select-period option:checked")).to_have_text("2026-02-03 – 2026-04-20")
    expect(form.get_by_label("Listener").locator("option:checked")).to_have_text(GUEST)
    rows = filled.report("top_artists", **chosen)
    assert rows and table_of(visit.panel("Result")) == overview.table(rows)
    form.get_by_label("Listener").select_option(label="Everybody")
    page.wait_for_url(lambda url: "user=" not in url)
    visit.settle()
    del chosen["user"]
    assert table_of(visit.panel("Result")) == overview.table(filled.report("top_artists", **chosen))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("address", "title"),
    [("#/overview?period=all", "When you listen"), ("#/reports/listening_by_hour_and_weekday?period=all", "Result")],
)
def test_days_of_the_week_have_names(filled, look, address, title):
    visit = look(filled.server, locale="de-DE")
    visit.open(address)
    assert visit.rows(title) == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def test_a_report_tells_what_its_parameters_may_be(filled, look):
    visit = look(filled.server)
    page = visit.open("#/reports/top_artists?period=all&timezone=UTC")
    expect(page.get_by_label("Min seconds")).to_have_accessible_description(
        "Seconds that make a play; 30 as Spotify counts, 0 for every start"
    )
    page.get_by_label("Limit").fill("0")
    page.keyboard.press("Tab")
    assert page.get_by_label("Limit").evaluate("(input) => input.validationMessage")
    assert "p_limit" not in page.url


# --- manners ------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_the_printed_address_signs_in_once_and_no_address_ever_holds_a_token(filled, look):
    visit = look(filled.server, token=None)
    visit.allow(r"status of 401")
    page, address = visit.page, filled.server.address
    page.goto(f"{address}#/overview?period=all&timezone=UTC")
    visit.settle()
    assert numbers(visit.figure("Plays")) and "code=" not in page.url
    token = page.evaluate("sessionStorage.getItem('lake-token')")
    assert token.startswith("lake_") and page.evaluate("localStorage.getItem('lake-token')") is None
    page.reload()
    visit.settle()
    assert numbers(visit.figure("Plays"))
    assert [request.url for request in visit.requests if token in request.url] == []
    second = visit.context.new_page()  # another tab, the same address
    second.goto(address)
    expect(second.get_by_role("dialog")).to_contain_text("lake open")


@pytest.mark.thorough
def test_who_stays_signed_in_is_so_in_every_tab_until_signing_out(filled, look):
    visit = look(filled.server, token=None)
    visit.allow(r"status of 401")
    visit.page.goto(f"{filled.server.address}#/overview?period=all&timezone=UTC")
    visit.settle()
    visit.page.get_by_role("button", name="Stay signed in").click()
    expect(visit.page.get_by_role("button", name="Sign out")).to_be_visible()
    second = visit.context.new_page()
    second.goto(f"{filled.server.url}/#/reports")
    expect(second.get_by_role("heading", name="Reports").first).to_be_attached()
    expect(second.locator("dialog")).to_have_count(0)
    token = second.evaluate("localStorage.getItem('lake-token')")
    second.get_by_role("button", name="Sign out").click()
    expect(second.get_by_role("dialog")).to_be_visible()
    asked_with = {"Authorization": f"Bearer {token}"}
    assert requests.get(filled.server.url + "/runs", headers=asked_with, timeout=10).status_code == 401


@pytest.mark.thorough
def test_no_token_lies_in_the_profile_of_a_browser_that_was_closed(filled, browser, tmp_path):
    """History, caches, addresses to be restored: only the storage of the page itself may hold one."""
    profile = tmp_path / "profile"
    context = browser.browser_type.launch_persistent_context(profile, executable_path=CHROMIUM, args=ARGUMENTS)
    page = context.new_page()
    page.goto(filled.server.address)
    expect(page.get_by_role("button", name="Stay signed in")).to_be_visible(timeout=WAITS)
    token = page.evaluate("sessionStorage.getItem('lake-token')")
    context.close()
    files = [path for path in profile.rglob("*") if path.is_file() and "Session Storage" not in str(path)]
    assert len(files) > 10 and [path for path in files if token.encode() in path.read_bytes()] == []


@pytest.mark.thorough
def test_without_a_token_it_is_asked_for_once(filled, look):
    visit = look(filled.server, token=None)
    page = visit.open("#/overview?period=all&timezone=UTC", settle=False)
    page.get_by_label("API token").fill(filled.server.token)
    page.get_by_role("button", name="Open the lake").click()
    visit.settle()
    assert numbers(visit.figure("Plays"))[0] > 0
    visit.open("#/library")
    expect(page.locator("dialog")).to_have_count(0)


@pytest.mark.thorough
def test_a_token_taken_back_is_asked_for_again(filled, look):
    printed = filled.command("token", "add", "--name", "for a day", "--scope", "read")
    found = re.search(r"lake_[\w-]{20,}", printed)
    assert found, printed
    visit = look(filled.server, token=found[0])
    visit.allow(r"status of 401")
    eventually(lambda: requests.get(filled.server.url + "/runs", headers={"Authorization": f"Bearer {found[0]}"}).ok)
    page = visit.open("#/library")
    listed = filled.command("token", "list")
    identity = next(line.split()[0] for line in listed.splitlines() if "for a day" in line)
    filled.command("token", "revoke", identity)
    asked_with = {"Authorization": f"Bearer {found[0]}"}
    assert eventually(lambda: requests.get(filled.server.url + "/runs", headers=asked_with).status_code == 401)
    page.get_by_role("link", name="Overview", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("not accepted")
    assert page.evaluate("sessionStorage.getItem('lake-token')") is None
    page.get_by_label("API token").fill(filled.server.token)
    page.get_by_role("button", name="Open the lake").click()
    visit.settle()
    assert numbers(visit.figure("Plays"))


@pytest.mark.thorough
def test_a_reading_token_is_told_that_it_may_not_run(filled, look):
    printed = filled.command("token", "add", "--name", "reader", "--scope", "read")
    found = re.search(r"lake_[\w-]{20,}", printed)
    assert found
    asked_with = {"Authorization": f"Bearer {found[0]}"}
    assert eventually(lambda: requests.get(filled.server.url + "/runs", headers=asked_with).ok)
    visit = look(filled.server, token=found[0])
    visit.allow(r"status of 403")
    page = visit.open("#/pipeline")
    page.get_by_role("button", name="Start a run").click()
    expect(page.get_by_role("alert")).to_contain_text("scope")


@pytest.mark.thorough
def test_an_error_of_the_api_is_told_where_it_happened_and_can_be_tried_again(filled, look):
    visit = look(filled.server)
    visit.allow(r"status of 503")
    refusal = {"error": {"code": "engine_busy", "message": "all query slots are taken", "details": {}}}
    visit.page.route("**/reports/top_artists?*", lambda route: route.fulfill(status=503, json=refusal))
    visit.open("#/overview?period=all&timezone=UTC")
    panel = visit.panel("Top artists")
    expect(panel.get_by_role("alert")).to_contain_text("all query slots are taken")
    assert visit.panel("Top tracks").locator(".ranked li").count() > 0
    visit.page.unroute("**/reports/top_artists?*")
    panel.get_by_role("button", name="Try again").click()
    expect(panel.locator(".ranked li").first).to_be_visible()


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("report", "address"), [("dashboard_totals", "#/overview"), ("dashboard_item", "#/artist/{artist}")]
)
def test_figures_that_could_not_be_had_can_be_tried_again(filled, look, report, address):
    visit = look(filled.server)
    visit.allow(r"status of 503")
    refusal = {"error": {"code": "engine_busy", "message": "all query slots are taken", "details": {}}}
    visit.page.route(f"**/reports/{report}?*", lambda route: route.fulfill(status=503, json=refusal))
    artist = filled.server.rows("SELECT max(artist_name) FROM plays WHERE item_type = 'track'")[0][0]
    page = visit.open(f"{address.format(artist=quote(artist, safe=''))}?period=all&timezone=UTC")
    expect(page.get_by_role("alert")).to_contain_text("all query slots are taken")
    visit.page.unroute(f"**/reports/{report}?*")
    page.get_by_role("button", name="Try again").click()
    assert numbers(visit.figure("Plays"))[0] > 0
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.thorough
def test_a_server_that_went_away_is_told(look, tmp_path):
    with LakeServer(tmp_path) as server:
        visit = look(server)
        visit.allow(r"ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET")
        visit.open("#/sql")
    visit.page.get_by_role("link", name="Library", exact=True).click()
    expect(visit.page.get_by_role("alert").first).to_contain_text("does not answer")


@pytest.mark.thorough
def test_an_empty_lake_says_what_to_do_first(empty, look):
    visit = look(empty)
    visit.allow(NEVER_CRAWLED)
    page = visit.open("#/overview")
    expect(page.get_by_text("The lake is empty")).to_be_visible()
    assert visit.violations() == []
    page.get_by_role("link", name="Start a run").click()
    visit.settle()
    expect(page.get_by_text("Nothing has run yet")).to_be_visible()
    for address in ("#/library", "#/reports/top_artists", "#/artist/Nobody"):
        visit.open(address)
        expect(page.get_by_role("alert")).to_have_count(0)
    visit.open("#/sql")
    run_sql(visit, "SELECT * FROM plays")
    expect(page.get_by_text("The query answered no rows.")).to_be_visible()


@pytest.mark.thorough
def test_covers_are_shown_only_where_the_owner_wishes_it(filled, look, tmp_path):
    assert not any("i.scdn.co" in request.url for request in covers_asked_for(look(filled.server)))
    shared = {**filled.environ, "LAKE_URL": str(filled.server.lake), "SHOW_IMAGES": "true"}
    with LakeServer(tmp_path, shared) as server:
        visit = look(server)
        visit.allow("request to another host: https://i.scdn.co/")
        pixel = {"status": 200, "content_type": "image/svg+xml", "body": '<svg xmlns="http://www.w3.org/2000/svg"/>'}
        visit.context.route("https://i.scdn.co/**", lambda route: route.fulfill(**pixel))
        asked = [request.url for request in covers_asked_for(visit) if "i.scdn.co" in request.url]
        assert asked
        assert all(url.startswith("https://i.scdn.co/image/") for url in asked)
        expect(visit.page.locator("img.cover").first).to_be_visible()


@pytest.mark.thorough
def test_one_click_that_says_what_it_means_shows_covers_and_copies_ask_nobody(filled, look):
    visit = look(filled.server)
    visit.allow("request to another host: https://i.scdn.co/")
    pixel = {"status": 200, "content_type": "image/svg+xml", "body": '<svg xmlns="http://www.w3.org/2000/svg"/>'}
    visit.context.route("https://i.scdn.co/**", lambda route: route.fulfill(**pixel))
    assert not any("i.scdn.co" in request.url for request in covers_asked_for(visit))
    offer = visit.page.get_by_role("note").filter(has_text="would learn your address")
    expect(offer).to_have_count(1)
    assert visit.violations() == []
    offer.get_by_role("button", name="Show covers").click()
    expect(visit.page.locator("img.cover").first).to_be_visible()
    expect(offer).to_have_count(0)
    links = visit.page.locator("img.cover").evaluate_all("images => images.map((each) => each.src)")
    name = links[0].rpartition("/")[2]
    copy = filled.server.lake / "raw" / "images" / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(picture((9, 9, 9)))
    try:
        before = len(visit.requests)
        visit.page.reload()
        expect(visit.page.locator("img.cover[src^='data:image/png']").first).to_be_visible()  # remembered, and kept
        assert not any(request.url.endswith(name) and "scdn" in request.url for request in visit.requests[before:])
        served = filled.server.get(f"/images/{name}")
        assert (served.status_code, served.headers["Content-Type"], served.content) == (
            200,
            "image/png",
            picture((9, 9, 9)),
        )
        assert "immutable" in served.headers["Cache-Control"]
        same = filled.server.get(f"/images/{name}", headers={"If-None-Match": served.headers["ETag"]})
        assert same.status_code == 304
        assert filled.server.get("/images").json() == {"images": [name]}
    finally:
        copy.unlink()
    assert filled.server.get(f"/images/{name}").status_code == 404
    assert filled.server.get("/images/..%2Fruns").status_code in (400, 404)


def covers_asked_for(visit: Visit) -> list[Any]:
    visit.open("#/overview?period=all&timezone=UTC")
    visit.page.wait_for_load_state("networkidle")
    return visit.requests


@pytest.mark.thorough
def test_the_keyboard_suffices(filled, look):
    visit = look(filled.server)
    page = visit.open("#/overview?period=all&timezone=UTC")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    table = visit.panel("Listening over time").get_by_role("button", name="Table", exact=True)
    for _ in range(20):
        page.keyboard.press("Tab")
        if table.evaluate("(button) => button === document.activeElement"):
            break
    expect(table).to_be_focused()
    page.keyboard.press("Enter")
    expect(visit.panel("Listening over time").locator("tbody tr").first).to_be_visible()


@pytest.mark.thorough
def test_a_choice_made_by_keyboard_leaves_the_keyboard_where_it_was(filled, look):
    visit = look(filled.server)
    page = visit.open("#/overview?period=all&timezone=UTC")
    years = page.locator("#select-period option").filter(has_text=re.compile(r"^\d{4}$"))
    expect(years.first).to_be_attached(timeout=WAITS)  # they come later
    visit.settle()
    oldest = years.last.get_attribute("value")
    page.locator("#select-period").focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_url(f"**period={oldest}**")
    visit.settle()
    expect(page.locator("#select-period")).to_be_focused()
    visit.open("#/reports/top_artists?period=all&timezone=UTC")
    page.get_by_label("Limit").fill("4")
    page.keyboard.press("Shift+Tab")
    page.wait_for_url("**p_limit=4**")
    visit.settle()
    expect(page.locator("#parameter-min_seconds")).to_be_focused()


@pytest.mark.thorough
@pytest.mark.parametrize("width", [360, 830, 1280])
def test_a_large_number_stays_on_one_line(filled, look, width):
    def enlarged(route: Route) -> None:
        answer = route.fetch()
        content = answer.json()
        columns = [column["name"] for column in content["columns"]]
        large = {place for place, name in enumerate(columns) if name in ("plays", "hours")}
        content["rows"] = [
            [12_345_678 if place in large else cell for place, cell in enumerate(row)] for row in content["rows"]
        ]
        route.fulfill(response=answer, json=content)

    visit = look(filled.server, viewport={"width": width, "height": 800})
    visit.page.route("**/reports/dashboard_item?*", enlarged)
    artist = filled.server.rows("SELECT max(artist_name) FROM plays WHERE item_type = 'track'")[0][0]
    page = visit.open(f"#/artist/{quote(artist, safe='')}?period=all&timezone=UTC")
    assert visit.figure("Plays") == "12,345,678"
    lines = page.locator(".figure dd:nth-of-type(1)").evaluate_all(
        """(places) => places.map((place) => {
            const text = document.createRange();
            text.selectNodeContents(place);
            const { height } = text.getBoundingClientRect();
            const one = place.querySelector(".date") || height < 2 * parseFloat(getComputedStyle(place).fontSize);
            return Boolean(one) && place.scrollWidth <= place.clientWidth;
        })"""
    )
    assert len(lines) >= 5
    assert all(lines)


@pytest.mark.thorough
def test_the_reader_chooses_dark_or_light_and_it_stays(filled, look):
    visit = look(filled.server, color_scheme="light")
    page = visit.open("#/library")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    for _ in range(2):  # from the system's to light, then to dark
        page.get_by_role("button", name=re.compile("^Colours")).click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    visit.settle()
    assert page.evaluate(ground) == dark
