"""Whatever the year, the listens, a search, a playlist, an artist, album or track show, the command tells too."""

from __future__ import annotations

from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import expect

from tests.support import overview
from tests.support.browser import Visit
from tests.support.pages import numbers, shown_list, table_of, words

ALL = {"period": "all", "timezone": "UTC"}
Rows = list[dict[str, Any]]


def day(visit: Visit, moment: Any) -> str:
    """The day of a moment in UTC, as the page writes it."""
    return str(visit.dates([str(moment)[:10]], "day")[0])


def cells(visit: Visit, name: str) -> list[list[str]]:
    """What stands in the cells of a table, letter by letter."""
    rows: list[list[str]] = visit.page.locator(f"[aria-label='{name}'] tbody tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return rows


def ranked(rows: Rows, name: str, by: str | None = None) -> list[overview.Ranked]:
    """Rows as a ranked list reads aloud, where any space is one."""
    return [
        overview.Ranked(*(words(part) for part in astuple(row)))
        for row in overview.ranked(rows, name, by, comparable=False)
    ]


def shown_figures(visit: Visit) -> dict[str, tuple[str, str]]:
    """Each figure's value and the words below it, by its name."""
    found: list[list[str]] = visit.page.locator(".figure").evaluate_all(
        """(figures) => figures.map((figure) => [figure.querySelector("dt").textContent,
            figure.querySelector("dd").textContent, figure.querySelector("dd.change")?.textContent ?? ""])"""
    )
    return {words(name): (words(value), words(more)) for name, value, more in found}


# --- the year -----------------------------------------------------------------------------------------------------

#: Of everybody and of one; a year, days, and all time.
PERIODS: list[dict[str, str]] = [
    {"period": "2025", "timezone": "America/New_York"},
    {"period": "1y", "timezone": "Asia/Kolkata"},
    {"from": "2026-02-03", "to": "2026-04-20", "timezone": "UTC", "user": "guest"},
    ALL,
]


@pytest.mark.thorough
@pytest.mark.parametrize("chosen", PERIODS, ids=lambda chosen: "-".join(chosen.values()).replace("/", " "))
def test_every_figure_of_the_year_in_review_is_the_commands(filled, look, chosen):
    visit = look(filled.server, timezone_id=chosen["timezone"])
    page = visit.open(f"#/year?{urlencode(chosen)}")
    review, (totals,), artists, tracks, albums, first, obsessions, (streak,), genres, months = filled.reports(
        [
            ("year_in_review", chosen),
            ("dashboard_totals", chosen),
            *((report, {**chosen, "limit": 5}) for report in ("top_artists", "top_tracks", "top_albums")),
            ("dashboard_listens", {**chosen, "order": "oldest", "kind": "track", "limit": 1}),
            ("obsessions", {**chosen, "limit": 1}),
            ("streaks", {**chosen, "limit": 1}),
            ("genres", {**chosen, "limit": 5}),
            ("listening_over_time", {**chosen, "unit": "month"}),
        ]
    )
    told = {row["what"]: row for row in review}
    for title, expected in {
        **cards_of_review(visit, told),
        **cards_of_others(visit, first, obsessions, streak),
    }.items():
        assert expected in words(visit.panel(title).inner_text()), title
    compared = words(visit.panel("Compared").inner_text())
    assert all(said in compared for said in comparison(totals))
    assert shown_list(visit, "Top artists") == ranked(artists, "artist")
    assert shown_list(visit, "Top tracks") == ranked(tracks, "track", "artist")
    assert shown_list(visit, "Top albums") == ranked(albums, "album", "artist")
    listed = [words(each) for each in visit.panel("Genres").locator("li").all_inner_texts()]
    assert listed == [f"{row['genre']} {overview.whole(row['plays'])} plays" for row in genres]
    if genres:
        known = f"{overview.whole(genres[0]['percent_known'])}% of the plays have a known genre."
        assert known in words(visit.panel("Genres").inner_text())
    steps = overview.steps(months, "month")
    drawn = visit.drawn("Seasons")
    known_months = overview.of_steps(steps, "minutes")
    assert [value for value in drawn if value] == [value for value in known_months if value]
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as a picture").click()
    picture = saved.value.path().read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n" and int.from_bytes(picture[16:20], "big") == 1080


def cards_of_review(visit: Visit, told: dict[str, dict[str, Any]]) -> dict[str, str]:
    """What the cards say that stand on the report of the year."""
    number = {what: row["number"] for what, row in told.items()}
    whole = overview.whole
    minutes, busiest = number["minutes"], told["busiest day (minutes)"]
    cards = {
        "Minutes": f"{whole(minutes)} minutes, or {overview.hours(minutes / 60)}: "
        f"about {whole(minutes / 1440)} days and nights.",
        "Plays": f"{whole(number['plays'])} plays on {whole(number['days with listening'])} days, "
        f"of {whole(number['tracks'])} tracks by {whole(number['artists'])} artists.",
        "Biggest day": f"{day(visit, busiest['name'])} {whole(busiest['number'])} minutes.",
        "Discoveries": f"{whole(number['artists heard for the first time'])} artists heard for the first time ever.",
        "Top podcast": "No podcast was heard.",
    }
    if podcast := told.get("top podcast (minutes)"):
        cards["Top podcast"] = f"{podcast['name']} {whole(podcast['number'])} minutes."
    return cards


def cards_of_others(visit: Visit, first: Rows, obsessions: Rows, streak: dict[str, Any]) -> dict[str, str]:
    """What the cards say that stand on reports of their own."""
    nothing = "Nothing was heard in this period. Choose another one."
    cards = {"First listen": nothing, "Obsession": nothing}
    for row in first:
        at = row["heard_local"]
        cards["First listen"] = f"{row['track']} {row['artist']}, on {day(visit, at)} at {at[11:16]}."
    for row in obsessions:
        week = f"in the week from {day(visit, row['week'])}."
        cards["Obsession"] = f"{row['track']} {row['artist']}: {overview.whole(row['plays'])} plays {week}"
    days = f"{overview.whole(streak['days'])} {'day' if streak['days'] == 1 else 'days'}"
    span = f"from {day(visit, streak['first_day'])} to {day(visit, streak['last_day'])}."
    return {**cards, "Longest streak": f"{days} with music or talk, {span}"}


def comparison(totals: dict[str, Any]) -> list[str]:
    """What the card says that compares a period with the one before."""
    if not totals["plays_before"]:
        return ["Nothing was heard in the period before."]
    more = totals["hours"] >= totals["hours_before"]
    part = abs(totals["hours"] - totals["hours_before"]) / totals["hours_before"]
    return [
        f"{'+' if more else '−'}{overview.whole(part * 100)}%",
        f"of listening time: {overview.hours(totals['hours'])}, after {overview.hours(totals['hours_before'])} in the "
        f"period before. {overview.whole(totals['plays'])} plays, after {overview.whole(totals['plays_before'])}.",
    ]


# --- listens ------------------------------------------------------------------------------------------------------

#: Narrowed down in every way that there is.
FILTERS: list[dict[str, str]] = [
    {},
    {"kind": "episode", "order": "oldest"},
    {"skipped": "yes", "min_seconds": "0"},
    {"weekday": "6", "hour": "21"},
    {"search": "th"},
]


@pytest.mark.thorough
def test_every_cell_of_the_listens_is_the_commands(filled, look):
    chosen = {"period": "2025", "timezone": "Asia/Kolkata"}
    narrowed = [{**chosen, **each} for each in FILTERS]
    asked = [("dashboard_listens", {**each, "limit": 100}) for each in narrowed]
    days = [("listening_over_time", {**each, "unit": "day"}) for each in ({}, {"min_seconds": "0"})]
    found = filled.reports([*asked, *((name, {**chosen, **values}) for name, values in days)])
    visit = look(filled.server, timezone_id=chosen["timezone"])
    for values, rows in zip(narrowed, found, strict=False):
        assert rows, values
        visit.open(f"#/listens?{urlencode(values)}")
        expect(visit.page.locator("[aria-label='List of listens'] tbody tr").first).to_be_visible()
        assert cells(visit, "List of listens")[: len(rows)] == [listed(visit, row) for row in rows], values
        calendar = found[-1] if values.get("min_seconds") == "0" else found[-2]
        drawn = [plays for _, _, plays in sorted(visit.drawn("Calendar")) if plays]
        assert drawn == [row["plays"] for row in calendar if row["plays"]], values


def listed(visit: Visit, row: dict[str, Any]) -> list[str]:
    """A listen as the list writes it."""
    at = row["heard_local"]
    length = "–" if row["minutes"] is None else overview.duration(row["minutes"] * 60)
    title = f"{row['track'] or 'unknown'}{' skipped' if row['skipped'] else ''}"
    return [f"{day(visit, at)}, {at[11:16]}", title, row["artist"] or "unknown", row["album"] or "", length]


# --- search -------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_every_line_of_a_search_is_the_commands(filled, look):
    playlist = filled.server.rows("SELECT min(name) FROM playlists WHERE name <> ''")[0][0]
    show = filled.report("podcasts", **ALL, limit=1)[0]["title"]
    visit = look(filled.server)
    page = visit.open("#/listens?period=2025")
    kinds = set()
    for text in ("a", "the", playlist, show, "No such name"):
        rows = filled.report("dashboard_search", search=text)
        kinds |= {row["kind"] for row in rows}
        page.locator("#search").fill(text)
        expect(page.locator(".answers a", has_text=f"“{text}”")).to_be_visible()
        lines = page.locator(".answers li a").evaluate_all(
            """(links) => links.map((link) => [link.closest("section").ariaLabel, ...["bdi", "span small",
                ":scope > small"].map((part) => link.querySelector(part)?.textContent ?? "")])"""
        )
        assert [[words(part) for part in line] for line in lines] == [found(row) for row in rows], text
        assert bool(rows) == (text != "No such name")
    assert kinds == {"artist", "album", "track", "playlist", "show"}


def found(row: dict[str, Any]) -> list[str]:
    """A row of the search as the box writes it."""
    by = "" if row["kind"] in ("artist", "show") else row["artist"] or ""
    plays = "" if row["plays"] is None else f"{overview.whole(row['plays'])} plays"
    return [f"{row['kind']}s".capitalize(), row["name"], by, plays]


# --- playlists ----------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_every_figure_and_item_of_a_playlist_is_the_commands(filled, look):
    (playlists,) = filled.reports([("dashboard_playlists", {})])
    changed = {row["playlist_id"] for row in filled.report("dashboard_playlist_changes", limit=1000)}
    wanted = sorted(playlists, key=lambda row: (row["playlist_id"] not in changed, row["playlist_id"]))[:3]
    visit = look(filled.server, timezone_id="UTC")
    for told in wanted:
        about = {"playlist": told["playlist_id"]}
        items, changes = filled.reports([("dashboard_playlist", about), ("dashboard_playlist_changes", about)])
        visit.open(f"#/playlist/{told['playlist_id']}?timezone=UTC")
        expect(visit.page.locator("h1")).to_have_text(told["name"])
        last = told["last_addition"]
        assert {name: value for name, (value, _) in shown_figures(visit).items()} == {
            "Items": overview.whole(told["total_items"]),
            "Versions seen": overview.whole(told["versions"]),
            "Last addition": day(visit, last) if last else "unknown",
        }
        assert cells(visit, "Items") == [
            [
                overview.whole(row["place"]),
                row["track"] or row["item_uri"],
                row["artist"] or "–",
                overview.whole(row["plays"]),
                day(visit, row["added_at"]) if row["added_at"] else "–",
                row["added_by"] or "–",
            ]
            for row in items
        ]
        shown = [row[:2] for row in cells(visit, "Changes")]
        assert shown == [[row["item"] or row["item_uri"], row["change"]] for row in changes]


# --- artists, albums, tracks --------------------------------------------------------------------------------------

TOPS = {
    "artist": [("Top tracks", "tracks"), ("Top albums", "albums")],
    "album": [("Tracks", "tracks")],
    "track": [("Played from these albums", "albums")],
    "show": [("Top episodes", "tracks")],
}


@pytest.mark.thorough
@pytest.mark.parametrize("period", ["all", "2025"])
@pytest.mark.parametrize("kind", TOPS)
def test_every_figure_of_an_artist_album_track_and_show_is_the_commands(filled, look, kind, period):
    chosen = {"period": period, "timezone": "UTC"}
    report, name = ("podcasts", "title") if kind == "show" else (f"top_{kind}s", kind)
    first = filled.report(report, **chosen, limit=2)[-1]
    artist, own = (first[name], "") if kind in ("artist", "show") else (first["artist"], first[kind])
    about = {"kind": kind, "artist": artist, **({"name": own} if own else {})}
    described = [] if kind == "show" else [("dashboard_item_details", {**about, "name": own or artist})]
    (told,), months, ranks, hours, *more = filled.reports(
        [
            ("dashboard_item", {**chosen, **about}),
            *((f"dashboard_{each}", {**about, "timezone": "UTC"}) for each in ("item_months", "ranks")),
            ("dashboard_item_hours", {**chosen, **about}),
            *(("dashboard_item_tops", {**chosen, **about, "items": items, "limit": 15}) for _, items in TOPS[kind]),
            *described,
        ]
    )
    visit = look(filled.server, timezone_id="UTC")
    path = "/".join(quote(each, safe="") for each in (artist, own) if each)
    page = visit.open(f"#/{kind}/{path}?{urlencode(chosen)}")
    expect(page.locator("h1")).to_have_text(own or artist)
    assert shown_figures(visit) == figures_of(visit, told)
    steps = overview.steps(months, "month", by="month", days=[datetime.now(UTC).date()])  # up to today
    assert visit.drawn("History") == overview.of_steps(steps, "plays")
    places = overview.of_steps(overview.steps(ranks, "month", by="month"), "place")
    assert visit.drawn("Rank by month") == [place or None for place in places]
    by_hour = {row["hour"]: row["plays"] for row in hours}
    assert visit.drawn("Hour of the day") == [by_hour.get(hour, 0) for hour in range(24)]
    for (title, _), rows in zip(TOPS[kind], more, strict=False):
        assert rows
        assert shown_list(visit, title) == ranked(rows, "item")
    if described and more[-1]:
        assert [row[1] for row in cells(visit, "Details")] == [row["value"] for row in more[-1]]
    assert [numbers(row[1])[0] for row in table_of(visit.panel("History"))] == [row["plays"] for row in months]
    assert visit.violations() == []


def figures_of(visit: Visit, told: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """What stands at the head of an item's page."""
    whole, hours = overview.whole, overview.hours
    place = told["place_in_period"]
    figures = {
        "Plays": (whole(told["plays"]), f"{whole(told['plays_in_period'])} in the period"),
        "Listening time": (hours(told["hours"]), f"{hours(told['hours_in_period'])} in the period"),
        "Rank": (f"#{whole(told['place'])}", f"#{whole(place)} in the period" if place else "not heard in the period"),
    }
    for title in ("First listen", "Last listen"):
        at = datetime.fromisoformat(told[title.lower().replace(" ", "_")])
        figures[title] = (day(visit, at.date()), f"{at:%H:%M}")
    if told["skipped"] is not None:
        figures["Skipped"] = (f"{whole(told['skipped'] * 100)}%", "of the listens that say so")
    return figures
