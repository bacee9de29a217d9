"""Pages of one genre, artist, show or playlist: every figure is the report's by the command, every name leads on."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.support import overview
from tests.support.pages import numbers, shown_list, table_of, words

ALL = {"period": "all", "timezone": "UTC"}


def hours_of(rows: list[dict[str, Any]]) -> list[int]:
    known = {row["hour"]: row["plays"] for row in rows}
    return [known.get(hour, 0) for hour in range(24)]


@pytest.mark.thorough
@pytest.mark.parametrize("width", [390, 1280])
def test_every_figure_of_a_genre_is_the_commands(filled, look, width):
    covered = filled.report("genres", **ALL, limit=1)[0]
    genre = covered["genre"]
    (told,), artists, tracks, albums, months = filled.reports(
        [
            ("dashboard_genre", {**ALL, "genre": genre}),
            *(
                ("dashboard_genre_tops", {**ALL, "genre": genre, "items": items, "limit": 15})
                for items in ("artists", "tracks", "albums")
            ),
            ("dashboard_genre_months", {"genre": genre, "timezone": "UTC"}),
        ]
    )
    visit = look(filled.server, timezone_id="UTC", viewport={"width": width, "height": 800})
    page = visit.open(f"#/genre/{quote(genre, safe='')}?period=all&timezone=UTC")
    expect(page.locator("h1")).to_have_text(genre)
    assert [visit.figure(name) for name in ("Plays", "Listening time", "Artists", "Rank")] == [
        overview.whole(told["plays"]),
        overview.hours(told["hours"]),
        overview.whole(told["artists"]),
        f"#{told['place']}",
    ]
    figures = words(page.locator(".figures").inner_text())
    dates = visit.dates([told[name][:10] for name in ("first_listen", "last_listen")], "day")
    assert [visit.figure(name) for name in ("First listen", "Last listen")] == dates
    known = f"{overview.number(covered['percent_known'])}% of the plays in the period have a known genre."
    expect(page.get_by_text(known)).to_be_visible()
    assert f"{told['percent_of_plays']:g}% of all music" in figures
    assert f"{told['percent_of_time']:g}% of all music" in figures
    assert shown_list(visit, "Top artists") == overview.ranked(artists, "item", None, comparable=False)
    assert shown_list(visit, "Top tracks") == overview.ranked(tracks, "item", "artist", comparable=False)
    assert shown_list(visit, "Top albums") == overview.ranked(albums, "item", "artist", comparable=False)
    steps = overview.steps(months, "month", by="month")
    assert visit.drawn("Over time") == overview.of_steps(steps, "percent_of_plays")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert visit.violations() == []


@pytest.mark.thorough
def test_every_genre_named_leads_to_its_page(filled, look):
    visit = look(filled.server)
    rows = filled.report("genres", **ALL, limit=5)
    page = visit.open("#/year?period=all&timezone=UTC")
    expect(visit.panel("Genres").get_by_role("listitem").get_by_role("link")).to_have_text(
        [row["genre"] for row in rows]
    )
    visit.open("#/reports/genres?period=all&timezone=UTC")
    visit.panel("Result").get_by_role("button", name="Table", exact=True).click()
    visit.panel("Result").get_by_role("link", name=rows[1]["genre"], exact=True).click()
    visit.settle()
    expect(page.locator("h1")).to_have_text(rows[1]["genre"])
    artist = visit.panel("Top artists").locator(".ranked li a").first
    name = artist.inner_text()
    artist.click()
    visit.settle()
    expect(page.locator("h1")).to_have_text(name)
    visit.panel("Details").get_by_role("link", name=rows[1]["genre"], exact=True).click()
    visit.settle()
    expect(page.locator("h1")).to_have_text(rows[1]["genre"])


@pytest.mark.thorough
def test_an_artists_hours_are_the_commands_and_lead_to_their_listens(filled, look):
    artist = filled.report("top_artists", **ALL, limit=1)[0]["artist"]
    rows = filled.report("dashboard_item_hours", **ALL, artist=artist)
    visit = look(filled.server, timezone_id="UTC")
    page = visit.open(f"#/artist/{quote(artist, safe='')}?period=all&timezone=UTC")
    assert visit.drawn("Hour of the day") == hours_of(rows)
    canvas = visit.panel("Hour of the day").locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 0.6, "y": box["height"] * 0.7})
    page.wait_for_url("**#/listens**")
    hour = int(numbers(page.url.split("hour=")[1])[0])
    visit.settle()
    listed = filled.report("dashboard_listens", **ALL, artist=artist, hour=hour, limit=100)
    expect(page.locator("[aria-label='List of listens'] tbody tr")).to_have_count(len(listed))


@pytest.mark.thorough
def test_an_episode_leads_to_its_listens(filled, look):
    show = filled.report("podcasts", **ALL, limit=1)[0]["title"]
    visit = look(filled.server, timezone_id="UTC")
    page = visit.open(f"#/show/{quote(show, safe='')}?period=all&timezone=UTC")
    first = visit.panel("Top episodes").locator(".ranked li a").first
    episode = {**ALL, "kind": "episode", "artist": show, "name": first.inner_text(), "limit": 100}
    first.click()
    visit.settle()
    (listed,) = filled.reports([("dashboard_listens", episode)])
    expect(page.locator("[aria-label='List of listens'] tbody tr")).to_have_count(len(listed))


#: Columns that name something with a page, and where each leads; the others hold numbers, times and words.
LEADS = {
    "best_of_each_hour": {"artist": "artist", "track": "track", "track_artist": "artist"},
    "first_and_last_listens": {"artist": "artist", "first_track": "track", "last_track": "track"},
    "genres": {"genre": "genre"},
    "new_since_last_run": {"artist": "artist"},
    "obsessions": {"artist": "artist", "track": "track", "week": "listens"},
    "podcasts": {"title": "show"},
    "recently_played": {"album": "album"},
    "saved_never_played": {"artist": "artist", "track": "track"},
    "top_albums": {"artist": "artist", "album": "album"},
    "top_tracks": {"artist": "artist", "track": "track"},
    "listening_over_time": {"start": "listens"},
    "discovery": {"month": "listens"},
    "dashboard_playlists": {"playlist_id": "playlist", "name": "playlist"},
    "dashboard_listens": {"artist": "artist", "album": "album", "track": "track"},
}


@pytest.mark.thorough
def test_names_in_the_tables_of_reports_lead_to_their_pages(filled, look):
    visit = look(filled.server)
    for report, leads in LEADS.items():
        visit.open(f"#/reports/{report}?period=all&timezone=UTC")
        names = [column["name"] for column in filled.server.get(f"/reports/{report}").json()["columns"]]
        assert table_of(visit.panel("Result")), report
        for column, page in leads.items():
            links = visit.panel("Result").locator(f"tbody td:nth-child({names.index(column) + 1}) a")
            assert links.first.get_attribute("href").startswith(f"#/{page}"), (report, column)
