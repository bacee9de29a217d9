"""Leaving things out by the page: every number follows, every page says so, and it can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.support import overview
from tests.support.browser import Visit
from tests.support.dashboard import Filled
from tests.support.pages import numbers

ALL = {"period": "all", "timezone": "UTC"}
SELECTED = "?period=all&timezone=UTC"


@pytest.fixture
def whole(filled: Filled) -> Iterator[Filled]:
    """The lake, of which nothing is left out before and after."""
    yield filled
    for each in filled.server.get("/exclusions").json()["exclusions"]:
        filled.server.delete(f"/exclusions/{each['exclusion_id']}")


def leave_out(visit: Visit, button: str = "Leave out") -> None:
    visit.page.get_by_role("button", name=button, exact=True).first.click()
    visit.page.get_by_role("dialog").get_by_role("button", name="Leave out", exact=True).click()
    expect(visit.page.get_by_role("dialog")).to_have_count(0)


def plays(filled: Filled, **chosen: Any) -> int:
    return int(filled.report("dashboard_totals", **{**ALL, **chosen})[0]["plays"])


@pytest.mark.thorough
def test_an_artist_is_left_out_everywhere_and_counts_again(whole, look):
    artist = whole.report("top_artists", **ALL, limit=1)[0]
    before = plays(whole)
    visit = look(whole.server, timezone_id="UTC")
    page = visit.open(f"#/artist/{quote(artist['artist'], safe='')}{SELECTED}")
    page.get_by_role("button", name="Leave out", exact=True).click()
    assert visit.violations() == []
    page.get_by_role("dialog").get_by_role("button", name="Leave out", exact=True).click()
    expect(page.get_by_text("No listens")).to_be_visible()
    for address in ("library", "reports/top_artists", "sql", "table/heard"):
        visit.open(f"#/{address}{SELECTED}", settle=False)
        expect(page.locator(".left-out")).to_contain_text(artist["artist"])
    visit.open(f"#/overview{SELECTED}")
    assert numbers(visit.figure("Plays")) == [plays(whole)] == [before - artist["plays"]]
    page.get_by_role("link", name="See all, or take it back").click()
    visit.settle()
    (told,) = whole.report("left_out")
    row = page.get_by_role("region", name="Left out now").locator("tbody tr")
    expect(row).to_contain_text(artist["artist"])
    expect(row).to_contain_text(overview.whole(told["listens"]))
    expect(row).to_contain_text(overview.hours(told["hours"]))
    assert visit.violations() == []
    row.get_by_role("button", name="Count again").click()
    expect(page.get_by_text("Nothing is left out", exact=True)).to_be_visible()
    visit.open(f"#/overview{SELECTED}")
    expect(page.locator(".left-out")).to_be_hidden()
    assert numbers(visit.figure("Plays")) == [before]


@pytest.mark.thorough
def test_a_track_a_show_and_a_playlist_are_left_out_on_their_pages(whole, look):
    track = whole.report("top_tracks", **ALL, limit=1)[0]
    show = whole.report("podcasts", **ALL, limit=1)[0]["title"]
    playlist = whole.report("dashboard_playlists")[0]["playlist_id"]
    visit = look(whole.server)
    visit.open(f"#/track/{quote(track['artist'], safe='')}/{quote(track['track'], safe='')}{SELECTED}")
    leave_out(visit)
    visit.open(f"#/show/{quote(show, safe='')}{SELECTED}")
    leave_out(visit)
    visit.open(f"#/playlist/{playlist}{SELECTED}")
    leave_out(visit, "Leave out what was played from it")
    left = whole.server.get("/exclusions").json()["exclusions"]
    assert [(each["kind"], each["artist_name"], each["item_name"], each["context_uri"]) for each in left] == [
        ("track", track["artist"], track["track"], None),
        ("show", show, None, None),
        ("playlist", None, None, f"spotify:playlist:{playlist}"),
    ]
    page = visit.open(f"#/left-out{SELECTED}")
    expect(page.get_by_role("region", name="Left out now").locator("tbody tr")).to_have_count(3)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate(wide) <= 0


@pytest.mark.thorough
def test_a_session_and_a_time_of_one_listener_are_left_out(whole, look):
    session = whole.report("longest_sessions", **ALL, limit=1)[0]
    before = plays(whole)
    visit = look(whole.server, timezone_id="Asia/Tokyo")
    page = visit.open("#/left-out?timezone=Asia%2FTokyo")
    visit.panel("A session").get_by_role("button", name="Leave out").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Leave out", exact=True).click()
    expect(page.get_by_role("region", name="Left out now").locator("tbody tr")).to_have_count(1)
    assert plays(whole) <= before - session["plays"]
    (told,) = whole.report("left_out")
    assert told["listens"] >= session["plays"] > 0
    page.get_by_role("button", name="Count again").click()
    expect(page.get_by_text("Nothing is left out", exact=True)).to_be_visible()
    page.get_by_label("From", exact=True).fill("2025-03-10T09:00")
    page.get_by_label("To", exact=True).fill("2025-03-12T09:00")
    page.get_by_role("button", name="Leave this time out").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Whose listening")).to_be_visible()
    dialog.get_by_label("Whose listening").select_option(session["user_id"])
    dialog.get_by_role("button", name="Leave out", exact=True).click()
    expect(page.get_by_role("region", name="Left out now").locator("tbody tr")).to_have_count(1)
    (left,) = whole.server.get("/exclusions").json()["exclusions"]
    assert (left["from_at"][:19], left["to_at"][:19]) == ("2025-03-10T00:00:00", "2025-03-12T00:00:00")
    assert left["user_id"] == session["user_id"]
