"""``python -m tests.support.screenshots``: a picture of each page of the dashboard, on sandbox data.

Names are in many scripts: the machine needs a font with Chinese and Japanese letters (fonts-wqy-microhei)."""

from __future__ import annotations

import struct
import tempfile
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, expect

from tests.support.browser import Visit, started
from tests.support.dashboard import BEHIND, Filled, filled_lake
from tests.support.server import PROJECT

FOLDER = PROJECT / "docs" / "screenshots"
RUN_EACH = timedelta(hours=8)
LARGEST = 170_000  # bytes of one picture
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1200, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1200, "height": 800}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
OF_ONE_LISTENER = ("overview", "year", "listens", "artist", "album", "track", "library")
SELECTED = "period=1y&timezone=Europe%2FBerlin"
SQL = """SELECT artist_name,
  count(*) AS plays,
  sum(ms_played) / 60000 AS minutes,
  min(ended_at) AS first_listen
FROM plays
WHERE item_type = 'track'
GROUP BY artist_name
ORDER BY plays DESC"""  # lines that fit a phone


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        filled_lake(
            Path(folder), since="2021-01-01", until=(datetime.now(UTC) - BEHIND).isoformat(), scale="medium"
        ) as filled,
        started() as browser,
    ):
        for _ in range(BEHIND // RUN_EACH):  # up to now, often enough that no play is missed
            filled.sandbox.advance(RUN_EACH.total_seconds())
            filled.run_to_end()
        for name, look in LOOKS.items():
            take_pictures(browser, filled, name, look)


def take_pictures(browser: Browser, filled: Filled, look: str, options: dict[str, Any]) -> None:
    visit = Visit(browser, filled.server.url, filled.server.token, **options)
    artist = filled.server.rows(
        "SELECT artist_name, album_name, item_name FROM plays WHERE item_type = 'track' AND artist_name IS NOT NULL "
        "GROUP BY 1, 2, 3 ORDER BY count(*) DESC LIMIT 1"
    )[0]
    quoted = [quote(part, safe="") for part in artist]
    genre = filled.server.get("/reports/genres", params={"limit": 1}).json()["rows"][0][0]
    pages = {
        "overview": "overview",
        "year": "year",
        "listens": "listens",
        "artist": f"artist/{quoted[0]}",
        "album": f"album/{quoted[0]}/{quoted[1]}",
        "track": f"track/{quoted[0]}/{quoted[2]}",
        "genre": f"genre/{quote(genre, safe='')}",
        "library": "library",
        "reports": "reports",
        "report": "reports/top_artists",
        "sql": "sql",
        "table": "table/artist_genres",
        "pipeline": "pipeline",
    }
    for name, path in pages.items():
        visit.open(f"#/{path}?{SELECTED}")
        if name in OF_ONE_LISTENER:
            expect(visit.page.locator("#select-user")).to_be_visible(timeout=visit.waits)
        if name == "sql":
            run(visit)
        if name == "pipeline":
            visit.page.locator("table.runs tr[data-run] button").first.click()
        save(visit, FOLDER / f"{name}-{look}.png")
    visit.close()
    assert visit.faults == [], visit.faults


def run(visit: Visit) -> None:
    visit.page.locator(".cm-content").click()
    visit.page.keyboard.press("ControlOrMeta+a")
    visit.page.keyboard.insert_text(SQL)
    visit.page.keyboard.press("Control+Enter")
    expect(visit.page.locator(".sheet-row").first).to_be_visible()


def save(visit: Visit, path: Path) -> None:
    visit.page.wait_for_timeout(300)  # the charts are drawn in the next frame
    path.write_bytes(recompressed(visit.page.screenshot()))
    size = path.stat().st_size
    assert size <= LARGEST, f"{path.name} has {size} bytes"
    print(f"{path.relative_to(PROJECT)}  {size / 1000:.0f} kB")


def recompressed(png: bytes) -> bytes:
    """The same picture, deflated as well as zlib can; Chromium prefers to be quick."""
    made, pixels, at = [png[:8]], b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12
        if kind == b"IDAT":
            pixels += data
        elif kind == b"IEND":
            made += [chunk(b"IDAT", zlib.compress(zlib.decompress(pixels), 9)), chunk(kind, data)]
        else:
            made.append(chunk(kind, data))
    return b"".join(made)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


if __name__ == "__main__":
    main()
